//! What of a pane the site stage is told: the counts that fit into a share of bytes, heaviest first.
//!
//! Counts go before evidence: what room they leave has the flows of the responders with most incomplete SYNs.

use weir_schemas::partial::{PartialCounts, PartialFlow, PartialSensor, ReceiverCounts, ResponderCounts, SiteCounts};
use weir_schemas::{Host, Text};

use crate::distinct::{Distinct, WireLength};
use crate::fit::fit;
use crate::pane::{PaneReceiver, PaneResponder, PaneSite};
use crate::site_summary::{CARRIED_BYTES, RELEVANT_SYN};
use crate::summary::SeenBy;

/// Names of the sensors that evidence bits stand for, with vantage bits and losses.
pub type SensorsOf<'a> = &'a dyn Fn(SeenBy) -> Vec<(Text, u8, u64)>;

/// A pane's tables, in any order, and what eviction may have hidden from each.
#[derive(Debug)]
pub(crate) struct PaneTables {
    pub(crate) receivers: Vec<(Host, PaneReceiver)>,
    pub(crate) receivers_error: u64,
    pub(crate) responders: Vec<((Host, u16), PaneResponder)>,
    pub(crate) responders_error: u64,
    pub(crate) sites: Vec<(Text, PaneSite)>,
}

/// What is told, and how much was not that might matter.
#[derive(Debug)]
pub struct ToldCounts {
    /// All of it, for all partitions.
    pub counts: PartialCounts,
    /// Keys left out, where the heaviest of them in every partition would together be a tenth of what any verdict asks for.
    pub left_out: u64,
}

/// Octets of the numbers of a receiver and of a responder, at most in ordinary traffic.
const NUMBERS: usize = 9;

fn host_bytes(host: &Host) -> usize {
    match host {
        Host::V4(_) => 6,
        Host::V6(_) => 18,
        Host::Name(name) => name.len() + 3,
    }
}

fn set_bytes(set: &Distinct) -> usize {
    match set.wire_length() {
        WireLength::Hashes(count) => 8 * count + 4,
        WireLength::Registers(count) => count + 4,
    }
}

fn flow_bytes(flow: &PartialFlow) -> usize {
    const HASHES_PORTS_TIME_COUNTS: usize = 8 + 20 + 6 + 9 + 8;
    HASHES_PORTS_TIME_COUNTS + host_bytes(&flow.src) + host_bytes(&flow.dst)
}

/// What goes into `bytes` octets; the input has `partitions` partitions, each of which may leave out as much.
pub(crate) fn tell(tables: PaneTables, bytes: usize, partitions: u32, sensors: SensorsOf<'_>) -> ToldCounts {
    let mut names = SensorSets { sensors, known: Vec::new(), sets: Vec::new() };
    let receivers = fit(
        tables.receivers,
        bytes / 8 * 3,
        host_bytes(&Host::V4([0; 4].into())) + NUMBERS,
        |(host, _)| host_bytes(host) + NUMBERS,
        &[&|(_, counts): &(Host, PaneReceiver)| counts.unsolicited_packets, &|(_, counts)| counts.bytes],
    );
    let mut room = bytes / 8 * 5;
    let responder_bytes = |((host, _), counts): &((Host, u16), PaneResponder)| {
        host_bytes(host) + 3 + NUMBERS + set_bytes(&counts.sources)
    };
    let responders = fit(
        tables.responders,
        room,
        host_bytes(&Host::V4([0; 4].into())) + 3 + NUMBERS,
        responder_bytes,
        &[&|(_, counts): &((Host, u16), PaneResponder)| counts.syn.saturating_sub(counts.completed), &|(_, counts)| {
            counts.syn
        }],
    );
    room -= responders.kept.iter().map(responder_bytes).sum::<usize>();
    let mut counts = PartialCounts {
        receivers_error: tables.receivers_error.max(receivers.heaviest_left_out),
        responders_error: tables.responders_error.max(responders.heaviest_left_out),
        ..PartialCounts::default()
    };
    let others = u64::from(partitions.max(1));
    let mut left_out = 0;
    if receivers.heaviest_left_out.saturating_mul(others) >= CARRIED_BYTES {
        left_out += receivers.left_out;
    }
    if responders.heaviest_left_out.saturating_mul(others) >= RELEVANT_SYN {
        left_out += responders.left_out;
    }
    let with_evidence = with_evidence(&responders.kept, room);
    counts.receivers = receivers.kept.into_iter().map(|(host, receiver)| receiver.told(host, &mut names)).collect();
    let told = responders.kept.into_iter().zip(with_evidence);
    counts.responders =
        told.map(|((key, responder), has_evidence)| responder.told(key, has_evidence, &mut names)).collect();
    let mut sites = tables.sites;
    sites.sort_by(|left, right| left.0.cmp(&right.0));
    counts.sites = sites.into_iter().map(|(site, totals)| totals.told(site, &mut names)).collect();
    counts.sensor_sets = names.sets;
    ToldCounts { counts, left_out }
}

