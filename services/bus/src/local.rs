//! The local bus: topics, partitions and offsets in this process, with the same promises as a transactional broker.

use std::collections::{HashMap, VecDeque};

use weir_schemas::commit::MAX_METADATA_BYTES;
use weir_schemas::{Micros, Record};

use crate::codec::Codec;
use crate::{Batch, Bus, BusError, Delivery, GroupOffset, Value};

/// What becomes of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It stays: a read clones. For tests and replays.
    All,
    /// A read takes it, and whatever stands before it, out of the log. Nothing is cloned, memory does not grow, and one
    /// reader is all a partition can have.
    UntilRead,
}

struct Partition {
    /// Offset of the first message in the log.
    start: i64,
    log: VecDeque<Delivery>,
}

impl Partition {
    fn end(&self) -> i64 {
        self.start + self.log.len() as i64
    }
}

struct Topic {
    name: String,
    retention: Retention,
    partitions: Vec<Partition>,
}

/// Offset and metadata of one group, by topic index and partition.
type CommittedByPartition = HashMap<(usize, u32), (i64, String)>;

/// A bus within this process. One thread owns it; tasks share it by taking turns.
#[derive(Default)]
pub struct LocalBus {
    topics: Vec<Topic>,
    by_name: HashMap<String, usize>,
    committed: HashMap<String, CommittedByPartition>,
    codec: Option<Box<dyn Codec>>,
    /// Newest event time appended so far; 0 before the first record.
    newest_event_time: Micros,
}

impl LocalBus {
    /// A bus without topics, on which values travel as Rust types.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus on which every value is encoded at append and decoded at read.
    #[must_use]
    pub fn with_codec(codec: Box<dyn Codec>) -> Self {
        Self { codec: Some(codec), ..Self::default() }
    }

    /// Creates a topic. It must be new and have at least one partition.
    pub fn create(&mut self, topic: &str, partitions: u32, retention: Retention) -> Result<(), BusError> {
        if partitions == 0 || self.by_name.contains_key(topic) {
            return Err(BusError::NotCreated { topic: topic.to_owned(), partitions });
        }
        let partitions = (0..partitions).map(|_| Partition { start: 0, log: VecDeque::new() }).collect();
        self.by_name.insert(topic.to_owned(), self.topics.len());
        self.topics.push(Topic { name: topic.to_owned(), retention, partitions });
        Ok(())
    }

    /// Appends a batch atomically, every message with the same append time. For tests of the append clock;
    /// [`Bus::append`] takes the time from the records.
    pub fn append_at(&mut self, batch: Batch, append_time: Micros) -> Result<(), BusError> {
        self.append_with(batch, |_, _| append_time)
    }

    /// Validates the whole batch, then applies it: nothing after the validation can fail.
    fn append_with(
        &mut self,
        batch: Batch,
        mut append_time: impl FnMut(&mut Micros, &Value) -> Micros,
    ) -> Result<(), BusError> {
        let mut topic_indices = Vec::with_capacity(batch.messages.len());
        let mut last: Option<usize> = None;
        for message in &batch.messages {
            // Batches run in stretches of one topic: the comparison is cheaper than the hash.
            let index = match last {
                Some(index) if self.topics[index].name == message.topic => index,
                _ => self.topic_index(&message.topic)?,
            };
            self.check_partition(index, message.partition)?;
            topic_indices.push(index);
            last = Some(index);
        }
        let mut offset_topics = Vec::with_capacity(batch.offsets.len());
        for offset in &batch.offsets {
            let index = self.topic_index(&offset.topic)?;
            self.check_partition(index, offset.partition)?;
            if offset.metadata.len() > MAX_METADATA_BYTES {
                return Err(BusError::MetadataTooLarge(offset.metadata.len()));
            }
            offset_topics.push(index);
        }

        for (message, topic) in batch.messages.into_iter().zip(topic_indices) {
            let append_time = append_time(&mut self.newest_event_time, &message.value);
            let value = match (&self.codec, message.value) {
                (Some(codec), value) if !matches!(value, Value::Bytes(_)) => Value::Bytes(codec.encode(&value)),
                (_, value) => value,
            };
            let partition = &mut self.topics[topic].partitions[message.partition as usize];
            let offset = partition.end();
            partition.log.push_back(Delivery {
                offset,
                append_time,
                key: message.key,
                value,
                headers: message.headers,
            });
        }
        for (GroupOffset { group, partition, offset, metadata, .. }, topic) in
            batch.offsets.into_iter().zip(offset_topics)
        {
            self.committed.entry(group).or_default().insert((topic, partition), (offset, metadata));
        }
        Ok(())
    }

