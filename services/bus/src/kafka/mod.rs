//! The bus over Apache Kafka: members of groups, publishers, followers, topics.
//!
//! What crosses into the rest of Weir are its own types; librdkafka's stay in here. Each client reports what goes wrong outside
//! of calls to [`Notices`], from where it is told once, in one line.

mod assignment;
mod connect;
mod decode;
mod fault;
mod member;
mod notices;
mod partition_reader;
mod remedy;
mod settings;
mod transactions;

pub use connect::{ConnectError, ConnectFault};
pub use member::{KafkaMember, Membership};
pub use notices::{Notices, Warning};
pub use settings::{Settings, SettingsError};
