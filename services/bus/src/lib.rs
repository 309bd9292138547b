//! Topics, partitions, offsets and atomic appends. Services meet here and nowhere else.
//!
//! Two implementations: [`local`] in this process, and `kafka`, which is compiled for those who connect to a broker only.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod codec;
pub mod dead;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod local;
pub mod member;
pub mod partition;
pub mod shard;
pub mod topic;
pub mod transaction;
pub mod wire;

pub use codec::{Codec, CodecError};
pub use local::{LocalBus, Retention};
pub use partition::{key_of, partition_of, partition_of_host};
pub use topic::Topics;

use weir_schemas::{Anomaly, Finding, Micros, Partial, Record, StateEntry};

/// What a message holds: a Rust value on the local bus, bytes where a codec is between.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A flow record or a mark (`weir.flows.v1`).
    Record(Record),
    /// A partial aggregate (`weir.partials.v1`).
    Partial(Box<Partial>),
    /// A finding (`weir.findings.v1`).
    Finding(Box<Finding>),
    /// An anomaly (`weir.anomalies.v1`).
    Anomaly(Box<Anomaly>),
    /// A state slot (`weir.state.*.v1`).
    State(Box<StateEntry>),
    /// An encoded value: Avro single-object encoding.
    Bytes(Vec<u8>),
}

/// Names and values that travel beside a message.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A message to append.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Topic name, prefix included.
    pub topic: String,
    /// Partition, always chosen explicitly.
    pub partition: u32,
    /// Key text.
    pub key: String,
    /// Value.
    pub value: Value,
    /// Headers, in order.
    pub headers: Headers,
}

impl Message {
    /// A message without headers.
    #[must_use]
    pub fn new(topic: impl Into<String>, partition: u32, key: impl Into<String>, value: Value) -> Self {
        Self { topic: topic.into(), partition, key: key.into(), value, headers: Headers::new() }
    }
}

/// A message as read from a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its offset.
    pub offset: i64,
    /// The log's append time.
    pub append_time: Micros,
    /// Key text. Kafka's reader leaves it out where the value is decoded: nobody reads it.
    pub key: String,
    /// Value.
    pub value: Value,
    /// Headers, in order.
    pub headers: Headers,
}

/// A group's position in one partition, with the metadata that travels with it (at most 256 bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// Consumer group.
    pub group: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Next offset to read.
    pub offset: i64,
    /// Opaque metadata.
    pub metadata: String,
}

/// What is appended atomically: all of it, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Messages.
    pub messages: Vec<Message>,
    /// Group offsets.
    pub offsets: Vec<GroupOffset>,
}

/// Errors of a bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Environment: the topic does not exist.
    #[error("topic {0} does not exist; create it before starting the service")]
    UnknownTopic(String),
    /// Environment: the partition does not exist.
    #[error("topic {topic} has {count} partitions, not a partition {partition}")]
    UnknownPartition {
        /// Topic.
        topic: String,
        /// The partition asked for.
        partition: u32,
        /// How many there are.
        count: u32,
    },
    /// Bug: the topic exists already, or was to have no partition.
    #[error("topic {topic} cannot be created with {partitions} partitions: it exists, or that is none; a bug in Weir")]
    NotCreated {
        /// Topic.
        topic: String,
        /// Partitions it was to have.
        partitions: u32,
    },
    /// Bug: commit metadata over the limit.
    #[error("commit metadata of {0} bytes exceeds 256 bytes; this is a bug in Weir")]
    MetadataTooLarge(usize),
    /// Environment: the offset is before the log's start (retention) or after its end.
    #[error("offset {offset} of {topic}/{partition} is outside the log, which holds {start}..{end}")]
    OffsetOutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// The offset asked for.
        offset: i64,
        /// First offset in the log.
        start: i64,
        /// One past the last.
        end: i64,
    },
}

/// What the services' loops need of a bus. Reads see committed messages only.
pub trait Bus {
    /// How many partitions `topic` has.
    fn partition_count(&self, topic: &str) -> Result<u32, BusError>;

    /// First offset, and one past the last, of a partition.
    fn offsets(&self, topic: &str, partition: u32) -> Result<(i64, i64), BusError>;

    /// What `group` committed for a partition, if anything.
    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<(i64, String)>, BusError>;

    /// Appends up to `max` messages from `offset` on to `into`; none when the end is reached.
    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), BusError>;

    /// Appends a batch atomically.
    fn append(&mut self, batch: Batch) -> Result<(), BusError>;
}
