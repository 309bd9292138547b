//! The decoders against messages made here.

pub(crate) mod build;
mod netflow;
mod sflow;

use std::net::SocketAddr;

use weir_schemas::{Micros, SECOND_US};

use super::*;
use crate::declared::DeclaredFlow;

/// When the test's messages are exported.
pub(crate) const EXPORTED: u32 = 1_700_000_000;
/// Likewise, µs.
const NOW: Micros = EXPORTED as Micros * SECOND_US;

fn sender() -> SocketAddr {
    ([192, 0, 2, 254], 40_000).into()
}

/// What these datagrams of one sender make.
fn decode(datagrams: &[Vec<u8>]) -> (Vec<DeclaredFlow>, ExportCounters) {
    let mut exports = Exports::new();
    let mut flows = Vec::new();
    for datagram in datagrams {
        exports.datagram(sender(), NOW, datagram, &mut flows);
    }
    exports.finish();
    (flows, exports.counters().clone())
}

/// `source:port > destination:port protocol packets/bytes`, and the same of the reverse direction.
fn shown(flow: &DeclaredFlow) -> String {
    let reverse = flow.rev.map_or(String::new(), |rev| format!(" {}/{}", rev.packets, rev.bytes));
    let ends = [&flow.src, &flow.dst].map(|end| format!("{}:{}", end.host, end.port));
    format!("{} > {} {} {}/{}{reverse}", ends[0], ends[1], flow.proto, flow.fwd.packets, flow.fwd.bytes)
}

fn shown_all(flows: &[DeclaredFlow]) -> Vec<String> {
    flows.iter().map(shown).collect()
}
