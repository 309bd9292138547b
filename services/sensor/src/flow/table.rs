//! The table: finds a packet's flow, begins and ends flows, runs the timers.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use weir_schemas::{EndReason, Flow, Micros, Outcome, PANE_US, SECOND_US, Text};

use super::application::{Applications, Spoken};
use super::community::sensor_hash;
use super::entry::{Class, FlowEntry, Slice};
use super::export::{Pane, StateNames};
use super::fragments::Owner;
use super::key::FlowKey;
use super::list::List;
use super::memory::{Memory, Remembered};
use super::observe::{Content, Observation, of_arp, of_ip};
use super::orientation::{Evidence, Rank};
use super::sequence::Sequences;
use super::slab::{NONE, Slab};
use super::track::is_syn_again;
use super::{FlowConfig, FlowCounters};
use crate::decode::fragments::{Budget, FragmentCounters, Reassembler};
use crate::packet::{Body, Packet};

/// How long a closed flow waits for trailing segments.
const LINGER: Micros = SECOND_US;
/// How long a flow that ended is remembered.
const RESUME: Micros = 600 * SECOND_US;
/// Flows remembered at most, answered and unanswered ones apart, so that a flood cannot wash out the others.
const REMEMBERED: usize = 131_072;

/// Conversations in progress, and what of them is not yet exported.
#[derive(Debug)]
pub struct FlowTable {
    pub(super) config: FlowConfig,
    pub(super) sensor_hash: u64,
    pub(super) state_names: StateNames,
    pub(super) counters: FlowCounters,
    pub(super) applications: Applications,
    pub(super) drops: u64,
    pub(super) flows: Slab<FlowEntry>,
    pub(super) slices: Slab<Slice>,
    /// Panes with slices not yet exported, by their start.
    pub(super) panes: BTreeMap<Micros, Pane>,
    pub(super) held: List,
    pub(super) finishing: bool,
    pub(super) clock: Micros,
    pub(super) warm_from: Micros,
    started: bool,
    index: HashTable<u32>,
    hashers: RandomState,
    /// Flows by class, each longest silent first.
    activity: [List; 3],
    timeouts: [Micros; 3],
    pub(super) next_due: Micros,
    pub(super) fragments: Reassembler<Owner>,
    answered: Memory,
    unanswered: Memory,
}

/// What is due next.
#[derive(Clone, Copy)]
enum Timer {
    Silence(Class),
    Deadline,
    PaneEnd(Micros),
}

