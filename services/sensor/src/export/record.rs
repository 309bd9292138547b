//! One data record of v9 or IPFIX: its elements are gathered, and then make a flow.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_schemas::{End, EndReason, Host, Micros, Outcome};

use super::clock::{Clock, LONGEST_FLOW, Moment};
use super::element::{Element, Wire};
use super::sampling::Sampling;
use crate::declared::{DeclaredFlow, Measured};
use crate::packet::tcp_flag;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// The elements of a record, as far as flows are made of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    v4: [Option<Ipv4Addr>; 2],
    v6: [Option<Ipv6Addr>; 2],
    ip_version: Option<u64>,
    ports: [u16; 2],
    macs: [Option<[u8; 6]>; 2],
    systems: [Option<u32>; 2],
    protocol: u8,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    vlans: [Option<u16>; 2],
    forward: Direction,
    reverse: Direction,
    /// Counts that name the initiator (firewalls).
    initiator: Option<(u64, u64)>,
    responder: Option<(u64, u64)>,
    start: Option<Moment>,
    end: Option<Moment>,
    reverse_start: Option<Moment>,
    reverse_end: Option<Moment>,
    observed: Option<Moment>,
    duration: Option<Micros>,
    boot: Option<Micros>,
    end_reason: Option<u64>,
    biflow_direction: Option<u64>,
    firewall_event: Option<u64>,
    /// What the record itself says of sampling, and where to look it up.
    pub(super) sampling: Sampling,
}

/// The counts of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    octets: Option<u64>,
    packets: Option<u64>,
    octets_total: Option<u64>,
    packets_total: Option<u64>,
    post_octets: Option<u64>,
    post_packets: Option<u64>,
    flags: Option<u8>,
}

impl Direction {
    /// The counts, and whether they are totals since the flow began. What leaves a router (`post…`) is the same traffic
    /// counted again: it stands in only where what arrives was not counted.
    fn measured(&self) -> Option<(Measured, bool)> {
        let delta = (self.packets, self.octets);
        let total = (self.packets_total, self.octets_total);
        let post = (self.post_packets, self.post_octets);
        let (counts, is_total) = [(delta, false), (total, true), (post, false)]
            .into_iter()
            .find(|((packets, octets), _)| packets.is_some() || octets.is_some())?;
        let (packets, bytes) = (counts.0.unwrap_or(0), counts.1.unwrap_or(0));
        Some((Measured { packets, bytes, payload: None }, is_total))
    }
}

/// What a record turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Made {
    /// A flow, and whether its counts are totals since it began.
    Flow(Box<DeclaredFlow>, bool),
    /// No conversation of two addresses, or an event that counts nothing.
    Other,
}

impl Record {
    /// Takes an element into the record. Values of lengths that no number has are left out.
    pub(super) fn take(&mut self, element: Element, is_reverse: bool, value: Wire<'_>) {
        let number = value.number();
        let small = number.and_then(|number| u16::try_from(number).ok());
        let direction = if is_reverse { &mut self.reverse } else { &mut self.forward };
        match element {
            Element::OctetDelta => direction.octets = number,
            Element::PacketDelta => direction.packets = number,
            Element::OctetTotal => direction.octets_total = number,
            Element::PacketTotal => direction.packets_total = number,
            Element::PostOctetDelta => direction.post_octets = number,
            Element::PostPacketDelta => direction.post_packets = number,
            // The flags of the first packet and of the others are exported apart by some.
            Element::TcpFlags => direction.flags = number.map(|flags| flags as u8 | direction.flags.unwrap_or(0)),
            Element::InitiatorOctets => self.initiator.get_or_insert_default().1 = number.unwrap_or(0),
            Element::InitiatorPackets => self.initiator.get_or_insert_default().0 = number.unwrap_or(0),
            Element::ResponderOctets => self.responder.get_or_insert_default().1 = number.unwrap_or(0),
            Element::ResponderPackets => self.responder.get_or_insert_default().0 = number.unwrap_or(0),
            _ if self.take_time(element, is_reverse, number) => {}
            // All that follows the reverse direction has in common with the forward one.
            _ if is_reverse => {}
            Element::SourceV4 => self.v4[0] = value.bytes().map(Ipv4Addr::from),
            Element::DestinationV4 => self.v4[1] = value.bytes().map(Ipv4Addr::from),
            Element::SourceV6 => self.v6[0] = value.bytes().map(Ipv6Addr::from),
            Element::DestinationV6 => self.v6[1] = value.bytes().map(Ipv6Addr::from),
            Element::IpVersion => self.ip_version = number,
            // A template may have the port of each protocol: those of the others are 0.
            Element::SourcePort => self.ports[0] = self.ports[0].max(small.unwrap_or(0)),
            Element::DestinationPort => self.ports[1] = self.ports[1].max(small.unwrap_or(0)),
            Element::Protocol => self.protocol = number.map_or(0, |number| number as u8),
            Element::IcmpTypeCode => {
                // Templates for both families have one for each, and the other is 0.
                if let Some(both) = small.filter(|both| *both != 0 || self.icmp_type.is_none()) {
                    (self.icmp_type, self.icmp_code) = (Some((both >> 8) as u8), Some(both as u8));
                }
            }
            Element::IcmpType => self.icmp_type = self.icmp_type.max(small.map(|kind| kind as u8)),
            Element::IcmpCode => self.icmp_code = self.icmp_code.max(small.map(|code| code as u8)),
            Element::SourceMac => self.macs[0] = value.bytes(),
            Element::DestinationMac => self.macs[1] = value.bytes(),
            Element::Vlan => self.vlans[0] = self.vlans[0].max(small),
            Element::CustomerVlan => self.vlans[1] = small,
            Element::SourceAs => self.systems[0] = number.map(|number| number as u32),
            Element::DestinationAs => self.systems[1] = number.map(|number| number as u32),
            Element::EndReason => self.end_reason = number,
            Element::BiflowDirection => self.biflow_direction = number,
            Element::FirewallEvent => self.firewall_event = number,
            _ => self.sampling.take(element, value),
        }
    }

