//! Which episodes of one findings partition were published, and under which revision: the memory that numbers
//! revisions 1..n without a gap and tells a repetition from news. It lives in numbered slots of the state topic.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_schemas::time::SECOND_US;
use weir_schemas::{EpisodeState, Finding, Micros, canonical};

/// How long a closed episode is remembered: longer than the flow topic's 72 h, so that a full replay meets its ids.
pub const REMEMBERED_AFTER_CLOSING_US: Micros = 80 * 3600 * SECOND_US;

/// Revisions whose contents are remembered per episode. An episode grows by doublings of one number and by four
/// severities, so a longer one is rare; beyond this the oldest contents are forgotten first.
const REMEMBERED_REVISIONS: usize = 64;

/// The mark of a finding made while a reset passes panes already judged.
const REPLAYED: &str = "replayed";

/// What is kept about one published episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Id of the episode.
    pub id: String,
    /// Last revision given.
    pub revision: u32,
    /// State of that revision.
    pub state: EpisodeState,
    /// Window end of that revision, µs.
    pub last_time: Micros,
    /// All revisions so far were made by a replay: then it began the episode, and may end it.
    pub from_replay: bool,
    /// First eight bytes of the SHA-256 of each revision's canonical form, oldest first.
    pub contents: Vec<u64>,
}

/// What the ledger decided about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// News: publish it under this revision.
    Publish(u32),
    /// The same revision was published before.
    Repeated,
    /// A replay tells again what was published before it.
    Replayed,
}

/// The published episodes of one findings partition.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    capacity: usize,
    clock: Micros,
    slots: BTreeMap<u32, Published>,
    slot_of: HashMap<String, u32>,
    free: BTreeSet<u32>,
    next_slot: u32,
    closed: BTreeSet<(Micros, u32)>,
    open: BTreeSet<(Micros, u32)>,
    changed: BTreeSet<u32>,
    forgotten: u64,
}

