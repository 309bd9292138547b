//! What the two sensors see: attacks that every detector finds, spread over the whole time, among benign conversations.
//!
//! A third of the conversations passes both sensors, so that their records overlap.

use std::net::Ipv4Addr;

use weir_tests::chance::Chance;

use crate::frames::{ACK, Ends, FIN, PSH, Packet, RST, SYN, ping, tcp, udp};

const SECOND: u64 = 1_000_000;
const MILLISECOND: u64 = 1_000;

/// Benign clients.
const CLIENTS: u32 = 220;

/// Clients that receive a large download towards the end, each above its own normal.
const DOWNLOADERS: u32 = 24;

/// Segments of such a download: 1.2 MB.
const DOWNLOAD_SEGMENTS: u64 = 830;

/// The thresholds that the run's configuration changes: half an hour of warm-up is more than a run has.
pub const PROFILE: &str = "[profile.default.traffic_spike]\nwarm_up = 20\nfloor = 100000\n";

/// Packets of both sensors, each in order of time.
pub fn packets(seconds: u64, seed: u64) -> [Vec<Packet>; 2] {
    let mut traffic = Traffic { chance: Chance::new(seed), seen: [Vec::new(), Vec::new()], sight: [true, true] };
    traffic.benign(seconds);
    traffic.downloads(seconds);
    traffic.port_scans(seconds);
    traffic.sweeps(seconds);
    traffic.half_open(seconds);
    traffic.floods(seconds);
    for packets in &mut traffic.seen {
        // Stable, so that packets of one time stay in the order they were planned in.
        packets.sort_by_key(|packet| packet.time);
    }
    traffic.seen
}

struct Traffic {
    chance: Chance,
    seen: [Vec<Packet>; 2],
    /// Which sensors the conversation passes that is being planned.
    sight: [bool; 2],
}

impl Traffic {
    fn put(&mut self, time: u64, frame: &[u8]) {
        for (packets, _) in self.seen.iter_mut().zip(self.sight).filter(|(_, sees)| *sees) {
            packets.push(Packet { time, frame: frame.to_vec() });
        }
    }

    /// The next conversation passes the one, the other, or both.
    fn pass_somewhere(&mut self) {
        self.sight = [[true, false], [false, true], [true, true]][self.chance.index(3)];
    }

    fn port(&mut self) -> u16 {
        self.chance.between(32_768, 60_999) as u16
    }

    /// From the first packet, which both sensors see at time 0, to the last second.
    fn benign(&mut self, seconds: u64) {
        for client in 0..CLIENTS {
            let every = if client < DOWNLOADERS { 8 } else { seconds / 3 };
            let mut time = if client == 0 { 0 } else { self.chance.below(every * SECOND) };
            while time < (seconds - 1) * SECOND {
                if time > 0 {
                    self.pass_somewhere();
                }
                let server = self.chance.below(40) as u32;
                let ends = Ends { from: (address(1, client), self.port()), to: (address(2, server), 443) };
                let segments = self.chance.between(2, 5);
                self.page(ends, time, segments, 2 * MILLISECOND);
                time += self.chance.between(every / 2 + 1, every * 3 / 2) * SECOND;
            }
        }
    }

    /// A handshake, a request, `segments` full segments of an answer, and a close.
    fn page(&mut self, ends: Ends, start: u64, segments: u64, pause: u64) {
        let mut time = start;
        self.put(time, &tcp(ends, SYN, 1_000, 0, 0));
        time += 700;
        self.put(time, &tcp(ends.back(), SYN | ACK, 2_000, 1_001, 0));
        time += 200;
        self.put(time, &tcp(ends, ACK, 1_001, 2_001, 0));
        self.put(time + 50, &tcp(ends, ACK | PSH, 1_001, 2_001, 300));
        time += 900;
        let mut sequence = 2_001;
        for _ in 0..segments {
            self.put(time, &tcp(ends.back(), ACK | PSH, sequence, 1_301, 1_448));
            sequence += 1_448;
            self.put(time + 90, &tcp(ends, ACK, 1_301, sequence, 0));
            time += pause;
        }
        self.put(time, &tcp(ends, FIN | ACK, 1_301, sequence, 0));
        self.put(time + 700, &tcp(ends.back(), FIN | ACK, sequence, 1_302, 0));
        self.put(time + 900, &tcp(ends, ACK, 1_302, sequence + 1, 0));
    }

