//! A stage's task as a shard's: recovery by the table of offsets, dead letters, trace context, messages.

use std::sync::Arc;

use weir_bus::shard::{self, Due, PartitionCounts, Place, Recovery, Refusal, Sealed};
use weir_bus::{Delivery, Headers};
use weir_engine::image::UnreadableState;
use weir_engine::{Checkpoint, Counters, EngineConfig, Profile, TaskIdentity};
use weir_runtime::trace::{SpanKind, TraceContext, Tracer};
use weir_schemas::Micros;

use crate::outputs::{self, Letter, OutputCounts, StageTopics};
use crate::report::{FindingCounts, count_findings};
use crate::task::{Taken, Task, recover};

/// What all tasks of a stage share.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub(crate) topics: StageTopics,
    pub(crate) engine: EngineConfig,
    pub(crate) profile: Arc<Profile>,
    pub(crate) tracer: Tracer,
}

/// One partition's task, and what waits to go out with its next commit.
pub struct Worker<T> {
    task: T,
    partition: u32,
    topics: StageTopics,
    letters: Vec<Letter>,
    /// Trace context of the newest mark that had one.
    trace: Option<TraceContext>,
    tracer: Tracer,
    /// Findings of the newest commit.
    findings: FindingCounts,
}

impl<T: Task> Worker<T> {
    /// The task's counters.
    pub fn counters(&self) -> &Counters {
        self.task.counters()
    }

    pub(crate) fn task(&self) -> &T {
        &self.task
    }

    /// Findings of the newest commit, by detector and severity.
    pub(crate) fn findings(&self) -> &FindingCounts {
        &self.findings
    }

    fn trace_headers(&self) -> Headers {
        let Some(parent) = &self.trace else { return Headers::new() };
        let mut span = self.tracer.span("detector.commit", SpanKind::Internal, Some(parent));
        span.note("stage", self.topics.stage);
        span.note("partition", self.partition.to_string());
        span.note("offset", self.task.position().to_string());
        vec![span.context().header()]
    }
}

impl<T: Task> shard::Task for Worker<T> {
    type Settings = WorkerSettings;

    fn recover(settings: &WorkerSettings, place: Place, recovery: Recovery) -> Result<Self, Refusal> {
        let WorkerSettings { topics, engine, profile, tracer } = settings.clone();
        let Place { topic, partition, partition_count } = place;
        let identity = TaskIdentity { topic, partition, partition_count };
        let refusal = |fault: UnreadableState| {
            let refuse = if fault.needs_action() { Refusal::Environment } else { Refusal::Unreadable };
            refuse(fault.to_string())
        };
        let task = recover(identity, engine, profile, recovery).map_err(refusal)?;
        let findings = FindingCounts::new();
        Ok(Self { task, partition, topics, letters: Vec::new(), trace: None, tracer, findings })
    }

    fn position(&self) -> i64 {
        self.task.position()
    }

    fn take(&mut self, delivery: Delivery) {
        if !delivery.headers.is_empty() {
            self.trace = TraceContext::of_headers(&delivery.headers).or(self.trace);
        }
        // What a replay sets aside again was dead-lettered when it was read first. A replay ends with its last record.
        let was_read_before = self.task.is_replaying();
        if let Taken::Dead(reason) = self.task.take(&delivery)
            && !was_read_before
        {
            self.letters.push(Letter { delivery, reason });
        }
    }

    fn is_replaying(&self) -> bool {
        self.task.is_replaying()
    }

    fn due(&self) -> Due {
        let outbox = self.task.outbox();
        if outbox.urgent {
            Due::AtOnce
        } else if outbox.is_empty() && self.letters.is_empty() {
            Due::Nothing
        } else {
            Due::Outputs
        }
    }

    fn watermark(&self) -> Option<Micros> {
        self.task.watermark()
    }

    fn set_partition_count(&mut self, count: u32) {
        self.task.set_partition_count(count);
    }

    fn seal(&mut self, state_end: i64, counts: &PartitionCounts) -> Sealed {
        let count = |topic: &str| counts.get(topic).copied().unwrap_or(1);
        let topics = &self.topics;
        let counts = OutputCounts {
            partials: count(&topics.partials),
            findings: count(&topics.findings),
            dead: count(&topics.dead),
        };
        let Checkpoint { offset, metadata, state, outbox } = self.task.checkpoint(state_end);
        self.findings = count_findings(&outbox);
        let letters = std::mem::take(&mut self.letters);
        let headers = self.trace_headers();
        let messages = outputs::messages(&self.topics, counts, self.partition, letters, outbox, state, &headers);
        Sealed { messages, offset, metadata }
    }
}
