//! Exporters' datagrams, one after another: UDP payloads of a capture, or what a raw file holds.

use std::io;
use std::net::SocketAddr;

use weir_schemas::{Host, Micros, SECOND_US};

use super::super::Observed;
use super::super::bytes::ByteStream;
use super::super::reader::{Fault, RecordReader};
use crate::export::{self, Protocol, WELL_KNOWN_PORTS};
use crate::packet::{Body, InputCounters, IpPacket, Packet, Transport};

/// The longest datagram, and so the longest message.
const LONGEST: usize = 65_535;

/// A datagram and where it came from.
pub(super) struct Datagram<'a> {
    pub(super) sender: SocketAddr,
    pub(super) received: Micros,
    pub(super) payload: &'a [u8],
}

/// What a packet of a capture is to a reader of exports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// An export, or what was sent to a collector's port.
    Export(SocketAddr, &'a [u8]),
    /// An export that was cut off or is a fragment, so that it cannot be read; and the name of that.
    Damaged(&'static str),
    /// Neither: what a collector's host sends and gets besides, down to answers that its port is closed.
    Beside,
    /// Traffic of something else.
    Other,
}

/// Where datagrams come from.
pub(super) trait Datagrams {
    /// Hands the next datagram to `take`; false at the end. What is wrong is counted; packets are not: those that
    /// exporters counted are.
    fn next(&mut self, counters: &mut InputCounters, take: &mut dyn FnMut(Datagram<'_>)) -> bool;

    /// Goes back to the beginning.
    fn rewind(&mut self) -> io::Result<()>;

    /// The format that the datagrams lie in.
    fn kind(&self) -> &str;

    /// Why it stopped, if not at the end.
    fn take_fault(&mut self) -> Option<Fault>;

    /// Packets that the capture lost, and what of it was no export.
    fn losses(&self) -> (u64, u64);

    /// A link type that cannot be decoded.
    fn unreadable_link(&self) -> Option<u32> {
        None
    }

    /// What had to be assumed.
    fn assumption(&self) -> Option<String> {
        None
    }
}

/// The datagrams of a capture.
pub(super) struct Captured {
    reader: Box<dyn RecordReader>,
    others: u64,
}

impl Captured {
    pub(super) fn new(reader: Box<dyn RecordReader>) -> Self {
        Self { reader, others: 0 }
    }

    pub(super) fn into_reader(self) -> Box<dyn RecordReader> {
        self.reader
    }

    /// Whether all the traffic of the capture is exports. Reads to the first packet that is not, and goes back.
    pub(super) fn is_all_exports(&mut self) -> io::Result<bool> {
        let (mut exports, mut is_other) = (false, false);
        let mut counters = InputCounters::default();
        while !is_other {
            let mut see = |packet: &Packet, frame: &[u8]| match carried(packet, frame) {
                Carried::Export(_, payload) if export::recognise(payload).is_some() => exports = true,
                Carried::Beside => {}
                _ => is_other = true,
            };
            if self.reader.next_with(&mut counters, &mut see).is_none() {
                break;
            }
        }
        self.reader.seek(0)?;
        Ok(exports && !is_other)
    }
}

impl Datagrams for Captured {
    fn next(&mut self, counters: &mut InputCounters, take: &mut dyn FnMut(Datagram<'_>)) -> bool {
        let mut damage = None;
        let others = &mut self.others;
        let mut see = |packet: &Packet, frame: &[u8]| match carried(packet, frame) {
            Carried::Export(sender, payload) => take(Datagram { sender, received: packet.time, payload }),
            Carried::Damaged(kind) => damage = Some(kind),
            Carried::Beside => {}
            Carried::Other => *others += 1,
        };
        let mut frames = InputCounters::default();
        let read = self.reader.next_with(&mut frames, &mut see);
        counters.truncated += frames.truncated;
        for (kind, count) in frames.decode_errors {
            *counters.decode_errors.entry(kind).or_default() += count;
        }
        if let Some(kind) = damage {
            *counters.decode_errors.entry(kind).or_default() += 1;
        }
        matches!(read, Some(Observed::Packet(_)))
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.others = 0;
        self.reader.seek(0)
    }

    fn kind(&self) -> &str {
        self.reader.kind()
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.reader.take_fault()
    }

    fn losses(&self) -> (u64, u64) {
        (self.reader.drops(), self.others)
    }

    fn unreadable_link(&self) -> Option<u32> {
        self.reader.unreadable_link()
    }
}

/// What a packet carries, by its ports and content.
pub(super) fn carried<'a>(packet: &Packet, frame: &'a [u8]) -> Carried<'a> {
    let Body::Ip(ip) = &packet.body else { return Carried::Beside };
    let Transport::Udp(udp) = &ip.transport else {
        let is_answer = matches!(&ip.transport, Transport::Icmp(icmp) if icmp.quoted.is_some());
        let is_fragment = ip.proto == UDP && ip.fragment.is_some();
        return match (is_fragment, is_answer) {
            (true, _) => Carried::Damaged("export_fragment"),
            (_, true) => Carried::Beside,
            _ => Carried::Other,
        };
    };
    let Some(address) = ip.src.ip() else { return Carried::Other };
    let is_for_collector = WELL_KNOWN_PORTS.contains(&udp.dst_port);
    match payload_of(ip, frame) {
        Some(payload) if payload.len() == udp.payload as usize => {
            if is_for_collector || export::recognise(payload).is_some() {
                Carried::Export((address, udp.src_port).into(), payload)
            } else {
                Carried::Other
            }
        }
        cut if is_for_collector || cut.is_some_and(|payload| export::claimed(payload).is_some()) => {
            Carried::Damaged(if ip.fragment.is_some() { "export_fragment" } else { "export_cut" })
        }
        _ => Carried::Other,
    }
}

const UDP: u8 = 17;

/// The captured payload of a UDP packet.
///
/// A packet keeps no bytes, so that the others cost none. Its headers are found again by its addresses, which stand in the
/// IP header and nowhere before it.
fn payload_of<'a>(ip: &IpPacket, frame: &'a [u8]) -> Option<&'a [u8]> {
    let Transport::Udp(udp) = &ip.transport else { return None };
    let (addresses, at) = match (&ip.src, &ip.dst) {
        (Host::V4(source), Host::V4(destination)) => ([source.octets(), destination.octets()].concat(), 12),
        (Host::V6(source), Host::V6(destination)) => ([source.octets(), destination.octets()].concat(), 8),
        _ => return None,
    };
    let found = frame.windows(addresses.len()).position(|window| window == addresses)?;
    let header = found.checked_sub(at)?;
    // UDP is the last header, and its length says where its payload begins.
    let ports = [udp.src_port.to_be_bytes(), udp.dst_port.to_be_bytes()].concat();
    let after = found + addresses.len();
    let search = frame.get(after..)?;
    let udp_at = after + search.windows(4).position(|window| window == ports)?;
    let begin = udp_at + 8;
    let end = (begin + udp.payload as usize).min(header + ip.length as usize).min(frame.len());
    frame.get(begin..end)
}