impl Ledger {
    /// An empty ledger of at most `capacity` episodes (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), clock: Micros::MIN, ..Self::default() }
    }

    /// Newest window end met so far, µs: the clock that expiry is told by.
    #[must_use]
    pub fn clock(&self) -> Micros {
        self.clock
    }

    /// Sets the clock, from the head that was restored.
    pub fn set_clock(&mut self, clock: Micros) {
        self.clock = clock;
    }

    /// Episodes remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no episode is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Episodes forgotten before their time because the ledger was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Decides about one finding and remembers it if it is news.
    pub fn judge(&mut self, finding: &Finding) -> Decision {
        self.clock = self.clock.max(finding.window.end);
        self.expire();

        let replayed = finding.degraded.iter().any(|reason| reason == REPLAYED);
        let content = content_of(finding);
        let Some(slot) = self.slot_of.get(&finding.id).copied() else {
            self.insert(finding, content, replayed);
            return Decision::Publish(1);
        };
        let Some(known) = self.slots.get(&slot) else {
            // `slot_of` and `slots` change together, so this slot exists; were it gone, the id would be news.
            self.insert(finding, content, replayed);
            return Decision::Publish(1);
        };
        if known.contents.contains(&content) {
            return Decision::Repeated;
        }
        if replayed && !known.from_replay {
            return Decision::Replayed;
        }

        let mut published = known.clone();
        published.revision += 1;
        published.state = finding.state;
        published.last_time = finding.window.end;
        published.from_replay = known.from_replay && replayed;
        published.contents.push(content);
        if published.contents.len() > REMEMBERED_REVISIONS {
            published.contents.remove(0);
        }
        let revision = published.revision;
        self.put(slot, published);
        Decision::Publish(revision)
    }

    /// The slots changed since the last call, in order; `None` for an emptied one.
    pub fn take_changes(&mut self) -> Vec<(u32, Option<Published>)> {
        std::mem::take(&mut self.changed).into_iter().map(|slot| (slot, self.slots.get(&slot).cloned())).collect()
    }

    /// The occupied slots from `first` on, in order.
    pub fn slots_from(&self, first: u32) -> impl Iterator<Item = (u32, &Published)> {
        self.slots.range(first..).map(|(slot, published)| (*slot, published))
    }

    /// Whether an episode that closed at `window_end` is forgotten by now.
    #[must_use]
    pub fn is_beyond_memory(&self, window_end: Micros) -> bool {
        self.clock.saturating_sub(window_end) >= REMEMBERED_AFTER_CLOSING_US
    }

    /// Whether an id is remembered.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.slot_of.contains_key(id)
    }

    /// Puts back a slot read from the state topic; `None` empties it. The latest of several counts.
    pub fn restore(&mut self, slot: u32, published: Option<Published>) {
        self.remove(slot);
        self.next_slot = self.next_slot.max(slot.saturating_add(1));
        match published {
            Some(published) => {
                self.free.remove(&slot);
                self.put(slot, published);
            }
            None => {
                self.free.insert(slot);
            }
        }
        self.changed.remove(&slot);
    }

    /// To be called after the last [`Ledger::restore`]: slot numbers below the highest that no entry named are free.
    pub fn restored(&mut self) {
        self.free = (0..self.next_slot).filter(|slot| !self.slots.contains_key(slot)).collect();
    }

    fn insert(&mut self, finding: &Finding, content: u64, replayed: bool) {
        if self.slots.len() >= self.capacity {
            self.forget_one();
        }
        let slot = self.free.pop_first().unwrap_or_else(|| {
            let slot = self.next_slot;
            self.next_slot += 1;
            slot
        });
        let published = Published {
            id: finding.id.clone(),
            revision: 1,
            state: finding.state,
            last_time: finding.window.end,
            from_replay: replayed,
            contents: vec![content],
        };
        self.put(slot, published);
    }

    fn put(&mut self, slot: u32, published: Published) {
        self.remove(slot);
        let order = if published.state == EpisodeState::Closed { &mut self.closed } else { &mut self.open };
        order.insert((published.last_time, slot));
        self.slot_of.insert(published.id.clone(), slot);
        self.slots.insert(slot, published);
        self.changed.insert(slot);
    }

    fn remove(&mut self, slot: u32) {
        let Some(published) = self.slots.remove(&slot) else { return };
        self.closed.remove(&(published.last_time, slot));
        self.open.remove(&(published.last_time, slot));
        // The id may live on in another slot: forgotten and told again within one commit.
        if self.slot_of.get(&published.id) == Some(&slot) {
            self.slot_of.remove(&published.id);
        }
    }

    fn vacate(&mut self, slot: u32) {
        self.remove(slot);
        self.free.insert(slot);
        self.changed.insert(slot);
    }

    fn expire(&mut self) {
        while let Some((closed_at, slot)) = self.closed.first().copied() {
            if !self.is_beyond_memory(closed_at) {
                return;
            }
            self.vacate(slot);
        }
    }

    /// Makes room: the episode closed longest ago, else the open one that was silent longest.
    fn forget_one(&mut self) {
        let Some((_, slot)) = self.closed.first().or_else(|| self.open.first()).copied() else { return };
        self.vacate(slot);
        self.forgotten += 1;
    }
}

