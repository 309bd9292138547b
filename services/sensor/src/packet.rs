//! A packet as far as it could be decoded: what every packet input produces and the flow table consumes.

use weir_schemas::{Host, Micros, Text};

/// One packet of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Capture time.
    pub time: Micros,
    /// Source hardware address, where the link layer has one.
    pub src_mac: Option<[u8; 6]>,
    /// Destination hardware address, likewise.
    pub dst_mac: Option<[u8; 6]>,
    /// VLAN ids, outermost first; 0 ends the list.
    pub vlan: [u16; 4],
    /// What the frame carries.
    pub body: Body,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// An IPv4 or IPv6 packet.
    Ip(IpPacket),
    /// An ARP message for IPv4 over Ethernet.
    Arp(ArpPacket),
    /// A frame that is neither (STP, LLDP, …): counted, feeds no flow.
    Other,
}

/// An IP packet.
#[derive(Clone, Debug, PartialEq)]
pub struct IpPacket {
    /// Sender.
    pub src: Host,
    /// Receiver.
    pub dst: Host,
    /// Protocol number after all extension headers.
    pub proto: u8,
    /// IP length on the wire, header included (total length, or 40 + payload length), bytes.
    pub length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Set on fragments.
    pub fragment: Option<Fragment>,
    /// What follows.
    pub transport: Transport,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset of its data, bytes; 0 is the first fragment, the only one with ports.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
}

/// The transport header, as far as it was captured.
#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// TCP.
    Tcp(TcpSegment),
    /// UDP.
    Udp(UdpDatagram),
    /// ICMP or `ICMPv6`.
    Icmp(IcmpMessage),
    /// Another protocol, a later fragment, or a header cut off by the snap length.
    None,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Flags as on the wire, low byte: CWR ECE URG ACK PSH RST SYN FIN from the high bit.
    pub flags: u8,
    /// Sequence number; relative in text that prints it so.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window as on the wire, unscaled.
    pub window: u16,
    /// Payload bytes on the wire.
    pub payload: u32,
}

/// TCP flag bits as on the wire (RFC 9293 §3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Payload bytes on the wire.
    pub payload: u32,
    /// On port 53 with a whole DNS header: whether its QR bit says response. Absent where the bit contradicts the ports.
    pub dns_response: Option<bool>,
}

/// An ICMP or `ICMPv6` message.
#[derive(Clone, Debug, PartialEq)]
pub struct IcmpMessage {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier of an echo or timestamp message, else 0.
    pub id: u16,
    /// Payload bytes on the wire after the 8-byte header.
    pub payload: u32,
    /// The packet that an error message quotes.
    pub quoted: Option<Box<Quoted>>,
}

/// The packet that an ICMP error quotes, as its original sender sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quoted {
    /// Sender of the quoted packet.
    pub src: Host,
    /// Its receiver.
    pub dst: Host,
    /// Its protocol.
    pub proto: u8,
    /// Its source port (ICMP echo: the identifier); 0 where cut off.
    pub src_port: u16,
    /// Its destination port; 0 where there is none or it was cut off.
    pub dst_port: u16,
    /// Its ICMP type, where it is one.
    pub icmp_kind: u8,
    /// Its ICMP code, likewise.
    pub icmp_code: u8,
}

/// An ARP message.
#[derive(Clone, Debug, PartialEq)]
pub struct ArpPacket {
    /// 1 request, 2 reply.
    pub op: u16,
    /// Sender hardware address.
    pub sender_mac: [u8; 6],
    /// Sender protocol address.
    pub sender: Host,
    /// Target hardware address.
    pub target_mac: [u8; 6],
    /// Target protocol address.
    pub target: Host,
    /// ARP packet length, bytes (28 for IPv4 over Ethernet).
    pub length: u32,
}

/// What a packet input counted; printed as caveats and sent in marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputCounters {
    /// Packets read, decoded or not.
    pub packets: u64,
    /// Link-layer bytes on the wire.
    pub bytes: u64,
    /// Packets whose capture was cut by the snap length.
    pub truncated: u64,
    /// Packets the capture says it dropped (pcapng interface statistics).
    pub drops: u64,
    /// Decode errors by kind.
    pub decode_errors: std::collections::BTreeMap<&'static str, u64>,
    /// Frames that carry neither IP nor ARP.
    pub other: u64,
}

/// Where an input stopped early, or what it had to assume; one line each on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputWarning {
    /// The file; `-` for standard input.
    pub file: Text,
    /// Byte offset in the (decompressed) stream, where one is at fault.
    pub offset: Option<u64>,
    /// What it is, and what was done about it.
    pub message: String,
}
