//! The bus over Apache Kafka: members of groups, publishers, followers, topics.
//!
//! What crosses into the rest of Weir are its own types; librdkafka's stay in here. Each client reports what goes wrong outside
//! of calls to [`Notices`], from where it is told once, in one line.

mod admin;
mod assignment;
mod connect;
mod decode;
mod disk;
mod fault;
mod member;
mod notices;
mod partition_reader;
mod publisher;
mod reader;
mod remedy;
mod settings;
mod standing;
mod transactions;
mod writer;
mod writers;

pub use admin::{Admin, AdminError, Creation, Growth, Scale};
pub use connect::{ConnectError, ConnectFault};
pub use disk::{DiskUse, Load, disk_use};
pub use member::{KafkaMember, Membership};
pub use notices::{Notices, Warning};
pub use publisher::{Counts, PublishError, Publisher};
pub use reader::{Begin, Reader};
pub use settings::{Settings, SettingsError};
pub use standing::{Difference, Found, Standing};
