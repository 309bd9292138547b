//! How fast the flow table alone is: `cargo run --release -p weir-sensor --example flow_speed [mix|flood]`.
//!
//! `mix`: 4 M packets of 60,000 connections. `flood`: 3 M SYNs from 3 M sources. Packets are made before the clock starts.

use std::process::ExitCode;
use std::time::Instant;

use weir_schemas::{Host, Micros};
use weir_sensor::flow::{FlowConfig, FlowTable};
use weir_sensor::packet::tcp_flag::{ACK, FIN, PSH, SYN};
use weir_sensor::packet::{Body, IpPacket, Packet, TcpSegment, Transport};

const START: Micros = 1_700_000_000_000_000;

fn main() -> ExitCode {
    let packets = match std::env::args().nth(1).as_deref() {
        None | Some("mix") => mix(60_000, 66),
        Some("flood") => flood(3_000_000),
        Some(other) => {
            eprintln!("flow_speed: unknown input {other}; give mix or flood");
            return ExitCode::from(2);
        }
    };
    for _ in 0..3 {
        let mut table = FlowTable::new(FlowConfig::default());
        let mut records = Vec::new();
        let mut exported = 0;
        let mut peak = 0;
        let begun = Instant::now();
        for (index, packet) in packets.iter().enumerate() {
            table.packet(packet, &mut records);
            exported += records.len();
            records.clear();
            if index % 65_536 == 0 {
                peak = peak.max(table.counters().active);
            }
        }
        while !table.finish_part(8192, &mut records) {
            exported += records.len();
            records.clear();
        }
        exported += records.len();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{} packets, {exported} records, at most {peak} flows, evicted {}: {:.2} M packets/s",
            packets.len(),
            table.counters().evicted,
            packets.len() as f64 / seconds / 1e6
        );
    }
    ExitCode::SUCCESS
}

/// Connections that overlap, their packets interleaved: 5 µs apart.
fn mix(connections: u32, length: u32) -> Vec<Packet> {
    let window = 20_000;
    let mut packets = Vec::with_capacity((connections * length) as usize);
    let mut time = START;
    for first in (0..connections).step_by(window) {
        let last = connections.min(first + window as u32);
        for step in 0..length {
            for connection in first..last {
                time += 5;
                packets.push(segment(time, connection.wrapping_mul(2_654_435_761) % last.max(1), step, length));
            }
        }
    }
    packets
}

fn segment(time: Micros, connection: u32, step: u32, length: u32) -> Packet {
    let client = (0x0a00_0000 + connection / 7, 1024 + (connection % 60_000) as u16);
    let server = (0xc0a8_0000 + connection % 500, 443);
    let (from, to, flags, payload) = match step {
        0 => (client, server, SYN, 0),
        1 => (server, client, SYN | ACK, 0),
        2 => (client, server, ACK, 0),
        _ if step + 2 == length => (client, server, FIN | ACK, 0),
        _ if step + 1 == length => (server, client, FIN | ACK, 0),
        _ if step.is_multiple_of(3) => (client, server, ACK, 0),
        _ => (server, client, ACK | PSH, 400),
    };
    tcp(time, from, to, flags, payload)
}

/// SYNs from as many sources, 1 µs apart.
fn flood(sources: u32) -> Vec<Packet> {
    let source = |number: u32| (0x2000_0000 + number.wrapping_mul(2_654_435_761) % 0x4000_0000, 1024);
    (0..sources).map(|number| tcp(START + Micros::from(number), source(number), (0xc0a8_0001, 80), SYN, 0)).collect()
}

fn tcp(time: Micros, from: (u32, u16), to: (u32, u16), flags: u8, payload: u32) -> Packet {
    let segment =
        TcpSegment { src_port: from.1, dst_port: to.1, flags, seq: 1, window: 1024, payload, ..TcpSegment::default() };
    let ip = IpPacket {
        src: Host::V4(from.0.into()),
        dst: Host::V4(to.0.into()),
        proto: 6,
        length: 40 + payload,
        ttl: 64,
        id: 0,
        fragment: None,
        transport: Transport::Tcp(segment),
        head: None,
    };
    Packet { time, src_mac: None, dst_mac: None, vlan: [0; 4], tunnel: None, body: Body::Ip(ip) }
}
