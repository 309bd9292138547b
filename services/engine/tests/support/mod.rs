//! What the engine's tests share: a log of records as a sensor would write it, and a task driven over it with crashes.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod activity;
pub mod hostile;

use std::sync::Arc;

use proptest::prelude::*;
use weir_engine::config::Shares;
use weir_engine::{Checkpoint, Counters, EngineConfig, Profile, SiteTask, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{
    CommitMetadata, Counts, End, EndReason, Finding, Flow, Host, Initiator, Mark, MarkStatus, Micros, Outcome, Partial,
    PartialBody, Record, SECOND_US, StateEntry, Tcp, TcpFlags, pane_start,
};

/// A record with the time the log appended it.
pub type Appended<T> = (Micros, T);

/// First event time of the tests: 2026-01-01 00:00:00 UTC.
pub const EPOCH: Micros = 1_767_225_600 * SECOND_US;

/// One attempt as a sensor reports it.
pub fn attempt(at: Micros, source: &str, target: &str, port: u16, outcome: Outcome) -> Flow {
    let answered = !matches!(outcome, Outcome::Unanswered | Outcome::Expired);
    let at = EPOCH + at;
    let mut community_id = [0_u8; 20];
    let name = format!("{source}>{target}:{port}@{at}");
    for (index, byte) in name.bytes().enumerate() {
        community_id[index % 20] = community_id[index % 20].wrapping_mul(31) ^ byte;
    }
    let flow_id = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Flow {
        sensor: "s1".into(),
        site: "lab".into(),
        boot: 1,
        seq: 0,
        input: "test".into(),
        sampling: 1,
        event_time: at,
        first_time: at,
        last_time: at,
        clock_offset_us: 0,
        src: End::new(Host::parse(source), 40_000),
        dst: End::new(Host::parse(target), port),
        proto: 6,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: if answered { 3 } else { 1 },
        outcome,
        fwd: Counts { packets: 1, bytes: 60, payload: 0, total_packets: 1, total_bytes: 60, fragments: 0 },
        rev: if answered {
            Counts { packets: 1, bytes: 40, payload: 0, total_packets: 1, total_bytes: 40, fragments: 0 }
        } else {
            Counts::default()
        },
        flow_id,
        community_id,
        export_index: 0,
        end_reason: EndReason::Active,
        capture_drops: 0,
        tcp: Some(Box::new(Tcp { fwd: TcpFlags { syn: 1, ..TcpFlags::default() }, first_flags: 2, ..Tcp::default() })),
        app: None,
        link: None,
        timing: None,
        labels: Vec::new(),
    }
}

/// A transfer of `bytes` to `target`, no attempt.
pub fn transfer(at: Micros, source: &str, target: &str, bytes: u64) -> Flow {
    let mut flow = attempt(at, source, target, 443, Outcome::None);
    flow.tcp = Some(Box::default());
    flow.fwd = Counts {
        packets: bytes / 1_000 + 1,
        bytes,
        payload: bytes,
        total_packets: 9,
        total_bytes: bytes,
        fragments: 0,
    };
    flow.export_index = 1;
    flow
}

/// A mark.
pub fn mark(sensor: &str, t: Micros, end: bool) -> Record {
    Record::Mark(Box::new(Mark {
        sensor: sensor.into(),
        site: "lab".into(),
        boot: 1,
        seq: 0,
        t: EPOCH + t,
        end,
        status: MarkStatus::default(),
    }))
}

/// What one sensor would write for these flows: in order of time, a mark each second, an `end` mark, sequence numbers.
pub fn log_of(mut flows: Vec<Flow>) -> Vec<Appended<Record>> {
    flows.sort_by_key(|flow| (flow.event_time, flow.flow_id));
    let last = flows.last().map_or(EPOCH, |flow| flow.event_time);
    let mut log: Vec<Appended<Record>> = Vec::new();
    let mut next_mark = flows.first().map_or(EPOCH, |flow| flow.event_time) - EPOCH;
    for flow in flows {
        let at = flow.event_time;
        // A long silence needs one mark, not one per second.
        if at - EPOCH - next_mark > 600 * SECOND_US {
            log.push((at, mark("s1", next_mark, false)));
            next_mark = at - EPOCH;
        }
        while EPOCH + next_mark <= at {
            log.push((EPOCH + next_mark, mark("s1", next_mark, false)));
            next_mark += SECOND_US;
        }
        log.push((at, Record::Flow(Box::new(flow))));
    }
    log.push((last, mark("s1", last - EPOCH, true)));
    number(&mut log);
    log
}

/// Gives every record its sequence number.
pub fn number(log: &mut [Appended<Record>]) {
    let mut next: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (_, record) in log {
        let (sensor, seq) = match record {
            Record::Flow(flow) => (&flow.sensor, &mut flow.seq),
            Record::Mark(mark) => (&mark.sensor, &mut mark.seq),
        };
        let next = next.entry(sensor.to_string()).or_default();
        *next += 1;
        *seq = *next;
    }
}

/// Settings of a run.
#[derive(Clone)]
pub struct Setup {
    pub config: EngineConfig,
    pub profile: Arc<Profile>,
}

impl Setup {
    pub fn new(memory: usize) -> Self {
        let config = EngineConfig { shares: Shares::of(memory), ..EngineConfig::default() };
        Self { config, profile: Arc::new(Profile::named("default", None).unwrap()) }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

/// All that a run published, and what it counted.
#[derive(Debug, Default, PartialEq)]
pub struct Outcomes {
    pub findings: Vec<Finding>,
    pub partials: Vec<Partial>,
    pub counters: Counters,
    /// How often a finished rewrite of the state moved `state_from`.
    pub rewrites: u64,
}

/// How a task comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comeback {
    /// From its group's commit.
    Commit,
    /// The commit has expired: from the newest head.
    Expired,
}

/// Either way.
pub fn comeback() -> impl Strategy<Value = Comeback> {
    prop_oneof![3 => Just(Comeback::Commit), 1 => Just(Comeback::Expired)]
}

/// When to commit and when to crash, record by record.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Commit after every n-th record.
    pub commit_every: usize,
    /// Crash after these many records were applied (counting replays).
    pub crashes: Vec<usize>,
    /// After a crash.
    pub comeback: Comeback,
}

/// A partition's durable side: what commits left behind.
#[derive(Default)]
pub struct Durable {
    pub committed: Option<(i64, CommitMetadata)>,
    pub state: Vec<StateEntry>,
    pub published: Outcomes,
    /// Somebody set the group's offset, and no commit followed yet.
    pub reset_to: Option<i64>,
    /// First offset still in the input's log.
    pub log_start: i64,
}

impl Durable {
    fn append(&mut self, checkpoint: Checkpoint) {
        assert!(checkpoint.metadata.len() <= 256, "metadata of {} bytes", checkpoint.metadata.len());
        assert_eq!(checkpoint.state.last().map(|entry| entry.table.as_str()), Some("head"), "the head comes last");
        let commit = CommitMetadata::parse(&checkpoint.metadata).unwrap();
        let before = self.committed.map_or(commit.state_from, |(_, before)| before.state_from);
        self.published.rewrites += u64::from(commit.state_from != before);
        self.committed = Some((checkpoint.offset, commit));
        self.state.extend(checkpoint.state);
        self.published.findings.extend(checkpoint.outbox.findings);
        self.published.partials.extend(checkpoint.outbox.partials);
        self.reset_to = None;
    }

    /// What a restore from the commit reads.
    pub fn entries(&self) -> &[StateEntry] {
        let from = self.committed.map_or(0, |(_, commit)| commit.state_from);
        &self.state[from as usize..]
    }

    /// The task that goes on from what is there.
    pub fn task<T: StageTask>(&self, setup: &Setup, comeback: Comeback) -> T {
        let (identity, config, profile) = (identity(), setup.config.clone(), setup.profile.clone());
        let Some((offset, commit)) = &self.committed else { return T::new(identity, config, profile, 0) };
        if let Some(position) = self.reset_to {
            return T::reset(identity, config, profile, position, &self.state, commit.epoch).unwrap();
        }
        let restored = match comeback {
            Comeback::Commit => T::restore(identity, config, profile, commit, *offset, self.entries(), self.log_start),
            Comeback::Expired => T::restore_expired(identity, config, profile, &self.state, self.log_start),
        };
        restored.unwrap()
    }

    /// Commits what a task has.
    pub fn commit<T: StageTask>(&mut self, task: &mut T) {
        self.append(task.checkpoint(self.state.len() as i64));
    }
}

/// The first partition of a topic with one.
pub fn identity() -> TaskIdentity {
    TaskIdentity { topic: "weir.test.v1".to_owned(), partition: 0, partition_count: 1 }
}

/// A task, and what it takes.
pub trait Taking: StageTask {
    /// An element of its log.
    type Record: Clone;

    /// Takes one.
    fn take(&mut self, offset: i64, append_time: Micros, record: &Self::Record);

    /// The pane that one is counted in, if it is no mark or marker.
    fn pane_of(record: &Self::Record) -> Option<Micros>;
}

impl Taking for SourceTask {
    /// None where the record cannot be decoded.
    type Record = Option<Record>;

    fn take(&mut self, offset: i64, append_time: Micros, record: &Option<Record>) {
        match record {
            Some(record) => self.apply(offset, append_time, record),
            None => self.apply_dead(offset, append_time),
        }
    }

    fn pane_of(record: &Option<Record>) -> Option<Micros> {
        match record {
            Some(Record::Flow(flow)) => Some(pane_start(flow.event_time)),
            _ => None,
        }
    }
}

impl Taking for SiteTask {
    /// None where the partial cannot be decoded.
    type Record = Option<Partial>;

    fn take(&mut self, offset: i64, append_time: Micros, partial: &Option<Partial>) {
        match partial {
            Some(partial) => self.apply(offset, append_time, partial),
            None => self.apply_dead(offset, append_time),
        }
    }

    fn pane_of(partial: &Option<Partial>) -> Option<Micros> {
        let partial = partial.as_ref()?;
        (!matches!(partial.body, PartialBody::Marker { .. })).then_some(partial.pane)
    }
}

/// Runs a task over a log, to its end, under a schedule of commits and crashes.
pub fn drive<T: Taking>(setup: &Setup, log: &[Appended<T::Record>], schedule: &Schedule, durable: &mut Durable) {
    let mut crashes = schedule.crashes.iter().copied();
    let mut next_crash = crashes.next();
    let mut applied = 0;
    'life: loop {
        let mut task: T = durable.task(setup, schedule.comeback);
        let mut since_commit = 0;
        while (task.position() as usize) < log.len() {
            let offset = task.position();
            assert!(offset >= durable.log_start, "{offset} is gone");
            let (append_time, record) = &log[offset as usize];
            task.take(offset, *append_time, record);
            applied += 1;
            since_commit += 1;
            if next_crash.is_some_and(|crash| applied >= crash) {
                next_crash = crashes.next();
                continue 'life;
            }
            if !task.is_replaying() && (since_commit >= schedule.commit_every || task.outbox().urgent) {
                durable.commit(&mut task);
                since_commit = 0;
            }
        }
        durable.commit(&mut task);
        durable.published.counters = task.counters().clone();
        return;
    }
}

