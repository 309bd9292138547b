//! What a shard tells of itself: one value for each thing that happened, for its service to log and count.

use std::fmt;
use std::time::Duration;

use crate::shard::ResetCause;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The group gave these partitions.
    Assigned(Vec<u32>),
    /// The group took these partitions.
    Revoked(Vec<u32>),
    /// These partitions are the member's, and more than it may take: they are not read.
    Refused(Vec<u32>),
    /// A partition's state is not visible yet; it is looked for again.
    Waiting {
        /// Partition of the input.
        partition: u32,
        /// Epoch that the group committed.
        committed: u64,
        /// Newest epoch that the state partition shows.
        found: Option<u64>,
    },
    /// A partition's task goes on.
    Restored(Restored),
    /// A restored task has all it had before its commit.
    CaughtUp {
        /// Partition of the input.
        partition: u32,
        /// Records read again for it.
        replayed: u64,
        /// Time since the group gave the partition.
        took: Duration,
    },
    /// Entries of a state partition that are none.
    Poison {
        /// Partition of the state topic.
        partition: u32,
        /// How many.
        entries: usize,
    },
    /// A transaction took place.
    Committed {
        /// Partitions of the input whose offsets it holds.
        partitions: Vec<u32>,
        /// Messages in it.
        messages: usize,
        /// Time from its begin to its end.
        took: Duration,
    },
    /// A transaction was given up, and will be tried again.
    Aborted {
        /// Why.
        detail: String,
    },
    /// The input has another number of partitions than before.
    Grown {
        /// As many.
        partitions: u32,
    },
    /// A read position was overtaken by retention while the partition was being read.
    Overtaken {
        /// Partition of the input.
        partition: u32,
    },
    /// A call failed and is repeated.
    Trouble {
        /// What happened.
        detail: String,
    },
}

/// How a partition's task went on.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Partition of the input.
    pub partition: u32,
    /// Row of the table of offsets.
    pub row: Row,
    /// Why state is not what is gone on from, in words; empty otherwise.
    pub detail: String,
    /// Number of the commit gone on from.
    pub epoch: u64,
    /// Committed offset, or where reading begins without one.
    pub offset: i64,
    /// Where reading begins.
    pub position: i64,
    /// Records between the log's start and where reading begins: how near retention has come. Negative where it has overtaken.
    pub margin: i64,
    /// State entries read.
    pub entries: usize,
    /// Time since the group gave the partition.
    pub took: Duration,
}

/// Rows of the table of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Commit and state agree.
    Normal,
    /// Likewise, but retention has overtaken where the refill would begin.
    Overtaken,
    /// No commit, no state.
    First,
    /// No commit, but state.
    Expired,
    /// Nothing to go on from but what outlives a reset.
    Reset(ResetCause),
}

impl Row {
    /// As logs and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Overtaken => "retention_overtaken",
            Self::First => "first_start",
            Self::Expired => "group_expired",
            Self::Reset(cause) => cause.name(),
        }
    }

    /// Whether somebody should look: something was lost, or an operator did this.
    #[must_use]
    pub fn is_alarm(self) -> bool {
        !matches!(self, Self::Normal | Self::First)
    }
}

/// How urgently somebody should read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Of use when something else is wrong.
    Detail,
    /// The course of things.
    Note,
    /// Something is amiss, and being dealt with.
    Warning,
    /// Something was lost, or needs somebody.
    Alarm,
}

impl Report {
    /// How urgently somebody should read it.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            Self::Committed { .. } => Weight::Detail,
            Self::Restored(restored) if restored.row.is_alarm() => Weight::Alarm,
            Self::Assigned(_) | Self::Revoked(_) | Self::Restored(_) | Self::CaughtUp { .. } | Self::Grown { .. } => {
                Weight::Note
            }
            Self::Waiting { .. } | Self::Aborted { .. } | Self::Trouble { .. } => Weight::Warning,
            Self::Refused(_) | Self::Poison { .. } | Self::Overtaken { .. } => Weight::Alarm,
        }
    }
}

impl Report {
    /// One line in the log of whose shard it is: `source`, `site`, `results`.
    pub fn log(&self, stage: &'static str) {
        match self.weight() {
            Weight::Detail => tracing::debug!(stage, "{self}"),
            Weight::Note => tracing::info!(stage, "{self}"),
            Weight::Warning => tracing::warn!(stage, "{self}"),
            Weight::Alarm => tracing::error!(stage, "{self}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assigned(partitions) => write!(f, "assigned partitions {partitions:?}"),
            Self::Revoked(partitions) => write!(f, "partitions {partitions:?} went to others"),
            Self::Refused(partitions) => write!(
                f,
                "partitions {partitions:?} are not read: they are more than this member may take; start another member"
            ),
            Self::Waiting { partition, committed, found } => write!(
                f,
                "partition {partition}: state of epoch {committed} is not visible yet, only {}; waiting",
                found.map_or("none".to_owned(), |found| format!("epoch {found}")),
            ),
            Self::Restored(restored) => restored.fmt(f),
            Self::CaughtUp { partition, replayed, took } => {
                write!(f, "partition {partition}: caught up, {replayed} records replayed, {} ms", took.as_millis())
            }
            Self::Poison { partition, entries } => {
                write!(f, "partition {partition}: {entries} messages of the state topic are no state entries; left out")
            }
            Self::Committed { partitions, messages, took } => {
                write!(f, "committed partitions {partitions:?}, {messages} messages, {} ms", took.as_millis())
            }
            Self::Aborted { detail } => write!(f, "transaction aborted, to be tried again: {detail}"),
            Self::Grown { partitions } => write!(f, "the input has {partitions} partitions now"),
            Self::Overtaken { partition } => {
                write!(f, "partition {partition}: retention removed records before they were read")
            }
            Self::Trouble { detail } => write!(f, "trying again: {detail}"),
        }
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, row, detail, epoch, offset, position, margin, entries, took } = self;
        write!(
            f,
            "partition {partition}: restored ({}), epoch {epoch}, offset {offset}, reading from {position}, \
             {margin} records after the log's start, {entries} state entries, {} ms",
            row.name(),
            took.as_millis()
        )?;
        match row {
            Row::Normal | Row::First => Ok(()),
            Row::Overtaken => write!(f, "; panes that lost records are judged incomplete"),
            Row::Expired => write!(f, "; {detail}"),
            Row::Reset(_) => write!(f, "; {detail}; open panes and episodes begin anew, baselines stay"),
        }
    }
}