/// Hash of a finding's canonical form, without what results adds to it: revision and message.
fn content_of(finding: &Finding) -> u64 {
    let bare = Finding { revision: 0, message: String::new(), ..finding.clone() };
    let digest = Sha256::digest(canonical(&bare).as_bytes());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{self, Sample};

    const HOUR_US: Micros = 3600 * SECOND_US;

    #[test]
    fn numbers_run_from_one_without_a_gap() {
        let mut ledger = Ledger::new(10);
        let cases = [
            (sample::port_scan().id("a"), Decision::Publish(1)),
            (sample::port_scan().id("b"), Decision::Publish(1)),
            (sample::port_scan().id("a").observed(200.0).state(EpisodeState::Updated), Decision::Publish(2)),
            (sample::port_scan().id("a").observed(200.0).state(EpisodeState::Updated), Decision::Repeated),
            (sample::port_scan().id("a"), Decision::Repeated),
            (sample::port_scan().id("a").observed(300.0).state(EpisodeState::Closed), Decision::Publish(3)),
            (sample::port_scan().id("b").state(EpisodeState::Closed), Decision::Publish(2)),
        ];
        for (finding, expected) in cases {
            assert_eq!(ledger.judge(&finding), expected, "{} {}", finding.id, finding.state.name());
        }
    }

    #[test]
    fn provenance_makes_no_news() {
        let mut ledger = Ledger::new(10);
        let mut again = sample::port_scan();
        again.provenance.last_offset += 7;
        again.provenance.engine = "9.9.9".to_owned();
        assert_eq!(ledger.judge(&sample::port_scan()), Decision::Publish(1));
        assert_eq!(ledger.judge(&again), Decision::Repeated);
    }

    #[test]
    fn a_replay_tells_nothing_twice_but_finishes_what_it_began() {
        let mut ledger = Ledger::new(10);
        assert_eq!(ledger.judge(&sample::port_scan().id("old")), Decision::Publish(1));
        let told_again = sample::port_scan().id("old").observed(5.0).degraded("replayed");
        assert_eq!(ledger.judge(&told_again), Decision::Replayed);
        assert_eq!(ledger.judge(&sample::port_scan().id("new").degraded("replayed")), Decision::Publish(1));
        let closing = sample::port_scan().id("new").state(EpisodeState::Closed).degraded("replayed");
        assert_eq!(ledger.judge(&closing), Decision::Publish(2));
        let live = sample::port_scan().id("new").observed(7.0);
        assert_eq!(ledger.judge(&live), Decision::Publish(3));
        assert_eq!(ledger.judge(&live.observed(8.0).degraded("replayed")), Decision::Replayed);
    }

    #[test]
    fn a_closed_episode_is_forgotten_after_80_hours_and_an_open_one_is_not() {
        let mut ledger = Ledger::new(10);
        let closed = sample::port_scan().id("closed").state(EpisodeState::Closed);
        let open = sample::port_scan().id("open");
        ledger.judge(&closed);
        ledger.judge(&open);
        ledger.judge(&sample::port_scan().id("nearly").later(80 * HOUR_US - 1));
        assert_eq!(ledger.judge(&closed), Decision::Repeated);
        ledger.take_changes();
        ledger.judge(&sample::port_scan().id("then").later(80 * HOUR_US));
        assert_eq!(ledger.take_changes().iter().filter(|(slot, _)| *slot == 0).count(), 1, "the slot is reused");
        assert_eq!(ledger.judge(&closed), Decision::Publish(1));
        assert_eq!(ledger.judge(&open), Decision::Repeated);
    }

    #[test]
    fn a_full_ledger_forgets_the_longest_closed_first() {
        let mut ledger = Ledger::new(3);
        let early = sample::port_scan().id("early").state(EpisodeState::Closed);
        let late = sample::port_scan().id("late").later(SECOND_US).state(EpisodeState::Closed);
        let open = sample::port_scan().id("open");
        for finding in [&open, &late, &early, &sample::port_scan().id("one more")] {
            ledger.judge(finding);
        }
        assert_eq!((ledger.len(), ledger.forgotten()), (3, 1));
        assert_eq!(ledger.judge(&late), Decision::Repeated);
        assert_eq!(ledger.judge(&open), Decision::Repeated);
        assert_eq!(ledger.judge(&early), Decision::Publish(1));
    }

    proptest! {
        /// With expiry and forgetting in play: what was written is enough to decide alike.
        #[test]
        fn a_restored_ledger_decides_like_the_one_that_wrote(
            steps in prop::collection::vec((0_u8..6, 0_u8..2, 0_i64..60, any::<bool>()), 1..60),
        ) {
            let mut ledger = Ledger::new(4);
            let mut log = Vec::new();
            let mut hours = 0;
            for (id, closed, later, commit) in steps {
                hours += later;
                let state = if closed == 1 { EpisodeState::Closed } else { EpisodeState::Updated };
                let finding = sample::port_scan()
                    .id(&format!("episode {id}"))
                    .observed(f64::from(id) + hours as f64)
                    .later(hours * HOUR_US)
                    .state(state);
                ledger.judge(&finding);
                if !commit {
                    continue;
                }
                log.extend(ledger.take_changes());
                let mut restored = Ledger::new(4);
                for (slot, published) in &log {
                    restored.restore(*slot, published.clone());
                }
                restored.restored();
                restored.set_clock(ledger.clock());
                for id in 0..6 {
                    let next = sample::port_scan().id(&format!("episode {id}")).later(hours * HOUR_US);
                    prop_assert_eq!(restored.clone().judge(&next), ledger.clone().judge(&next), "episode {}", id);
                    prop_assert!(restored.len() <= 4);
                }
            }
        }
    }
}
