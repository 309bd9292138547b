//! Application facts: what the first bytes of a conversation say in the clear, as names, counts and fingerprints.
//!
//! Everything here is pure: bytes in, facts out. Work and memory are bounded, damage is no error but the absence of a
//! fact, and nothing panics. Of a direction at most 2 KiB are kept, of one with a TLS hello 4 KiB; protocols that speak in messages (DNS, HTTP, the
//! line-based ones) are then read at the beginning of each segment, without keeping bytes. Payload itself never leaves
//! the sensor.

mod binary;
pub mod conversation;
mod cursor;
mod datagram;
pub mod dns;
pub mod facts;
pub mod fingerprint;
pub mod http;
mod lines;
pub mod quic;
mod ssh;
mod text;
pub mod tls;

pub use conversation::{Conversation, Progress, Segment, begins_anew};
pub use datagram::Exchange;
pub use facts::Facts;
