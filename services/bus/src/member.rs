//! A member of a consumer group that answers its input with transactions: what a service's shard needs of a broker.
//!
//! Kafka implements it, and so does the simulated log that the tests run the same shards over.

use std::time::Duration;

use weir_schemas::Micros;

use crate::{Delivery, Message};

/// What a member met since it last looked.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The group gave this member these partitions; none, where its first answer is that there are none for it. Nothing is
    /// delivered from them before [`Member::start`].
    Assigned(Vec<u32>),
    /// The group took these partitions away, in order or because it gave the member up for dead: what is not committed of
    /// them is another's to make again.
    Revoked(Vec<u32>),
    /// A committed record of a started partition. Offsets of a partition rise, with gaps.
    Record {
        /// Partition of the input.
        partition: u32,
        /// The record. A flow record's value may still be as it was sent ([`Value::Bytes`](crate::Value::Bytes)).
        delivery: Delivery,
    },
    /// A started partition has no more for now. Told each time that its end is met.
    End {
        /// Partition of the input.
        partition: u32,
    },
    /// The offset that a partition stands at is not in its log: retention overtook it. Nothing more comes of the partition
    /// until it is started anew.
    OutOfRange {
        /// Partition of the input.
        partition: u32,
    },
}

/// A group's commit for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Next offset to read.
    pub offset: i64,
    /// What was committed with it.
    pub metadata: String,
}

/// An offset to commit for one partition of the member's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Partition of the input.
    pub partition: u32,
    /// Next offset to read.
    pub offset: i64,
    /// Travels with it, at most [`MAX_METADATA_BYTES`](weir_schemas::commit::MAX_METADATA_BYTES).
    pub metadata: String,
}

/// What helps after an error. In Kafka's words: retriable, abortable, fenced, fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same call again.
    Retry,
    /// Abort the transaction; the same messages may go into another one, while the partitions are still the member's.
    Abort,
    /// Another took this member's place: its tasks are to be dropped, uncommitted, and the member with them.
    Leave,
    /// Nothing within this process: end it, and let it be started again.
    Restart,
}

/// Environment: the broker, or the way to it, did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct MemberError {
    /// What helps.
    pub remedy: Remedy,
    /// What happened, one line.
    pub detail: String,
}

impl MemberError {
    /// An error that a repetition may mend.
    #[must_use]
    pub fn retry(detail: impl Into<String>) -> Self {
        Self { remedy: Remedy::Retry, detail: detail.into() }
    }

    /// An error that only a restart mends.
    #[must_use]
    pub fn restart(detail: impl Into<String>) -> Self {
        Self { remedy: Remedy::Restart, detail: detail.into() }
    }
}

/// Moments of a commit at which a process may die; tests make it do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// The transaction is begun, nothing sent.
    AfterBegin,
    /// Every message is sent.
    AfterSend,
    /// The offsets are part of the transaction.
    AfterOffsets,
    /// All of it is with the broker, the commit is not asked for.
    BeforeCommit,
}

impl FaultPoint {
    /// Its name in a fault's specification.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AfterBegin => "after_begin",
            Self::AfterSend => "after_send",
            Self::AfterOffsets => "after_offsets",
            Self::BeforeCommit => "before_commit",
        }
    }
}

/// One member of one group over one input topic. Calls block for seconds at most: whoever calls decides how long to go on.
pub trait Member {
    /// Time since some moment, never going back: deadlines are measured on it.
    fn now(&self) -> Duration;

    /// Time of day, µs since 1970 UTC. For reporting and pacing, never for output.
    fn time_of_day(&self) -> Micros;

    /// Lets time pass.
    fn wait(&mut self, duration: Duration);

    /// How many partitions `topic` has at present.
    fn partition_count(&mut self, topic: &str) -> Result<u32, MemberError>;

    /// First offset in a partition's log, and one past the last, records of unfinished transactions included.
    fn bounds(&mut self, topic: &str, partition: u32) -> Result<(i64, i64), MemberError>;

    /// Appends up to `max` committed messages of any partition, from `offset` on, to `into`; not as a member of the group.
    /// True when what is visible now ends there. An offset before the log's start reads from its start.
    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, MemberError>;

    /// What the group has committed for these partitions of the input, in the same order. A commit that is still under way
    /// is waited for: [`Remedy::Retry`] while it is.
    fn committed(&mut self, partitions: &[u32]) -> Result<Vec<Option<Committed>>, MemberError>;

    /// Waits up to `wait` until there is something, then takes what is there, about `max` events, into `into`.
    fn poll(&mut self, wait: Duration, max: usize, into: &mut Vec<Event>) -> Result<(), MemberError>;

    /// Delivers an assigned partition from `offset` on, whatever was delivered of it before.
    fn start(&mut self, partition: u32, offset: i64) -> Result<(), MemberError>;

    /// Delivers nothing more of a started partition for now. What was fetched already may still come.
    fn pause(&mut self, partition: u32) -> Result<(), MemberError>;

    /// Goes on where [`Member::pause`] stopped.
    fn resume(&mut self, partition: u32) -> Result<(), MemberError>;

    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), MemberError>;

    /// Adds a message to the transaction. Its arrival is known at [`Member::commit`] only.
    fn send(&mut self, message: &Message) -> Result<(), MemberError>;

    /// Adds the group's offsets to the transaction, under the membership as it stands now.
    fn send_offsets(&mut self, offsets: &[OffsetCommit]) -> Result<(), MemberError>;

    /// Commits the transaction, messages delivered. After [`Remedy::Retry`] it is unknown whether it took place, and only the
    /// same call tells.
    fn commit(&mut self) -> Result<(), MemberError>;

    /// Aborts the transaction.
    fn abort(&mut self) -> Result<(), MemberError>;

    /// Passes a moment at which a test may let the process die.
    fn pass(&mut self, _point: FaultPoint) -> Result<(), MemberError> {
        Ok(())
    }
}