    /// Takes an element that is a time; false if it is none.
    fn take_time(&mut self, element: Element, is_reverse: bool, number: Option<u64>) -> bool {
        let at = |unit: i64| number.map(|number| Moment::At(micros(number, unit)));
        let before = || number.map(|number| Moment::Before(micros(number, 1)));
        let uptime = || number.map(|number| Moment::Uptime(number as u32));
        let ntp = || number.map(Moment::Ntp);
        let (start, end) = if is_reverse {
            (&mut self.reverse_start, &mut self.reverse_end)
        } else {
            (&mut self.start, &mut self.end)
        };
        match element {
            Element::StartUptime => keep(start, uptime()),
            Element::EndUptime => keep(end, uptime()),
            Element::StartSeconds => keep(start, at(1_000_000)),
            Element::EndSeconds => keep(end, at(1_000_000)),
            Element::StartMilliseconds => keep(start, at(1000)),
            Element::EndMilliseconds => keep(end, at(1000)),
            Element::StartNtp => keep(start, ntp()),
            Element::EndNtp => keep(end, ntp()),
            Element::StartDelta => keep(start, before()),
            Element::EndDelta => keep(end, before()),
            Element::ObservedSeconds => keep(&mut self.observed, at(1_000_000)),
            Element::ObservedMilliseconds => keep(&mut self.observed, at(1000)),
            Element::ObservedNtp => keep(&mut self.observed, ntp()),
            Element::DurationMilliseconds if !is_reverse => self.duration = number.map(|number| micros(number, 1000)),
            Element::DurationMicroseconds if !is_reverse => self.duration = number.map(|number| micros(number, 1)),
            Element::BootMilliseconds if !is_reverse => self.boot = number.map(|number| micros(number, 1000)),
            _ => return false,
        }
        true
    }

    /// When the exporter was started, where the record says so.
    pub(super) fn boot(&self) -> Option<Micros> {
        self.boot
    }

    /// The flow that the record tells of. `clock` is that of its message.
    pub(super) fn flow(&self, clock: &Clock) -> Made {
        let Some((source, destination)) = self.hosts() else { return Made::Other };
        let Some((forward, reverse, is_total)) = self.counts() else { return Made::Other };
        let clock = Clock { boot: self.boot.or(clock.boot), ..*clock };
        let (start, end) = self.times(&clock);
        let icmp = self.icmp();
        let ports = if icmp.is_some() { [0, 0] } else { self.ports };
        let end_of = |host, index: usize| End {
            mac: self.macs[index].filter(|mac| *mac != [0; 6]),
            asn: self.systems[index].filter(|number| *number != 0),
            ..End::new(host, ports[index])
        };
        let mut flow = DeclaredFlow::new(end_of(source, 0), end_of(destination, 1), self.protocol, start, end);
        flow.icmp = icmp;
        flow.fwd = forward;
        flow.rev = reverse;
        if self.protocol == TCP {
            flow.flags_fwd = self.forward.flags;
            flow.flags_rev = self.reverse.flags;
        }
        flow.vlan = self.vlans.into_iter().flatten().filter(|id| *id != 0).collect();
        flow.end_reason = self.reason();
        flow.is_initiator_declared = self.initiator.is_some() || matches!(self.biflow_direction, Some(1 | 2));
        flow.outcome = self.is_denied().then_some(Outcome::Refused);
        // RFC 5103 §6.3: 2 says that the source of the record is the responder.
        if self.biflow_direction == Some(2) {
            turn_round(&mut flow);
        }
        Made::Flow(Box::new(flow), is_total)
    }

