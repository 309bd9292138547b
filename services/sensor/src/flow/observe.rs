//! From a decoded packet to what the table needs of it: which flow, which end sent it, what it says.

use weir_schemas::{Host, Micros, Outcome};

use super::icmp::{self, Role};
use super::key::{ARP, FlowKey};
use super::orientation::{Evidence, Rank};
use super::services::is_well_known;
use crate::packet::tcp_flag::{ACK, RST, SYN};
use crate::packet::{ArpPacket, IcmpMessage, IpPacket, Packet, Quoted, TcpSegment, Transport};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// One packet as its flow sees it.
#[derive(Debug)]
pub(super) struct Observation<'a> {
    pub(super) packet: &'a Packet,
    pub(super) time: Micros,
    pub(super) key: FlowKey,
    /// The end that sent it; for an ICMP error the end that could not be reached.
    pub(super) sender: usize,
    /// The hosts of end 0 and end 1.
    pub(super) hosts: [&'a Host; 2],
    pub(super) macs: [Option<&'a [u8; 6]>; 2],
    /// IP length of the outermost packet, or the ARP packet's.
    pub(super) bytes: u32,
    /// One, and the fragments that waited for it.
    pub(super) packets: u32,
    /// How many of them are fragments.
    pub(super) fragments: u32,
    pub(super) payload: u32,
    pub(super) content: Content,
    /// The beginning of the payload, where it is to be read.
    pub(super) head: &'a [u8],
    /// ICMP type and code, or the ARP operation.
    pub(super) kind: (u8, u8),
    /// The TCP segment, if it is one.
    pub(super) segment: Option<SegmentSeen<'a>>,
}

/// A TCP segment, and what its IP header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentSeen<'a> {
    pub(super) tcp: &'a TcpSegment,
    pub(super) ttl: u8,
    /// IP identification.
    pub(super) id: u16,
}

/// What the packet is to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A TCP segment.
    Segment { flags: u8, sequence: u32 },
    /// A message that asks.
    Request,
    /// A message that answers.
    Reply,
    /// An ICMP error that quotes a packet of the flow, and what it says about the attempt.
    Error(Option<Outcome>),
    /// A packet that says neither.
    Plain,
    /// A fragment or a header cut off: without ports, never an attempt.
    Hidden,
}

impl Observation<'_> {
    /// What the packet says about the source, by itself.
    pub(super) fn evidence(&self) -> Evidence {
        let named = |rank, source| Evidence { rank, source };
        let (sender, other) = (self.sender, 1 - self.sender);
        match self.content {
            Content::Segment { flags, .. } => match (flags & SYN != 0, flags & ACK != 0, flags & RST != 0) {
                (true, false, false) => named(Rank::Syn, sender),
                (true, true, false) => named(Rank::SynAck, other),
                (false, false, false) => named(Rank::Probe, sender),
                _ => Evidence::NOTHING,
            },
            Content::Request => named(Rank::Message, sender),
            Content::Reply => named(Rank::Message, other),
            Content::Error(_) => self.evidence_of_error(),
            Content::Plain | Content::Hidden => Evidence::NOTHING,
        }
    }

    /// An error comes for requests and for answers alike (a late answer to a closed port, a download's segment too long
    /// for a link), so it names the source only where the quoted message says which it was.
    fn evidence_of_error(&self) -> Evidence {
        let quoter = 1 - self.sender;
        match u8::try_from(self.key.protocol).map(|protocol| icmp::role(protocol, self.kind.0)) {
            Ok(Role::Request) if self.is_icmp() => Evidence { rank: Rank::Message, source: quoter },
            Ok(Role::Reply) if self.is_icmp() => Evidence { rank: Rank::Message, source: self.sender },
            _ => Evidence::NOTHING,
        }
    }

    fn is_icmp(&self) -> bool {
        matches!(u8::try_from(self.key.protocol), Ok(icmp::ICMP | icmp::ICMPV6))
    }

    /// The source, if the flow's first packet is evidence enough (rule 4): who sent it, or what the error quotes. A
    /// datagram from a service's port to another one is an answer whose request was not captured (NTP, QUIC), and TCP
    /// has flags that say more.
    pub(super) fn source_if_first(&self) -> Option<usize> {
        let sent_first = if matches!(self.content, Content::Error(_)) { 1 - self.sender } else { self.sender };
        let is_answer = self.key.protocol == u16::from(UDP)
            && is_well_known(self.key.ports[sent_first])
            && !is_well_known(self.key.ports[1 - sent_first]);
        let is_tcp = self.key.protocol == u16::from(TCP);
        (!is_tcp && !is_answer).then_some(sent_first)
    }

    /// A SYN without ACK and RST.
    pub(super) fn is_syn(&self) -> bool {
        matches!(self.content, Content::Segment { flags, .. } if flags & (SYN | ACK | RST) == SYN)
    }

    /// A TCP segment with nothing but ACK (and perhaps PSH, URG, ECN bits) and no payload.
    pub(super) fn is_bare_ack(&self) -> bool {
        use crate::packet::tcp_flag::FIN;
        self.payload == 0
            && matches!(self.content, Content::Segment { flags, .. } if flags & (SYN | ACK | RST | FIN) == ACK)
    }
}

