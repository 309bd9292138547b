//! Counts since a flow began (`octetTotalCount`, `packetTotalCount`) as counts since its last record.

use weir_schemas::{Host, Micros};

use super::bounded::Bounded;
use crate::declared::{DeclaredFlow, Exporter, Measured};

/// Flows whose totals are remembered. Of a flow that was forgotten in between, the next record counts whole.
const MOST_FLOWS: usize = 65_536;

/// One flow of one exporter: another flow of the same ends has another start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    exporter: Option<Exporter>,
    source: (Host, u16),
    destination: (Host, u16),
    protocol: u8,
    start: Micros,
}

/// What was counted up to a flow's last record.
#[derive(Clone, Copy, Debug)]
struct Seen {
    forward: Measured,
    reverse: Measured,
    end: Micros,
}

/// Totals of the flows seen last.
#[derive(Debug)]
pub(super) struct Totals {
    seen: Bounded<Key, Seen>,
}

impl Default for Totals {
    fn default() -> Self {
        Self { seen: Bounded::new(MOST_FLOWS) }
    }
}

impl Totals {
    /// Takes from a flow's totals what an earlier record has told; false where nothing is left.
    pub(super) fn difference(&mut self, flow: &mut DeclaredFlow) -> bool {
        let key = Key {
            exporter: flow.exporter,
            source: (flow.src.host.clone(), flow.src.port),
            destination: (flow.dst.host.clone(), flow.dst.port),
            protocol: flow.proto,
            start: flow.start,
        };
        let now = Seen { forward: flow.fwd, reverse: flow.rev.unwrap_or_default(), end: flow.end };
        let Some(before) = self.seen.insert(&key, now) else { return true };
        flow.fwd = minus(now.forward, before.forward);
        flow.rev = flow.rev.map(|_| minus(now.reverse, before.reverse));
        flow.start = before.end.min(flow.end);
        flow.fwd.packets > 0 || flow.rev.is_some_and(|reverse| reverse.packets > 0)
    }
}

/// Totals that went back began anew.
fn minus(now: Measured, before: Measured) -> Measured {
    if now.packets < before.packets || now.bytes < before.bytes {
        return now;
    }
    Measured { packets: now.packets - before.packets, bytes: now.bytes - before.bytes, payload: None }
}

#[cfg(test)]
mod tests {
    use weir_schemas::End;

    use super::*;

    fn flow(port: u16, start: Micros, end: Micros, packets: u64) -> DeclaredFlow {
        let end_of = |last| End::new(Host::V4([192, 0, 2, last].into()), port);
        let mut flow = DeclaredFlow::new(end_of(1), end_of(2), 17, start, end);
        flow.fwd = Measured { packets, bytes: packets * 100, payload: None };
        flow
    }

    #[test]
    fn totals_become_what_was_added() {
        let mut totals = Totals::default();
        let mut sums = Vec::new();
        for (end, packets) in [(10, 3), (20, 8), (30, 8), (40, 9)] {
            let mut flow = flow(1, 0, end, packets);
            if totals.difference(&mut flow) {
                sums.push((flow.start, flow.end, flow.fwd.packets, flow.fwd.bytes));
            }
        }
        assert_eq!(sums, [(0, 10, 3, 300), (10, 20, 5, 500), (30, 40, 1, 100)]);
    }

    #[test]
    fn another_start_is_another_flow() {
        let mut totals = Totals::default();
        for start in [0, 50] {
            let mut flow = flow(1, start, 100, 7);
            assert!(totals.difference(&mut flow));
            assert_eq!(flow.fwd.packets, 7);
        }
    }
}
