//! Whatever is put into tunnels comes out as if there were none.

use etherparse::PacketBuilder;
use proptest::prelude::*;
use weir_schemas::Host;

use super::super::{DecodeError, LinkType, decode_frame};
use crate::packet::{Body, Packet, TunnelEnds};

/// An Ethernet frame with an IPv4 or IPv6 packet, TCP or UDP, with and without a VLAN, as etherparse builds it.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let ends = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<(u16, u16)>());
    let payload = prop::collection::vec(any::<u8>(), 0..60);
    (ends, any::<(bool, bool, bool)>(), payload).prop_map(|((src, dst, ports), (is_v6, is_tcp, has_vlan), payload)| {
        // No port of a tunnel: the inner packet is to be the last.
        let (from, to) = (ports.0 | 0x8000, ports.1 | 0x8000);
        let mut frame = Vec::new();
        let four = |address: [u8; 16]| [address[0], address[1], address[2], address[3]];
        macro_rules! finish {
            ($builder:expr) => {
                if is_tcp {
                    $builder.tcp(from, to, 7, 1024).ack(9).write(&mut frame, &payload).unwrap()
                } else {
                    $builder.udp(from, to).write(&mut frame, &payload).unwrap()
                }
            };
        }
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]);
        match (has_vlan, is_v6) {
            (false, false) => finish!(builder.ipv4(four(src), four(dst), 64)),
            (false, true) => finish!(builder.ipv6(src, dst, 64)),
            (true, false) => finish!(builder.single_vlan(7.try_into().unwrap()).ipv4(four(src), four(dst), 64)),
            (true, true) => finish!(builder.single_vlan(7.try_into().unwrap()).ipv6(src, dst, 64)),
        }
        frame
    })
}

const OUTER: ([u8; 4], [u8; 4]) = ([192, 0, 2, 1], [192, 0, 2, 2]);

fn ethernet(ether_type: u16, data: &[u8]) -> Vec<u8> {
    [[3; 6].as_slice(), &[4; 6], &ether_type.to_be_bytes(), data].concat()
}

fn ip(proto: u8, data: &[u8]) -> Vec<u8> {
    let length = (20 + data.len() as u16).to_be_bytes();
    let header = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, proto, 0, 0];
    [header.as_slice(), &OUTER.1, &OUTER.0, data].concat()
}

fn udp(port: u16, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([4; 6], [3; 6]).ipv4(OUTER.1, OUTER.0, 64).udp(40_000, port);
    builder.write(&mut frame, data).unwrap();
    frame
}

fn gre(flags_and_protocol: [u8; 4], fields: &[u8], data: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ip(47, &[flags_and_protocol.as_slice(), fields, data].concat()))
}

/// The IP packet of a frame and its protocol number as IP knows it, its PPP number and its Ethernet type.
fn inner_ip(frame: &[u8]) -> (&[u8], u8, u16, u16) {
    let packet = if frame[12..14] == [0x81, 0] { &frame[18..] } else { &frame[14..] };
    if packet[0] >> 4 == 4 { (packet, 4, 0x21, 0x0800) } else { (packet, 41, 0x57, 0x86dd) }
}

