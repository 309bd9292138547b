//! A simulated log: brokers, groups and transactions in memory, on virtual time, under a schedule of faults that follows from
//! a seed. The shards that run over Kafka run over it, unchanged.
//!
//! What it can do to a member is what Kafka can: see [`Cluster`] and [`Faults`]. What a member must not do makes it panic,
//! naming the seed.

pub mod cluster;
mod consumer;
mod coordinator;
mod disaster;
pub mod faults;
mod group;
mod log;
pub mod member;
mod operator;
pub mod pipeline;
pub mod plain;
mod producer;
mod publisher;
pub mod sabotage;
pub mod tally;
pub mod traffic;
pub mod verdicts;
pub mod world;

pub use cluster::{Cluster, Trace};
pub use disaster::{Disaster, Expectation, Stage};
pub use faults::{Call, Faults};
pub use member::{Membership, SimulatedMember};
