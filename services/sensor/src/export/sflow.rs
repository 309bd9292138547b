//! sFlow version 5 (sFlow.org, `sFlow` Version 5, July 2004): each flow sample is one packet, which stands for as many as the
//! sampling rate says.
//!
//! Decoded by hand: of all that a datagram may hold, two samples and five records tell of packets. A parser of all record
//! types refuses a whole datagram for one counter it knows in another form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_schemas::{End, Host, Micros};

use super::Output;
use super::bounded::Bounded;
use super::layout::number32;
use super::sequence::Sequence;
use crate::declared::{DeclaredFlow, Exporter, Measured};
use crate::decode::{self, LinkType};
use crate::packet::{Body, IpPacket, Packet, Transport};

/// Agents whose sequence numbers are followed, and data sources whose drops are.
const MOST_AGENTS: usize = 1024;
const MOST_SOURCES: usize = 16_384;

/// Formats of samples (enterprise 0).
const FLOW_SAMPLE: u32 = 1;
const EXPANDED_FLOW_SAMPLE: u32 = 3;
/// Formats of flow records (enterprise 0).
const RAW_HEADER: u32 = 1;
const SAMPLED_IPV4: u32 = 3;
const SAMPLED_IPV6: u32 = 4;
const EXTENDED_SWITCH: u32 = 1001;

/// The decoder of all agents' datagrams.
#[derive(Debug)]
pub(super) struct Sflow {
    sequences: Bounded<Exporter, Sequence>,
    /// The drops that each data source has told of last.
    drops: Bounded<(Exporter, u32, u32), u32>,
}

/// The fields of a flow sample.
struct Sample<'a> {
    source: (u32, u32),
    rate: u32,
    drops: u32,
    records: Items<'a>,
}

/// The packet of a sample, as far as its records tell.
#[derive(Default)]
struct Sampled {
    packet: Option<Box<Packet>>,
    is_damaged: bool,
    /// Where no header was exported: the fields of it that were.
    fields: Option<DeclaredFlow>,
    vlan: Option<u16>,
}

impl Sflow {
    pub(super) fn new() -> Self {
        Self { sequences: Bounded::new(MOST_AGENTS), drops: Bounded::new(MOST_SOURCES) }
    }

    /// Decodes a datagram whose lengths fit.
    pub(super) fn decode(&mut self, received: Micros, datagram: &[u8], output: &mut Output<'_>) {
        let Some((exporter, sequence, samples)) = header(datagram) else {
            output.counters.error("export_data");
            return;
        };
        output.note_gap(exporter, self.sequences.of(&exporter).note(sequence, Some(1)));
        for (format, bytes) in samples {
            let sample = match format {
                FLOW_SAMPLE => flow_sample(bytes),
                EXPANDED_FLOW_SAMPLE => expanded_flow_sample(bytes),
                _ => {
                    output.counters.other_samples += 1;
                    continue;
                }
            };
            match sample {
                Some(sample) => self.sample(exporter, received, sample, output),
                None => output.counters.error("export_data"),
            }
        }
    }

    fn sample(&mut self, exporter: Exporter, received: Micros, sample: Sample<'_>, output: &mut Output<'_>) {
        let before = self.drops.insert(&(exporter, sample.source.0, sample.source.1), sample.drops);
        // The first sample tells what was dropped before anyone listened; a smaller number is that of an agent restarted.
        output.counters.agent_drops += before.map_or(0, |before| u64::from(sample.drops.saturating_sub(before)));
        let sampled = sampled(received, sample.records);
        if sampled.is_damaged {
            output.counters.error("export_sample");
        }
        let flow = sampled.packet.as_deref().and_then(of_packet).or(sampled.fields);
        let Some(mut flow) = flow else {
            output.counters.other_records += u64::from(!sampled.is_damaged);
            return;
        };
        if flow.vlan.is_empty() {
            flow.vlan.extend(sampled.vlan.filter(|id| *id != 0));
        }
        flow.exporter = Some(exporter);
        flow.sampling = sample.rate.max(1);
        output.flow(flow);
    }
}

/// Formats and contents one after another: samples of a datagram, records of a sample.
struct Items<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = (u32, &'a [u8]);

    /// Ends early where a length does not fit.
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (format, length) = (number32(self.bytes, 0)?, number32(self.bytes, 4)? as usize);
        let content = self.bytes.get(8..8usize.checked_add(length)?)?;
        self.bytes = &self.bytes[8 + length..];
        Some((format, content))
    }
}

fn header(datagram: &[u8]) -> Option<(Exporter, u32, Items<'_>)> {
    let (address, at) = if number32(datagram, 4)? == 1 {
        (IpAddr::V4(Ipv4Addr::from(number32(datagram, 8)?)), 12)
    } else {
        (IpAddr::V6(Ipv6Addr::from(*datagram.get(8..24)?.first_chunk::<16>()?)), 24)
    };
    let exporter = Exporter { address, domain: number32(datagram, at)? };
    let samples = Items { left: number32(datagram, at + 12)?, bytes: datagram.get(at + 16..)? };
    Some((exporter, number32(datagram, at + 4)?, samples))
}