/// A frame of each tunnel around this one, and what is to be said of it.
fn tunnels(frame: &[u8]) -> Vec<(&'static str, u32, Vec<u8>)> {
    let (packet, proto, ppp, ether_type) = inner_ip(frame);
    let [high, low] = ether_type.to_be_bytes();
    let wrapped = |header: &[u8], data: &[u8]| [header, data].concat();
    let ppp_length = (packet.len() as u16 + 2).to_be_bytes();
    let pppoe = [0x11, 0, 0, 9, ppp_length[0], ppp_length[1], (ppp >> 8) as u8, ppp as u8];
    let mut all = vec![
        ("vxlan", 0x01_0203, udp(4789, &wrapped(&[8, 0, 0, 0, 1, 2, 3, 0], frame))),
        ("vxlan", 5, udp(4789, &wrapped(&[0x88, 0, 0, 7, 0, 0, 5, 0], frame))),
        ("geneve", 5, udp(6081, &wrapped(&[0, 0, 0x65, 0x58, 0, 0, 5, 0], frame))),
        ("geneve", 5, udp(6081, &wrapped(&[1, 0x80, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 0], frame))),
        ("geneve", 6, udp(6081, &wrapped(&[0, 0, high, low, 0, 0, 6, 0], packet))),
        ("gre", 0, gre([0, 0, high, low], &[], packet)),
        ("gre", 77, gre([0x20, 0, high, low], &[0, 0, 0, 77], packet)),
        ("gre", 77, gre([0xb0, 0, 0x65, 0x58], &[1, 1, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1], frame)),
        ("gre", 0, gre([0x10, 0, 0x65, 0x58], &[0, 0, 0, 1], frame)),
        ("erspan", 0, gre([0, 0, 0x88, 0xbe], &[], frame)),
        ("erspan", 3, gre([0x10, 0, 0x88, 0xbe], &[0, 0, 0, 1, 0x10, 0, 0, 3, 0, 0, 0, 0], frame)),
        ("erspan", 4, gre([0x10, 0, 0x22, 0xeb], &[0, 0, 0, 1, 0x20, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0], frame)),
        (
            "erspan",
            4,
            gre(
                [0x10, 0, 0x22, 0xeb],
                &[[0, 0, 0, 1, 0x20, 0, 0, 4].as_slice(), &[0; 7], &[1], &[0; 8]].concat(),
                frame,
            ),
        ),
        (if proto == 4 { "ipip" } else { "6in4" }, 0, ethernet(0x0800, &ip(proto, packet))),
        ("pppoe", 9, ethernet(0x8864, &wrapped(&pppoe, packet))),
        ("mpls", 16, ethernet(0x8847, &wrapped(&[0, 1, 0, 64, 0, 1, 1, 64], packet))),
        ("mpls", 17, ethernet(0x8847, &wrapped(&[0, 1, 0x11, 64, 0, 0, 0, 0], frame))),
        ("mpls", 17, ethernet(0x8847, &wrapped(&[0, 1, 0x11, 64], frame))),
        ("mpls", 17, gre([0, 0, 0x88, 0x47], &[], &wrapped(&[0, 1, 0x11, 64], packet))),
    ];
    if proto == 41 {
        let secured = [[0, 1, 2, 3].as_slice(), &[7; 5], &[8; 9], &[0, 0, 1, 2, 3, 4, 5, 6]].concat();
        all.push(("teredo", 0, udp(3544, packet)));
        all.push(("teredo", 0, udp(3544, &wrapped(&secured, packet))));
    }
    all
}

fn decode(frame: &[u8]) -> (Packet, Option<DecodeError>) {
    let (packet, error) = decode_frame(LinkType::Ethernet, 7, frame, frame.len() as u32);
    (*packet, error)
}

proptest! {
    #[test]
    fn what_is_put_into_a_tunnel_comes_out(frame in any_frame()) {
        let (plain, error) = decode(&frame);
        prop_assert_eq!(error, None);
        for (kind, id, outer) in tunnels(&frame) {
            let (packet, error) = decode(&outer);
            prop_assert_eq!(error, None, "{}", kind);
            prop_assert_eq!(&packet.body, &plain.body, "{}", kind);
            let tunnel = packet.tunnel.unwrap();
            let on_a_link = matches!(tunnel.ends, TunnelEnds::Macs(..));
            prop_assert_eq!((tunnel.kind, tunnel.id), (kind, id));
            if on_a_link {
                prop_assert_eq!((tunnel.ends, tunnel.length), (TunnelEnds::Macs([4; 6], [3; 6]), None));
            } else {
                let host = |address: [u8; 4]| Host::V4(address.into());
                prop_assert_eq!(tunnel.ends, TunnelEnds::Hosts(host(OUTER.1), host(OUTER.0)));
                prop_assert_eq!(tunnel.length, Some(outer.len() as u32 - 14));
            }
        }
    }

    #[test]
    fn tunnels_in_tunnels_are_opened_up_to_the_bound(frame in any_frame(), layers in 1..9_usize) {
        let (plain, _) = decode(&frame);
        let mut outer = frame;
        for _ in 0..layers {
            outer = udp(4789, &[[8, 0, 0, 0, 0, 0, 1, 0].as_slice(), &outer].concat());
        }
        let (packet, error) = decode(&outer);
        let tunnel = packet.tunnel.unwrap();
        prop_assert_eq!(usize::from(tunnel.layers), layers.min(usize::from(super::MOST_LAYERS)));
        prop_assert_eq!(tunnel.length, Some(outer.len() as u32 - 14));
        if layers <= usize::from(super::MOST_LAYERS) {
            prop_assert_eq!((packet.body, error), (plain.body, None));
        } else {
            prop_assert_eq!(error, Some(DecodeError::TunnelNesting));
        }
    }

    #[test]
    fn bytes_on_a_tunnels_port_never_panic(
        port in prop::sample::select(vec![4789_u16, 6081, 3544]),
        header in prop::sample::select(vec![vec![], vec![8, 0, 0, 0], vec![0, 0, 0x65, 0x58], vec![0, 1], vec![0x60]]),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        cut in 0..160_usize,
    ) {
        let frame = udp(port, &[header, bytes].concat());
        let (packet, _) = decode_frame(LinkType::Ethernet, 7, &frame[..frame.len().min(cut)], frame.len() as u32);
        prop_assert_eq!(packet.time, 7);
    }

    #[test]
    fn bytes_behind_headers_never_panic(
        (proto, flags) in (prop::sample::select(vec![4_u8, 41, 47]), prop::sample::select(vec![0_u8, 0x10, 0x20, 0xb0])),
        gre_type in prop::sample::select(vec![0x0800_u16, 0x6558, 0x88be, 0x22eb, 0x8847]),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let [high, low] = gre_type.to_be_bytes();
        let data = [[flags, 0, high, low].as_slice(), &bytes].concat();
        prop_assert_eq!(decode(&ethernet(0x0800, &ip(proto, &data))).0.time, 7);
        prop_assert_eq!(decode(&ethernet(0x8847, &bytes)).0.time, 7);
    }
}

