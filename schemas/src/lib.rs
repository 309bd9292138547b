//! The records that Weir's services exchange: Rust types, Avro schemas, codecs.
//!
//! Times are microseconds since 1970-01-01 UTC ([`Micros`]). `bytes` is IP length (NetFlow's definition).
#![forbid(unsafe_code)]

pub mod finding;
pub mod flow;
pub mod host;
pub mod partial;
pub mod state;
pub mod time;

pub use finding::{
    Anomaly, Baseline, Contribution, EpisodeState, EvidenceFlow, Finding, Provenance, ScopeKind, Severity, Technique,
};
pub use flow::{Counts, End, EndReason, Flow, Initiator, Link, Mark, MarkStatus, Outcome, Record, Tcp, TcpFlags};
pub use host::{Host, Text};
pub use partial::{Partial, PartialBody};
pub use state::StateEntry;
pub use time::{Micros, PANE_US, SECOND_US, pane_end, pane_start};
