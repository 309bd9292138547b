//! Who talks to whom, and which packet goes when: the plan that is rendered into a capture.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_tests::chance::Chance;

/// One packet to come.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// µs since the capture began.
    pub time: u64,
    /// Index into [`Plan::conversations`].
    pub conversation: u32,
    /// From the client to the server.
    pub forward: bool,
    /// TCP flags, low byte; 0 elsewhere.
    pub flags: u8,
    /// Payload bytes; a DNS message has its own length.
    pub payload: u16,
}

/// The two ends of a conversation and what they speak.
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    /// Client.
    pub client: IpAddr,
    /// Server.
    pub server: IpAddr,
    /// Client's port; identifier of an echo.
    pub client_port: u16,
    /// Server's port.
    pub server_port: u16,
    /// What they speak.
    pub kind: Kind,
    /// VLAN id; 0: untagged.
    pub vlan: u16,
}

/// What a conversation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A page or two over TCP.
    Page,
    /// A long transfer over TCP.
    Bulk,
    /// A DNS question and its answer.
    Dns,
    /// Datagrams both ways.
    Datagrams,
    /// Pings and their answers.
    Echo,
    /// A lone SYN.
    Syn,
}

/// All conversations and all packets, unsorted.
#[derive(Default)]
pub struct Plan {
    /// The conversations.
    pub conversations: Vec<Conversation>,
    /// Their packets.
    pub events: Vec<Event>,
}

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

const CLIENTS: u64 = 4_000;
const SERVERS: u64 = 500;

impl Conversation {
    /// A conversation as it comes: 40 % DNS, 40 % pages, 10 % bulk, 5 % datagrams, 5 % pings; a tenth IPv6, a tenth tagged.
    pub fn by_chance(chance: &mut Chance) -> Self {
        let (kind, server_port) = match chance.below(100) {
            0..40 => (Kind::Dns, 53),
            40..80 => (Kind::Page, if chance.percent(80) { 443 } else { 80 }),
            80..90 => (Kind::Bulk, if chance.percent(70) { 443 } else { 8_080 }),
            90..95 => (Kind::Datagrams, 443),
            _ => (Kind::Echo, 0),
        };
        let (client, server) = (chance.below(CLIENTS), chance.below(SERVERS));
        let over_ipv6 = chance.percent(10);
        Self {
            client: address(0x0a01_0000 + client as u32, over_ipv6),
            server: address(0x0a02_0000 + server as u32, over_ipv6),
            client_port: chance.between(32_768, 60_999) as u16,
            server_port,
            kind,
            vlan: if chance.percent(10) { 42 } else { 0 },
        }
    }
}

/// A private IPv4 address, or its image in `fd00::/8`.
fn address(bits: u32, over_ipv6: bool) -> IpAddr {
    if over_ipv6 {
        return IpAddr::V6(Ipv6Addr::from((0xfd00_u128 << 112) | u128::from(bits)));
    }
    IpAddr::V4(Ipv4Addr::from(bits))
}

impl Plan {
    /// Plans a conversation that begins at `start` µs.
    pub fn add(&mut self, conversation: Conversation, start: u64, chance: &mut Chance) {
        let mut script = Script { plan: self, time: start, round_trip: chance.between(500, 60_000) };
        script.plan.conversations.push(conversation);
        match conversation.kind {
            Kind::Page => {
                let segments = chance.between(2, 10);
                script.tcp(segments, 300, chance);
            }
            Kind::Bulk => {
                let segments = chance.between(40, 160);
                script.tcp(segments, 30_000, chance);
            }
            Kind::Dns => {
                script.send(true, 0, 0);
                script.wait_for_answer();
                script.send(false, 0, 0);
            }
            Kind::Datagrams => {
                for _ in 0..chance.between(10, 50) {
                    script.send(true, 0, chance.between(30, 200) as u16);
                    script.wait_for_answer();
                    script.send(false, 0, chance.between(100, 1_200) as u16);
                    script.time += chance.below(40_000);
                }
            }
            Kind::Echo => {
                for _ in 0..chance.between(1, 8) {
                    script.send(true, 0, 56);
                    script.wait_for_answer();
                    script.send(false, 0, 56);
                    script.time += 1_000_000;
                }
            }
            Kind::Syn => script.send(true, SYN, 0),
        }
    }

    /// 10.0.9.9 tries 300 ports of 10.0.0.20 in three seconds: what has to be found whatever else goes on.
    pub fn add_port_scan(&mut self, start: u64) {
        for port in 1..=300_u16 {
            self.lone_syn(0x0a00_0909, 0x0a00_0014, 50_000, port, start + u64::from(port) * 10_000);
        }
    }

    /// `count` SYNs to 10.0.0.10:80, each from another address of 10.128.0.0/9, spread evenly over `duration` µs.
    pub fn add_flood(&mut self, count: u32, duration: u64) {
        // An odd factor permutes the 2^23 addresses, so no source comes twice before all came once.
        const FACTOR: u32 = 0x002f_2ab5;
        for number in 0..count {
            let source = 0x0a80_0000 | (number.wrapping_mul(FACTOR) & 0x007f_ffff);
            let port = 1_024 + (number.wrapping_mul(40_503) % 60_000) as u16;
            let time = u64::from(number) * duration / u64::from(count);
            self.lone_syn(source, 0x0a00_000a, port, 80, time);
        }
    }

    fn lone_syn(&mut self, client: u32, server: u32, client_port: u16, server_port: u16, time: u64) {
        let (client, server) = (address(client, false), address(server, false));
        let conversation = self.conversations.len() as u32;
        self.conversations.push(Conversation { client, server, client_port, server_port, kind: Kind::Syn, vlan: 0 });
        self.events.push(Event { time, conversation, forward: true, flags: SYN, payload: 0 });
    }
}

/// Writes one conversation's packets, in order.
struct Script<'plan> {
    plan: &'plan mut Plan,
    time: u64,
    round_trip: u64,
}

impl Script<'_> {
    fn send(&mut self, forward: bool, flags: u8, payload: u16) {
        let conversation = self.plan.conversations.len() as u32 - 1;
        self.plan.events.push(Event { time: self.time, conversation, forward, flags, payload });
    }

    fn wait_for_answer(&mut self) {
        self.time += self.round_trip;
    }

    /// Handshake, a request, `segments` answers each acknowledged after a pause below `pause` µs, and a close by both ends.
    fn tcp(&mut self, segments: u64, pause: u64, chance: &mut Chance) {
        self.send(true, SYN, 0);
        self.wait_for_answer();
        self.send(false, SYN | ACK, 0);
        self.time += 50;
        self.send(true, ACK, 0);
        self.time += 50;
        self.send(true, ACK | PSH, chance.between(100, 600) as u16);
        self.wait_for_answer();
        for _ in 0..segments {
            self.send(false, ACK | PSH, segment_size(chance));
            self.time += 50;
            self.send(true, ACK, 0);
            self.time += chance.below(pause);
        }
        self.send(true, ACK | FIN, 0);
        self.wait_for_answer();
        self.send(false, ACK | FIN, 0);
        self.time += 50;
        self.send(true, ACK, 0);
    }
}

/// Payload of an answer's segment: a third full, the rest records of a few hundred bytes.
fn segment_size(chance: &mut Chance) -> u16 {
    if chance.percent(33) { 1_448 } else { chance.between(50, 700) as u16 }
}
