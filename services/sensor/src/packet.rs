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
    /// What carried the packet, if it came through a tunnel; the body is the inner packet then.
    pub tunnel: Option<Box<Encapsulation>>,
    /// What the frame carries.
    pub body: Body,
}

impl Packet {
    /// A frame of which nothing is known but its time.
    #[must_use]
    pub fn unread(time: Micros) -> Self {
        Self { time, src_mac: None, dst_mac: None, vlan: [0; 4], tunnel: None, body: Body::Other }
    }
}

/// The tunnel that a packet was taken out of: with several, the innermost, which carries the flow that is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// `vxlan`, `gre`, …
    pub kind: &'static str,
    /// Whom the tunnel connects.
    pub ends: TunnelEnds,
    /// VNI, key, session or label; 0 where there is none.
    pub id: u32,
    /// IP length of the outermost IP packet, bytes; `None` where there is no IP outside.
    pub length: Option<u32>,
    /// The outermost IP packet was a first fragment: later ones carry more of the inner packet.
    pub fragment: Option<OuterFragment>,
    /// Tunnels around the packet.
    pub layers: u8,
}

/// The two ends of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelEnds {
    /// Sender and receiver of the outer IP packet.
    Hosts(Host, Host),
    /// Sender and receiver of the frame, for a tunnel right on a link.
    Macs([u8; 6], [u8; 6]),
}

/// The fragment of an outer IP packet that holds the beginning of an inner one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OuterFragment {
    /// Sender of the outer packet.
    pub src: Host,
    /// Its receiver.
    pub dst: Host,
    /// Its protocol.
    pub proto: u8,
    /// Its identification.
    pub id: u32,
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

/// Bytes of a packet's payload that are looked at.
pub const MOST_HEAD: usize = 2048;

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
    /// IPv4 identification; 0 for IPv6.
    pub id: u16,
    /// Set on fragments.
    pub fragment: Option<Box<Fragment>>,
    /// What follows.
    pub transport: Transport,
    /// The beginning of the payload of TCP or UDP, at most [`MOST_HEAD`] bytes of it; `None` where none was captured.
    pub head: Option<Box<[u8]>>,
}

/// Where a fragment belongs, and what it brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset of its data, bytes; 0 is the first fragment, the only one with ports.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Protocol number of what was cut up, extension headers behind the fragment header included.
    pub protocol: u8,
    /// Bytes of it on the wire.
    pub length: u32,
    /// Those of them that were captured and lie in the datagram's head.
    pub data: Vec<u8>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Checksum as on the wire; 0 where cut off.
    pub checksum: u16,
    /// The sender's timestamp option.
    pub timestamp: Option<u32>,
    /// An option contradicts itself or runs over the header.
    pub bad_options: bool,
    /// What a SYN or SYN-ACK says about its sender, where its options were captured.
    pub syn: Option<SynShape>,
}

/// What a SYN or SYN-ACK says about the stack that sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynShape {
    /// It is a SYN-ACK.
    pub is_answer: bool,
    /// Maximum segment size offered, bytes.
    pub mss: Option<u16>,
    /// Window scale offered, bits.
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack: bool,
    /// Timestamps offered.
    pub timestamps: bool,
    /// Option kinds in wire order: the first `order_length` are meant, later ones than these 16 are left out.
    pub order: [u8; 16],
    /// Places of `order` in use.
    pub order_length: u8,
    /// Oddities, bits of [`quirk`].
    pub quirks: u32,
}

impl SynShape {
    /// Notes the kind of the next option.
    pub fn note_kind(&mut self, kind: u8) {
        if let Some(place) = self.order.get_mut(usize::from(self.order_length)) {
            *place = kind;
            self.order_length += 1;
        }
    }

    /// Option kinds in wire order.
    #[must_use]
    pub fn kinds(&self) -> &[u8] {
        self.order.get(..usize::from(self.order_length)).unwrap_or_default()
    }
}

/// Oddities of a SYN or SYN-ACK, in the order of p0f's signature field.
pub mod quirk {
    /// IPv4: don't fragment.
    pub const DONT_FRAGMENT: u32 = 1;
    /// IPv4: don't fragment, and an identification nevertheless.
    pub const ID_SET: u32 = 1 << 1;
    /// IPv4: may be fragmented, and has no identification.
    pub const ID_ZERO: u32 = 1 << 2;
    /// ECN bits of IP or TCP.
    pub const ECN: u32 = 1 << 3;
    /// IPv4: the reserved flag is set.
    pub const RESERVED: u32 = 1 << 4;
    /// IPv6: a flow label.
    pub const FLOW_LABEL: u32 = 1 << 5;
    /// Sequence number zero.
    pub const SEQUENCE_ZERO: u32 = 1 << 6;
    /// An acknowledgement number without the flag.
    pub const ACK_WITHOUT_FLAG: u32 = 1 << 7;
    /// The flag with an acknowledgement number of zero.
    pub const FLAG_WITHOUT_ACK: u32 = 1 << 8;
    /// An urgent pointer without the flag.
    pub const URGENT_WITHOUT_FLAG: u32 = 1 << 9;
    /// URG.
    pub const URGENT: u32 = 1 << 10;
    /// PSH.
    pub const PUSH: u32 = 1 << 11;
    /// Its own timestamp is zero.
    pub const OWN_TIMESTAMP_ZERO: u32 = 1 << 12;
    /// A SYN that echoes a timestamp.
    pub const PEER_TIMESTAMP: u32 = 1 << 13;
    /// Bytes other than zero after the end of the options.
    pub const DATA_AFTER_OPTIONS: u32 = 1 << 14;
    /// A window scale above 14.
    pub const EXCESSIVE_SCALE: u32 = 1 << 15;
    /// Options that contradict themselves.
    pub const BAD_OPTIONS: u32 = 1 << 16;

    /// p0f's names, by the number of the bit.
    pub const NAMES: [&str; 17] = [
        "df", "id+", "id-", "ecn", "0+", "flow", "seq-", "ack+", "ack-", "uptr+", "urgf+", "pushf+", "ts1-", "ts2+",
        "opt+", "exws", "bad",
    ];
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
    /// Frames that carry neither IP nor ARP, and rows of tables that tell of them.
    pub other: u64,
    /// Flows read that somebody else measured.
    pub flows: u64,
    /// Packets that those flows tell of.
    pub told_packets: u64,
}

impl InputCounters {
    /// Packets read, and those that flows read tell of.
    #[must_use]
    pub fn all_packets(&self) -> u64 {
        self.packets.saturating_add(self.told_packets)
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.truncated += other.truncated;
        self.drops += other.drops;
        for (kind, count) in &other.decode_errors {
            *self.decode_errors.entry(kind).or_default() += count;
        }
        self.other += other.other;
        self.flows += other.flows;
        self.told_packets = self.told_packets.saturating_add(other.told_packets);
    }
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
