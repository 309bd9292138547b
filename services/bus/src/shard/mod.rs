//! A shard: one member, its transactions, and a task for each partition that the group gave it.

mod task;

pub use task::{Due, PartitionCounts, Place, Recovery, Refusal, ResetCause, Sealed, Task};
