//! Frames that etherparse builds decode to what was built; no bytes make the decoder panic.

use etherparse::{PacketBuilder, TcpHeader};
use proptest::prelude::*;
use weir_schemas::Host;

use super::{DecodeError, LinkType, decode_frame};
use crate::packet::{Body, Packet, Transport, tcp_flag};

fn decode(link: LinkType, frame: &[u8]) -> (Packet, Option<DecodeError>) {
    let (packet, error) = decode_frame(link, 7, frame, frame.len() as u32);
    (*packet, error)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        link in prop::sample::select(vec![0_u32, 1, 101, 113, 276]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        ether_type in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, 0x8100, 0x8847, 0x8864, 100]),
    ) {
        let link = LinkType::from_number(link).unwrap();
        let (packet, _) = decode_frame(link, 7, &bytes, u32::MAX);
        prop_assert_eq!(packet.time, 7);
        let mut frame = vec![0; 12];
        frame.extend(ether_type.to_be_bytes());
        frame.extend(&bytes);
        prop_assert_eq!(decode(LinkType::Ethernet, &frame).0.time, 7);
    }

    #[test]
    fn tcp_segments_decode_to_what_was_built(
        (src, dst, ttl) in any::<([u8; 4], [u8; 4], u8)>(),
        (src_port, dst_port, seq, ack, window, flags) in any::<(u16, u16, u32, u32, u16, u8)>(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
        padding in 0..20_usize,
        snap in 54..200_usize,
    ) {
        let mut tcp = TcpHeader::new(src_port, dst_port, seq, window);
        tcp.acknowledgment_number = ack;
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 8 != 0);
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (flags & 16 != 0, flags & 32 != 0, flags & 64 != 0, flags & 128 != 0);
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(src, dst, ttl).tcp_header(tcp);
        let mut frame = Vec::new();
        builder.write(&mut frame, &payload).unwrap();
        frame.extend(vec![0; padding]);
        let wire = frame.len() as u32;
        let (packet, error) = decode_frame(LinkType::Ethernet, 7, &frame[..frame.len().min(snap)], wire);
        prop_assert_eq!(error, None);
        prop_assert_eq!((packet.src_mac, packet.dst_mac), (Some([1; 6]), Some([2; 6])));
        let Body::Ip(ip) = packet.body else { panic!("no IP") };
        prop_assert_eq!((ip.src, ip.dst, ip.ttl, ip.proto), (Host::V4(src.into()), Host::V4(dst.into()), ttl, 6));
        prop_assert_eq!(ip.length as usize, 40 + payload.len());
        let Transport::Tcp(segment) = ip.transport else { panic!("no TCP") };
        prop_assert_eq!((segment.src_port, segment.dst_port), (src_port, dst_port));
        prop_assert_eq!((segment.seq, segment.ack, segment.window, segment.flags), (seq, ack, window, flags));
        prop_assert_eq!(segment.payload as usize, payload.len());
    }

    #[test]
    fn udp_over_ipv6_and_vlan_decodes_to_what_was_built(
        (src, dst, src_port, dst_port) in any::<([u8; 16], [u8; 16], u16, u16)>(),
        vlan in 1..4095_u16,
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .single_vlan(vlan.try_into().unwrap())
            .ipv6(src, dst, 9)
            .udp(src_port, dst_port);
        let mut frame = Vec::new();
        builder.write(&mut frame, &payload).unwrap();
        let (packet, error) = decode(LinkType::Ethernet, &frame);
        prop_assert_eq!((error, packet.vlan), (None, [vlan, 0, 0, 0]));
        let Body::Ip(ip) = packet.body else { panic!("no IP") };
        prop_assert_eq!((ip.src, ip.dst, ip.ttl, ip.proto), (Host::V6(src.into()), Host::V6(dst.into()), 9, 17));
        prop_assert_eq!(ip.length as usize, 48 + payload.len());
        let Transport::Udp(datagram) = ip.transport else { panic!("no UDP") };
        prop_assert_eq!((datagram.src_port, datagram.dst_port), (src_port, dst_port));
        prop_assert_eq!(datagram.payload as usize, payload.len());
    }
}

