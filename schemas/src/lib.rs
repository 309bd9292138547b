//! The records that Weir's services exchange: Rust types, Avro schemas, codecs.
//!
//! Times are microseconds since 1970-01-01 UTC ([`Micros`]). `bytes` is IP length (NetFlow's definition).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod app;
pub mod codec;
pub mod commit;
pub mod finding;
pub mod flow;
pub mod host;
pub mod json;
pub mod partial;
pub mod rfc3339;
pub mod schema;
pub mod state;
pub mod tcp;
pub mod time;
pub mod timing;

pub use app::{App, Dns, DnsType, Http, Irc, Login, Ssh, Tls};
pub use codec::{DecodeError, Decoder};
pub use commit::CommitMetadata;
pub use finding::{
    Anomaly, Baseline, Contribution, EpisodeState, EvidenceFlow, Finding, Provenance, ScopeKind, Severity, Technique,
};
pub use flow::{
    Counts, End, EndReason, Flow, Initiator, Link, Mark, MarkStatus, Outcome, Record, Tcp, TcpFlags, Tunnel,
};
pub use host::{Host, Text};
pub use json::{canonical, finding_json};
pub use partial::{Partial, PartialBody};
pub use state::StateEntry;
pub use tcp::{Response, SynOptions, Ttl, WindowSize};
pub use time::{Micros, PANE_US, SECOND_US, pane_end, pane_start};
pub use timing::{Spread, Timing};