/// What is no tunnel, or one that is not understood, is judged as it stands.
#[test]
fn what_is_not_understood_is_counted_by_kind() {
    let spanning_tree = ethernet(38, &[0x42; 38]);
    let cases: Vec<(&str, Vec<u8>, Option<DecodeError>)> = vec![
        ("noise at VXLAN's port", udp(4789, &[7; 60]), None),
        ("no valid VNI", udp(4789, &[[0; 8].as_slice(), &spanning_tree].concat()), None),
        (
            "VXLAN around no IP",
            udp(4789, &[[8, 0, 0, 0, 0, 0, 1, 0].as_slice(), &spanning_tree].concat()),
            Some(DecodeError::Vxlan),
        ),
        ("noise at Geneve's port", udp(6081, &[0xff; 60]), None),
        (
            "Geneve around no IP",
            udp(6081, &[[0, 0, 0x65, 0x58, 0, 0, 1, 0].as_slice(), &spanning_tree].concat()),
            Some(DecodeError::Geneve),
        ),
        ("noise at Teredo's port", udp(3544, &[0x60; 30]), None),
        ("PPTP", gre([0x30, 1, 0x88, 0x0b], &[0; 8], &[0; 40]), Some(DecodeError::Gre)),
        ("GRE around no packet", gre([0, 0, 8, 0], &[], &[0; 40]), Some(DecodeError::Gre)),
        ("ERSPAN of type IX", gre([0x10, 0, 0x88, 0xbe], &[0, 0, 0, 1, 0x90], &[0; 80]), Some(DecodeError::Erspan)),
        ("IP in IP around no packet", ethernet(0x0800, &ip(4, &[0; 40])), Some(DecodeError::IpInIp)),
    ];
    for (name, frame, expected) in cases {
        let (packet, error) = decode(&frame);
        assert_eq!(error, expected, "{name}");
        let Body::Ip(ip) = packet.body else { panic!("{name}: no IP") };
        assert_eq!((ip.src, packet.tunnel), (Host::V4(OUTER.1.into()), None), "{name}");
        assert_eq!((packet.src_mac.is_some(), packet.vlan), (true, [0; 4]), "{name}");
    }
    let on_a_link = [
        ("PPP's own protocols", 0x8864, vec![0x11, 0, 0, 9, 0, 6, 0xc0, 0x21, 1, 1, 0, 4], None),
        ("PPP compressed", 0x8864, vec![0x11, 0, 0, 9, 0, 6, 0, 0xfd, 1, 1, 0, 4], Some(DecodeError::Pppoe)),
        ("a channel of MPLS", 0x8847, vec![0, 1, 1, 64, 0x10, 0, 0, 7, 1, 2, 3, 4], None),
        ("noise behind labels", 0x8847, [[0, 1, 1, 64].as_slice(), &[0xee; 40]].concat(), Some(DecodeError::Mpls)),
    ];
    for (name, ether_type, data, expected) in on_a_link {
        let (packet, error) = decode(&ethernet(ether_type, &data));
        assert_eq!((packet.body, packet.tunnel, error), (Body::Other, None, expected), "{name}");
    }
}

#[test]
fn vlans_inside_follow_those_outside() {
    let mut inner = Vec::new();
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).single_vlan(7.try_into().unwrap());
    builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(5, 6).write(&mut inner, &[]).unwrap();
    let carrier = udp(4789, &[[8, 0, 0, 0, 0, 0, 1, 0].as_slice(), &inner].concat());
    let tagged = [&carrier[..12], &[0x81, 0, 0, 9], &carrier[12..]].concat();
    let (packet, error) = decode(&tagged);
    assert_eq!((error, packet.vlan), (None, [9, 7, 0, 0]));
    assert_eq!((packet.src_mac, packet.dst_mac), (Some([1; 6]), Some([2; 6])));
}
