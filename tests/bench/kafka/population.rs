//! The flow records of the benchmarks over Kafka: the same for the same arguments.
//!
//! Sources: Zipf (s = 1) over a population, and one record in a hundred from scanners, ten of them at a time; or each record
//! from a source of its own towards one server.

use std::net::Ipv4Addr;

use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{
    Counts, End, EndReason, Flow, Host, Initiator, Mark, MarkStatus, Micros, Outcome, PANE_US, SECOND_US, Tcp,
    TcpFlags, pane_start,
};

const SCANNERS: u64 = 1_000;
const SERVERS: u64 = 4_096;

/// `SplitMix64`: the same records for the same arguments.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Rank 0.. of a Zipf distribution with s = 1, by the inverse of its continuous form.
    fn zipf(&mut self, count: u32) -> u32 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (f64::from(count).ln() * uniform).exp() - 1.0;
        (rank as u32).min(count - 1)
    }
}

/// A mark of the sensor whose records these are.
pub(crate) fn mark(boot: Micros, seq: u64, t: Micros, end: bool) -> Mark {
    Mark { sensor: "bench".into(), site: "local".into(), boot, seq, t, end, status: MarkStatus::default() }
}

/// A record of the skewed population or, one in a hundred, of a scanner. `first` is when event time begins.
pub(crate) fn conversation(random: &mut Random, sources: u32, number: u64, event_time: Micros, first: Micros) -> Flow {
    if random.below(100) == 0 {
        // Ten scanners at a time, each for ten seconds.
        let turn = ((event_time - first) / (10 * SECOND_US)) as u64;
        let scanner = (turn * 10 + random.below(10)) % SCANNERS;
        let source = Ipv4Addr::from_bits(0xc612_0000 + scanner as u32);
        let target = Ipv4Addr::from_bits(0x0a00_0000 + (scanner % SERVERS) as u32);
        let port = 1 + random.below(1_024) as u16;
        return flow(source, target, port, number, event_time, Outcome::Refused, false);
    }
    let source = Ipv4Addr::from_bits(0x0b00_0000 + random.zipf(sources));
    let target = Ipv4Addr::from_bits(0x0a00_0000 + random.below(SERVERS) as u32);
    let port = [443, 443, 80, 53, 22, 8_443][random.below(6) as usize];
    flow(source, target, port, number, event_time, Outcome::Completed, true)
}

/// A SYN without an answer, from a source that never comes twice.
pub(crate) fn spoofed(number: u64, event_time: Micros) -> Flow {
    // A multiplication by an odd number is a permutation: no source comes twice.
    let source = Ipv4Addr::from_bits((number as u32).wrapping_mul(0x9e37_79b1) | 1 << 31);
    flow(source, Ipv4Addr::new(10, 0, 0, 1), 80, number, event_time, Outcome::Unanswered, false)
}

fn flow(
    source: Ipv4Addr,
    target: Ipv4Addr,
    port: u16,
    number: u64,
    event_time: Micros,
    outcome: Outcome,
    is_whole: bool,
) -> Flow {
    let counts = |packets: u64, bytes: u64| Counts {
        packets,
        bytes,
        payload: bytes.saturating_sub(packets * 40),
        total_packets: packets,
        total_bytes: bytes,
        fragments: 0,
    };
    let mut community_id = [0_u8; 20];
    community_id[..8].copy_from_slice(&number.to_be_bytes());
    let last_time = (event_time + 20_000).min(pane_start(event_time) + PANE_US - 1);
    let (forward, reverse) =
        if is_whole { (counts(8, 1_200), counts(10, 9_000)) } else { (counts(1, 60), counts(0, 0)) };
    let flags = if is_whole {
        (
            TcpFlags { syn: 1, ack: 7, fin: 1, psh: 2, ..TcpFlags::default() },
            TcpFlags { syn_ack: 1, ack: 9, fin: 1, ..TcpFlags::default() },
        )
    } else {
        (TcpFlags { syn: 1, ..TcpFlags::default() }, TcpFlags::default())
    };
    let tcp = Tcp { fwd: flags.0, rev: flags.1, first_flags: 2, ..Tcp::default() };
    Flow {
        sensor: "bench".into(),
        site: "local".into(),
        boot: 0,
        seq: 0,
        input: "pcap".into(),
        sampling: 1,
        event_time,
        first_time: event_time,
        last_time,
        clock_offset_us: 0,
        src: End::new(Host::V4(source), 32_768 + (number % 28_000) as u16),
        dst: End::new(Host::V4(target), port),
        proto: 6,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: if is_whole { VANTAGE_FORWARD | VANTAGE_REVERSE } else { VANTAGE_FORWARD },
        outcome,
        fwd: forward,
        rev: reverse,
        flow_id: number,
        community_id,
        export_index: 0,
        end_reason: if is_whole { EndReason::Fin } else { EndReason::Unanswered },
        capture_drops: 0,
        tcp: Some(Box::new(tcp)),
        link: None,
        app: None,
        timing: None,
        labels: Vec::new(),
    }
}
