//! From slices to records: when they may go, in which order, and what they say.

use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{Counts, End, EndReason, Flow, Host, Link, Micros, Outcome, PANE_US, Tcp, Text, Tunnel};

use super::community::{FirstMessage, digest, flow_id};
use super::entry::FlowEntry;
use super::icmp::{ICMP, ICMPV6};
use super::key::{ARP, Family};
use super::list::List;
use super::slab::NONE;
use super::stack;
use super::table::FlowTable;
use super::tcp::conn_state;
use crate::packet::TunnelEnds;

const TCP: u16 = 6;

/// The slices of one pane that are not yet exported.
#[derive(Debug)]
pub(super) struct Pane {
    /// In order of their making.
    pub(super) list: List,
    pub(super) length: usize,
    /// Exportable slices that wait for an older pane, in order.
    pub(super) ready: Vec<u32>,
    /// The pane's end has passed, and every slice was looked at.
    pub(super) closed: bool,
    /// Where closing goes on, once it has begun.
    pub(super) cursor: Option<u32>,
    /// The least event time of slices made out of order.
    pub(super) disordered: Option<Micros>,
}

impl Default for Pane {
    fn default() -> Self {
        Self { list: List::EMPTY, length: 0, ready: Vec::new(), closed: false, cursor: None, disordered: None }
    }
}

/// The `conn_state` words as shared text.
#[derive(Debug)]
pub(super) struct StateNames(Vec<Text>);

impl StateNames {
    pub(super) fn new() -> Self {
        let words = ["S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"];
        Self(words.into_iter().map(Text::from).collect())
    }

    fn get(&self, word: &str) -> Text {
        self.0.iter().find(|name| &***name == word).cloned().unwrap_or_else(|| word.into())
    }
}

impl FlowTable {
    /// The pane's end has passed: what need not wait for an outcome goes, until `out` holds `limit` records.
    pub(super) fn close_pane(&mut self, pane: Micros, limit: usize, out: &mut Vec<Flow>) {
        let Some(unsent) = self.panes.get_mut(&pane) else { return };
        let mut slice = unsent.cursor.unwrap_or(unsent.list.head());
        while slice != NONE && out.len() < limit {
            let this = self.slices.get(slice);
            let (next, flow) = (this.place.next(), this.flow);
            if !self.flows.get(flow).waiting {
                self.offer(slice, out);
            }
            slice = next;
        }
        if let Some(unsent) = self.panes.get_mut(&pane) {
            unsent.cursor = Some(slice);
            unsent.closed = slice == NONE;
        }
    }

    /// Exports the slices of the oldest pane as they stand, until `out` holds `limit` records.
    pub(super) fn flush_pane(&mut self, pane: Micros, limit: usize, out: &mut Vec<Flow>) {
        let Some(unsent) = self.panes.get_mut(&pane) else { return };
        // Closing may have stopped at one of the slices that go now.
        unsent.cursor = None;
        let mut slice = unsent.list.head();
        while slice != NONE && out.len() < limit {
            let this = self.slices.get(slice);
            let (next, flow) = (this.place.next(), this.flow);
            if self.flows.get(flow).waiting {
                self.counters.forced += 1;
                self.settle_if_waiting(flow);
            }
            self.export(slice, out);
            slice = next;
        }
        self.go_on_to_next_pane(out);
    }

    /// Offers those slices of a flow that may go, the oldest first.
    pub(super) fn release(&mut self, id: u32, out: &mut Vec<Flow>) {
        let entry = self.flows.get(id);
        if entry.waiting {
            return;
        }
        let has_ended = entry.ended.is_some();
        // One slice a pane: the chain is as long as panes wait for this flow, one or two as a rule.
        let mut due = [NONE; 4];
        loop {
            let mut count = 0;
            let mut slice = self.flows.get(id).newest;
            while slice != NONE {
                let this = self.slices.get(slice);
                if !this.ready && (has_ended || this.pane + PANE_US <= self.clock) {
                    // The chain runs from new to old; the array keeps the oldest.
                    due.rotate_right(1);
                    due[0] = slice;
                    count += 1;
                }
                slice = this.older;
            }
            if count == 0 {
                return;
            }
            for &slice in due.iter().take(count) {
                self.offer(slice, out);
            }
            // At most four were kept: with more, the entry still lives, and the rest follows.
            if count <= due.len() {
                return;
            }
        }
    }

