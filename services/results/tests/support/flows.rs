//! Flow records for tests, as the sensor would make them.

use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{Counts, End, EndReason, Flow, Host, Initiator, Link, Micros, Outcome, Tcp, TcpFlags};

fn counts(packets: u64, bytes: u64) -> Counts {
    Counts { packets, bytes, payload: 0, total_packets: packets, total_bytes: bytes, fragments: 0 }
}

/// A flow of one record without a block of its protocol.
#[must_use]
pub fn flow(proto: u8, src: (&str, u16), dst: (&str, u16), time: Micros, fwd: (u64, u64), rev: (u64, u64)) -> Flow {
    let seen = |packets: u64, bit: u8| if packets > 0 { bit } else { 0 };
    Flow {
        sensor: "file".into(),
        site: "local".into(),
        boot: 0,
        seq: 1,
        input: "pcap".into(),
        sampling: 1,
        event_time: time,
        first_time: time,
        last_time: time + 1_500_000,
        clock_offset_us: 0,
        src: End::new(Host::parse(src.0), src.1),
        dst: End::new(Host::parse(dst.0), dst.1),
        proto,
        icmp_type: None,
        icmp_code: None,
        vlan: Vec::new(),
        tunnel: None,
        initiator: Initiator::Syn,
        vantage: seen(fwd.0, VANTAGE_FORWARD) | seen(rev.0, VANTAGE_REVERSE),
        outcome: if rev.0 > 0 { Outcome::Completed } else { Outcome::Unanswered },
        fwd: counts(fwd.0, fwd.1),
        rev: counts(rev.0, rev.1),
        flow_id: 1,
        community_id: [0; 20],
        export_index: 0,
        end_reason: EndReason::Idle,
        capture_drops: 0,
        tcp: None,
        link: None,
        app: None,
        timing: None,
        labels: Vec::new(),
    }
}

/// A TCP connection: handshake, data, FIN both ways.
#[must_use]
pub fn connection(src: &str, dst: (&str, u16), time: Micros) -> Flow {
    let fwd = TcpFlags { syn: 1, ack: 5, fin: 1, psh: 2, ..TcpFlags::default() };
    let rev = TcpFlags { syn_ack: 1, ack: 5, fin: 1, psh: 1, ..TcpFlags::default() };
    let tcp = Tcp { fwd, rev, first_flags: 2, ..Tcp::default() };
    Flow { tcp: Some(Box::new(tcp)), ..flow(6, (src, 40_000), dst, time, (6, 900), (5, 12_300)) }
}

/// A SYN without an answer.
#[must_use]
pub fn lone_syn(src: &str, dst: (&str, u16), time: Micros) -> Flow {
    let tcp = Tcp { fwd: TcpFlags { syn: 1, ..TcpFlags::default() }, first_flags: 2, ..Tcp::default() };
    Flow { tcp: Some(Box::new(tcp)), last_time: time, ..flow(6, (src, 40_001), dst, time, (1, 40), (0, 0)) }
}

/// An ARP request and its reply.
#[must_use]
pub fn arp(src: &str, dst: &str, time: Micros) -> Flow {
    let link = Link { op: 1, ..Link::default() };
    Flow { link: Some(Box::new(link)), ..flow(0, (src, 0), (dst, 0), time, (1, 28), (1, 28)) }
}
