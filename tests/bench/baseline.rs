//! The bare loop that the sensor is measured against: etherparse and one hash map, nothing else.
//!
//! No ordering, no TCP state, no timeouts, no records: what is left is the least that any flow meter has to do.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Instant;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

type Key = (IpAddr, IpAddr, u16, u16, u8);
type Flows = HashMap<Key, [u64; 2], foldhash::fast::RandomState>;

/// Longer than any packet of a generated file.
const BUFFER: usize = 1 << 20;
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: weir-bench-baseline FILE.pcap (little-endian, Ethernet, as weir-bench-generate writes)");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let (packets, flows) = match File::open(&path).and_then(|mut file| count(&mut file)) {
        Ok(counted) => counted,
        Err(error) => {
            eprintln!("weir-bench-baseline: {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let (seconds, flows) = (began.elapsed().as_secs_f64(), flows.len());
    println!("packets={packets} flows={flows} seconds={seconds:.4} packets_per_second={:.0}", packets as f64 / seconds);
    ExitCode::SUCCESS
}

/// Packets read, and packets and bytes per conversation.
fn count(file: &mut File) -> std::io::Result<(u64, Flows)> {
    let mut flows = Flows::default();
    let mut packets = 0;
    // One buffer, used again and again: reading a whole file into memory would measure page faults.
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    file.read_exact(&mut buffer[..FILE_HEADER])?;
    loop {
        let read = file.read(&mut buffer[filled..])?;
        filled += read;
        let used = count_whole_packets(&buffer[..filled], &mut packets, &mut flows);
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if read == 0 {
            return Ok((packets, flows));
        }
    }
}

/// Counts the packets that lie in `bytes` whole; returns how many bytes they take.
fn count_whole_packets(bytes: &[u8], packets: &mut u64, flows: &mut Flows) -> usize {
    let mut rest = bytes;
    while let Some((header, after)) = rest.split_at_checked(PACKET_HEADER) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((frame, next)) = after.split_at_checked(length) else { break };
        *packets += 1;
        if let Some(key) = key(frame) {
            let counts = flows.entry(key).or_default();
            counts[0] += 1;
            counts[1] += length as u64;
        }
        rest = next;
    }
    bytes.len() - rest.len()
}

/// Addresses and ports with the smaller end first, so that both directions meet.
fn key(frame: &[u8]) -> Option<Key> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (source, target) = match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr())),
        NetSlice::Ipv6(ip) => (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr())),
        NetSlice::Arp(_) => return None,
    };
    let (from, to, protocol) = match packet.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port(), 6),
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port(), 17),
        TransportSlice::Icmpv4(_) => (0, 0, 1),
        TransportSlice::Icmpv6(_) => (0, 0, 58),
        TransportSlice::Igmp(_) => (0, 0, 2),
    };
    Some(if (source, from) <= (target, to) {
        (source, target, from, to, protocol)
    } else {
        (target, source, to, from, protocol)
    })
}