/// An IPv4 header of protocol `proto` and `payload` after it; `flags_offset` is the fragment field.
fn ipv4(proto: u8, flags_offset: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let fragment = flags_offset.to_be_bytes();
    let mut bytes = vec![0x45, 0, length[0], length[1], 0, 9, fragment[0], fragment[1], 64, proto, 0, 0];
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ip_of(packet: Packet) -> crate::packet::IpPacket {
    let Body::Ip(ip) = packet.body else { panic!("no IP: {packet:?}") };
    ip
}

#[test]
fn every_link_type_leads_to_the_ip_header() {
    let ip = ipv4(17, 0, &[0, 53, 0, 99, 0, 8, 0, 0]);
    let ethernet = [[0; 12].as_slice(), &[8, 0]].concat();
    let stacked = [[0; 12].as_slice(), &[0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 8, 8, 0]].concat();
    let cooked = [[0, 0, 0, 1, 0, 6].as_slice(), &[5; 6], &[0, 0, 8, 0]].concat();
    let cooked2 = [[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6].as_slice(), &[5; 6], &[0, 0]].concat();
    let table: [(u32, &[u8], [u16; 4]); 10] = [
        (1, &ethernet, [0; 4]),
        (1, &stacked, [7, 8, 0, 0]),
        (113, &cooked, [0; 4]),
        (276, &cooked2, [0; 4]),
        (0, &[2, 0, 0, 0], [0; 4]),
        (108, &[0, 0, 0, 2], [0; 4]),
        (12, &[], [0; 4]),
        (14, &[], [0; 4]),
        (101, &[], [0; 4]),
        (228, &[], [0; 4]),
    ];
    for (number, header, vlan) in table {
        let frame = [header, &ip].concat();
        let (packet, error) = decode(LinkType::from_number(number).unwrap(), &frame);
        assert_eq!((error, packet.vlan), (None, vlan), "link type {number}");
        let ip = ip_of(packet);
        assert_eq!(ip.length, 28);
        assert!(matches!(ip.transport, Transport::Udp(udp) if udp.src_port == 53 && udp.payload == 0));
    }
    assert_eq!(LinkType::from_number(105), None);
}

#[test]
fn later_fragments_have_no_ports() {
    let (packet, error) = decode(LinkType::RawIp, &ipv4(17, 0x2001, &[0; 16]));
    let ip = ip_of(packet);
    assert_eq!((error, ip.transport), (None, Transport::None));
    assert_eq!(ip.fragment.map(|fragment| (fragment.id, fragment.offset, fragment.more)), Some((9, 8, true)));
}

#[test]
fn icmp_errors_quote_their_packet() {
    let quoted = ipv4(17, 0, &[0x30, 0x39, 0, 53, 0, 8, 0, 0]);
    let message = [[3, 3, 0, 0, 0, 0, 0, 0].as_slice(), &quoted].concat();
    let (packet, _) = decode(LinkType::RawIp, &ipv4(1, 0, &message));
    let Transport::Icmp(icmp) = ip_of(packet).transport else { panic!("no ICMP") };
    let quoted = icmp.quoted.unwrap();
    assert_eq!((icmp.kind, icmp.code, quoted.proto, quoted.src_port, quoted.dst_port), (3, 3, 17, 12_345, 53));
}

#[test]
fn offload_leaves_the_length_to_the_frame() {
    let mut ip =
        ipv4(6, 0, &[[0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, tcp_flag::ACK].as_slice(), &[0; 106]].concat());
    (ip[2], ip[3]) = (0, 0);
    let ip = ip_of(decode(LinkType::RawIp, &ip).0);
    assert_eq!(ip.length, 140);
    assert!(matches!(ip.transport, Transport::Tcp(tcp) if tcp.payload == 100));
}

#[test]
fn damage_is_counted_by_kind() {
    let mut short_header = ipv4(6, 0, &[0; 20]);
    short_header[0] = 0x44;
    let table: [(&[u8], Option<DecodeError>); 6] = [
        (&[], Some(DecodeError::Link)),
        (&[0x15; 40], Some(DecodeError::IpVersion)),
        (&short_header, Some(DecodeError::Ipv4)),
        (&ipv4(6, 0, &[0; 20]), Some(DecodeError::Tcp)),
        (&ipv4(17, 0, &[0; 4]), Some(DecodeError::Udp)),
        (&[0x60; 20], Some(DecodeError::Ipv6)),
    ];
    for (bytes, wanted) in table {
        assert_eq!(decode(LinkType::RawIp, bytes).1, wanted, "{bytes:?}");
    }
}

/// A frame of each kind whose headers lie behind one another.
fn frames() -> Vec<Vec<u8>> {
    let built = |builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>| {
        let mut frame = Vec::new();
        builder.write(&mut frame, &[0x80; 40]).unwrap();
        frame
    };
    let (four, six) = (([10, 0, 0, 1], [10, 0, 0, 2]), ([1; 16], [2; 16]));
    let mut tcp = Vec::new();
    let syn = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(four.0, four.1, 64).tcp(4000, 80, 7, 1024).syn();
    syn.write(&mut tcp, &[]).unwrap();
    let mut error = Vec::new();
    let unreachable = etherparse::icmpv4::DestUnreachableHeader::Port;
    let message = etherparse::Icmpv4Type::DestinationUnreachable(unreachable);
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(four.0, four.1, 64).icmpv4(message);
    builder.write(&mut error, &tcp[14..]).unwrap();
    vec![
        built(PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(four.0, four.1, 64).udp(53, 5000)),
        built(
            PacketBuilder::ethernet2([1; 6], [2; 6])
                .single_vlan(7.try_into().unwrap())
                .ipv6(six.0, six.1, 64)
                .udp(5, 6),
        ),
        tcp,
        error,
    ]
}

#[test]
fn a_frame_cut_anywhere_says_less_but_nothing_else() {
    for frame in frames() {
        let (whole, error) = decode(LinkType::Ethernet, &frame);
        assert_eq!(error, None);
        let Body::Ip(whole) = whole.body else { panic!("no IP") };
        let mut seen = 0;
        for length in 0..frame.len() {
            let (packet, _) = decode_frame(LinkType::Ethernet, 7, &frame[..length], frame.len() as u32);
            let Body::Ip(cut) = packet.body else { continue };
            seen += 1;
            assert_eq!((&cut.src, &cut.dst, cut.proto), (&whole.src, &whole.dst, whole.proto), "{length}");
            assert_eq!(
                (cut.length, cut.ttl, cut.fragment),
                (whole.length, whole.ttl, whole.fragment.clone()),
                "{length}"
            );
            match (&cut.transport, &whole.transport) {
                (Transport::None, _) => {}
                (Transport::Tcp(cut), Transport::Tcp(whole)) => {
                    assert_eq!((cut.src_port, cut.dst_port, cut.flags), (whole.src_port, whole.dst_port, whole.flags));
                    assert_eq!((cut.seq, cut.payload), (whole.seq, whole.payload), "{length}");
                }
                (Transport::Udp(cut), Transport::Udp(whole)) => {
                    assert_eq!((cut.src_port, cut.dst_port), (whole.src_port, whole.dst_port), "{length}");
                    assert_eq!(cut.payload, whole.payload, "{length}");
                    assert!(cut.dns_response.is_none() || cut.dns_response == whole.dns_response, "{length}");
                }
                (Transport::Icmp(cut), Transport::Icmp(whole)) => {
                    assert_eq!((cut.kind, cut.code, cut.payload), (whole.kind, whole.code, whole.payload), "{length}");
                    let ends = |quoted: &crate::packet::Quoted| (quoted.src.clone(), quoted.dst.clone(), quoted.proto);
                    if let Some(quoted) = &cut.quoted {
                        assert_eq!(ends(quoted), ends(whole.quoted.as_ref().unwrap()), "{length}");
                    }
                }
                (cut, whole) => panic!("{length}: {cut:?} of {whole:?}"),
            }
        }
        assert!(seen >= 20);
    }
}

#[test]
fn the_bit_of_a_dns_header_counts_where_the_ports_agree() {
    let cases = [
        (53, 5000, 0x80, Some(true)),
        (5000, 53, 0, Some(false)),
        (53, 53, 0x80, Some(true)),
        (53, 53, 0, Some(false)),
        // Random bytes at a name server are no answers of its victim.
        (5000, 53, 0x80, None),
        (53, 5000, 0, None),
        (5000, 5001, 0x80, None),
    ];
    for (from, to, bits, expected) in cases {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(from, to);
        builder.write(&mut frame, &[[0, 1, bits].as_slice(), &[0; 12]].concat()).unwrap();
        let Body::Ip(ip) = decode(LinkType::Ethernet, &frame).0.body else { panic!("no IP") };
        let Transport::Udp(datagram) = ip.transport else { panic!("no UDP") };
        assert_eq!(datagram.dns_response, expected, "{from} > {to}, {bits:#x}");
    }
}
