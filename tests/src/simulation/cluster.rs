//! The brokers: topics, groups, the transaction coordinator, and virtual time at which things happen late and apart.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use weir_bus::member::Committed;
use weir_bus::{Delivery, Message, Value};
use weir_schemas::Micros;

use super::coordinator::{Producing, Target};
use super::faults::Faults;
use super::group::Group;
use super::log::{PartitionLog, TransactionNumber};
use crate::chance::Chance;

/// What happens at a time of its own.
#[derive(Debug)]
pub(super) enum Happening {
    /// A marker arrives.
    Marker { id: String, transaction: TransactionNumber, commit: bool, target: Target },
    /// A transaction has been open for too long.
    Timeout { id: String, transaction: TransactionNumber },
    /// A group's leader sees that its topic has grown.
    Grown { group: String, partitions: u32 },
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs, and its client speaks to the brokers.
    Running,
    /// It is dead or stopped.
    Silent,
}

/// Told of everything that happens, a line at a time.
pub type Trace = Box<dyn Fn(&str)>;

/// The brokers' memory.
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) chance: Chance,
    pub(super) faults: Faults,
    /// Virtual time, µs.
    pub(super) now: u64,
    /// Until then no broker answers.
    pub(super) outage_until: u64,
    pub(super) topics: BTreeMap<String, Vec<PartitionLog>>,
    pub(super) groups: BTreeMap<String, (String, Group)>,
    pub(super) producers: BTreeMap<String, Producing>,
    happenings: BTreeMap<(u64, u64), Happening>,
    pub(super) next_number: u64,
    lives: BTreeMap<usize, Life>,
    trace: Option<Trace>,
    /// Time of day at time 0, µs since 1970 UTC.
    time_of_day: Micros,
}

impl State {
    /// A violated contract: whoever calls a member so has a bug.
    pub(super) fn bug(&self, what: &str) -> ! {
        panic!("seed {}: {what}", self.seed)
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &self.trace {
            trace(&format!("{:>12.3} ms  {}", now as f64 / 1_000.0, line()));
        }
    }

    /// Lets time pass; whatever is due happens.
    pub(super) fn advance(&mut self, by: u64) {
        let until = self.now + by;
        while let Some(entry) = self.happenings.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), happening) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = until;
        for (_, group) in self.groups.values_mut() {
            group.advance(self.now, &mut self.chance);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Marker { id, transaction, commit, target } => {
                self.note(|| format!("marker of {id} #{transaction} commit={commit} reaches {target:?}"));
                match target {
                    Target::Partition(topic, partition) => self.log_mut(&topic, partition).mark(transaction, commit),
                    Target::Offsets(group) => self.group_mut(&group).resolve(transaction, commit),
                }
                if let Some(producing) = self.producers.get_mut(&id) {
                    producing.markers_left -= 1;
                }
            }
            Happening::Timeout { id, transaction } => {
                let Some(producing) = self.producers.get_mut(&id) else { return };
                if producing.ongoing.as_ref().is_some_and(|ongoing| ongoing.number == transaction) {
                    producing.epoch += 1;
                    producing.timed_out = true;
                    self.note(|| format!("{id} #{transaction} timed out"));
                    self.end_ongoing(&id, false);
                }
            }
            Happening::Grown { group, partitions } => self.group_mut(&group).set_partitions(partitions),
        }
    }

    pub(super) fn schedule(&mut self, at: u64, happening: Happening) {
        self.next_number += 1;
        self.happenings.insert((at, self.next_number), happening);
    }

    pub(super) fn time_of_day(&self) -> Micros {
        self.time_of_day + self.now as Micros
    }

    /// What a broker stamps a record with. Its clock is slow, so that no stage that waits on it gives up waiting: when it does
    /// is a matter of luck, in a real log too.
    pub(super) fn append_time(&self) -> Micros {
        const SLOWER_BY: u64 = 64;
        self.time_of_day + (self.now / SLOWER_BY) as Micros
    }

    pub(super) fn partition_count(&self, topic: &str) -> Option<u32> {
        self.topics.get(topic).map(|partitions| partitions.len() as u32)
    }

    pub(super) fn log(&self, topic: &str, partition: u32) -> &PartitionLog {
        let log = self.topics.get(topic).and_then(|partitions| partitions.get(partition as usize));
        log.unwrap_or_else(|| self.bug(&format!("there is no {topic}/{partition}")))
    }

    pub(super) fn log_mut(&mut self, topic: &str, partition: u32) -> &mut PartitionLog {
        let seed = self.seed;
        let log = self.topics.get_mut(topic).and_then(|partitions| partitions.get_mut(partition as usize));
        log.unwrap_or_else(|| panic!("seed {seed}: there is no {topic}/{partition}"))
    }

    pub(super) fn group(&self, group: &str) -> &Group {
        let known = self.groups.get(group);
        known.map_or_else(|| self.bug(&format!("there is no group {group}")), |(_, group)| group)
    }

    pub(super) fn group_mut(&mut self, group: &str) -> &mut Group {
        let seed = self.seed;
        let known = self.groups.get_mut(group);
        known.map_or_else(|| panic!("seed {seed}: there is no group {group}"), |(_, group)| group)
    }

    /// Whether a group is there and has no members.
    pub(super) fn is_at_rest(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|(_, group)| group.is_empty())
    }

    /// A group over a topic, where it is not there yet.
    pub(super) fn ensure_group(&mut self, group: &str, topic: &str) {
        if self.groups.contains_key(group) {
            return;
        }
        let mut new = Group::default();
        new.set_partitions(self.partition_count(topic).unwrap_or(0));
        self.groups.insert(group.to_owned(), (topic.to_owned(), new));
    }

    pub(super) fn set_life(&mut self, process: usize, life: Life) {
        self.lives.insert(process, life);
        if life == Life::Running {
            // The next heartbeat tells the coordinator.
            return;
        }
        for (_, group) in self.groups.values_mut() {
            group.set_silent(process, Some(self.now));
        }
    }

    pub(super) fn is_running(&self, process: usize) -> bool {
        self.lives.get(&process) == Some(&Life::Running)
    }
}