    fn downloads(&mut self, seconds: u64) {
        for client in 0..DOWNLOADERS {
            self.pass_somewhere();
            let start = seconds * SECOND * 3 / 4 + self.chance.below(2 * SECOND);
            let ends = Ends { from: (address(1, client), self.port()), to: (address(2, client), 443) };
            self.page(ends, start, DOWNLOAD_SEGMENTS, 2 * MILLISECOND);
        }
    }

    /// Each by another source against another host; two in five go on after a while, which makes them `updated`.
    fn port_scans(&mut self, seconds: u64) {
        for number in 0..seconds as u32 * 2 / 5 {
            self.pass_somewhere();
            let (source, target) = (address(66, number), address(4, number % 50));
            let start = self.chance.below((seconds - 12) * SECOND);
            let ports = self.chance.between(20, 60) as u16;
            let pause = self.chance.between(20, 150) * MILLISECOND;
            let answers = self.chance.percent(50);
            let over_udp = self.chance.percent(25);
            for port in 1..=ports {
                let ends = Ends { from: (source, 50_000), to: (target, port) };
                let time = start + u64::from(port) * pause;
                if over_udp {
                    self.put(time, &udp(ends, 8));
                } else {
                    self.attempt(ends, time, answers);
                }
            }
            if number % 5 < 2 && start + 20 * SECOND < (seconds - 5) * SECOND {
                for port in 100..160 {
                    let ends = Ends { from: (source, 50_000), to: (target, port) };
                    self.attempt(ends, start + 15 * SECOND + u64::from(port) * 40 * MILLISECOND, answers);
                }
            }
        }
    }

    /// A SYN, refused or not answered.
    fn attempt(&mut self, ends: Ends, time: u64, is_refused: bool) {
        self.put(time, &tcp(ends, SYN, 7_000, 0, 0));
        if is_refused {
            self.put(time + 400, &tcp(ends.back(), RST | ACK, 0, 7_001, 0));
        }
    }

    /// One service, or pings, of many hosts.
    fn sweeps(&mut self, seconds: u64) {
        for number in 0..seconds as u32 / 9 {
            self.pass_somewhere();
            let start = self.chance.below((seconds - 10) * SECOND);
            let with_pings = self.chance.percent(40);
            for host in 0..self.chance.between(35, 80) as u32 {
                let ends = Ends { from: (address(67, number), 40_000), to: (address(5, number * 100 + host), 445) };
                let time = start + u64::from(host) * 60 * MILLISECOND;
                if with_pings {
                    self.put(time, &ping(ends));
                } else {
                    self.attempt(ends, time, false);
                }
            }
        }
    }

    /// Sources whose connections to a handful of servers do not come about.
    fn half_open(&mut self, seconds: u64) {
        for number in 0..seconds as u32 / 10 {
            self.pass_somewhere();
            let start = self.chance.below((seconds - 10) * SECOND);
            for attempt in 0..60 {
                let from = (address(68, number), 30_000 + attempt);
                let ends = Ends { from, to: (address(6, u32::from(attempt) % 4), 8_080) };
                self.attempt(ends, start + u64::from(attempt) * 100 * MILLISECOND, attempt % 2 == 0);
            }
        }
    }

    /// 120 SYNs a second for twelve seconds to one service, each from a source of its own.
    fn floods(&mut self, seconds: u64) {
        let floods = 2 + seconds / 60;
        for flood in 0..floods as u32 {
            self.pass_somewhere();
            let start = u64::from(flood) * (seconds - 16) * SECOND / floods + self.chance.below(2 * SECOND);
            for number in 0..1_440_u32 {
                // Far apart, so that no two floods share a source.
                let source = Ipv4Addr::from(0x0a80_0000 | (flood << 16 | number));
                let ends = Ends { from: (source, 1_024 + number as u16), to: (address(7, flood), 80) };
                self.put(start + u64::from(number) * 8_333, &tcp(ends, SYN, 9_000, 0, 0));
            }
        }
    }
}

/// Host `number` of the network `10.network.0.0/16`.
fn address(network: u8, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | u32::from(network) << 16 | (number + 1))
}