    /// Exports a slice, or queues it behind older panes.
    fn offer(&mut self, id: u32, out: &mut Vec<Flow>) {
        let slice = self.slices.get_mut(id);
        if slice.ready {
            return;
        }
        slice.ready = true;
        let pane = slice.pane;
        if self.panes.first_key_value().is_some_and(|(&oldest, _)| oldest == pane) {
            self.export(id, out);
            self.go_on_to_next_pane(out);
        } else if let Some(pane) = self.panes.get_mut(&pane) {
            pane.ready.push(id);
        }
    }

    /// Once the oldest pane is through, the next one's turn has come.
    fn go_on_to_next_pane(&mut self, out: &mut Vec<Flow>) {
        while let Some(oldest) = self.panes.first_entry() {
            if oldest.get().length > 0 {
                return;
            }
            oldest.remove();
            let Some(mut next) = self.panes.first_entry() else { return };
            for slice in std::mem::take(&mut next.get_mut().ready) {
                self.export(slice, out);
            }
        }
    }

    /// Makes the record of a slice and forgets the slice.
    fn export(&mut self, id: u32, out: &mut Vec<Flow>) {
        let slice = self.slices.get(id);
        let (flow, pane, older) = (slice.flow, slice.pane, slice.older);
        let is_newest = self.flows.get(flow).newest == id;
        self.flows.get_mut(flow).fix_source();
        let app = self.take_app(flow, id);
        let record = Flow { app, ..self.record(flow, id, is_newest) };
        out.push(record);
        self.counters.exported += 1;
        self.drops = 0;

        if let Some(unsent) = self.panes.get_mut(&pane) {
            unsent.length -= 1;
            unsent.list.remove(&mut self.slices, id, |slice| &mut slice.place);
        }
        self.unchain(flow, id, older);
        let slice = self.slices.get(id);
        let entry = self.flows.get_mut(flow);
        for end in 0..2 {
            entry.packets[end] += u64::from(slice.packets[end]);
            entry.bytes[end] += slice.bytes[end];
        }
        entry.exports += 1;
        let is_done = entry.ended.is_some() && entry.newest == NONE;
        self.slices.remove(id);
        if is_done {
            self.flows.remove(flow);
        }
    }

    fn unchain(&mut self, flow: u32, id: u32, older: u32) {
        let mut newer = self.flows.get(flow).newest;
        if newer == id {
            self.flows.get_mut(flow).newest = older;
            return;
        }
        while newer != NONE {
            let slice = self.slices.get_mut(newer);
            if slice.older == id {
                slice.older = older;
                return;
            }
            newer = slice.older;
        }
    }

