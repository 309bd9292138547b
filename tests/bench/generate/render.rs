//! Turns planned packets into frames with right lengths and checksums.

use std::io::{Error, ErrorKind};
use std::net::IpAddr;

use etherparse::{PacketBuilder, PacketBuilderStep, VlanId, err::packet::BuildWriteError};

use crate::conversation::{ACK, Conversation, Event, FIN, Kind, PSH, SYN};

// 2026-01-05 09:00:00 UTC.
const START_US: u64 = 1_767_603_600_000_000;
const PAYLOAD: [u8; 2_048] = [b'x'; 2_048];

/// Renders frames, keeping the TCP sequence numbers of every conversation.
pub struct Renderer {
    /// Next sequence number of client and server, by conversation.
    next: Vec<[u32; 2]>,
    payload: Vec<u8>,
    frame: Vec<u8>,
}

impl Renderer {
    /// A renderer for so many conversations.
    pub fn new(conversations: usize) -> Self {
        Self { next: vec![[1_000, 2_000]; conversations], payload: Vec::new(), frame: Vec::new() }
    }

    /// The frame of an event; the buffer is used again by the next call.
    pub fn frame(&mut self, conversation: &Conversation, event: &Event) -> Result<&[u8], Error> {
        self.frame.clear();
        self.payload.clear();
        self.payload.extend_from_slice(&PAYLOAD[..usize::from(event.payload)]);
        let (source, target) = ordered(event.forward, conversation.client, conversation.server);
        let ports = ordered(event.forward, conversation.client_port, conversation.server_port);
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let written = match VlanId::try_new(conversation.vlan) {
            Ok(vlan) if conversation.vlan != 0 => {
                let builder = ethernet.single_vlan(vlan);
                match (source, target) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        self.transport(builder.ipv4(from.octets(), to.octets(), 60), ports, conversation, event)
                    }
                    (IpAddr::V6(from), IpAddr::V6(to)) => {
                        self.transport(builder.ipv6(from.octets(), to.octets(), 60), ports, conversation, event)
                    }
                    _ => return Err(mixed_families()),
                }
            }
            _ => match (source, target) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    self.transport(ethernet.ipv4(from.octets(), to.octets(), 60), ports, conversation, event)
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    self.transport(ethernet.ipv6(from.octets(), to.octets(), 60), ports, conversation, event)
                }
                _ => return Err(mixed_families()),
            },
        };
        written.map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))?;
        Ok(&self.frame)
    }

    fn transport(
        &mut self,
        builder: PacketBuilderStep<etherparse::IpHeaders>,
        ports: (u16, u16),
        conversation: &Conversation,
        event: &Event,
    ) -> Result<(), BuildWriteError> {
        let over_ipv6 = conversation.client.is_ipv6();
        match conversation.kind {
            Kind::Page | Kind::Bulk | Kind::Syn => {
                let (sequence, acknowledged) = self.advance(event);
                let mut tcp = builder.tcp(ports.0, ports.1, sequence, 64_240);
                if event.flags & SYN != 0 {
                    tcp = tcp.syn();
                }
                if event.flags & ACK != 0 {
                    tcp = tcp.ack(acknowledged);
                }
                if event.flags & PSH != 0 {
                    tcp = tcp.psh();
                }
                if event.flags & FIN != 0 {
                    tcp = tcp.fin();
                }
                tcp.write(&mut self.frame, &self.payload)
            }
            Kind::Dns => {
                dns_message(&mut self.payload, conversation.client_port, event.forward);
                builder.udp(ports.0, ports.1).write(&mut self.frame, &self.payload)
            }
            Kind::Datagrams => builder.udp(ports.0, ports.1).write(&mut self.frame, &self.payload),
            Kind::Echo => {
                let id = conversation.client_port;
                match (over_ipv6, event.forward) {
                    (false, true) => builder.icmpv4_echo_request(id, 1).write(&mut self.frame, &self.payload),
                    (false, false) => builder.icmpv4_echo_reply(id, 1).write(&mut self.frame, &self.payload),
                    (true, true) => builder.icmpv6_echo_request(id, 1).write(&mut self.frame, &self.payload),
                    (true, false) => builder.icmpv6_echo_reply(id, 1).write(&mut self.frame, &self.payload),
                }
            }
        }
    }

    /// Sequence and acknowledgement number of this segment; SYN and FIN take one number each (RFC 9293 §3.4).
    fn advance(&mut self, event: &Event) -> (u32, u32) {
        let next = &mut self.next[event.conversation as usize];
        let (own, other) = if event.forward { (0, 1) } else { (1, 0) };
        let sequence = next[own];
        next[own] = sequence.wrapping_add(u32::from(event.payload) + u32::from(event.flags & (SYN | FIN) != 0));
        (sequence, next[other])
    }
}

/// A question for host.lab.example, or its answer (RFC 1035 §4.1).
fn dns_message(message: &mut Vec<u8>, id: u16, question: bool) {
    message.clear();
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[if question { 0x01 } else { 0x81 }, if question { 0x00 } else { 0x80 }]);
    message.extend_from_slice(&[0, 1, 0, u8::from(!question), 0, 0, 0, 0]);
    message.extend_from_slice(b"\x04host\x03lab\x07example\x00\x00\x01\x00\x01");
    if !question {
        // A pointer to the name, type A, class IN, 60 s, 10.0.0.10.
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 10]);
    }
}

fn ordered<T>(forward: bool, client: T, server: T) -> (T, T) {
    if forward { (client, server) } else { (server, client) }
}

fn mixed_families() -> Error {
    Error::new(ErrorKind::InvalidInput, "a conversation between address families (a bug in the plan)")
}

/// Header of a little-endian, microsecond pcap file of Ethernet frames.
pub fn file_header() -> Vec<u8> {
    let mut header = Vec::with_capacity(24);
    header.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.extend_from_slice(&262_144_u32.to_le_bytes());
    header.extend_from_slice(&1_u32.to_le_bytes());
    header
}

/// Header of one packet, `offset` µs after the start.
pub fn packet_header(offset: u64, length: usize) -> [u8; 16] {
    let time = START_US + offset;
    let mut header = [0; 16];
    header[..4].copy_from_slice(&((time / 1_000_000) as u32).to_le_bytes());
    header[4..8].copy_from_slice(&((time % 1_000_000) as u32).to_le_bytes());
    header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    header[12..].copy_from_slice(&(length as u32).to_le_bytes());
    header
}