const CLASSES: [Class; 3] = [Class::Unanswered, Class::Idle, Class::Closing];

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new(config: FlowConfig) -> Self {
        let remembered = REMEMBERED.min(config.flow_table);
        Self {
            sensor_hash: sensor_hash(&config.sensor),
            state_names: StateNames::new(),
            counters: FlowCounters::default(),
            applications: Applications::default(),
            drops: 0,
            flows: Slab::new(),
            slices: Slab::new(),
            panes: BTreeMap::new(),
            held: List::EMPTY,
            finishing: false,
            clock: Micros::MIN,
            warm_from: Micros::MAX,
            started: false,
            index: HashTable::new(),
            hashers: RandomState::default(),
            activity: [List::EMPTY; 3],
            timeouts: [config.unanswered_timeout, config.idle_timeout, LINGER],
            next_due: Micros::MIN,
            fragments: Reassembler::new(Budget::of_bytes(config.fragment_memory)),
            answered: Memory::new(remembered),
            unanswered: Memory::new(remembered),
            config,
        }
    }

    /// Takes a packet in, after everything that was due before it. What can be exported is appended to `out`.
    pub fn packet(&mut self, packet: &Packet, out: &mut Vec<Flow>) {
        if !self.started {
            self.started = true;
            self.warm_from = packet.time.saturating_add(self.config.warm_up);
        }
        self.advance(packet.time, out);
        if self.clock >= self.fragments.due() {
            self.expire_fragments(self.clock, out);
        }
        let observation = match &packet.body {
            Body::Ip(ip) => match &ip.fragment {
                Some(fragment) => return self.fragment(packet, ip, fragment, out),
                None if packet.tunnel.as_ref().is_some_and(|tunnel| tunnel.fragment.is_some()) => {
                    return self.tunnelled(packet, ip, out);
                }
                None => of_ip(packet, ip),
            },
            Body::Arp(arp) => of_arp(packet, arp),
            Body::Other => {
                self.counters.other += 1;
                return;
            }
        };
        self.take(&observation, out);
    }

    /// Takes an observation into its flow.
    pub(super) fn take(&mut self, observation: &Observation<'_>, out: &mut Vec<Flow>) {
        self.counters.packets += u64::from(observation.packets);
        self.counters.bytes += u64::from(observation.bytes);

        let mut found = self.find(&observation.key);
        if let Some(id) = found
            && let Some(reason) = self.superseded(id, observation)
        {
            self.end(id, reason, out);
            found = None;
        }
        let id = match found {
            Some(id) => id,
            None => self.begin(observation, out),
        };
        self.track(id, observation, out);
        self.touch(id);
    }

    /// Lets event time reach `now`: exports what is due.
    pub fn advance(&mut self, now: Micros, out: &mut Vec<Flow>) {
        self.advance_part(now, usize::MAX, out);
    }

    /// Like [`FlowTable::advance`], but stops once `out` holds about `limit` records, so that the end of a pane full of
    /// flows needs no memory for all their records at once. Returns whether event time has reached `now`; else it is to
    /// be called again before the next packet.
    pub fn advance_part(&mut self, now: Micros, limit: usize, out: &mut Vec<Flow>) -> bool {
        if now <= self.clock {
            return true;
        }
        if now >= self.next_due && !self.run_timers(now, limit, out) {
            return false;
        }
        self.clock = now;
        true
    }

    /// Ends all flows and exports everything. The table is empty then, and may be used on.
    pub fn finish(&mut self, out: &mut Vec<Flow>) {
        self.finish_part(usize::MAX, out);
    }

    /// Like [`FlowTable::finish`], but stops once `out` holds about `limit` records. Returns whether it is done.
    pub fn finish_part(&mut self, limit: usize, out: &mut Vec<Flow>) -> bool {
        self.expire_fragments(Micros::MAX, out);
        self.finishing = true;
        for class in CLASSES {
            while self.activity[class as usize].head() != NONE {
                let id = self.activity[class as usize].head();
                let closed = self.flows.get(id).closed;
                let reason = if closed == EndReason::Active { EndReason::Shutdown } else { closed };
                self.leave(id, reason);
                if self.flows.get(id).newest == NONE {
                    self.flows.remove(id);
                }
            }
        }
        while let Some((&pane, _)) = self.panes.first_key_value() {
            if out.len() >= limit {
                return false;
            }
            self.flush_pane(pane, limit, out);
        }
        self.finishing = false;
        true
    }

    /// The least event time of what was taken in and not yet exported. Fragments that wait for the rest of their datagram have
    /// none yet: it will not be before that of the newest packet.
    #[must_use]
    pub fn least_unsent(&self) -> Option<Micros> {
        let (_, pane) = self.panes.first_key_value()?;
        let first = self.slices.get(pane.list.head()).event_time;
        Some(pane.disordered.map_or(first, |time| time.min(first)))
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> FlowCounters {
        FlowCounters { active: self.flows.len() as u64, fragments: self.fragment_counters(), ..self.counters }
    }

    /// IP fragments, and what became of them.
    #[must_use]
    pub fn fragment_counters(&self) -> FragmentCounters {
        self.fragments.counters()
    }

    /// Share of the table in use, parts per thousand.
    #[must_use]
    pub fn fill(&self) -> u32 {
        (self.flows.len() * 1000 / self.config.flow_table.max(1)) as u32
    }

    /// Notes packets that the capture lost; the next record reports them.
    pub fn note_drops(&mut self, packets: u64) {
        self.drops += packets;
    }

    /// Names what is read from now on, where that is known only after the first packet.
    pub fn set_input(&mut self, input: Text) {
        self.config.input = input;
    }

    fn find(&self, key: &FlowKey) -> Option<u32> {
        let hash = key.hash(self.hashers.build_hasher());
        self.index.find(hash, |&id| self.flows.get(id).key == *key).copied()
    }

    /// Begins the flow of a packet that has none.
    fn begin(&mut self, observation: &Observation<'_>, out: &mut Vec<Flow>) -> u32 {
        while self.flows.len() >= self.config.flow_table.max(1) {
            self.make_room(out);
        }
        let mut entry = FlowEntry::new(observation, self.clock);
        let remembered = self.unanswered.take(&observation.key).or_else(|| self.answered.take(&observation.key));
        let continues = remembered.is_some_and(|old| self.resume(&mut entry, &old, observation));
        if !continues {
            self.counters.flows += 1;
        }

        let id = self.flows.insert(entry);
        self.begin_reading(id);
        let (flows, hashers) = (&self.flows, &self.hashers);
        let hash_of = |&other: &u32| flows.get(other).key.hash(hashers.build_hasher());
        self.index.insert_unique(observation.key.hash(hashers.build_hasher()), id, hash_of);
        self.activity[Class::Unanswered as usize].push_back(&mut self.flows, id, |entry| &mut entry.activity);
        id
    }

    /// Takes over from a flow that ended what still holds. Returns whether it is the same flow that goes on.
    fn resume(&self, entry: &mut FlowEntry, old: &Remembered, observation: &Observation<'_>) -> bool {
        let silent = self.clock - old.last_seen;
        let mut may_continue = old.reason == EndReason::Unanswered && silent < self.config.idle_timeout;
        if let Content::Segment { sequence, .. } = observation.content
            && observation.is_syn()
        {
            let syn = (old.syn_sender, old.syn_sequence);
            may_continue = silent < self.config.idle_timeout
                && matches!(old.reason, EndReason::Unanswered | EndReason::Rst)
                && is_syn_again(syn, &old.tcp, observation.sender, sequence);
            if !may_continue {
                return false;
            }
        }
        let evidence = observation.evidence();
        let contrary = evidence.rank < old.rank && evidence.source != usize::from(old.source);
        if silent >= RESUME || contrary {
            return false;
        }
        entry.evidence = Evidence { rank: old.rank, source: usize::from(old.source) };
        entry.fixed = true;
        if !may_continue {
            return false;
        }
        entry.resumed = true;
        entry.first_time = old.first_time;
        entry.exports = old.exports;
        entry.packets = old.packets;
        entry.bytes = old.bytes;
        entry.spoke = [old.packets[0] > 0, old.packets[1] > 0];
        entry.syn_sequence = old.syn_sequence;
        entry.syn_end = old.syn_sender;
        entry.first_sender = old.first_sender;
        entry.first_kind = old.first_kind;
        entry.first_flags = old.first_flags;
        entry.tcp = old.tcp;
        if old.sequence_ends != [None; 2] && !observation.is_syn() {
            entry.sequences = Some(Box::new(Sequences::continuing(old.sequence_ends)));
        }
        entry.spoken = Spoken::resumed(old.spoken, old.due);
        // Two, so that no round trip is measured over a SYN that was sent again.
        entry.syn_count = 2 * u8::from(old.syn_sender.is_some());
        true
    }

    /// Frees one place: the longest silent flow goes, and older panes are exported as they stand.
    fn make_room(&mut self, out: &mut Vec<Flow>) {
        let before = self.flows.len();
        let heads = self.activity.map(List::head);
        let longest_silent = heads.into_iter().filter(|&id| id != NONE).min_by_key(|&id| self.flows.get(id).last_seen);
        if let Some(id) = longest_silent {
            self.counters.evicted += 1;
            self.end(id, EndReason::Evicted, out);
        }
        while self.flows.len() == before {
            let Some((&pane, _)) = self.panes.first_key_value() else { return };
            self.flush_pane(pane, usize::MAX, out);
        }
    }

    /// Ends a flow; its slices follow as soon as older panes let them.
    fn end(&mut self, id: u32, reason: EndReason, out: &mut Vec<Flow>) {
        self.leave(id, reason);
        if self.flows.get(id).newest == NONE {
            self.flows.remove(id);
            return;
        }
        self.release(id, out);
    }

    /// Takes a flow out of index and lists and remembers it. The entry stays for its slices.
    fn leave(&mut self, id: u32, reason: EndReason) {
        self.settle_if_waiting(id);
        let entry = self.flows.get_mut(id);
        entry.ended = Some(reason);
        if !entry.fixed {
            entry.fix_source();
        }
        let class = entry.class;
        let key = entry.key;
        self.activity[class as usize].remove(&mut self.flows, id, |entry| &mut entry.activity);
        if let Ok(place) = self.index.find_entry(key.hash(self.hashers.build_hasher()), |&other| other == id) {
            place.remove();
        }
        self.counters.ended[reason as usize] += 1;
        if !self.finishing {
            self.remember(id, reason);
        }
        self.stop_reading(id);
    }

    fn remember(&mut self, id: u32, reason: EndReason) {
        let entry = self.flows.get(id);
        let mut old = Remembered {
            key: entry.key,
            first_time: entry.first_time,
            last_seen: entry.last_seen,
            packets: entry.packets,
            bytes: entry.bytes,
            exports: entry.exports,
            syn_sequence: entry.syn_sequence,
            syn_sender: entry.syn_end,
            first_sender: entry.first_sender,
            first_kind: entry.first_kind,
            first_flags: entry.first_flags,
            tcp: entry.tcp,
            sequence_ends: entry.sequences.as_ref().map_or([None; 2], |sequences| sequences.ends()),
            spoken: entry.spoken.name,
            due: entry.spoken.due(),
            reason,
            rank: entry.evidence.rank,
            source: entry.evidence.source as u8,
        };
        let mut slice = entry.newest;
        while slice != NONE {
            let pending = self.slices.get(slice);
            for end in 0..2 {
                old.packets[end] += u64::from(pending.packets[end]);
                old.bytes[end] += pending.bytes[end];
            }
            old.exports += 1;
            slice = pending.older;
        }
        let memory = if old.packets.contains(&0) || old.rank == Rank::Nothing {
            &mut self.unanswered
        } else {
            &mut self.answered
        };
        memory.remember(old);
    }

    /// Moves a flow to the end of its class.
    fn touch(&mut self, id: u32) {
        let clock = self.clock;
        let entry = self.flows.get_mut(id);
        entry.last_seen = clock;
        let old = entry.class;
        entry.class = match entry.closed {
            EndReason::Active if entry.resumed || entry.spoke == [true; 2] => Class::Idle,
            EndReason::Active => Class::Unanswered,
            _ => Class::Closing,
        };
        let new = entry.class;
        if old == new && self.activity[new as usize].tail() == id {
            return;
        }
        self.activity[old as usize].remove(&mut self.flows, id, |entry| &mut entry.activity);
        self.activity[new as usize].push_back(&mut self.flows, id, |entry| &mut entry.activity);
    }

    /// Runs everything that is due by `now`, in order of time, with the clock standing at each.
    /// Returns whether it came to the end before `out` held `limit` records.
    fn run_timers(&mut self, now: Micros, limit: usize, out: &mut Vec<Flow>) -> bool {
        while let Some((due, timer)) = self.next_timer() {
            if due > now {
                break;
            }
            if out.len() >= limit {
                return false;
            }
            self.clock = self.clock.max(due);
            match timer {
                Timer::Silence(class) => {
                    let id = self.activity[class as usize].head();
                    let reason = match class {
                        Class::Unanswered => EndReason::Unanswered,
                        Class::Idle => EndReason::Idle,
                        Class::Closing => self.flows.get(id).closed,
                    };
                    self.end(id, reason, out);
                }
                Timer::Deadline => {
                    let id = self.held.head();
                    self.settle_if_waiting(id);
                    self.release(id, out);
                }
                Timer::PaneEnd(pane) => self.close_pane(pane, limit, out),
            }
        }
        // Whatever comes into a list from now on is due no earlier than the shortest timeout allows.
        let shortest = self.timeouts.into_iter().min().unwrap_or(LINGER);
        let soonest = now.saturating_add(shortest);
        self.next_due = self.next_timer().map_or(soonest, |(due, _)| due.min(soonest));
        true
    }

    fn next_timer(&self) -> Option<(Micros, Timer)> {
        let mut next: Option<(Micros, Timer)> = None;
        let mut offer = |due: Micros, timer| {
            if next.is_none_or(|(earliest, _)| due < earliest) {
                next = Some((due, timer));
            }
        };
        // Flows end before deadlines pass and panes close at the same time, so that the record says why.
        for class in CLASSES {
            let head = self.activity[class as usize].head();
            if head != NONE {
                offer(self.flows.get(head).last_seen + self.timeouts[class as usize], Timer::Silence(class));
            }
        }
        if self.held.head() != NONE {
            offer(self.flows.get(self.held.head()).deadline, Timer::Deadline);
        }
        if let Some((&start, _)) = self.panes.iter().find(|(_, pane)| !pane.closed) {
            offer(start + PANE_US, Timer::PaneEnd(start));
        }
        next
    }

    /// Gives a waiting flow the outcome that stands by now.
    pub(super) fn settle_if_waiting(&mut self, id: u32) {
        let entry = self.flows.get(id);
        if entry.waiting {
            self.settle(id, entry.outcome_at_deadline());
        }
    }

    /// Decides the outcome of a waiting flow.
    pub(super) fn settle(&mut self, id: u32, outcome: Outcome) {
        let entry = self.flows.get_mut(id);
        entry.outcome = outcome;
        entry.waiting = false;
        self.held.remove(&mut self.flows, id, |entry| &mut entry.held);
    }
}
