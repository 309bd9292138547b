//! What a capture held, added up from flow records: exact totals, and the heaviest hosts, ports, destinations and
//! conversations in tables of fixed size. Memory does not depend on the input.

pub mod names;
mod top;

use weir_schemas::flow::{TcpFlags, VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{Counts, Flow, Host, Micros, Outcome};

use top::{Top, Weigh};

/// Keys per table: ten times more than a report prints survive many cuts; at about 150 bytes each, 3 MiB per table.
pub const DEFAULT_TABLE_CAPACITY: usize = 16_384;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Packets, bytes (IP length) and flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets, both directions.
    pub packets: u64,
    /// IP bytes, both directions.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
}

impl Volume {
    fn add(&mut self, flow: &Flow) {
        self.packets += flow.fwd.packets + flow.rev.packets;
        self.bytes += flow.fwd.bytes + flow.rev.bytes;
        self.flows += u64::from(flow.export_index == 0);
    }
}

/// TCP packets by flag. A packet counts under each of its flags; SYN and SYN-ACK exclude each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagTotals {
    /// SYN without ACK.
    pub syn: u64,
    /// SYN with ACK.
    pub syn_ack: u64,
    /// ACK set, SYN-ACK included.
    pub ack: u64,
    /// FIN set.
    pub fin: u64,
    /// RST set.
    pub rst: u64,
    /// PSH set.
    pub psh: u64,
    /// URG set.
    pub urg: u64,
}

impl FlagTotals {
    fn add(&mut self, flags: &TcpFlags) {
        self.syn += u64::from(flags.syn);
        self.syn_ack += u64::from(flags.syn_ack);
        self.ack += u64::from(flags.ack);
        self.fin += u64::from(flags.fin);
        self.rst += u64::from(flags.rst);
        self.psh += u64::from(flags.psh);
        self.urg += u64::from(flags.urg);
    }
}

/// TCP connection attempts at one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// SYN packets it received.
    pub syn: u64,
    /// SYN-ACK packets it sent.
    pub syn_ack: u64,
    /// Attempts at it: flows that began with a SYN or a probe.
    pub attempts: u64,
    /// Of these, completed handshakes.
    pub completed: u64,
}

impl Weigh for Attempts {
    fn weight(&self) -> u64 {
        self.syn + self.syn_ack + self.attempts
    }
}

/// What one host sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostVolume {
    /// Packets it sent.
    pub packets_sent: u64,
    /// IP bytes it sent.
    pub bytes_sent: u64,
    /// Packets it received.
    pub packets_received: u64,
    /// IP bytes it received.
    pub bytes_received: u64,
}

impl HostVolume {
    fn add(&mut self, sent: &Counts, received: &Counts) {
        self.packets_sent += sent.packets;
        self.bytes_sent += sent.bytes;
        self.packets_received += received.packets;
        self.bytes_received += received.bytes;
    }
}

impl Weigh for HostVolume {
    fn weight(&self) -> u64 {
        self.bytes_sent + self.bytes_received
    }
}

impl Weigh for Volume {
    fn weight(&self) -> u64 {
        self.bytes
    }
}

/// What two hosts exchanged; the first began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Packets from source to responder.
    pub packets_forward: u64,
    /// Packets from responder to source.
    pub packets_reverse: u64,
    /// IP bytes from source to responder.
    pub bytes_forward: u64,
    /// IP bytes from responder to source.
    pub bytes_reverse: u64,
    /// Flows that began.
    pub flows: u64,
    /// Time of the first packet, µs.
    pub first: Option<Micros>,
    /// Time of the last packet, µs.
    pub last: Micros,
}

impl Weigh for Conversation {
    fn weight(&self) -> u64 {
        self.bytes_forward + self.bytes_reverse
    }
}

/// A ranked table as a report prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked<K, V> {
    /// The heaviest, heaviest first.
    pub rows: Vec<(K, V)>,
    /// Keys beyond the rows, as far as they are still in the table.
    pub more: usize,
    /// Times that a key was forgotten to stay within memory; 0: every number is exact.
    pub forgotten: u64,
    /// Where keys were forgotten: how much of the ranking number a row may lack.
    pub may_lack: u64,
}

/// A service port: IP protocol number and port of the responder.
pub type ServicePort = (u8, u16);

/// Adds up flow records.
#[derive(Clone, Debug)]
pub struct CaptureSummary {
    total: Volume,
    span: Option<(Micros, Micros)>,
    arp: Volume,
    protocols: Box<[Volume; 256]>,
    flags: FlagTotals,
    tcp_flows: u64,
    one_sided_tcp_flows: u64,
    sampled_records: u64,
    destinations: Top<Host, Attempts>,
    hosts: Top<Host, HostVolume>,
    ports: Top<ServicePort, Volume>,
    conversations: Top<(Host, Host), Conversation>,
}

impl Default for CaptureSummary {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_TABLE_CAPACITY)
    }
}

