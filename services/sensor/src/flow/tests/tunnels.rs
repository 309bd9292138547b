//! Flows out of tunnels: what is kept of the tunnel, and which bytes count.

use super::*;
use crate::packet::{Encapsulation, OuterFragment, TunnelEnds};

const ROUTERS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

/// The packet as it came through a tunnel of 50 more bytes.
fn tunnelled(packet: Packet, from: &str, to: &str) -> Packet {
    let tunnel = Encapsulation {
        kind: "vxlan",
        ends: TunnelEnds::Hosts(Host::parse(from), Host::parse(to)),
        id: 7,
        length: Some(110),
        fragment: None,
        layers: 1,
    };
    Packet { tunnel: Some(Box::new(tunnel)), ..packet }
}

#[test]
fn a_record_names_the_tunnel_as_its_source_sends_into_it() {
    let (c, s) = (CLIENT, SERVER);
    let [near, far] = ROUTERS;
    // The answer was captured first: what the record says does not depend on it.
    let packets = [
        tunnelled(tcp(START, s, c, SYN | ACK), far, near),
        tunnelled(tcp(START + 1, c, s, SYN), near, far),
        tunnelled(tcp(START + 2, c, s, ACK), near, far),
    ];
    for packets in [packets.to_vec(), packets[1..].to_vec()] {
        let records = run(&packets);
        assert_eq!(records.len(), 1);
        assert_eq!(source(&records[0]), CLIENT.0);
        assert_eq!(records[0].fwd.bytes + records[0].rev.bytes, 110 * packets.len() as u64);
        let tunnel = records[0].tunnel.as_ref().unwrap();
        assert_eq!((&*tunnel.kind, tunnel.id), ("vxlan", 7));
        assert_eq!([tunnel.outer_src.to_string(), tunnel.outer_dst.to_string()], ROUTERS);
    }
}

#[test]
fn later_fragments_of_an_outer_packet_count_to_the_inner_flow() {
    let [near, far] = ROUTERS;
    let mut first = tunnelled(udp(START, CLIENT, SERVER, None), near, far);
    let outer = OuterFragment { src: Host::parse(near), dst: Host::parse(far), proto: 17, id: 9 };
    first.tunnel.as_mut().unwrap().fragment = Some(outer);
    let later = fragment(ip(START + 1, near, far, 17, Transport::None), 9, 1480);
    let records = run(&[first, later]);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].src.port, records[0].fwd.packets, records[0].fwd.bytes), (CLIENT.1, 2, 170));
}

#[test]
fn a_tunnel_right_on_a_link_is_named_by_its_frames() {
    let mut packet = tunnelled(udp(START, CLIENT, SERVER, None), ROUTERS[0], ROUTERS[1]);
    let tunnel = packet.tunnel.as_mut().unwrap();
    tunnel.ends = TunnelEnds::Macs([2, 0, 0, 0, 0, 0xab], [2, 0, 0, 0, 0, 1]);
    tunnel.length = None;
    let records = run(&[packet]);
    assert_eq!(records[0].fwd.bytes, 60);
    let tunnel = records[0].tunnel.as_ref().unwrap();
    assert_eq!(tunnel.outer_src.to_string(), "02:00:00:00:00:ab");
}
