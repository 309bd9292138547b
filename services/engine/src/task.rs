//! What the source task and the site task have in common: firings become episodes, episodes findings, and all of it state.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_schemas::finding::Provenance;
use weir_schemas::{CommitMetadata, EpisodeState, Finding, Micros, Partial, ScopeKind, StateEntry};

use crate::config::EngineConfig;
use crate::counters::Counters;
use crate::detectors::{CATALOGUE, Detector, Entry};
use crate::episode::{EPISODES_PER_SOURCE, Episode, EpisodeKey, Episodes, Fired, finding};
use crate::image::{Image, Rewriting, STATE_VERSION, Table, UnreadableState};
use crate::judgement::{Judgement, Verdicts};
use crate::profile::Profile;
use crate::recovery::{Head, Remains, unreadable};

/// In a finding's `degraded`: retention took records of its panes before they could be read again.
pub const RETENTION: &str = "retention";

/// In a finding's `degraded`: made while a reset passed panes that had been judged before.
pub const REPLAYED: &str = "replayed";

/// Where a task's records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskIdentity {
    /// Input topic.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// Partitions of the input topic.
    pub partition_count: u32,
}

/// What a task wants published, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    /// Findings for `weir.findings.v1`.
    pub findings: Vec<Finding>,
    /// Partials for `weir.partials.v1`; markers go to every partition of it.
    pub partials: Vec<Partial>,
    /// It holds an early `opened`: commit within 100 ms.
    pub urgent: bool,
}

impl Outbox {
    /// Whether there is nothing to publish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.partials.is_empty()
    }
}

/// One commit: what to write, atomically with the outbox's contents.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Next input offset.
    pub offset: i64,
    /// Goes into the commit's metadata.
    pub metadata: String,
    /// Goes into the state topic; the head is the last.
    pub state: Vec<StateEntry>,
    /// Goes out.
    pub outbox: Outbox,
}

/// What is the same in the tasks of both stages.
pub struct TaskCore {
    pub(crate) identity: TaskIdentity,
    pub(crate) config: EngineConfig,
    pub(crate) profile: Arc<Profile>,
    pub(crate) image: Image,
    pub(crate) episodes: Episodes,
    pub(crate) counters: Counters,
    pub(crate) outbox: Outbox,
    pub(crate) epoch: u64,
    pub(crate) position: i64,
    /// Panes up to this were partly read under another engine or profile: say so.
    pub(crate) changed_through: Option<(Micros, String)>,
    /// The newest closed pane at which the input had ended.
    pub(crate) ended_through: Option<Micros>,
    /// How far the task had come before its offset was reset.
    pub(crate) passed: Option<Passed>,
}

/// When in a task's order of events a finding is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Within a pane, or at its close.
    Pane(Micros),
    /// At an end of the input, with panes closed through this one.
    End(Micros),
}

/// How far a task had come before a reset: what it makes until there, it had made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed {
    closed_through: Micros,
    ended_through: Option<Micros>,
}

impl Passed {
    fn holds(self, moment: Moment) -> bool {
        match moment {
            Moment::Pane(pane) => pane <= self.closed_through,
            // The end that a closed pane is known for may have come after the reset.
            Moment::End(pane) => self.ended_through.is_some_and(|ended| pane <= ended),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            closed_through: self.closed_through.max(other.closed_through),
            ended_through: self.ended_through.max(other.ended_through),
        }
    }
}

/// A firing on its way to its episode.
pub(crate) struct Firing {
    pub(crate) detector: &'static Entry,
    pub(crate) judgement: Judgement,
}