/// What runs while a call is under way; told of the process whose call it is.
type Meanwhile = Rc<dyn Fn(usize)>;

/// A cluster that members share. Everything about it follows from its seed.
pub struct Cluster {
    pub(super) state: RefCell<State>,
    meanwhile: RefCell<Option<Meanwhile>>,
    depth: Cell<usize>,
}

impl Cluster {
    /// A cluster without topics. `time_of_day` is what its clock shows at first, µs since 1970 UTC.
    #[must_use]
    pub fn new(seed: u64, faults: Faults, time_of_day: Micros) -> Rc<Self> {
        let state = State {
            seed,
            chance: Chance::new(seed),
            faults,
            now: 0,
            outage_until: 0,
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            producers: BTreeMap::new(),
            happenings: BTreeMap::new(),
            next_number: 0,
            lives: BTreeMap::new(),
            trace: None,
            time_of_day,
        };
        Rc::new(Self { state: RefCell::new(state), meanwhile: RefCell::new(None), depth: Cell::new(0) })
    }

    /// Tells of everything that happens from now on.
    pub fn set_trace(&self, trace: Trace) {
        self.state.borrow_mut().trace = Some(trace);
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.state.borrow().note(line);
    }

    /// Creates a topic.
    pub fn create(&self, topic: &str, partitions: u32) {
        let logs = (0..partitions).map(|_| PartitionLog::default()).collect();
        self.state.borrow_mut().topics.insert(topic.to_owned(), logs);
    }

    /// Adds partitions to a topic; groups over it see them some time later.
    pub fn grow(&self, topic: &str, partitions: u32) {
        let mut state = self.state.borrow_mut();
        if let Some(logs) = state.topics.get_mut(topic) {
            logs.resize_with((partitions as usize).max(logs.len()), PartitionLog::default);
        }
        let groups: Vec<String> =
            state.groups.iter().filter(|(_, (of, _))| of == topic).map(|(group, _)| group.clone()).collect();
        for group in groups {
            let at = state.now + state.chance.below(20_000_000);
            state.schedule(at, Happening::Grown { group, partitions });
        }
    }

    /// Appends a record that belongs to no transaction, with an append time of its own.
    pub fn append(&self, message: Message, append_time: Micros) {
        let mut state = self.state.borrow_mut();
        let (topic, partition) = (message.topic.clone(), message.partition);
        state.log_mut(&topic, partition).append(message, append_time, None);
    }