    fn record(&self, flow: u32, slice: u32, is_newest: bool) -> Flow {
        let (entry, slice) = (self.flows.get(flow), self.slices.get(slice));
        let (source, initiator) = entry.evidence.decide(&entry.key);
        let responder = 1 - source;
        let counts = |end: usize| Counts {
            packets: u64::from(slice.packets[end]),
            bytes: slice.bytes[end],
            payload: slice.payload[end],
            total_packets: entry.packets[end] + u64::from(slice.packets[end]),
            total_bytes: entry.bytes[end] + slice.bytes[end],
            fragments: u64::from(slice.fragments[end]),
        };
        let is_first = entry.exports == 0;
        let holds_attempt = is_first && initiator.is_evidence() && usize::from(entry.attempt_end) == source;
        let first = FirstMessage {
            sender: usize::from(entry.first_sender),
            kind: entry.first_kind.0,
            code: entry.first_kind.1,
        };
        let community_id = digest(&entry.key, first);
        let protocol = u8::try_from(entry.key.protocol).unwrap_or(0);
        let is_icmp = matches!(protocol, ICMP | ICMPV6);
        let vantage = |end: usize, bit: u8| if entry.spoke[end] { bit } else { 0 };
        let tcp = (entry.key.protocol == TCP).then(|| {
            let health = slice.health.as_deref().cloned().unwrap_or_default();
            let options = |end: usize| slice.syns[end].as_deref().map(|seen| Box::new(stack::told(seen)));
            Box::new(Tcp {
                fwd: slice.flags[source],
                rev: slice.flags[responder],
                first_flags: entry.first_flags,
                state: self.state_names.get(conn_state(slice.ends[source], slice.ends[responder])),
                history: entry.tcp.history(slice.history_length, source),
                syn_rtt_us: slice.syn_rtt,
                ack_rtt_us: slice.ack_rtt,
                response: health.responses[source],
                retrans: health.retrans,
                fast_retrans: health.fast_retrans,
                out_of_order: health.out_of_order,
                dup_ack: health.dup_ack,
                zero_window: health.zero_window,
                window_probe: health.window_probe,
                keepalive: health.keepalive,
                ack_unseen: health.ack_unseen,
                duplicate_frame: health.duplicate_frame,
                fwd_ttl: slice.ttls[source].told(),
                rev_ttl: slice.ttls[responder].told(),
                fwd_window: slice.windows[source].told(),
                rev_window: slice.windows[responder].told(),
                fwd_syn_options: options(source),
                rev_syn_options: options(responder),
                ts_backwards: health.ts_backwards,
                spurious_retrans: health.spurious_retrans,
                option_errors: health.option_errors,
            })
        });

        Flow {
            sensor: self.config.sensor.clone(),
            site: self.config.site.clone(),
            boot: self.config.boot,
            seq: 0,
            input: self.config.input.clone(),
            sampling: self.config.sampling,
            event_time: slice.event_time,
            // A record must not reach back before its pane; the flow's own first time is in its flow id.
            first_time: if is_first {
                entry.first_time.min(slice.event_time).max(slice.pane)
            } else {
                slice.event_time
            },
            last_time: slice.last_time,
            clock_offset_us: 0,
            src: end(entry, source),
            dst: end(entry, responder),
            proto: protocol,
            icmp_type: is_icmp.then_some(entry.first_kind.0),
            icmp_code: is_icmp.then_some(entry.first_kind.1),
            vlan: entry.vlan.iter().copied().take_while(|&id| id != 0).collect(),
            tunnel: tunnel(entry, source),
            initiator,
            vantage: vantage(source, VANTAGE_FORWARD) | vantage(responder, VANTAGE_REVERSE),
            outcome: if holds_attempt { entry.outcome } else { Outcome::None },
            fwd: counts(source),
            rev: counts(responder),
            flow_id: flow_id(self.sensor_hash, &community_id, entry.first_time),
            community_id,
            export_index: entry.exports,
            end_reason: if is_newest { entry.ended.unwrap_or(entry.closed) } else { EndReason::Active },
            capture_drops: self.drops,
            tcp,
            link: (entry.key.protocol == ARP).then(|| Box::new(link(entry, source))),
            app: None,
            timing: None,
            labels: Vec::new(),
        }
    }
}

fn end(entry: &FlowEntry, end: usize) -> End {
    let host = match (&entry.names, entry.key.families[end]) {
        (Some(names), _) => names[end].clone(),
        (None, Family::V4) => Host::V4((entry.key.addresses[end] as u32).into()),
        (None, Family::V6 | Family::Name) => Host::V6(entry.key.addresses[end].into()),
    };
    // An ICMP key's ports are its class and identifier.
    let has_ports = matches!(entry.key.protocol, TCP | 17);
    let mac = entry.mac_known[end].then_some(entry.macs[end]);
    End { mac, ..End::new(host, if has_ports { entry.key.ports[end] } else { 0 }) }
}

/// The tunnel as the source's packets travel it.
fn tunnel(entry: &FlowEntry, source: usize) -> Option<Box<Tunnel>> {
    let tunnel = entry.tunnel.as_deref()?;
    let (from, to) = match &tunnel.ends {
        TunnelEnds::Hosts(from, to) => (from.clone(), to.clone()),
        TunnelEnds::Macs(from, to) => (mac_name(*from), mac_name(*to)),
    };
    let is_forward = usize::from(entry.tunnel_sender) == source;
    let (outer_src, outer_dst) = if is_forward { (from, to) } else { (to, from) };
    Some(Box::new(Tunnel { kind: tunnel.kind.into(), outer_src, outer_dst, id: tunnel.id }))
}

/// What stands for the address of a tunnel's end that has none.
fn mac_name(mac: [u8; 6]) -> Host {
    Host::Name(mac.map(|byte| format!("{byte:02x}")).join(":").into())
}

fn link(entry: &FlowEntry, source: usize) -> Link {
    let target = 1 - source;
    let gratuitous = entry.key.addresses[0] == entry.key.addresses[1];
    Link {
        op: u16::from(entry.first_kind.0),
        sender_mac: entry.macs[source],
        target_mac: if entry.spoke[target] { entry.macs[target] } else { [0; 6] },
        gratuitous,
    }
}