    /// Of two families the one that the record says, or whose addresses are set: dual templates leave the other 0.
    fn hosts(&self) -> Option<(Host, Host)> {
        let v4 = self.v4[0].zip(self.v4[1]);
        let v6 = self.v6[0].zip(self.v6[1]);
        let v4_is_set =
            v4.is_some_and(|(source, destination)| !source.is_unspecified() || !destination.is_unspecified());
        let prefers_v4 = match self.ip_version {
            Some(4) => true,
            Some(6) => false,
            _ => v4_is_set,
        };
        let v4 = v4.map(|(source, destination)| (Host::V4(source), Host::V4(destination)));
        let v6 = v6.map(|(source, destination)| (Host::V6(source), Host::V6(destination)));
        if prefers_v4 { v4.or(v6) } else { v6.or(v4) }
    }

    fn counts(&self) -> Option<(Measured, Option<Measured>, bool)> {
        let (forward, reverse, is_total) = if let Some((packets, bytes)) = self.initiator {
            let (back_packets, back_bytes) = self.responder.unwrap_or_default();
            let back = Measured { packets: back_packets, bytes: back_bytes, payload: None };
            (Measured { packets, bytes, payload: None }, Some(back), false)
        } else {
            let (forward, is_total) = self.forward.measured().unwrap_or_default();
            (forward, self.reverse.measured().map(|(measured, _)| measured), is_total)
        };
        let (mut forward, reverse) = (with_packets(forward), reverse.map(with_packets));
        if self.is_denied() {
            // What was denied is a packet, though firewalls do not count it.
            forward.packets = forward.packets.max(1);
        }
        let is_counted = forward.packets > 0 || reverse.is_some_and(|reverse| reverse.packets > 0);
        is_counted.then_some((forward, reverse, is_total))
    }

    /// `firewallEvent` 3 in IANA's registry: a rule dropped the packet.
    fn is_denied(&self) -> bool {
        self.firewall_event == Some(3)
    }

    fn times(&self, clock: &Clock) -> (Micros, Micros) {
        let time =
            |moment: Option<Moment>| moment.and_then(|moment| clock.time(moment)).filter(|time| clock.believes(*time));
        let either =
            |one: Option<Micros>, other: Option<Micros>, choose: fn(Micros, Micros) -> Micros| match (one, other) {
                (Some(one), Some(other)) => Some(choose(one, other)),
                (one, other) => one.or(other),
            };
        let start = either(time(self.start), time(self.reverse_start), Micros::min);
        let end = either(time(self.end), time(self.reverse_end), Micros::max);
        let duration = self.duration.filter(|duration| (0..=LONGEST_FLOW).contains(duration));
        let last = end.or_else(|| start.zip(duration).map(|(start, duration)| start + duration));
        let last = last.or_else(|| time(self.observed)).or(start).unwrap_or(clock.export);
        let first = start.or_else(|| duration.map(|duration| last - duration)).unwrap_or(last);
        if last.saturating_sub(first) > LONGEST_FLOW { (last, last) } else { (first, last.max(first)) }
    }

    fn icmp(&self) -> Option<(u8, u8)> {
        if !matches!(self.protocol, ICMP | ICMPV6) {
            return None;
        }
        // Where it has no element of its own, it stands in the port as in v5.
        let of_port = ((self.ports[1] >> 8) as u8, self.ports[1] as u8);
        Some(self.icmp_type.map_or(of_port, |kind| (kind, self.icmp_code.unwrap_or(0))))
    }

    /// IANA's registry of `flowEndReason`.
    fn reason(&self) -> Option<EndReason> {
        let flags = self.forward.flags.unwrap_or(0) | self.reverse.flags.unwrap_or(0);
        Some(match self.end_reason? {
            1 => EndReason::Idle,
            2 => EndReason::Active,
            3 if flags & tcp_flag::RST != 0 => EndReason::Rst,
            3 => EndReason::Fin,
            4 => EndReason::Shutdown,
            5 => EndReason::Evicted,
            _ => return None,
        })
    }
}

/// Bytes come in packets: where an exporter does not count those, there was one at least.
fn with_packets(measured: Measured) -> Measured {
    Measured { packets: measured.packets.max(u64::from(measured.bytes > 0)), ..measured }
}

fn turn_round(flow: &mut DeclaredFlow) {
    std::mem::swap(&mut flow.src, &mut flow.dst);
    std::mem::swap(&mut flow.flags_fwd, &mut flow.flags_rev);
    flow.rev = Some(std::mem::replace(&mut flow.fwd, flow.rev.unwrap_or_default()));
}

/// The first of several elements for the same time that has a value: templates list the finer one first, or only one.
fn keep(place: &mut Option<Moment>, moment: Option<Moment>) {
    // Exporters leave 0 what they do not know.
    let is_unknown = matches!(moment, Some(Moment::At(0) | Moment::Ntp(0)));
    if place.is_none() && !is_unknown {
        *place = moment;
    }
}

fn micros(number: u64, unit: i64) -> Micros {
    Micros::try_from(number).unwrap_or(Micros::MAX).saturating_mul(unit)
}