impl TaskCore {
    pub(crate) fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        let episodes = Episodes::new(config.shares.episodes);
        Self {
            identity,
            config,
            profile,
            image: Image::default(),
            episodes,
            counters: Counters::default(),
            outbox: Outbox::default(),
            epoch: 0,
            position,
            changed_through: None,
            ended_through: None,
            passed: None,
        }
    }

    /// Whether `pane` had been closed, and so judged and learnt, before a reset.
    pub(crate) fn has_passed(&self, pane: Micros) -> bool {
        self.passed.is_some_and(|passed| passed.holds(Moment::Pane(pane)))
    }

    /// Runs every detector over one kind of window and collects what fires.
    pub(crate) fn judge(
        &mut self,
        detector: &'static dyn Detector,
        judge: impl FnOnce(&crate::profile::Rules, &mut Verdicts),
    ) -> Vec<Firing> {
        let mut verdicts = Verdicts::default();
        judge(self.profile.rules_of(detector), &mut verdicts);
        let judged = self.counters.judged.entry(detector.entry().id.to_owned()).or_default();
        judged.fired += verdicts.firings.len() as u64;
        judged.quiet += verdicts.quiet;
        for (reason, count) in verdicts.cannot_judge {
            *judged.cannot_judge.entry(reason.to_owned()).or_default() += count;
        }
        let firing = |judgement| Firing { detector: detector.entry(), judgement };
        verdicts.firings.into_iter().map(firing).collect()
    }

    /// Turns the firings of one pane close into episodes and findings. `early` are the keys of episodes that opened early and
    /// are not in the ledger yet.
    pub(crate) fn settle(&mut self, pane: Micros, firings: Vec<Firing>, early: &[EpisodeKey], room: &mut usize) {
        for (key, firing) in self.by_episode(firings, early) {
            let mut changes = Vec::new();
            let judgement = firing.judgement.clone();
            let fired = self.episodes.fire(key, firing.judgement, pane, room, &mut changes);
            for (slot, body) in changes {
                self.image.put(Table::Episode, slot, body);
            }
            match fired {
                Fired::Opened(key) => self.publish(firing.detector, &key, &judgement, EpisodeState::Opened, pane),
                Fired::Updated(key) => self.publish(firing.detector, &key, &judgement, EpisodeState::Updated, pane),
                Fired::Joined => {}
                Fired::Refused => self.counters.episodes_refused += 1,
                Fired::Deferred => self.counters.deferred += 1,
            }
        }
    }

    /// One firing per episode: the highest severity, then the longest window, speaks. Over [`EPISODES_PER_SOURCE`] open ones
    /// of a detector and source, further targets feed one episode without target.
    fn by_episode(&self, firings: Vec<Firing>, early: &[EpisodeKey]) -> BTreeMap<EpisodeKey, Firing> {
        let mut best: BTreeMap<EpisodeKey, Firing> = BTreeMap::new();
        let mut offer = |key: EpisodeKey, firing: Firing| {
            let rank = |judgement: &Judgement| (judgement.severity, judgement.window.end - judgement.window.start);
            match best.get(&key) {
                Some(known) if rank(&known.judgement) >= rank(&firing.judgement) => {}
                _ => {
                    best.insert(key, firing);
                }
            }
        };
        let mut new_targets: BTreeMap<EpisodeKey, Vec<Firing>> = BTreeMap::new();
        for firing in firings {
            let key = EpisodeKey::of(firing.detector, &firing.judgement);
            let may_overflow = key.source.is_some() && key.target.is_some();
            if may_overflow && self.episodes.get(&key).is_none() {
                new_targets.entry(key).or_default().push(firing);
            } else {
                offer(key, firing);
            }
        }
        let mut opening: BTreeMap<(String, Option<weir_schemas::Host>), usize> = BTreeMap::new();
        for (key, firings) in new_targets {
            let group = (key.detector.clone(), key.source.clone());
            let opening = opening.entry(group).or_insert_with(|| {
                let is_same = |early: &&EpisodeKey| early.detector == key.detector && early.source == key.source;
                self.episodes.of_source(&key.detector, &key.source) + early.iter().filter(is_same).count()
            });
            let overflows = *opening >= EPISODES_PER_SOURCE;
            if !overflows {
                *opening += 1;
            }
            for mut firing in firings {
                if overflows {
                    firing.judgement.scope = ScopeKind::Source;
                    firing.judgement.target = None;
                    firing.judgement.target_port = None;
                }
                offer(EpisodeKey::of(firing.detector, &firing.judgement), firing);
            }
        }
        best
    }

    /// Closes the episodes that end with `pane`.
    pub(crate) fn close_episodes(&mut self, pane: Micros) {
        self.close_where(Moment::Pane(pane), |episode| episode.closes_at() <= pane);
    }

    /// The input has ended with `pane`: closes the episodes that have not fired after it.
    pub(crate) fn end_episodes(&mut self, pane: Micros) {
        self.ended_through = self.ended_through.max(Some(pane));
        self.close_where(Moment::End(pane), |episode| episode.last <= pane);
    }

    fn close_where(&mut self, moment: Moment, is_due: impl Fn(&Episode) -> bool) {
        let mut changes = Vec::new();
        let closed = self.episodes.close(is_due, &mut changes);
        for (slot, body) in changes {
            self.image.put(Table::Episode, slot, body);
        }
        for episode in closed {
            self.publish_closed(&episode, moment);
        }
    }

    pub(crate) fn publish_closed(&mut self, episode: &Episode, moment: Moment) {
        let Some(detector) = crate::detectors::find(&episode.key.detector) else { return };
        let peak = episode.peak.clone();
        self.emit(detector.entry(), episode, &peak, EpisodeState::Closed, moment);
    }

    fn publish(
        &mut self,
        detector: &'static Entry,
        key: &EpisodeKey,
        judgement: &Judgement,
        state: EpisodeState,
        pane: Micros,
    ) {
        let Some(episode) = self.episodes.get(key).cloned() else { return };
        self.emit(detector, &episode, judgement, state, Moment::Pane(pane));
    }

    pub(crate) fn emit(
        &mut self,
        detector: &Entry,
        episode: &Episode,
        judgement: &Judgement,
        state: EpisodeState,
        moment: Moment,
    ) {
        let provenance = Provenance {
            topic: self.identity.topic.clone(),
            partition: self.identity.partition,
            first_offset: if judgement.first_offset == i64::MAX { self.position } else { judgement.first_offset },
            last_offset: self.position - 1,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            rules_hash: format!("{:016x}", self.profile.rules_hash()),
            emitted_at: None,
        };
        let mut finding = finding(detector, episode, judgement, state, &self.profile.name, provenance);
        if let Some((through, why)) = &self.changed_through
            && judgement.window.start <= *through
        {
            finding.degraded.push(why.clone());
        }
        if self.passed.is_some_and(|passed| passed.holds(moment)) {
            finding.degraded.push(REPLAYED.to_owned());
        }
        finding.degraded.sort();
        *self.counters.findings.entry(state.name().to_owned()).or_default() += 1;
        self.outbox.findings.push(finding);
    }

    /// The core's part of a head; of a commit whose state entries have been taken.
    fn head(&self) -> CoreHead {
        CoreHead {
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            rules_hash: self.profile.rules_hash(),
            hash_seed: self.config.seed.fingerprint(),
            position: self.position,
            counters: self.counters.clone(),
            changed_through: self.changed_through.clone(),
            ended_through: self.ended_through,
            passed: self.passed,
            rewriting: self.image.rewriting(),
        }
    }

    fn check_seed(&self, head: &CoreHead) -> Result<(), UnreadableState> {
        if head.hash_seed == self.config.seed.fingerprint() { Ok(()) } else { Err(UnreadableState::HashSeed) }
    }

    /// Takes over where the commit left off. Panes up to `open_until` may hold records judged under what has changed since.
    pub(crate) fn resume(
        &mut self,
        head: CoreHead,
        image: Image,
        epoch: u64,
        open_until: Micros,
    ) -> Result<(), UnreadableState> {
        self.check_seed(&head)?;
        let changed = if head.engine != env!("CARGO_PKG_VERSION") {
            Some("engine_changed")
        } else if head.rules_hash != self.profile.rules_hash() {
            Some("rules_changed")
        } else {
            None
        };
        self.changed_through = changed.map(|why| (open_until, why.to_owned())).or(head.changed_through);
        for (slot, body) in image.table(Table::Episode) {
            self.episodes.load(slot, body).map_err(|_| unreadable(Table::Episode, slot))?;
        }
        self.image = image;
        self.epoch = epoch;
        self.counters = head.counters;
        self.ended_through = head.ended_through;
        self.passed = head.passed;
        Ok(())
    }

    /// Takes over what outlives a reset.
    pub(crate) fn begin_again<I>(&mut self, remains: Remains<I>) -> Result<(), UnreadableState> {
        self.epoch = remains.epoch;
        if let Some(head) = remains.head {
            self.check_seed(&head.core)?;
            self.passed = head.passed();
            self.counters = head.core.counters;
        }
        self.image = remains.image;
        Ok(())
    }

    /// Closes a commit. `head` makes the head around the core's part; `watermark` is how far the task has come in event time.
    pub(crate) fn checkpoint<I: Serialize>(
        &mut self,
        state_end: i64,
        watermark: Option<Micros>,
        head: impl FnOnce(CoreHead) -> Head<I>,
    ) -> Checkpoint {
        self.epoch += 1;
        let mut state = self.image.take_dirty(self.epoch, state_end);
        let head = head(self.head());
        // The head is made of plain values: encoding it into memory has no way to fail.
        let body = postcard::to_stdvec(&head).unwrap_or_default();
        let table = Table::Head.name().to_owned();
        state.push(StateEntry { v: STATE_VERSION, epoch: self.epoch, table, slot: 0, body });
        let (replay_from, state_from) = (head.replay.offset, self.image.state_from());
        let metadata = CommitMetadata { epoch: self.epoch, replay_from, state_from, watermark };
        Checkpoint {
            offset: self.position,
            metadata: metadata.to_text(),
            state,
            outbox: std::mem::take(&mut self.outbox),
        }
    }
}

