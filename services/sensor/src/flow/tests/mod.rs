//! Tests of the flow table: helpers that make packets, tables of cases, properties.

mod applications;
mod fragments;
mod lifetimes;
mod orientation;
mod outcomes;
mod properties;
mod sequences;
mod stacks;
mod tunnels;

use weir_schemas::{Flow, Host, Micros, SECOND_US};

use super::{FlowConfig, FlowTable};
use crate::packet::{
    ArpPacket, Body, Fragment, IcmpMessage, IpPacket, Packet, Quoted, TcpSegment, Transport, UdpDatagram,
};

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;

/// Milliseconds.
pub(super) const MS: Micros = 1000;
/// A pane's start, long after the table's warm-up if [`run`] is used.
pub(super) const START: Micros = 1_700_000_000 * SECOND_US;

pub(super) const CLIENT: (&str, u16) = ("10.0.0.9", 40000);
pub(super) const SERVER: (&str, u16) = ("10.0.0.2", 80);

pub(super) fn ip(time: Micros, src: &str, dst: &str, proto: u8, transport: Transport) -> Packet {
    let (src, dst) = (Host::parse(src), Host::parse(dst));
    let body =
        Body::Ip(IpPacket { src, dst, proto, length: 60, ttl: 64, id: 0, fragment: None, transport, head: None });
    Packet { body, ..Packet::unread(time) }
}

pub(super) fn tcp(time: Micros, from: (&str, u16), to: (&str, u16), flags: u8) -> Packet {
    tcp_with(time, from, to, flags, 100, 0)
}

pub(super) fn tcp_with(time: Micros, from: (&str, u16), to: (&str, u16), flags: u8, seq: u32, payload: u32) -> Packet {
    let segment =
        TcpSegment { src_port: from.1, dst_port: to.1, flags, seq, window: 1024, payload, ..TcpSegment::default() };
    ip(time, from.0, to.0, 6, Transport::Tcp(segment))
}

pub(super) fn udp(time: Micros, from: (&str, u16), to: (&str, u16), dns_response: Option<bool>) -> Packet {
    let datagram = UdpDatagram { src_port: from.1, dst_port: to.1, payload: 32, dns_response };
    ip(time, from.0, to.0, 17, Transport::Udp(datagram))
}

pub(super) fn icmp(time: Micros, from: &str, to: &str, kind: u8, id: u16) -> Packet {
    let message = IcmpMessage { kind, code: 0, id, payload: 32, quoted: None };
    ip(time, from, to, 1, Transport::Icmp(message))
}

/// An ICMP error from `router` about a packet from `from` to `to`.
pub(super) fn icmp_error(
    time: Micros,
    router: &str,
    kind: u8,
    code: u8,
    proto: u8,
    from: (&str, u16),
    to: (&str, u16),
) -> Packet {
    let quoted = Quoted {
        src: Host::parse(from.0),
        dst: Host::parse(to.0),
        proto,
        src_port: from.1,
        dst_port: to.1,
        icmp_kind: 8,
        icmp_code: 0,
    };
    let message = IcmpMessage { kind, code, id: 0, payload: 28, quoted: Some(Box::new(quoted)) };
    ip(time, router, from.0, 1, Transport::Icmp(message))
}

pub(super) fn arp(time: Micros, op: u16, sender: &str, target: &str) -> Packet {
    let body = Body::Arp(ArpPacket {
        op,
        sender_mac: [op as u8; 6],
        sender: Host::parse(sender),
        target_mac: [0; 6],
        target: Host::parse(target),
        length: 28,
    });
    Packet { body, ..Packet::unread(time) }
}

pub(super) fn fragment(mut packet: Packet, id: u32, offset: u16) -> Packet {
    if let Body::Ip(ip) = &mut packet.body {
        let (protocol, more) = (ip.proto, offset == 0);
        let length = if more { 1480 } else { 40 };
        ip.fragment = Some(Box::new(Fragment { id, offset, more, protocol, length, data: Vec::new() }));
        if offset > 0 {
            ip.transport = Transport::None;
        }
    }
    packet
}

/// The records of packets seen by a table that is warm.
pub(super) fn run(packets: &[Packet]) -> Vec<Flow> {
    run_with(FlowConfig { warm_up: 0, ..FlowConfig::default() }, packets).0
}

pub(super) fn run_with(config: FlowConfig, packets: &[Packet]) -> (Vec<Flow>, FlowTable) {
    let mut table = FlowTable::new(config);
    let mut records = Vec::new();
    for packet in packets {
        table.packet(packet, &mut records);
    }
    table.finish(&mut records);
    (records, table)
}

pub(super) fn source(flow: &Flow) -> String {
    flow.src.host.to_string()
}