    /// Appends bytes that are no record now; returns where they stand.
    pub fn append_poison(&self, topic: &str, partition: u32) -> i64 {
        let mut state = self.state.borrow_mut();
        state.note(|| format!("poison comes to {topic}/{partition}"));
        let append_time = state.append_time();
        let log = state.log_mut(topic, partition);
        let offset = log.end();
        log.append(Message::new(topic, partition, "nobody", Value::Bytes(vec![0xff; 3])), append_time, None);
        offset
    }

    /// What is committed of a partition, from its start.
    #[must_use]
    pub fn committed_records(&self, topic: &str, partition: u32) -> Vec<Delivery> {
        self.state.borrow().log(topic, partition).committed_from(0)
    }

    /// Offset of the last committed record of a partition.
    #[must_use]
    pub fn last_committed(&self, topic: &str, partition: u32) -> Option<i64> {
        self.state.borrow().log(topic, partition).last_committed()
    }

    /// What is committed of a topic, partition after partition.
    #[must_use]
    pub fn all_committed_records(&self, topic: &str) -> Vec<Delivery> {
        let count = self.partition_count(topic);
        (0..count).flat_map(|partition| self.committed_records(topic, partition)).collect()
    }

    /// How many partitions a topic has; 0 where there is none of the name.
    #[must_use]
    pub fn partition_count(&self, topic: &str) -> u32 {
        self.state.borrow().partition_count(topic).unwrap_or(0)
    }

    /// What a group has committed, pending commits left out.
    #[must_use]
    pub fn committed_offset(&self, group: &str, partition: u32) -> Option<Committed> {
        let state = self.state.borrow();
        state.groups.get(group).and_then(|(_, group)| group.committed_anyway(partition))
    }

    /// First offset of a partition, and one past the last.
    #[must_use]
    pub fn bounds(&self, topic: &str, partition: u32) -> (i64, i64) {
        let state = self.state.borrow();
        let log = state.log(topic, partition);
        (log.start(), log.end())
    }

    /// Whether a transaction is open or its markers are on their way.
    #[must_use]
    pub fn has_open_transactions(&self) -> bool {
        let state = self.state.borrow();
        state.producers.values().any(|producing| producing.ongoing.is_some() || producing.markers_left > 0)
            || state.topics.values().flatten().any(|log| log.stable_end() < log.end())
    }

    /// Virtual time, µs.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.state.borrow().now
    }

    /// Lets time pass, µs.
    pub fn advance(&self, by: u64) {
        self.state.borrow_mut().advance(by);
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.borrow_mut().faults = faults;
    }

    /// A number below `limit`, drawn from the schedule's seed.
    #[must_use]
    pub fn below(&self, limit: u64) -> u64 {
        self.state.borrow_mut().chance.below(limit)
    }

    /// Whether a process is to end in order now.
    pub(super) fn ends_in_order(&self) -> bool {
        let State { chance, faults, .. } = &mut *self.state.borrow_mut();
        faults.orderly_end > 0 && chance.below(10_000) < faults.orderly_end
    }

    /// A process is dead: nothing more is heard of it.
    pub fn kill(&self, process: usize) {
        let mut state = self.state.borrow_mut();
        state.note(|| format!("process {process} dies"));
        state.set_life(process, Life::Silent);
    }

    /// Whether a process runs.
    #[must_use]
    pub fn is_running(&self, process: usize) -> bool {
        self.state.borrow().is_running(process)
    }

    /// Its groups and producers as they are, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let state = self.state.borrow();
        format!("at {} ms: {:?}; {:?}", state.now / 1_000, state.groups, state.producers)
    }

    /// What runs while a member's call is under way, where the schedule says so.
    pub fn set_meanwhile(&self, meanwhile: Option<Meanwhile>) {
        *self.meanwhile.borrow_mut() = meanwhile;
    }

    /// Others go on while a call of `process` is under way.
    pub(super) fn others_go_on(&self, process: usize, turns: u64) {
        const DEEPEST: usize = 3;
        let Some(meanwhile) = self.meanwhile.borrow().clone() else { return };
        if self.depth.get() >= DEEPEST {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        for _ in 0..turns {
            meanwhile(process);
        }
        self.depth.set(self.depth.get() - 1);
    }
}
