//! Which TCP stack a SYN or SYN-ACK looks like: a short table of our own.
//!
//! Every entry is a stack's documented defaults: the hop limit it starts from, its window, and its options in order
//! (Linux `tcp_output.c`, FreeBSD and Darwin `tcp_output.c`, Microsoft's [MS-TCPIP] notes; scanners' own sources). A
//! fingerprint is a hint: anything here can be set by whoever sends.

use weir_schemas::tcp::SynOptions;

use super::health::SynSeen;
use crate::packet::quirk;

/// The hop limits that stacks start from.
const INITIAL_TTLS: [u8; 4] = [32, 64, 128, 255];

/// The hop limit that a packet with `ttl` left was most likely sent with.
pub(super) fn ttl_class(ttl: u8) -> u8 {
    INITIAL_TTLS.into_iter().find(|initial| ttl <= *initial).unwrap_or(255)
}

/// One stack's SYNs. `None` fits anything.
struct Signature {
    stack: &'static str,
    ttl: u8,
    window: Option<u16>,
    scale: Option<u8>,
    order: &'static [u8],
}

/// The first that fits is taken, so more particular ones stand first. Option kinds: 1 none, 2 MSS, 3 scale, 4 SACK
/// permitted, 8 timestamps, 0 end.
const SYNS: [Signature; 12] = [
    Signature { stack: "nmap", ttl: 64, window: Some(1024), scale: None, order: &[2] },
    Signature { stack: "masscan", ttl: 255, window: Some(1024), scale: None, order: &[] },
    Signature { stack: "zmap", ttl: 255, window: Some(65535), scale: None, order: &[] },
    Signature { stack: "zmap", ttl: 255, window: Some(65535), scale: None, order: &[2] },
    Signature { stack: "hping3", ttl: 64, window: Some(512), scale: None, order: &[] },
    Signature { stack: "linux", ttl: 64, window: None, scale: None, order: &[2, 4, 8, 1, 3] },
    Signature { stack: "macos or ios", ttl: 64, window: Some(65535), scale: None, order: &[2, 1, 3, 1, 1, 8, 4, 0] },
    Signature { stack: "freebsd", ttl: 64, window: Some(65535), scale: None, order: &[2, 1, 3, 4, 8] },
    Signature { stack: "openbsd", ttl: 64, window: Some(16384), scale: None, order: &[2, 1, 1, 4, 1, 3, 1, 1, 8] },
    Signature { stack: "windows", ttl: 128, window: None, scale: Some(8), order: &[2, 1, 3, 1, 1, 4] },
    Signature { stack: "windows", ttl: 128, window: None, scale: None, order: &[2, 1, 3, 1, 1, 4] },
    Signature { stack: "windows", ttl: 128, window: None, scale: None, order: &[2, 1, 1, 4] },
];

/// What stacks answer a SYN with all options with; without them no order is left to tell them by.
const SYN_ACKS: [Signature; 5] = [
    Signature { stack: "linux", ttl: 64, window: None, scale: None, order: &[2, 4, 8, 1, 3] },
    Signature { stack: "linux", ttl: 64, window: None, scale: None, order: &[2, 1, 1, 4, 1, 3] },
    Signature { stack: "freebsd", ttl: 64, window: Some(65535), scale: None, order: &[2, 1, 3, 4, 8] },
    Signature { stack: "windows", ttl: 128, window: None, scale: None, order: &[2, 1, 3, 4, 8] },
    Signature { stack: "windows", ttl: 128, window: None, scale: None, order: &[2, 1, 3, 1, 1, 4] },
];

/// The stack that a SYN or SYN-ACK looks like; empty where none fits.
fn likely_stack(seen: &SynSeen) -> &'static str {
    let table: &[Signature] = if seen.shape.is_answer { &SYN_ACKS } else { &SYNS };
    let class = ttl_class(seen.ttl);
    let fits = |signature: &&Signature| {
        signature.ttl == class
            && signature.window.is_none_or(|window| window == seen.window)
            && (signature.scale.is_none() || signature.scale == seen.shape.scale)
            && signature.order == seen.shape.kinds()
    };
    table.iter().find(fits).map_or("", |signature| signature.stack)
}

/// The fingerprint as a record tells it.
pub(super) fn told(seen: &SynSeen) -> SynOptions {
    let names = quirk::NAMES.iter().enumerate().filter(|(bit, _)| seen.shape.quirks & 1 << bit != 0);
    SynOptions {
        mss: seen.shape.mss,
        scale: seen.shape.scale,
        sack: seen.shape.sack,
        ts: seen.shape.timestamps,
        order: seen.shape.kinds().to_vec(),
        quirks: names.map(|(_, name)| *name).collect::<Vec<_>>().join(","),
        ttl_class: ttl_class(seen.ttl),
        window: seen.window,
        stack: likely_stack(seen).to_owned(),
    }
}
