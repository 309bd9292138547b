//! What a stage's task does with a delivery, and how it goes on from its partition's past.

use std::sync::Arc;

use weir_bus::shard::Recovery;
use weir_bus::{Delivery, Value};
use weir_engine::image::UnreadableState;
use weir_engine::{EngineConfig, Profile, SiteTask, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{Micros, Record};

/// What became of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The task has it.
    Applied,
    /// It must be dead-lettered, for this reason.
    Dead(&'static str),
}

/// A stage's task over one partition.
pub trait Task: StageTask {
    /// Takes a delivery.
    fn take(&mut self, delivery: &Delivery) -> Taken;

    /// Event time by which partitions that are read in turns keep step; none if they need not.
    fn pace(&self) -> Option<Micros>;
}

impl Task for SourceTask {
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

    fn pace(&self) -> Option<Micros> {
        self.watermark()
    }
}

impl Task for SiteTask {
    fn take(&mut self, delivery: &Delivery) -> Taken {
        let Value::Partial(partial) = &delivery.value else {
            self.apply_dead(delivery.offset, delivery.append_time);
            return Taken::Dead("not a partial");
        };
        self.apply(delivery.offset, delivery.append_time, partial);
        Taken::Applied
    }

    fn pace(&self) -> Option<Micros> {
        None
    }
}

/// The task that goes on from what is known of its partition's past.
pub(crate) fn recover<T: StageTask>(
    identity: TaskIdentity,
    config: EngineConfig,
    profile: Arc<Profile>,
    recovery: Recovery,
) -> Result<T, UnreadableState> {
    match recovery {
        Recovery::First { position } => Ok(T::new(identity, config, profile, position)),
        Recovery::Resume { commit, offset, entries, log_start } => {
            T::restore(identity, config, profile, &commit, offset, &entries, log_start)
        }
        Recovery::Expired { entries, log_start } => T::restore_expired(identity, config, profile, &entries, log_start),
        Recovery::Reset { position, entries, epoch, .. } => {
            T::reset(identity, config, profile, position, &entries, epoch)
        }
    }
}
