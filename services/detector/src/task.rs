//! What the two stages' tasks have in common, seen from the service.

use std::sync::Arc;

use weir_bus::{Delivery, Value};
use weir_engine::image::UnreadableState;
use weir_engine::{Checkpoint, Counters, EngineConfig, Outbox, Profile, SiteTask, SourceTask, TaskIdentity};
use weir_schemas::{Micros, Record, StateEntry};

/// What became of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The task has it.
    Applied,
    /// It must be dead-lettered, for this reason.
    Dead(&'static str),
}

/// A stage's task over one partition.
pub(crate) trait Task: Sized {
    /// A task without history.
    fn begin(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self;

    /// The task at a commit.
    fn resume(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        metadata: &str,
        entries: &[StateEntry],
    ) -> Result<Self, UnreadableState>;

    fn position(&self) -> i64;
    fn outbox(&self) -> &Outbox;
    fn counters(&self) -> &Counters;
    fn is_replaying(&self) -> bool;
    /// How far the task has come in event time; none if nothing says so.
    fn watermark(&self) -> Option<Micros>;
    /// Panes that take records; none if the task does not tell.
    fn open_panes(&self) -> Option<usize> {
        None
    }
    /// Bytes of state held for the state topic; none if the task does not tell.
    fn state_bytes(&self) -> Option<usize> {
        None
    }
    fn take(&mut self, delivery: &Delivery) -> Taken;
    fn checkpoint(&mut self, state_end: i64) -> Checkpoint;
}

impl Task for SourceTask {
    fn begin(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        Self::new(identity, config, profile, position)
    }

    fn resume(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        metadata: &str,
        entries: &[StateEntry],
    ) -> Result<Self, UnreadableState> {
        Self::restore(identity, config, profile, metadata, entries)
    }

    fn position(&self) -> i64 {
        self.position()
    }

    fn outbox(&self) -> &Outbox {
        self.outbox()
    }

    fn counters(&self) -> &Counters {
        self.counters()
    }

    fn is_replaying(&self) -> bool {
        self.is_replaying()
    }

    fn watermark(&self) -> Option<Micros> {
        self.watermark()
    }

    fn open_panes(&self) -> Option<usize> {
        Some(self.open_panes())
    }

    fn state_bytes(&self) -> Option<usize> {
        Some(self.state_bytes())
    }

    fn take(&mut self, delivery: &Delivery) -> Taken {
        let Value::Record(record) = &delivery.value else {
            self.apply_dead(delivery.offset, delivery.append_time);
            return Taken::Dead("not a flow record");
        };
        self.apply(delivery.offset, delivery.append_time, record);
        match record {
            Record::Flow(flow) if Self::is_dead(flow) => Taken::Dead("its times or counts contradict each other"),
            _ => Taken::Applied,
        }
    }

    fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        self.checkpoint(state_end)
    }
}

impl Task for SiteTask {
    fn begin(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        Self::new(identity, config, profile, position)
    }

    fn resume(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        metadata: &str,
        entries: &[StateEntry],
    ) -> Result<Self, UnreadableState> {
        Self::restore(identity, config, profile, metadata, entries)
    }

    fn position(&self) -> i64 {
        self.position()
    }

    fn outbox(&self) -> &Outbox {
        self.outbox()
    }

    fn counters(&self) -> &Counters {
        self.counters()
    }

    fn is_replaying(&self) -> bool {
        self.is_replaying()
    }

    fn watermark(&self) -> Option<Micros> {
        None
    }

    fn take(&mut self, delivery: &Delivery) -> Taken {
        let Value::Partial(partial) = &delivery.value else {
            self.apply_dead(delivery.offset, delivery.append_time);
            return Taken::Dead("not a partial");
        };
        self.apply(delivery.offset, delivery.append_time, partial);
        Taken::Applied
    }

    fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        self.checkpoint(state_end)
    }
}
