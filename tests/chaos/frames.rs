//! Frames with right lengths and checksums, and the capture file that holds them.

use std::fs::File;
use std::io::{BufWriter, Error, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use etherparse::PacketBuilder;

// 2026-01-05 09:00:00 UTC. Sensors shift it to the present.
const START_US: u64 = 1_767_603_600_000_000;

/// Most that a frame is kept of.
const SNAPLEN: u32 = 262_144;

/// Link type of Ethernet (`LINKTYPE_ETHERNET`).
const ETHERNET: u32 = 1;

const PAYLOAD: [u8; 1_448] = [b'x'; 1_448];

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// A frame at a time, µs since the capture began.
#[derive(Clone, Debug)]
pub struct Packet {
    pub time: u64,
    pub frame: Vec<u8>,
}

/// Where a packet goes from and to: address and port.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
}

impl Ends {
    /// The other way.
    pub fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// A TCP segment with this many bytes of payload, 1,448 at most.
pub fn tcp(ends: Ends, flags: u8, sequence: u32, acknowledged: u32, payload: usize) -> Vec<u8> {
    let mut segment = ip(ends).tcp(ends.from.1, ends.to.1, sequence, 64_240);
    if flags & FIN != 0 {
        segment = segment.fin();
    }
    if flags & SYN != 0 {
        segment = segment.syn();
    }
    if flags & RST != 0 {
        segment = segment.rst();
    }
    if flags & PSH != 0 {
        segment = segment.psh();
    }
    if flags & ACK != 0 {
        segment = segment.ack(acknowledged);
    }
    let mut frame = Vec::new();
    // Writing so little into memory has no way to fail, here and below.
    let _ = segment.write(&mut frame, &PAYLOAD[..payload.min(PAYLOAD.len())]);
    frame
}

/// A UDP datagram.
pub fn udp(ends: Ends, payload: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let _ = ip(ends).udp(ends.from.1, ends.to.1).write(&mut frame, &PAYLOAD[..payload.min(PAYLOAD.len())]);
    frame
}

/// An echo request; the port it comes from is its identifier.
pub fn ping(ends: Ends) -> Vec<u8> {
    let mut frame = Vec::new();
    let _ = ip(ends).icmpv4_echo_request(ends.from.1, 1).write(&mut frame, &PAYLOAD[..56]);
    frame
}

fn ip(ends: Ends) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(ends.from.0.octets(), ends.to.0.octets(), 60)
}

/// Writes packets, in order of time, as a little-endian pcap file with microseconds.
pub fn write(path: &Path, packets: &[Packet]) -> Result<(), Error> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    // Version 2.4, two fields that nobody uses.
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&SNAPLEN.to_le_bytes())?;
    out.write_all(&ETHERNET.to_le_bytes())?;
    for packet in packets {
        let (time, length) = (START_US + packet.time, packet.frame.len() as u32);
        for field in [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length] {
            out.write_all(&field.to_le_bytes())?;
        }
        out.write_all(&packet.frame)?;
    }
    out.flush()
}