/// Reads an IP packet.
#[inline]
pub(super) fn of_ip<'a>(packet: &'a Packet, ip: &'a IpPacket) -> Observation<'a> {
    if let Transport::Icmp(message) = &ip.transport
        && let Some(quoted) = &message.quoted
    {
        return of_error(packet, ip, message, quoted);
    }

    let (ports, payload, content, kind) = match &ip.transport {
        Transport::Tcp(tcp) => {
            let content = Content::Segment { flags: tcp.flags, sequence: tcp.seq };
            (Some((tcp.src_port, tcp.dst_port)), tcp.payload, content, (0, 0))
        }
        Transport::Udp(udp) => {
            let content = match udp.dns_response {
                Some(true) => Content::Reply,
                Some(false) => Content::Request,
                None => Content::Plain,
            };
            (Some((udp.src_port, udp.dst_port)), udp.payload, content, (0, 0))
        }
        Transport::Icmp(message) => {
            // A group cannot have asked: an announcement to it is no answer.
            let content = match icmp::role(ip.proto, message.kind) {
                Role::Request => Content::Request,
                Role::Reply if !is_group(&ip.dst) => Content::Reply,
                Role::Reply | Role::Neither => Content::Plain,
            };
            (None, message.payload, content, (message.kind, message.code))
        }
        Transport::None => {
            let hidden = ip.fragment.is_some() || matches!(ip.proto, TCP | UDP | icmp::ICMP | icmp::ICMPV6);
            (None, 0, if hidden { Content::Hidden } else { Content::Plain }, (0, 0))
        }
    };

    let (source_port, destination_port) = ports.unwrap_or((0, 0));
    let (mut key, sender) = FlowKey::of_ends(u16::from(ip.proto), (&ip.src, source_port), (&ip.dst, destination_port));
    if let Transport::Icmp(message) = &ip.transport {
        key.ports = [icmp::class(ip.proto, message.kind), message.id];
    }
    let segment = match &ip.transport {
        Transport::Tcp(tcp) => Some(SegmentSeen { tcp, ttl: ip.ttl, id: ip.id }),
        _ => None,
    };
    Observation {
        packet,
        segment,
        time: packet.time,
        key,
        sender,
        hosts: by_end(sender, &ip.src, &ip.dst),
        macs: by_end(sender, packet.src_mac.as_ref(), packet.dst_mac.as_ref()),
        bytes: carried_bytes(packet, ip.length),
        packets: 1,
        fragments: 0,
        payload,
        content,
        head: ip.head.as_deref().unwrap_or_default(),
        kind,
    }
}

/// A packet out of a tunnel counts with all the bytes that carried it.
fn carried_bytes(packet: &Packet, length: u32) -> u32 {
    packet.tunnel.as_deref().and_then(|tunnel| tunnel.length).unwrap_or(length)
}

fn of_error<'a>(packet: &'a Packet, ip: &'a IpPacket, message: &IcmpMessage, quoted: &'a Quoted) -> Observation<'a> {
    let protocol = u16::from(quoted.proto);
    let is_icmp = matches!(quoted.proto, icmp::ICMP | icmp::ICMPV6);
    let ports = if is_icmp { (0, 0) } else { (quoted.src_port, quoted.dst_port) };
    let (mut key, asker) = FlowKey::of_ends(protocol, (&quoted.src, ports.0), (&quoted.dst, ports.1));
    if is_icmp {
        key.ports = [icmp::class(quoted.proto, quoted.icmp_kind), quoted.src_port];
    }
    let sender = 1 - asker;
    Observation {
        packet,
        time: packet.time,
        key,
        sender,
        hosts: by_end(sender, &quoted.dst, &quoted.src),
        // The frame came from the router that complains, which is no end of the flow.
        macs: by_end(sender, None, packet.dst_mac.as_ref()),
        bytes: carried_bytes(packet, ip.length),
        packets: 1,
        fragments: 0,
        payload: 0,
        head: &[],
        content: Content::Error(icmp::error_outcome(ip.proto, message.kind, message.code)),
        kind: (quoted.icmp_kind, quoted.icmp_code),
        segment: None,
    }
}

/// Reads an ARP message.
pub(super) fn of_arp<'a>(packet: &'a Packet, arp: &'a ArpPacket) -> Observation<'a> {
    let (key, sender) = FlowKey::of_ends(ARP, (&arp.sender, 0), (&arp.target, 0));
    let content = match arp.op {
        // An announcement of oneself asks nothing (RFC 5227 §3).
        _ if arp.sender == arp.target => Content::Hidden,
        1 => Content::Request,
        2 => Content::Reply,
        _ => Content::Plain,
    };
    let target_mac = (arp.op == 2).then_some(&arp.target_mac);
    Observation {
        packet,
        time: packet.time,
        key,
        sender,
        hosts: by_end(sender, &arp.sender, &arp.target),
        macs: by_end(sender, Some(&arp.sender_mac), target_mac),
        bytes: carried_bytes(packet, arp.length),
        packets: 1,
        fragments: 0,
        payload: 0,
        content,
        head: &[],
        kind: (arp.op.min(255) as u8, 0),
        segment: None,
    }
}

fn by_end<T>(sender: usize, of_sender: T, of_receiver: T) -> [T; 2] {
    if sender == 0 { [of_sender, of_receiver] } else { [of_receiver, of_sender] }
}

fn is_group(host: &Host) -> bool {
    match host {
        Host::V4(address) => address.is_multicast() || address.is_broadcast(),
        Host::V6(address) => address.is_multicast(),
        Host::Name(_) => false,
    }
}
