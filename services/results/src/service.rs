//! The results service: findings in; numbered, worded anomalies out, each exactly once.
//!
//! Everything one step changes (anomalies, state slots, offsets) is one atomic append, so a crash anywhere leaves either
//! all of it or nothing, and the next instance goes on from what the bus holds.

use std::time::{SystemTime, UNIX_EPOCH};

use weir_bus::partition::partition_of;
use weir_bus::topic::Topics;
use weir_bus::{Batch, Bus, GroupOffset, Message, Value};
use weir_runtime::metrics::ResultsMetrics;
use weir_schemas::{Anomaly, EpisodeState, Finding, Micros};

use crate::error::ResultsError;
use crate::explain;
use crate::ledger::{Decision, Ledger};
use crate::state::{self, Head};
use crate::wire;

/// Consumer group of the service.
pub const GROUP: &str = "weir-results";

/// Episodes remembered per findings partition: many times what the engine keeps open (8,192), a few hundred bytes each.
pub const DEFAULT_LEDGER_CAPACITY: usize = 262_144;

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
            clock: wall_clock,
        }
    }
}

/// What the service counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultsCounters {
    /// Messages read from the findings topic; the sum of the four below.
    pub read: u64,
    /// Anomalies published.
    pub published: u64,
    /// Dropped: the same revision was published before.
    pub repeated: u64,
    /// Dropped: a replay told again what was published before it.
    pub replayed: u64,
    /// Not a finding.
    pub dead: u64,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Messages read; 0 means the end of every partition was reached.
    pub read: usize,
    /// Anomalies published, in order.
    pub published: Vec<Anomaly>,
}

#[derive(Debug)]
struct Task {
    partition: u32,
    offset: i64,
    epoch: u64,
    ledger: Ledger,
}

/// Consumes findings and publishes anomalies over any bus.
#[derive(Debug)]
pub struct ResultsService {
    config: ResultsConfig,
    tasks: Vec<Task>,
    /// An append failed, so memory may be ahead of the bus, or the bus of memory.
    stale: bool,
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
        self.tasks.iter().map(|task| task.ledger.forgotten()).sum()
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
        let anomaly_partitions = bus.partition_count(&self.config.anomalies)?;
        let dead_partitions = match &self.config.dead {
            Some(topic) => bus.partition_count(topic)?,
            None => 0,
        };
        let mut batch = Batch::default();
        let mut step = Step::default();
        let mut counters = self.counters;
        let mut deliveries = Vec::new();
        for task in &mut self.tasks {
            bus.read(&self.config.findings, task.partition, task.offset, self.config.batch.max(1), &mut deliveries)?;
            let Some(last) = deliveries.last() else { continue };
            task.offset = last.offset + 1;
            task.epoch += 1;
            step.read += deliveries.len();
            for delivery in deliveries.drain(..) {
                counters.read += 1;
                let finding = match wire::finding(delivery.value) {
                    Ok(finding) => finding,
                    Err(value) => {
                        counters.dead += 1;
                        if let Some(topic) = &self.config.dead {
                            batch.messages.push(dead_message(topic, dead_partitions, delivery.key, value));
                        }
                        continue;
                    }
                };
                match task.ledger.judge(&finding) {
                    Decision::Repeated => counters.repeated += 1,
                    Decision::Replayed => counters.replayed += 1,
                    Decision::Publish(revision) => {
                        counters.published += 1;
                        let anomaly = worded(finding, revision, (self.config.clock)());
                        batch.messages.push(Message {
                            topic: self.config.anomalies.clone(),
                            partition: partition_of(&anomaly.id, anomaly_partitions),
                            key: anomaly.id.clone(),
                            value: Value::Anomaly(Box::new(anomaly.clone())),
                            headers: weir_bus::Headers::new(),
                        });
                        step.published.push(anomaly);
                    }
                }
            }
            append_state(&mut batch, &self.config, task);
        }
        if step.read > 0 {
            bus.append(batch)?;
            self.counters = counters;
            report(&self.metrics, &step.published);
        }
        Ok(step)
    }
}

/// Tells what a step has published, once it stands on the bus.
fn report(metrics: &ResultsMetrics, published: &[Anomaly]) {
    for state in [EpisodeState::Opened, EpisodeState::Updated, EpisodeState::Closed] {
        let count = published.iter().filter(|anomaly| anomaly.state == state).count();
        if count > 0 {
            metrics.anomalies(state.name(), count as u64);
        }
    }
}

fn worded(mut finding: Finding, revision: u32, now: Micros) -> Anomaly {
    finding.revision = revision;
    finding.message = explain::message(&finding);
    finding.provenance.emitted_at = Some(now);
    finding
}

fn dead_message(topic: &str, partitions: u32, key: String, value: Value) -> Message {
    Message::new(topic, partition_of(&key, partitions), key, value)
}

fn append_state(batch: &mut Batch, config: &ResultsConfig, task: &mut Task) {
    let head = Head { offset: task.offset, clock: task.ledger.clock() };
    for entry in state::entries(&mut task.ledger, head, task.epoch) {
        batch.messages.push(Message {
            topic: config.state.clone(),
            partition: task.partition,
            key: entry.key(),
            value: Value::State(Box::new(entry)),
            headers: weir_bus::Headers::new(),
        });
    }
    batch.offsets.push(GroupOffset {
        group: config.group.clone(),
        topic: config.findings.clone(),
        partition: task.partition,
        offset: task.offset,
        metadata: metadata_of(task.epoch),
    });
}

fn restore_tasks<B: Bus + ?Sized>(config: &ResultsConfig, bus: &mut B) -> Result<Vec<Task>, ResultsError> {
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
    (0..need).map(|partition| restore_task(config, bus, partition)).collect()
}

fn restore_task<B: Bus + ?Sized>(config: &ResultsConfig, bus: &mut B, partition: u32) -> Result<Task, ResultsError> {
    let restored = state::restore(bus, &config.state, partition, config.ledger_capacity)?;
    let committed = bus.committed(&config.group, &config.findings, partition)?;
    let (start, _) = bus.offsets(&config.findings, partition)?;
    let offset = match (&committed, restored.head) {
        (Some((committed, metadata)), Some((head, epoch))) => match epoch_of(metadata) {
            // The offsets topic lost a write that the state topic kept: both were one append, so head is right.
            Some(committed_epoch) if committed_epoch < epoch => head.offset,
            // No epoch: an operator reset the group. Known ids and contents stay known, so re-reading repeats nothing.
            Some(_) | None => *committed,
        },
        (Some((committed, _)), None) => *committed,
        // The group expired; the state did not.
        (None, Some((head, _))) => head.offset,
        (None, None) => start,
    };
    let committed_epoch = committed.and_then(|(_, metadata)| epoch_of(&metadata)).unwrap_or(0);
    let epoch = restored.head.map_or(0, |(_, epoch)| epoch).max(committed_epoch);
    // Retention may have overtaken the group: what is gone cannot be read, what is left can.
    Ok(Task { partition, offset: offset.max(start), epoch, ledger: restored.ledger })
}

fn metadata_of(epoch: u64) -> String {
    format!(r#"{{"v":1,"epoch":{epoch}}}"#)
}

fn epoch_of(metadata: &str) -> Option<u64> {
    metadata.strip_prefix(r#"{"v":1,"epoch":"#)?.strip_suffix('}')?.parse().ok()
}

fn wall_clock() -> Micros {
    // Before 1970 a machine's clock is unset; 0 says so better than an error would.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Micros)
}

#[cfg(test)]
mod tests;