/// Whose flows go into `room` octets: all of them, or those of the responders with most incomplete SYNs.
fn with_evidence(responders: &[((Host, u16), PaneResponder)], mut room: usize) -> Vec<bool> {
    let bytes_of = |responder: &PaneResponder| responder.evidence.flows().iter().map(flow_bytes).sum::<usize>();
    if responders.iter().map(|(_, responder)| bytes_of(responder)).sum::<usize>() <= room {
        return vec![true; responders.len()];
    }
    let mut order: Vec<usize> = (0..responders.len()).collect();
    order.sort_by_key(|index| {
        let responder = &responders[*index].1;
        std::cmp::Reverse(responder.syn.saturating_sub(responder.completed))
    });
    let mut has_evidence = vec![false; responders.len()];
    for index in order {
        let bytes = bytes_of(&responders[index].1);
        if bytes > room {
            break;
        }
        room -= bytes;
        has_evidence[index] = true;
    }
    has_evidence
}

/// The different sets of sensors of a pane, by evidence bits.
pub(crate) struct SensorSets<'a> {
    sensors: SensorsOf<'a>,
    known: Vec<SeenBy>,
    sets: Vec<Vec<PartialSensor>>,
}

impl SensorSets<'_> {
    fn index_of(&mut self, seen_by: SeenBy) -> u32 {
        if let Some(index) = self.known.iter().rposition(|known| *known == seen_by) {
            return index as u32;
        }
        let wire = |(id, vantage, loss)| PartialSensor { id, vantage, loss };
        self.known.push(seen_by);
        self.sets.push((self.sensors)(seen_by).into_iter().map(wire).collect());
        self.known.len() as u32 - 1
    }
}

impl PaneReceiver {
    fn told(self, host: Host, names: &mut SensorSets<'_>) -> ReceiverCounts {
        let Self { packets, bytes, unsolicited_packets, seen_by } = self;
        ReceiverCounts { host, packets, bytes, unsolicited_packets, sensor_set: names.index_of(seen_by) }
    }
}

impl PaneResponder {
    fn told(self, (host, port): (Host, u16), has_evidence: bool, names: &mut SensorSets<'_>) -> ResponderCounts {
        ResponderCounts {
            host,
            port,
            syn: self.syn,
            attempts: self.attempts,
            completed: self.completed,
            half_open: self.half_open,
            refused: self.refused,
            unanswered: self.unanswered,
            sources: self.sources.into_wire(),
            flows: if has_evidence { self.evidence.into_flows() } else { Vec::new() },
            sensor_set: names.index_of(self.seen_by),
        }
    }
}

impl PaneSite {
    fn told(self, site: Text, names: &mut SensorSets<'_>) -> SiteCounts {
        let Self { packets, bytes, flows, seen_by } = self;
        SiteCounts { site, packets, bytes, flows, sensor_set: names.index_of(seen_by) }
    }
}
