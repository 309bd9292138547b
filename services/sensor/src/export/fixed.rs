//! `NetFlow` v5 and v7: records of one form (Cisco, `NetFlow` export datagram formats).

use std::net::{Ipv4Addr, SocketAddr};

use netflow_parser::static_versions::{v5, v7};
use netflow_parser::{NetflowPacket, NetflowParser};
use weir_schemas::{End, Host, Micros};

use super::bounded::Bounded;
use super::clock::{Clock, Moment, header_time};
use super::sequence::Sequence;
use super::{Output, plausible};
use crate::declared::{DeclaredFlow, Exporter, Measured};

/// Engines whose sequence numbers are followed.
const MOST_ENGINES: usize = 1024;
/// The low bits of v5's sampling field; the two above are the mode.
const INTERVAL: u16 = 0x3fff;
const ICMP: u8 = 1;
const TCP: u8 = 6;

/// The decoder of both versions.
#[derive(Debug)]
pub(super) struct Fixed {
    parser: NetflowParser,
    sequences: Bounded<(SocketAddr, u32), Sequence>,
}

/// What the records of a message have in common.
struct Message {
    exporter: Exporter,
    clock: Clock,
    sampling: u32,
}

/// What both versions' records have.
struct Record {
    source: (Ipv4Addr, u16, u16),
    destination: (Ipv4Addr, u16, u16),
    protocol: u8,
    packets: u32,
    octets: u32,
    first: u32,
    last: u32,
    flags: Option<u8>,
}

impl Fixed {
    pub(super) fn new() -> Self {
        Self { parser: NetflowParser::default(), sequences: Bounded::new(MOST_ENGINES) }
    }

    /// Decodes a message whose lengths fit.
    pub(super) fn decode(&mut self, sender: SocketAddr, received: Micros, message: &[u8], output: &mut Output<'_>) {
        match self.parser.parse_bytes(message).packets.into_iter().next() {
            Some(NetflowPacket::V5(packet)) => {
                let header = &packet.header;
                let engine = u32::from(header.engine_type) << 8 | u32::from(header.engine_id);
                // 0 is unsampled; some leave the mode out that says so.
                let sampling = u32::from(header.sampling_interval & INTERVAL).max(1);
                let time = header_time(header.unix_secs, header.unix_nsecs);
                let message = message_of(sender, engine, plausible(time, received), header.sys_up_time, sampling);
                self.note(sender, &message, header.flow_sequence, packet.flowsets.len(), output);
                packet.flowsets.iter().for_each(|record| flow(&message, &of_v5(record), output));
            }
            Some(NetflowPacket::V7(packet)) => {
                let header = &packet.header;
                let time = header_time(header.unix_secs, header.unix_nsecs);
                let message = message_of(sender, 0, plausible(time, received), header.sys_up_time, 1);
                self.note(sender, &message, header.flow_sequence, packet.flowsets.len(), output);
                packet.flowsets.iter().for_each(|record| flow(&message, &of_v7(record), output));
            }
            _ => output.counters.error("export_data"),
        }
    }

    /// Both versions number their records.
    fn note(&mut self, sender: SocketAddr, message: &Message, number: u32, count: usize, output: &mut Output<'_>) {
        let sequence = self.sequences.of(&(sender, message.exporter.domain));
        output.note_gap(message.exporter, sequence.note(number, Some(count as u32)));
    }
}

fn message_of(sender: SocketAddr, engine: u32, export: Micros, uptime: u32, sampling: u32) -> Message {
    let exporter = Exporter { address: sender.ip(), domain: engine };
    Message { exporter, clock: Clock { export, uptime: Some(uptime), boot: None }, sampling }
}

fn of_v5(record: &v5::FlowSet) -> Record {
    Record {
        source: (record.src_addr, record.src_port, record.src_as),
        destination: (record.dst_addr, record.dst_port, record.dst_as),
        protocol: record.protocol_number,
        packets: record.d_pkts,
        octets: record.d_octets,
        first: record.first,
        last: record.last,
        flags: Some(record.tcp_flags),
    }
}

fn of_v7(record: &v7::FlowSet) -> Record {
    Record {
        source: (record.src_addr, record.src_port, record.src_as),
        destination: (record.dst_addr, record.dst_port, record.dst_as),
        protocol: record.protocol_number,
        packets: record.d_pkts,
        octets: record.d_octets,
        first: record.first,
        last: record.last,
        // Always 0: the switch does not look at them.
        flags: None,
    }
}

fn flow(message: &Message, record: &Record, output: &mut Output<'_>) {
    if record.packets == 0 {
        output.counters.other_records += 1;
        return;
    }
    let time = |uptime| message.clock.time(Moment::Uptime(uptime)).unwrap_or(message.clock.export);
    let is_icmp = record.protocol == ICMP;
    let end_of = |(address, port, system): (Ipv4Addr, u16, u16)| End {
        asn: (system != 0).then_some(u32::from(system)),
        ..End::new(Host::V4(address), if is_icmp { 0 } else { port })
    };
    let (start, end) = (time(record.first), time(record.last));
    let mut flow =
        DeclaredFlow::new(end_of(record.source), end_of(record.destination), record.protocol, start, end.max(start));
    flow.exporter = Some(message.exporter);
    // Type and code of ICMP stand in the destination port.
    flow.icmp = is_icmp.then_some(((record.destination.1 >> 8) as u8, record.destination.1 as u8));
    flow.fwd = Measured { packets: u64::from(record.packets), bytes: u64::from(record.octets), payload: None };
    flow.flags_fwd = record.flags.filter(|_| record.protocol == TCP);
    flow.sampling = message.sampling;
    output.flow(flow);
}