fn flow_sample(bytes: &[u8]) -> Option<Sample<'_>> {
    let source = number32(bytes, 4)?;
    Some(Sample {
        source: (source >> 24, source & 0x00ff_ffff),
        rate: number32(bytes, 8)?,
        drops: number32(bytes, 16)?,
        records: Items { left: number32(bytes, 28)?, bytes: bytes.get(32..)? },
    })
}

fn expanded_flow_sample(bytes: &[u8]) -> Option<Sample<'_>> {
    Some(Sample {
        source: (number32(bytes, 4)?, number32(bytes, 8)?),
        rate: number32(bytes, 12)?,
        drops: number32(bytes, 20)?,
        records: Items { left: number32(bytes, 40)?, bytes: bytes.get(44..)? },
    })
}

fn sampled(received: Micros, records: Items<'_>) -> Sampled {
    let mut sampled = Sampled::default();
    for (format, bytes) in records {
        match format {
            RAW_HEADER if sampled.packet.is_none() => raw_header(received, bytes, &mut sampled),
            SAMPLED_IPV4 => sampled.fields = fields(received, bytes, 4),
            SAMPLED_IPV6 => sampled.fields = fields(received, bytes, 16),
            EXTENDED_SWITCH => sampled.vlan = number32(bytes, 0).and_then(|id| u16::try_from(id).ok()),
            _ => {}
        }
    }
    sampled
}

/// The first bytes of the packet, and how long it was on the wire.
fn raw_header(received: Micros, bytes: &[u8], sampled: &mut Sampled) {
    let fields = (number32(bytes, 0), number32(bytes, 4), number32(bytes, 8), number32(bytes, 12));
    let (Some(protocol), Some(length), Some(stripped), Some(header_length)) = fields else {
        sampled.is_damaged = true;
        return;
    };
    let link = match protocol {
        1 => LinkType::Ethernet,
        11 | 12 => LinkType::RawIp,
        // Token ring, frame relay, …: no packet that can be told.
        _ => return,
    };
    let Some(header) = bytes.get(16..).and_then(|rest| rest.get(..header_length as usize)) else {
        sampled.is_damaged = true;
        return;
    };
    let (packet, error) = decode::decode_frame(link, received, header, length.saturating_sub(stripped));
    sampled.is_damaged |= error.is_some();
    sampled.packet = Some(packet);
}

fn of_packet(packet: &Packet) -> Option<DeclaredFlow> {
    let Body::Ip(ip) = &packet.body else { return None };
    let (ports, payload, flags, icmp) = match &ip.transport {
        Transport::Tcp(tcp) => ([tcp.src_port, tcp.dst_port], Some(tcp.payload), Some(tcp.flags), None),
        Transport::Udp(udp) => ([udp.src_port, udp.dst_port], Some(udp.payload), None, None),
        Transport::Icmp(icmp) => ([0, 0], Some(icmp.payload), None, Some((icmp.kind, icmp.code))),
        Transport::None => ([0, 0], None, None, None),
    };
    let IpPacket { src, dst, proto, length, .. } = ip;
    let src = End { mac: packet.src_mac, ..End::new(src.clone(), ports[0]) };
    let dst = End { mac: packet.dst_mac, ..End::new(dst.clone(), ports[1]) };
    let mut flow = DeclaredFlow::new(src, dst, *proto, packet.time, packet.time);
    flow.fwd = Measured { packets: 1, bytes: u64::from(*length), payload: payload.map(u64::from) };
    flow.flags_fwd = flags;
    flow.icmp = icmp;
    flow.vlan = packet.vlan.into_iter().take_while(|id| *id != 0).collect();
    Some(flow)
}

/// The addresses, ports and length of a packet whose header was not exported.
fn fields(received: Micros, bytes: &[u8], address: usize) -> Option<DeclaredFlow> {
    let host = |at: usize| {
        let bytes = bytes.get(at..at + address)?;
        match *bytes {
            [a, b, c, d] => Some(Host::V4(Ipv4Addr::new(a, b, c, d))),
            _ => bytes.first_chunk::<16>().map(|bytes| Host::V6(Ipv6Addr::from(*bytes))),
        }
    };
    let at = 8 + 2 * address;
    let protocol = number32(bytes, 4)? as u8;
    let (source_port, destination_port) = (number32(bytes, at)? as u16, number32(bytes, at + 4)? as u16);
    let is_icmp = matches!(protocol, 1 | 58);
    let ports = if is_icmp { [0, 0] } else { [source_port, destination_port] };
    let (src, dst) = (End::new(host(8)?, ports[0]), End::new(host(8 + address)?, ports[1]));
    let mut flow = DeclaredFlow::new(src, dst, protocol, received, received);
    flow.fwd = Measured { packets: 1, bytes: u64::from(number32(bytes, 0)?), payload: None };
    flow.flags_fwd = (protocol == 6).then(|| number32(bytes, at + 8)).flatten().map(|flags| flags as u8);
    // sFlow has no fields for type and code; agents put them into the ports as NetFlow does.
    flow.icmp = is_icmp.then_some(((destination_port >> 8) as u8, destination_port as u8));
    Some(flow)
}