impl CaptureSummary {
    /// An empty summary whose tables hold at most `capacity` keys each.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            total: Volume::default(),
            span: None,
            arp: Volume::default(),
            protocols: Box::new([Volume::default(); 256]),
            flags: FlagTotals::default(),
            tcp_flows: 0,
            one_sided_tcp_flows: 0,
            sampled_records: 0,
            destinations: Top::new(capacity),
            hosts: Top::new(capacity),
            ports: Top::new(capacity),
            conversations: Top::new(capacity),
        }
    }

    /// Adds one flow record.
    pub fn add(&mut self, flow: &Flow) {
        self.total.add(flow);
        let (first, last) = self.span.unwrap_or((flow.event_time, flow.last_time));
        self.span = Some((first.min(flow.event_time), last.max(flow.last_time)));
        match flow.link {
            Some(_) => self.arp.add(flow),
            None => self.protocols[usize::from(flow.proto)].add(flow),
        }
        self.sampled_records += u64::from(flow.sampling > 1);
        self.hosts.entry(&flow.src.host).add(&flow.fwd, &flow.rev);
        self.hosts.entry(&flow.dst.host).add(&flow.rev, &flow.fwd);
        if matches!(flow.proto, TCP | UDP | SCTP) {
            self.ports.entry(&(flow.proto, flow.dst.port)).add(flow);
        }
        self.add_conversation(flow);
        self.add_tcp(flow);
    }

    fn add_conversation(&mut self, flow: &Flow) {
        let conversation = self.conversations.entry(&(flow.src.host.clone(), flow.dst.host.clone()));
        conversation.packets_forward += flow.fwd.packets;
        conversation.packets_reverse += flow.rev.packets;
        conversation.bytes_forward += flow.fwd.bytes;
        conversation.bytes_reverse += flow.rev.bytes;
        conversation.flows += u64::from(flow.export_index == 0);
        conversation.first = Some(conversation.first.map_or(flow.event_time, |first| first.min(flow.event_time)));
        conversation.last = conversation.last.max(flow.last_time);
    }

    fn add_tcp(&mut self, flow: &Flow) {
        let Some(tcp) = &flow.tcp else { return };
        self.flags.add(&tcp.fwd);
        self.flags.add(&tcp.rev);
        if flow.export_index == 0 {
            self.tcp_flows += 1;
            self.one_sided_tcp_flows += u64::from(is_one_sided(flow, tcp.fwd));
        }
        if tcp.fwd.syn > 0 || tcp.rev.syn_ack > 0 || flow.is_attempt() {
            let at = self.destinations.entry(&flow.dst.host);
            at.syn += u64::from(tcp.fwd.syn);
            at.syn_ack += u64::from(tcp.rev.syn_ack);
            at.attempts += u64::from(flow.is_attempt());
            at.completed += u64::from(flow.outcome == Outcome::Completed);
        }
        // Where the other end sent SYNs too (both open at once, or the source was mistaken), they count at the source.
        if tcp.rev.syn > 0 || tcp.fwd.syn_ack > 0 {
            let at = self.destinations.entry(&flow.src.host);
            at.syn += u64::from(tcp.rev.syn);
            at.syn_ack += u64::from(tcp.fwd.syn_ack);
        }
    }

    /// Packets, bytes and flows of all records; exact.
    #[must_use]
    pub fn total(&self) -> Volume {
        self.total
    }

    /// Times of the first and the last packet, µs; `None` without records.
    #[must_use]
    pub fn span(&self) -> Option<(Micros, Micros)> {
        self.span
    }

    /// TCP packets by flag; exact.
    #[must_use]
    pub fn flags(&self) -> FlagTotals {
        self.flags
    }

    /// Name and volume of each protocol that occurred, most packets first; exact.
    #[must_use]
    pub fn protocols(&self) -> Vec<(String, Volume)> {
        let numbered = self.protocols.iter().enumerate().map(|(number, volume)| {
            let name = names::protocol(number as u8).map_or_else(|| format!("protocol {number}"), str::to_owned);
            (name, *volume)
        });
        let mut all: Vec<_> = std::iter::once(("ARP".to_owned(), self.arp))
            .chain(numbered)
            .filter(|(_, volume)| volume.packets > 0)
            .collect();
        all.sort_by(|a, b| b.1.packets.cmp(&a.1.packets).then_with(|| a.0.cmp(&b.0)));
        all
    }

    /// TCP flows, and how many of them were seen in one direction only although the other end must have spoken.
    #[must_use]
    pub fn one_sided(&self) -> (u64, u64) {
        (self.one_sided_tcp_flows, self.tcp_flows)
    }

    /// Records in which one packet stands for several.
    #[must_use]
    pub fn sampled_records(&self) -> u64 {
        self.sampled_records
    }

    /// Destinations of TCP attempts, most SYN, SYN-ACK and attempts first.
    #[must_use]
    pub fn destinations(&self, rows: usize) -> Ranked<Host, Attempts> {
        ranked(&self.destinations, rows)
    }

    /// Hosts, most bytes first.
    #[must_use]
    pub fn hosts(&self, rows: usize) -> Ranked<Host, HostVolume> {
        ranked(&self.hosts, rows)
    }

    /// Service ports of TCP, UDP and SCTP, most bytes first.
    #[must_use]
    pub fn ports(&self, rows: usize) -> Ranked<ServicePort, Volume> {
        ranked(&self.ports, rows)
    }

    /// Conversations (source, responder), most bytes first.
    #[must_use]
    pub fn conversations(&self, rows: usize) -> Ranked<(Host, Host), Conversation> {
        ranked(&self.conversations, rows)
    }
}

fn ranked<K: Ord + std::hash::Hash + Clone, V: Default + Weigh + Copy>(top: &Top<K, V>, rows: usize) -> Ranked<K, V> {
    let shown: Vec<(K, V)> = top.heaviest(rows).into_iter().map(|(key, value)| (key.clone(), *value)).collect();
    Ranked { more: top.len() - shown.len(), rows: shown, forgotten: top.forgotten(), may_lack: top.may_lack() }
}

/// Whether the sensor missed a direction: it saw answers without what they answer, or acknowledgements of what it never
/// saw. An attempt that nobody answered is not one-sided: there was nothing to see.
fn is_one_sided(flow: &Flow, forward: TcpFlags) -> bool {
    match flow.vantage & (VANTAGE_FORWARD | VANTAGE_REVERSE) {
        VANTAGE_REVERSE => true,
        VANTAGE_FORWARD => forward.ack > 0 && (forward.syn > 0 || !flow.is_attempt()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