impl<I> Head<I> {
    /// How far the task had come, resets before included.
    fn passed(&self) -> Option<Passed> {
        let ended_through = self.core.ended_through;
        let now = self.closed_through.map(|closed_through| Passed { closed_through, ended_through });
        match (now, self.core.passed) {
            (Some(now), Some(before)) => Some(now.max(before)),
            (now, before) => now.or(before),
        }
    }
}

/// What the heads of both stages hold.
#[derive(Serialize, Deserialize)]
pub(crate) struct CoreHead {
    engine: String,
    rules_hash: u64,
    hash_seed: u64,
    pub(crate) position: i64,
    counters: Counters,
    changed_through: Option<(Micros, String)>,
    ended_through: Option<Micros>,
    passed: Option<Passed>,
    pub(crate) rewriting: Rewriting,
}

/// What a task of either stage had counted as of a head, for those who only look.
///
/// # Errors
/// The entry is no head, or not one that this release can read.
pub fn counters_of(head: &StateEntry) -> Result<Counters, UnreadableState> {
    if head.v != STATE_VERSION {
        return Err(UnreadableState::Version(head.v));
    }
    // The core's part comes first in the heads of both stages.
    match postcard::take_from_bytes::<CoreHead>(&head.body) {
        Ok((core, _)) if head.table == Table::Head.name() => Ok(core.counters),
        _ => Err(UnreadableState::Body { table: head.table.clone(), slot: head.slot }),
    }
}

/// The detectors that run in `stage`.
pub(crate) fn detectors_of(stage: crate::detectors::Stage) -> impl Iterator<Item = &'static dyn Detector> {
    CATALOGUE.iter().copied().filter(move |detector| detector.entry().stage == stage)
}
