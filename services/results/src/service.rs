//! The results service over a bus without consumer groups: one [`ResultsTask`] per findings partition, all in turn.
//!
//! Everything one step changes (anomalies, state slots, offsets) is one atomic append, so a crash anywhere leaves either
//! all of it or nothing, and the next instance goes on from what the bus holds.

use weir_bus::shard::{PartitionCounts, Place, Recovery, ResetCause, Task as _};
use weir_bus::topic::Topics;
use weir_bus::{Batch, Bus, GroupOffset};
use weir_runtime::metrics::ResultsMetrics;
use weir_schemas::{Anomaly, CommitMetadata, Micros, StateEntry};

use crate::error::ResultsError;
use crate::state;
use crate::task::{self, DEFAULT_LEDGER_CAPACITY, ResultsCounters, ResultsTask, TaskSettings};
use crate::wire;

/// Consumer group of the service.
pub const GROUP: &str = "weir-results";

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct ResultsConfig {
    /// Topic read.
    pub findings: String,
    /// Topic written.
    pub anomalies: String,
    /// Topic that state lives in.
    pub state: String,
    /// Topic for what is not a finding; with `None` such messages are only counted.
    pub dead: Option<String>,
    /// Consumer group.
    pub group: String,
    /// Findings read per partition and step, at least 1.
    pub batch: usize,
    /// Episodes remembered per partition.
    pub ledger_capacity: usize,
    /// Wall clock for `emitted_at`, µs.
    pub clock: fn() -> Micros,
}

impl ResultsConfig {
    /// The defaults under a topic prefix (`weir.`), without a dead topic.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let topics = Topics::new(prefix);
        Self {
            findings: topics.findings(),
            anomalies: topics.anomalies(),
            state: topics.state_results(),
            dead: None,
            group: GROUP.to_owned(),
            batch: 1024,
            ledger_capacity: DEFAULT_LEDGER_CAPACITY,
            clock: task::wall_clock,
        }
    }

    fn task_settings(&self) -> TaskSettings {
        TaskSettings {
            anomalies: self.anomalies.clone(),
            ecs: None,
            state: self.state.clone(),
            dead: self.dead.clone(),
            ledger_capacity: self.ledger_capacity,
            clock: self.clock,
            // The service tells its metrics once a step stands on the bus.
            metrics: None,
        }
    }
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Messages read; 0 means the end of every partition was reached.
    pub read: usize,
    /// Anomalies published, in order.
    pub published: Vec<Anomaly>,
}

/// Consumes findings and publishes anomalies over any bus.
#[derive(Debug)]
pub struct ResultsService {
    config: ResultsConfig,
    /// By partition.
    tasks: Vec<ResultsTask>,
    /// An append failed, so memory may be ahead of the bus, or the bus of memory.
    stale: bool,
    /// Of tasks that are no more; those of a failed step do not count.
    counters: ResultsCounters,
    metrics: ResultsMetrics,
}

impl ResultsService {
    /// A service for every partition of the findings topic, restored from what the bus holds.
    pub fn restore<B: Bus + ?Sized>(config: ResultsConfig, bus: &mut B) -> Result<Self, ResultsError> {
        let tasks = restore_tasks(&config, bus)?;
        let (counters, metrics) = (ResultsCounters::default(), ResultsMetrics::default());
        Ok(Self { config, tasks, stale: false, counters, metrics })
    }

    /// The service, with instruments other than those of the process's meter.
    #[must_use]
    pub fn with_metrics(self, metrics: ResultsMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// What was counted since the service started.
    #[must_use]
    pub fn counters(&self) -> ResultsCounters {
        self.counters
    }

    /// Episodes forgotten before their time because a ledger was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.tasks.iter().map(ResultsTask::forgotten).sum()
    }

    /// Reads up to `batch` findings of each partition and publishes what is news, in one atomic append.
    /// After an error the next call restores first: nothing is lost, nothing repeated.
    pub fn step<B: Bus + ?Sized>(&mut self, bus: &mut B) -> Result<Step, ResultsError> {
        if self.stale {
            self.tasks = restore_tasks(&self.config, bus)?;
            self.stale = false;
        }
        let outcome = self.read_and_append(bus);
        self.stale = outcome.is_err();
        outcome
    }