/// The datagrams of a raw file: messages one after another, as collectors' tests and dumps have them.
pub(super) struct Raw {
    stream: ByteStream,
    fault: Option<Fault>,
    /// When the first sFlow datagram was sent, for want of a time in it, and the uptime it tells.
    day: Micros,
    first_uptime: Option<u32>,
}

impl Raw {
    pub(super) fn new(stream: ByteStream, day: Micros) -> Self {
        Self { stream, fault: None, day, first_uptime: None }
    }

    /// The time of export, which stands in for that of reception.
    fn time_of(&mut self, protocol: Protocol, message: &[u8]) -> Micros {
        let number = |at: usize| {
            message.get(at..at + 4).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        match protocol {
            Protocol::Ipfix => Micros::from(number(4)) * SECOND_US,
            Protocol::V5 | Protocol::V7 | Protocol::V9 => Micros::from(number(8)) * SECOND_US,
            Protocol::Sflow => {
                // After the agent's address, sub-agent and sequence number; milliseconds.
                let uptime = number(if number(4) == 1 { 20 } else { 32 });
                let first = *self.first_uptime.get_or_insert(uptime);
                self.day + Micros::from(uptime.wrapping_sub(first).cast_signed()) * 1000
            }
        }
    }
}

impl Datagrams for Raw {
    fn next(&mut self, _counters: &mut InputCounters, take: &mut dyn FnMut(Datagram<'_>)) -> bool {
        let ready = self.stream.fill(LONGEST);
        if ready.is_empty() {
            return false;
        }
        let Some((protocol, length)) = export::message(ready) else {
            let left = ready.len();
            let message = format!(
                "no whole NetFlow, IPFIX or sFlow message begins here (at least {left} bytes are left); the messages before were read"
            );
            self.fault = Some(Fault { offset: self.stream.offset(), message });
            return false;
        };
        let payload = ready[..length.min(LONGEST)].to_vec();
        let received = self.time_of(protocol, &payload);
        // Whoever sent it is not told.
        take(Datagram { sender: ([0, 0, 0, 0], 0).into(), received, payload: &payload });
        self.stream.consume(length);
        true
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.fault = None;
        self.first_uptime = None;
        self.stream.seek(0)
    }

    fn kind(&self) -> &'static str {
        "exports"
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    fn losses(&self) -> (u64, u64) {
        (0, 0)
    }

    fn assumption(&self) -> Option<String> {
        let message =
            "sFlow tells no time of day: its first datagram was taken to be sent at 00:00 UTC of the day of the file";
        self.first_uptime.map(|_| message.to_owned())
    }
}
