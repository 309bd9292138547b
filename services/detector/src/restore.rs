//! From what a group has committed to a task that goes on from there.

use weir_bus::shard::Recovery;
use weir_bus::{Bus, Value};
use weir_engine::TaskIdentity;
use weir_engine::image::UnreadableState;
use weir_schemas::{CommitMetadata, StateEntry};

use crate::outputs::StageTopics;
use crate::task::{Task, recover};
use crate::{DetectorConfig, DetectorError, Start};

/// The task of one partition.
pub(crate) fn restore_task<T: Task, B: Bus + ?Sized>(
    config: &DetectorConfig,
    topics: &StageTopics,
    partition: u32,
    bus: &mut B,
) -> Result<T, DetectorError> {
    let partition_count = bus.partition_count(&topics.input)?;
    let identity = TaskIdentity { topic: topics.input.clone(), partition, partition_count };
    let (engine, profile) = (config.engine.clone(), config.profile.clone());
    let (start, end) = bus.offsets(&topics.input, partition)?;
    let fault = |source| DetectorError::State { topic: topics.input.clone(), partition, source };
    let recovery = match bus.committed(&topics.group, &topics.input, partition)? {
        None => Recovery::First { position: if config.start == Start::Earliest { start } else { end } },
        Some((offset, metadata)) => {
            let foreign = || fault(UnreadableState::Metadata(metadata.clone()));
            let commit = CommitMetadata::parse(&metadata).ok_or_else(foreign)?;
            let entries = read_state(bus, &topics.state, partition, commit)?;
            Recovery::Resume { commit, offset, entries, log_start: start }
        }
    };
    recover(identity, engine, profile, recovery).map_err(fault)
}

/// The state partition's entries from `state_from` through the commit's head.
fn read_state<B: Bus + ?Sized>(
    bus: &mut B,
    topic: &str,
    partition: u32,
    commit: CommitMetadata,
) -> Result<Vec<StateEntry>, DetectorError> {
    let (start, end) = bus.offsets(topic, partition)?;
    let mut deliveries = Vec::new();
    let from = commit.state_from.clamp(start, end);
    bus.read(topic, partition, from, usize::MAX, &mut deliveries)?;
    let mut entries = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        if let Value::State(entry) = delivery.value {
            let is_last = entry.table == "head" && entry.epoch == commit.epoch;
            entries.push(*entry);
            if is_last {
                break;
            }
        }
    }
    Ok(entries)
}