    fn topic_index(&self, topic: &str) -> Result<usize, BusError> {
        self.by_name.get(topic).copied().ok_or_else(|| BusError::UnknownTopic(topic.to_owned()))
    }

    fn check_partition(&self, topic: usize, partition: u32) -> Result<(), BusError> {
        let Topic { name, partitions, .. } = &self.topics[topic];
        if (partition as usize) < partitions.len() {
            return Ok(());
        }
        Err(BusError::UnknownPartition { topic: name.clone(), partition, count: partitions.len() as u32 })
    }

    fn partition(&self, topic: &str, partition: u32) -> Result<(usize, &Partition), BusError> {
        let index = self.topic_index(topic)?;
        self.check_partition(index, partition)?;
        Ok((index, &self.topics[index].partitions[partition as usize]))
    }
}

/// Append time on the local bus = newest event time seen so far. A mark counts with its `t`; one that ends its sensor
/// does not, for it promises that nothing follows and so may name any time.
fn advance(newest: &mut Micros, value: &Value) -> Micros {
    let event_time = match value {
        Value::Record(Record::Flow(flow)) => Some(flow.event_time),
        Value::Record(Record::Mark(mark)) if !mark.end => Some(mark.t),
        _ => None,
    };
    if let Some(time) = event_time {
        *newest = (*newest).max(time);
    }
    *newest
}

impl Bus for LocalBus {
    fn partition_count(&self, topic: &str) -> Result<u32, BusError> {
        Ok(self.topics[self.topic_index(topic)?].partitions.len() as u32)
    }

    fn offsets(&self, topic: &str, partition: u32) -> Result<(i64, i64), BusError> {
        let (_, partition) = self.partition(topic, partition)?;
        Ok((partition.start, partition.end()))
    }

    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<(i64, String)>, BusError> {
        let (topic, _) = self.partition(topic, partition)?;
        Ok(self.committed.get(group).and_then(|offsets| offsets.get(&(topic, partition))).cloned())
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), BusError> {
        let (index, Partition { start, .. }) = self.partition(topic, partition)?;
        let start = *start;
        let Topic { retention, partitions, .. } = &mut self.topics[index];
        let log = &mut partitions[partition as usize];
        if offset < start || offset > log.end() {
            return Err(BusError::OffsetOutOfRange {
                topic: topic.to_owned(),
                partition,
                offset,
                start,
                end: log.end(),
            });
        }

        let first = (offset - start) as usize;
        let end = log.log.len().min(first.saturating_add(max));
        let first_delivery = into.len();
        match retention {
            Retention::All => into.extend(log.log.range(first..end).cloned()),
            Retention::UntilRead => {
                log.log.drain(..first);
                into.extend(log.log.drain(..end - first));
                log.start = start + end as i64;
            }
        }

        if let Some(codec) = &self.codec {
            for delivery in &mut into[first_delivery..] {
                if let Value::Bytes(bytes) = &delivery.value
                    && let Ok(value) = codec.decode(topic, bytes)
                {
                    delivery.value = value;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, batch: Batch) -> Result<(), BusError> {
        self.append_with(batch, advance)
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
