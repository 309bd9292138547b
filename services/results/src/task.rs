//! The work for one findings partition: findings in; numbered, worded anomalies out, each exactly once.
//!
//! Everything a commit changes (anomalies, dead letters, state, offset) is one [`Sealed`], published atomically, so a crash
//! anywhere leaves all of it or nothing, and the next member goes on from what stands in the topics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_bus::dead::{Origin, bytes_of, dead_letter};
use weir_bus::partition::partition_of;
use weir_bus::shard::{Due, PartitionCounts, Place, Recovery, Refusal, Sealed, Task};
use weir_bus::topic::Topics;
use weir_bus::{Delivery, Headers, Message, Value};
use weir_runtime::metrics::ResultsMetrics;
use weir_schemas::{Anomaly, CommitMetadata, EpisodeState, Finding, Micros, StateEntry};

use crate::ecs;
use crate::explain;
use crate::ledger::Decision;
use crate::state::{self, Damage, State};
use crate::wire;

/// Episodes remembered per findings partition: many times what the engine keeps open (8,192), a few hundred bytes each.
pub const DEFAULT_LEDGER_CAPACITY: usize = 262_144;

/// Header of the W3C trace context: it goes from a finding to the anomaly made of it.
pub const TRACE_PARENT: &str = "traceparent";

/// Outputs held before a commit is asked for ahead of any other record: some megabytes.
const MOST_OUTPUTS: usize = 2048;

/// What all tasks of results share.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Topic of anomalies (Avro), keyed by anomaly id.
    pub anomalies: String,
    /// Topic of the same in Elastic Common Schema (JSON), likewise keyed; with `None` there is none.
    pub ecs: Option<String>,
    /// Topic that state lives in.
    pub state: String,
    /// Topic for what is not a finding; with `None` such messages are only counted.
    pub dead: Option<String>,
    /// Episodes remembered per partition.
    pub ledger_capacity: usize,
    /// Wall clock for `emitted_at`, µs.
    pub clock: fn() -> Micros,
    /// Where to tell what was sealed; with `None` whoever publishes tells it.
    pub metrics: Option<ResultsMetrics>,
}

impl TaskSettings {
    /// Everything to its topic, with the process's metrics.
    #[must_use]
    pub fn new(topics: &Topics) -> Self {
        Self {
            anomalies: topics.anomalies(),
            ecs: Some(topics.anomalies_ecs()),
            state: topics.state_results(),
            dead: Some(topics.dead()),
            ledger_capacity: DEFAULT_LEDGER_CAPACITY,
            clock: wall_clock,
            metrics: Some(ResultsMetrics::default()),
        }
    }
}

/// What became of what was read. The last four add up to the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultsCounters {
    /// Messages read from the findings topic.
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

impl std::ops::AddAssign for ResultsCounters {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.published += other.published;
        self.repeated += other.repeated;
        self.replayed += other.replayed;
        self.dead += other.dead;
    }
}

/// What is to be published with the next commit.
#[derive(Debug)]
enum Output {
    Anomaly { anomaly: Box<Anomaly>, headers: Headers },
    Dead { offset: i64, key: String, value: Vec<u8>, reason: String },
}

/// Numbers and words the findings of one partition.
#[derive(Debug)]
pub struct ResultsTask {
    settings: TaskSettings,
    place: Place,
    position: i64,
    state: State,
    outputs: Vec<Output>,
    counters: ResultsCounters,
}

impl ResultsTask {
    /// What was counted since the task was made: all that it took, committed or not.
    #[must_use]
    pub fn counters(&self) -> ResultsCounters {
        self.counters
    }

    /// What was counted since the last call.
    pub(crate) fn take_counters(&mut self) -> ResultsCounters {
        std::mem::take(&mut self.counters)
    }

    /// Episodes forgotten before their time because the ledger was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.state.ledger.forgotten()
    }

    fn judge(&mut self, offset: i64, finding: &Finding) -> Decision {
        let is_new = !self.state.ledger.knows(&finding.id);
        if is_new && self.state.is_forgotten(offset, finding.window.end) {
            return Decision::Repeated;
        }
        self.state.ledger.judge(finding)
    }

    fn message_of(&self, output: Output, counts: &PartitionCounts, messages: &mut Vec<Message>) {
        let partitions = |topic: &str| counts.get(topic).copied().unwrap_or(1);
        match output {
            Output::Anomaly { anomaly, headers } => {
                let message = |topic: &str, value| {
                    let partition = partition_of(&anomaly.id, partitions(topic));
                    Message { headers: headers.clone(), ..Message::new(topic, partition, anomaly.id.clone(), value) }
                };
                let document = self.settings.ecs.as_ref().map(|topic| {
                    let document = ecs::line(&anomaly);
                    message(topic, Value::Bytes(document.into_bytes()))
                });
                messages.push(message(&self.settings.anomalies, Value::Anomaly(anomaly.clone())));
                messages.extend(document);
            }
            Output::Dead { offset, key, value, reason } => {
                let Some(topic) = &self.settings.dead else { return };
                let origin = Origin { topic: &self.place.topic, partition: self.place.partition, offset };
                messages.push(dead_letter(topic, partitions(topic), origin, &key, value, &reason));
            }
        }
    }
}

impl Task for ResultsTask {
    type Settings = TaskSettings;