fn run<T: Taking>(setup: &Setup, log: &[Appended<T::Record>], schedule: &Schedule) -> Outcomes {
    let mut durable = Durable::default();
    drive::<T>(setup, log, schedule, &mut durable);
    durable.published
}

/// A source task's whole run.
pub fn run_source(setup: &Setup, log: &[Appended<Record>], schedule: &Schedule) -> Outcomes {
    run::<SourceTask>(setup, &readable(log), schedule)
}

/// A source task's whole run over a log that holds what cannot be decoded.
pub fn run_hostile(setup: &Setup, log: &[Appended<Option<Record>>], schedule: &Schedule) -> Outcomes {
    run::<SourceTask>(setup, log, schedule)
}

/// A site task's whole run.
pub fn run_site(setup: &Setup, log: &[Appended<Option<Partial>>], schedule: &Schedule) -> Outcomes {
    run::<SiteTask>(setup, log, schedule)
}

/// A log in which every record can be decoded.
pub fn readable<R: Clone>(log: &[Appended<R>]) -> Vec<Appended<Option<R>>> {
    log.iter().map(|(append_time, record)| (*append_time, Some(record.clone()))).collect()
}

/// The log of one partials partition.
pub fn partial_log(partials: &[Partial]) -> Vec<Appended<Option<Partial>>> {
    partials.iter().map(|partial| (partial.pane, Some(partial.clone()))).collect()
}

/// A run without crashes that commits at the end.
pub fn straight() -> Schedule {
    Schedule { commit_every: usize::MAX, crashes: Vec::new(), comeback: Comeback::Commit }
}

/// The same finding without what may differ between runs that mean the same.
pub fn canonical(mut finding: Finding) -> Finding {
    finding.provenance = weir_schemas::Provenance::default();
    finding
}

/// Canonical findings in order.
pub fn canonical_all(outcomes: &Outcomes) -> Vec<Finding> {
    outcomes.findings.iter().cloned().map(canonical).collect()
}