    fn read_and_append<B: Bus + ?Sized>(&mut self, bus: &mut B) -> Result<Step, ResultsError> {
        let config = &self.config;
        let mut counts = PartitionCounts::new();
        for topic in std::iter::once(&config.anomalies).chain(&config.dead) {
            counts.insert(topic.clone(), bus.partition_count(topic)?);
        }
        let mut batch = Batch::default();
        let mut step = Step::default();
        let mut counters = self.counters;
        let mut deliveries = Vec::new();
        for (partition, task) in (0..).zip(&mut self.tasks) {
            bus.read(&config.findings, partition, task.position(), config.batch.max(1), &mut deliveries)?;
            if deliveries.is_empty() {
                continue;
            }
            step.read += deliveries.len();
            deliveries.drain(..).for_each(|delivery| task.take(delivery));
            counters += task.take_counters();

            let (_, state_end) = bus.offsets(&config.state, partition)?;
            let sealed = task.seal(state_end, &counts);
            step.published.extend(task::anomalies_of(&sealed.messages).cloned());
            batch.messages.extend(sealed.messages);
            batch.offsets.push(GroupOffset {
                group: config.group.clone(),
                topic: config.findings.clone(),
                partition,
                offset: sealed.offset,
                metadata: sealed.metadata,
            });
        }
        if step.read > 0 {
            bus.append(batch)?;
            self.counters = counters;
            task::report(&self.metrics, step.published.iter());
        }
        Ok(step)
    }
}

fn restore_tasks<B: Bus + ?Sized>(config: &ResultsConfig, bus: &mut B) -> Result<Vec<ResultsTask>, ResultsError> {
    let need = bus.partition_count(&config.findings)?;
    let have = bus.partition_count(&config.state)?;
    if have < need {
        return Err(ResultsError::TooFewStatePartitions {
            state: config.state.clone(),
            findings: config.findings.clone(),
            have,
            need,
        });
    }
    let settings = config.task_settings();
    (0..need)
        .map(|partition| {
            let recovery = recovery(config, bus, partition)?;
            let place = Place { topic: config.findings.clone(), partition, partition_count: need };
            ResultsTask::recover(&settings, place, recovery).map_err(|refusal| ResultsError::State {
                topic: config.state.clone(),
                partition,
                refusal,
            })
        })
        .collect()
}

/// What the bus holds of a partition's past.
fn recovery<B: Bus + ?Sized>(config: &ResultsConfig, bus: &mut B, partition: u32) -> Result<Recovery, ResultsError> {
    let committed = bus.committed(&config.group, &config.findings, partition)?;
    let commit = committed.as_ref().and_then(|(_, metadata)| CommitMetadata::parse(metadata));
    let (log_start, _) = bus.offsets(&config.findings, partition)?;
    let entries = state_entries(config, bus, partition, commit.map_or(0, |commit| commit.state_from))?;
    let head = entries.iter().rev().find(|entry| state::is_head(entry)).map(|head| head.epoch);
    let epoch = head.max(commit.map(|commit| commit.epoch)).unwrap_or(0);
    let recovery = match (committed, commit) {
        (Some((offset, _)), Some(commit)) if head == Some(commit.epoch) => {
            Recovery::Resume { commit, offset, entries, log_start }
        }
        (Some((position, _)), commit) => {
            let cause = match commit {
                None => ResetCause::Operator,
                Some(commit) if head > Some(commit.epoch) => ResetCause::OffsetLost,
                Some(_) => ResetCause::StateLost,
            };
            Recovery::Reset { position: position.max(log_start), entries, epoch, cause }
        }
        (None, _) if head.is_some() => Recovery::Expired { entries, log_start },
        (None, _) => Recovery::First { position: log_start },
    };
    Ok(recovery)
}

/// The entries of one partition of the state topic, from `from` on.
fn state_entries<B: Bus + ?Sized>(
    config: &ResultsConfig,
    bus: &mut B,
    partition: u32,
    from: i64,
) -> Result<Vec<StateEntry>, ResultsError> {
    let (start, end) = bus.offsets(&config.state, partition)?;
    let mut deliveries = Vec::new();
    bus.read(&config.state, partition, from.clamp(start, end), usize::MAX, &mut deliveries)?;
    deliveries
        .into_iter()
        .map(|delivery| {
            let offset = delivery.offset;
            let foreign = || ResultsError::NoStateEntry { topic: config.state.clone(), partition, offset };
            wire::state_entry(delivery.value).ok_or_else(foreign)
        })
        .collect()
}

#[cfg(test)]
mod tests;