    fn recover(settings: &TaskSettings, place: Place, recovery: Recovery) -> Result<Self, Refusal> {
        let capacity = settings.ledger_capacity;
        let (state, position) = match recovery {
            Recovery::First { position } => (State::new(capacity), position),
            Recovery::Resume { commit, offset, entries, log_start } => {
                (resume(commit, &entries, capacity)?, offset.max(log_start))
            }
            Recovery::Expired { entries, log_start } => {
                let mut loaded = State::load(&entries, capacity, 0, Damage::Refuse)?;
                let Some(offset) = loaded.offset else {
                    return Err(Refusal::Unreadable("the state of results has no head".to_owned()));
                };
                loaded.state.rewrite_now();
                (loaded.state, offset.max(log_start))
            }
            // What is known stays known: what is read again below is dropped as repeated, never renumbered.
            Recovery::Reset { position, entries, epoch, .. } => {
                let mut state = State::load(&entries, capacity, 0, Damage::LeaveOut)?.state;
                state.epoch = state.epoch.max(epoch);
                state.rewrite_now();
                (state, position)
            }
        };
        let (outputs, counters) = (Vec::new(), ResultsCounters::default());
        Ok(Self { settings: settings.clone(), place, position, state, outputs, counters })
    }

    fn position(&self) -> i64 {
        self.position
    }

    fn take(&mut self, delivery: Delivery) {
        let Delivery { offset, key, value, headers, .. } = delivery;
        self.position = offset + 1;
        self.counters.read += 1;
        let mut finding = match wire::finding(value) {
            Ok(finding) => finding,
            Err((value, reason)) => {
                self.counters.dead += 1;
                self.outputs.push(Output::Dead { offset, key, value: bytes_of(value), reason });
                return;
            }
        };
        match self.judge(offset, &finding) {
            Decision::Repeated => self.counters.repeated += 1,
            Decision::Replayed => self.counters.replayed += 1,
            Decision::Publish(revision) => {
                self.counters.published += 1;
                finding.revision = revision;
                finding.message = explain::message(&finding);
                let headers = headers.into_iter().filter(|(name, _)| name == TRACE_PARENT).collect();
                self.outputs.push(Output::Anomaly { anomaly: Box::new(finding), headers });
            }
        }
    }

    fn is_replaying(&self) -> bool {
        // The ledger is all there is, and it comes from the state topic: no finding is needed twice.
        false
    }

    fn due(&self) -> Due {
        match self.outputs.len() {
            0 => Due::Nothing,
            MOST_OUTPUTS.. => Due::AtOnce,
            _ => Due::Outputs,
        }
    }

    fn watermark(&self) -> Option<Micros> {
        let clock = self.state.ledger.clock();
        (clock != Micros::MIN).then_some(clock)
    }

    fn set_partition_count(&mut self, count: u32) {
        self.place.partition_count = count;
    }

    fn seal(&mut self, state_end: i64, counts: &PartitionCounts) -> Sealed {
        let now = (self.settings.clock)();
        let mut messages = Vec::with_capacity(2 * self.outputs.len() + 8);
        for mut output in std::mem::take(&mut self.outputs) {
            if let Output::Anomaly { anomaly, .. } = &mut output {
                anomaly.provenance.emitted_at = Some(now);
            }
            self.message_of(output, counts, &mut messages);
        }
        if let Some(metrics) = &self.settings.metrics {
            report(metrics, anomalies_of(&messages));
        }
        let (entries, metadata) = self.state.commit(self.position, state_end);
        messages.extend(entries.into_iter().map(|entry| self.state_message(entry)));
        Sealed { messages, offset: self.position, metadata: metadata.to_text() }
    }
}

impl ResultsTask {
    fn state_message(&self, entry: StateEntry) -> Message {
        let (topic, key) = (self.settings.state.clone(), entry.key());
        Message::new(topic, self.place.partition, key, Value::State(Box::new(entry)))
    }
}

/// The state at a commit, whose head is the last entry.
fn resume(commit: CommitMetadata, entries: &[StateEntry], capacity: usize) -> Result<State, Refusal> {
    let head = entries.last().filter(|entry| state::is_head(entry));
    if head.map(|head| head.epoch) != Some(commit.epoch) {
        return Err(Refusal::Unreadable(format!("the state of results does not end with commit {}", commit.epoch)));
    }
    Ok(State::load(entries, capacity, commit.state_from, Damage::Refuse)?.state)
}

/// The anomalies among messages.
pub(crate) fn anomalies_of(messages: &[Message]) -> impl Iterator<Item = &Anomaly> {
    messages.iter().filter_map(|message| match &message.value {
        Value::Anomaly(anomaly) => Some(anomaly.as_ref()),
        _ => None,
    })
}

/// Tells how many anomalies were published in which state, and how long after their windows.
pub(crate) fn report<'a>(metrics: &ResultsMetrics, published: impl Iterator<Item = &'a Anomaly>) {
    let mut counts = [(EpisodeState::Opened, 0), (EpisodeState::Updated, 0), (EpisodeState::Closed, 0)];
    for anomaly in published {
        for (state, count) in &mut counts {
            *count += u64::from(*state == anomaly.state);
        }
        // An episode closes when it has been silent for a while: that is no latency.
        if anomaly.state != EpisodeState::Closed
            && let Some(latency) = latency(anomaly)
        {
            metrics.end_to_end_latency(latency);
        }
    }
    for (state, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        metrics.anomalies(state.name(), count);
    }
}

/// From the window's end to the publication; none before the window ended, where a detector spoke early.
fn latency(anomaly: &Anomaly) -> Option<Duration> {
    let micros = anomaly.provenance.emitted_at?.checked_sub(anomaly.window.end)?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

/// µs since 1970 UTC.
pub(crate) fn wall_clock() -> Micros {
    // Before 1970 a machine's clock is unset; 0 says so better than an error would.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Micros)
}

#[cfg(test)]
mod tests;
