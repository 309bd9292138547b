//! What the group gave this member, and from where each partition is delivered.

use std::sync::{Mutex, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::notices::Notices;
use crate::member::Event;

/// What the group changed since it was last asked, in order.
#[derive(Debug, Default)]
struct Changes {
    events: Vec<Event>,
    /// The group has answered this member before.
    is_answered: bool,
    /// The client did not accept a change: what it delivers from is not what the group thinks.
    refused: Option<String>,
}

/// Takes and gives back partitions as the group wants it, while the member's thread polls.
#[derive(Debug, Default)]
pub(super) struct GroupContext {
    notices: Notices,
    /// Only the polling thread comes here; the lock is the trait's price.
    changes: Mutex<Changes>,
}

impl GroupContext {
    pub(super) fn new(notices: Notices) -> Self {
        Self { notices, changes: Mutex::default() }
    }

    /// Moves the changes to `into`.
    ///
    /// # Errors
    /// The client did not accept one: the member cannot go on.
    pub(super) fn take(&self, into: &mut Vec<Event>) -> Result<(), String> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut changes.events);
        changes.refused.take().map_or(Ok(()), Err)
    }

    /// The group's first answer counts without partitions too: where there are more members than those, it is all that comes.
    fn is_first(&self) -> bool {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut changes.is_answered, true)
    }

    fn note(&self, event: Event, outcome: KafkaResult<()>) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.events.push(event);
        if let Err(error) = outcome {
            changes.refused = Some(error.to_string());
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
        self.notices.log(level, facility, text);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.notices.error(error, reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for GroupContext {
    /// Assigned partitions are paused at once: their owner says from where they are delivered, once it knows.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // A number, whichever: nothing may be under way that the client looks up. Without an offset it would ask for the
            // group's commit; and the answer to a question for the log's end or beginning, when it comes after a seek, is asked
            // for anew and moves the partition there (librdkafka 2.12.1, `rd_kafka_toppar_handle_Offset`): records are skipped.
            let outcome = list
                .set_all_offsets(Offset::Offset(0))
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| if partitions.is_empty() { Ok(()) } else { consumer.pause(list) });
            if self.is_first() || !partitions.is_empty() || outcome.is_err() {
                self.note(Event::Assigned(partitions), outcome);
            }
            return;
        }
        let outcome = consumer.incremental_unassign(list);
        if !partitions.is_empty() || outcome.is_err() {
            self.note(Event::Revoked(partitions), outcome);
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<u32> {
    // An empty list may have no elements' address to read from (rust-rdkafka #681).
    if list.count() == 0 {
        return Vec::new();
    }
    list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect()
}

/// From where each started partition goes on: next offset by partition.
#[derive(Debug, Default)]
pub(super) struct Positions(Vec<Option<i64>>);

impl Positions {
    /// The partition is delivered from `offset` on.
    pub(super) fn start(&mut self, partition: u32, offset: i64) {
        let index = partition as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(offset);
    }

    /// Nothing more of the partition.
    pub(super) fn stop(&mut self, partition: u32) {
        if let Some(position) = self.0.get_mut(partition as usize) {
            *position = None;
        }
    }

    /// Whether a record is to be delivered; then the position is after it.
    pub(super) fn advance(&mut self, partition: i32, offset: i64) -> Option<u32> {
        let partition = u32::try_from(partition).ok()?;
        let next = self.0.get_mut(partition as usize)?.as_mut()?;
        if offset < *next {
            return None;
        }
        *next = offset + 1;
        Some(partition)
    }

    /// The partition's position, if it is started.
    pub(super) fn next(&self, partition: u32) -> Option<i64> {
        self.0.get(partition as usize).copied().flatten()
    }

    /// The partition, if it is started.
    pub(super) fn started_at(&self, partition: i32) -> Option<u32> {
        let partition = u32::try_from(partition).ok()?;
        self.next(partition).map(|_| partition)
    }

    /// Started partitions and their positions.
    pub(super) fn started(&self) -> Vec<(u32, i64)> {
        self.0.iter().zip(0_u32..).filter_map(|(position, partition)| Some((partition, (*position)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_once_from_where_their_partition_was_started() {
        let mut positions = Positions::default();
        assert_eq!(positions.advance(2, 0), None, "not started");
        positions.start(2, 10);
        let table = [(9, None), (10, Some(2)), (10, None), (14, Some(2)), (13, None)];
        for (offset, partition) in table {
            assert_eq!(positions.advance(2, offset), partition, "{offset}");
        }
        assert_eq!(positions.started(), [(2, 15)]);
        assert_eq!((positions.advance(-1, 99), positions.advance(3, 99), positions.advance(1, 99)), (None, None, None));
        positions.start(2, 0);
        assert_eq!(positions.advance(2, 0), Some(2), "from wherever it is started");
        positions.stop(2);
        assert_eq!((positions.advance(2, 1), positions.started_at(2)), (None, None));
    }
}
