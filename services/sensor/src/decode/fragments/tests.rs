//! Fragments as frames have them: what waits, what counts, and that nothing is lost on the way.

use etherparse::PacketBuilder;
use proptest::prelude::*;
use weir_schemas::SECOND_US;

use super::super::{LinkType, decode_frame};
use super::*;
use crate::packet::TcpSegment;
use crate::packet::tcp_flag::SYN;

const BUDGET: Budget = Budget { bytes: 1 << 20, datagrams: 1024 };
type Ends = Reassembler<u8>;

/// An IP packet of this protocol.
fn whole(is_v6: bool, proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (src, dst) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let (src6, dst6) = ([0xfd; 16], [0xfe; 16]);
    macro_rules! finish {
        ($builder:expr) => {
            match proto {
                TCP => $builder.tcp(40_000, 80, 7, 1024).syn().write(&mut bytes, payload).unwrap(),
                _ => $builder.udp(40_000, 53).write(&mut bytes, payload).unwrap(),
            }
        };
    }
    if is_v6 {
        finish!(PacketBuilder::ipv6(src6, dst6, 64));
    } else {
        finish!(PacketBuilder::ipv4(src, dst, 64));
    }
    bytes
}

/// Its fragments of at most `size` bytes of data.
fn cut(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let (header, proto) = if packet[0] >> 4 == 4 { (20, packet[9]) } else { (40, packet[6]) };
    let data = &packet[header..];
    let pieces = data.chunks(size).enumerate().map(|(number, piece)| {
        let offset = (number * size) as u16;
        let more = usize::from(offset) + piece.len() < data.len();
        let mut fragment = packet[..header].to_vec();
        if header == 20 {
            let field = ((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes();
            fragment[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            fragment[4..6].copy_from_slice(&id.to_be_bytes());
            fragment[6..8].copy_from_slice(&field);
        } else {
            fragment[4..6].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
            fragment[6] = 44;
            let field = (offset | u16::from(more)).to_be_bytes();
            fragment.extend([proto, 0, field[0], field[1], 0, 0]);
            fragment.extend(id.to_be_bytes());
        }
        fragment.extend(piece);
        fragment
    });
    pieces.collect()
}

fn decoded(bytes: &[u8]) -> Box<Packet> {
    decode_frame(LinkType::RawIp, 0, bytes, bytes.len() as u32).0
}

fn ip_of(packet: &Packet) -> &IpPacket {
    match &packet.body {
        Body::Ip(ip) => ip,
        other => panic!("no IP: {other:?}"),
    }
}

fn take(reassembler: &mut Ends, now: Micros, bytes: &[u8]) -> Fate<u8> {
    let packet = decoded(bytes);
    let ip = ip_of(&packet);
    let fate = reassembler.take(now, &packet, ip, ip.fragment.as_ref().unwrap());
    if let Fate::Counts { owner: None, .. } = &fate
        && ip.transport != Transport::None
    {
        reassembler.own(now, &Datagram::of(ip, ip.fragment.as_ref().unwrap()), 9, false);
    }
    fate
}

fn any_cut() -> impl Strategy<Value = (bool, u8, Vec<u8>, usize)> {
    (any::<bool>(), prop::sample::select(vec![TCP, UDP]), prop::collection::vec(any::<u8>(), 20..3000), 1_usize..100)
        .prop_map(|(is_v6, proto, payload, size)| (is_v6, proto, payload, size * 8))
}

proptest! {
    #[test]
    fn fragments_in_any_order_are_what_was_cut(
        (is_v6, proto, payload, size) in any_cut(), seed in prop::collection::vec(any::<u32>(), 400),
    ) {
        let packet = whole(is_v6, proto, &payload);
        let mut fragments: Vec<_> = cut(&packet, 7, size).into_iter().zip(seed).collect();
        prop_assume!(fragments.len() > 1 && fragments.len() <= 64);
        fragments.sort_by_key(|(_, place)| *place);
        let mut reassembler = Ends::new(BUDGET);
        let (mut counted, mut wholes) = (0, Vec::new());
        for (fragment, _) in &fragments {
            counted += 1;
            match take(&mut reassembler, 0, fragment) {
                Fate::Waits => counted -= 1,
                Fate::Counts { waited, .. } => counted += waited.packets,
                Fate::Whole { packet, waited, .. } => {
                    counted += waited.packets;
                    wholes.push(packet);
                }
            }
        }
        prop_assert_eq!((counted as usize, wholes.len()), (fragments.len(), 1));
        let expected = decoded(&packet);
        let (found, expected) = (ip_of(&wholes[0]), ip_of(&expected));
        prop_assert_eq!(found.proto, expected.proto);
        match (&found.transport, &expected.transport) {
            (Transport::Tcp(found), Transport::Tcp(expected)) => {
                // Oddities of the IP header are not those of a fragment's.
                prop_assert_eq!(TcpSegment { syn: None, ..*found }, TcpSegment { syn: None, ..*expected });
            }
            (found, expected) => prop_assert_eq!(found, expected),
        }
        prop_assert_eq!(reassembler.counters().errors().filter(|(kind, _)| *kind != "fragment_tiny").count(), 0);
    }

    #[test]
    fn no_fragment_is_lost_whatever_comes(
        fragments in prop::collection::vec(
            (0_u8..3, 0_u16..4, 0_u16..6, any::<bool>(), 0_usize..40, 0_i64..40 * SECOND_US), 1..200,
        ),
        datagrams in 0_usize..12,
    ) {
        let mut reassembler = Ends::new(Budget { bytes: 40_000, datagrams });
        let (mut now, mut counted) = (0, 0);
        for (host, id, offset, more, length, later) in &fragments {
            now += later / 10;
            let field = (offset | if *more || *offset == 0 { 0x2000 } else { 0 }).to_be_bytes();
            let total = (20 + *length as u16).to_be_bytes();
            let mut bytes = vec![0x45, 0, total[0], total[1], 0, *id as u8, field[0], field[1], 64, 17 - 11 * (host & 1), 0, 0];
            bytes.extend([10, 0, 0, *host, 10, 9, 9, 9]);
            bytes.extend(vec![1; *length]);
            reassembler.expire(now);
            match take(&mut reassembler, now, &bytes) {
                Fate::Waits => {}
                Fate::Counts { waited, .. } | Fate::Whole { waited, .. } => counted += 1 + waited.packets,
            }
            counted += reassembler.take_given_up().iter().map(|one| 1 + one.waited.packets).sum::<u32>();
            prop_assert!(reassembler.table.len() <= datagrams);
        }
        reassembler.expire(Micros::MAX);
        counted += reassembler.take_given_up().iter().map(|one| 1 + one.waited.packets).sum::<u32>();
        prop_assert_eq!(counted as usize, fragments.len());
        prop_assert_eq!(reassembler.table.len(), 0);
    }
}

#[test]
fn a_syn_in_pieces_of_eight_bytes_is_a_syn() {
    let fragments = cut(&whole(false, TCP, &[]), 7, 8);
    let mut reassembler = Ends::new(BUDGET);
    assert_eq!(fragments.len(), 3);
    assert_eq!(take(&mut reassembler, 0, &fragments[0]), Fate::Waits);
    assert_eq!(take(&mut reassembler, 1, &fragments[1]), Fate::Waits);
    let Fate::Whole { packet, owner: None, waited } = take(&mut reassembler, 2, &fragments[2]) else {
        panic!("not whole");
    };
    let Transport::Tcp(tcp) = &ip_of(&packet).transport else { panic!("no TCP") };
    assert_eq!((tcp.dst_port, tcp.flags, waited), (80, SYN, Waited { packets: 2, bytes: 56 }));
    assert_eq!(reassembler.counters().tiny, 1);
}

#[test]
fn an_overlap_spoils_the_datagram_and_what_comes_after_it() {
    let fragments = cut(&whole(false, TCP, &[0; 60]), 7, 40);
    let mut other = fragments[0].clone();
    *other.last_mut().unwrap() ^= 1;
    let mut reassembler = Ends::new(BUDGET);
    assert_eq!(take(&mut reassembler, 0, &fragments[0]), Fate::Waits);
    let counts = |packets, bytes| Fate::Counts { owner: None, waited: Waited { packets, bytes } };
    assert_eq!(take(&mut reassembler, 0, &other), counts(1, 60));
    assert_eq!(take(&mut reassembler, 0, &fragments[1]), Fate::Counts { owner: Some(9), waited: Waited::default() });
    assert_eq!((reassembler.counters().overlap, reassembler.counters().reassembled), (1, 0));
}

#[test]
fn what_is_never_whole_counts_after_thirty_seconds() {
    let fragments = cut(&whole(false, UDP, &[0; 60]), 7, 40);
    let mut reassembler = Ends::new(BUDGET);
    assert_eq!(take(&mut reassembler, 5, &fragments[1]), Fate::Waits);
    assert_eq!(reassembler.due(), 5 + LIFETIME);
    reassembler.expire(4 + LIFETIME);
    assert!(!reassembler.has_given_up());
    reassembler.expire(5 + LIFETIME);
    let given_up = reassembler.take_given_up();
    assert_eq!((given_up.len(), given_up[0].waited, reassembler.counters().timeout), (1, Waited::default(), 1));
}

#[test]
fn an_identification_used_again_is_another_datagram() {
    let mut reassembler = Ends::new(BUDGET);
    for round in 0..3 {
        let fragments = cut(&whole(false, UDP, &[round; 60]), 7, 40);
        assert!(matches!(take(&mut reassembler, 0, &fragments[0]), Fate::Counts { owner: None, .. }));
        assert!(matches!(take(&mut reassembler, 0, &fragments[1]), Fate::Whole { owner: Some(9), .. }));
        // Captured twice.
        assert!(matches!(take(&mut reassembler, 0, &fragments[1]), Fate::Counts { owner: Some(9), .. }));
    }
    assert_eq!((reassembler.counters().reassembled, reassembler.counters().errors().count()), (3, 0));
}

#[test]
fn a_flood_takes_no_more_than_its_budget() {
    let mut reassembler = Ends::new(Budget::of_bytes(64 << 10));
    let first = cut(&whole(false, TCP, &[0; 1400]), 0, 1400);
    for id in 0..10_000_u16 {
        let mut fragment = first[0].clone();
        fragment[4..6].copy_from_slice(&id.to_be_bytes());
        // Half of it from a source of its own each.
        if id % 2 == 0 {
            fragment[13..15].copy_from_slice(&id.to_be_bytes());
        }
        assert_eq!(take(&mut reassembler, 0, &fragment), Fate::Waits);
        reassembler.take_given_up();
        assert!(reassembler.table.bytes() <= 64 << 10);
    }
    assert!(reassembler.counters().over_budget > 9_900);
}
