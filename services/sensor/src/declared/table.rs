//! From declared flows to flow records: joins the halves of a conversation, cuts on the pane grid, sends in order of time.
//!
//! - Flows come in order of their start. Each waits `unanswered_timeout` of event time for its other half; then its share
//!   in the first pane goes out with the attempt, its outcome and the flags, the shares of later panes when they are due.
//! - A half that comes later, and what an exporter tells of a long conversation piece by piece, is the same flow: same
//!   `flow_id`, same source, no second attempt. A flow whose input tells whole connections, or that begins with a SYN after
//!   another one did, is a new one.
//! - A half that stays alone goes out with its vantage bit only. Silence of the other end is an outcome only where flags
//!   say so or the exporter is known to tell both directions.

use std::collections::{BTreeMap, BTreeSet};

use weir_schemas::{Flow, Micros, Outcome, SECOND_US, Text, pane_end};

use super::conversation::{Conversation, Conversations, Place};
use super::part::Part;
use super::record::{Context, record};
use super::share::Volume;
use super::verdict::Verdict;
use super::{DeclaredFlow, Exporter};
use crate::flow::community::{FirstMessage, digest, sensor_hash};
use crate::flow::icmp;
use crate::flow::key::FlowKey;
use crate::flow::{FlowConfig, FlowCounters};
use crate::packet::tcp_flag::SYN;

/// A longer flow is a damaged clock; what it holds is spread over this much.
const LONGEST: Micros = 7 * 24 * 3600 * SECOND_US;

/// Exporters that are remembered to tell both directions.
const MOST_EXPORTERS: usize = 4096;

/// Flows that have records to come, and the conversations they belong to.
#[derive(Debug)]
pub struct DeclaredTable {
    config: FlowConfig,
    sensor_hash: u64,
    conversations: Conversations,
    /// By the time of what they send next.
    waiting: BTreeMap<Place, Part>,
    /// Exporters that have told both halves of a conversation.
    two_way: BTreeSet<Option<Exporter>>,
    clock: Micros,
    warm_from: Micros,
    next_forget: Micros,
    /// Nothing is sent with a later event time.
    cut_at: Micros,
    taken: u64,
    counters: FlowCounters,
}

impl DeclaredTable {
    /// An empty table. Of the configuration, `unanswered_timeout` is how long a half waits for the other, `idle_timeout` how
    /// long a silent conversation is remembered, `flow_table` how many flows and conversations are kept.
    #[must_use]
    pub fn new(config: FlowConfig) -> Self {
        Self {
            sensor_hash: sensor_hash(&config.sensor),
            conversations: Conversations::default(),
            waiting: BTreeMap::new(),
            two_way: BTreeSet::new(),
            clock: Micros::MIN,
            warm_from: Micros::MAX,
            next_forget: Micros::MIN,
            cut_at: Micros::MAX,
            taken: 0,
            counters: FlowCounters::default(),
            config,
        }
    }

    /// Takes a flow in. Flows come in order of their start, each after [`Self::advance_part`] has reached it.
    pub fn flow(&mut self, mut flow: Box<DeclaredFlow>, out: &mut Vec<Flow>) {
        flow.end = flow.end.clamp(flow.start, flow.start.saturating_add(LONGEST));
        if !has_ports(flow.proto) {
            (flow.src.port, flow.dst.port) = (0, 0);
        }
        if self.warm_from == Micros::MAX {
            self.warm_from = flow.start.saturating_add(self.config.warm_up);
        }
        if self.clock >= self.next_forget {
            self.next_forget = self.clock.saturating_add(self.config.idle_timeout);
            self.conversations.forget(self.clock.saturating_sub(self.config.idle_timeout));
        }
        let (key, sender) = key_of(&flow);
        let known = self.conversations.find(&key, flow.exporter);
        if let Some(number) = known
            && let Some(place) = self.other_half(number, &flow, sender)
        {
            self.join(number, place, *flow, sender);
            return;
        }
        while self.waiting.len() >= self.config.flow_table.max(1) {
            self.counters.evicted += 1;
            self.send_first(true, out);
        }
        let continued = known.filter(|number| self.continues(*number, &flow, sender));
        let number = continued.unwrap_or_else(|| self.begin(key, sender, &flow));
        self.wait(number, sender, flow);
    }

    /// Lets event time reach `now`: exports what is due, until `out` holds `limit` records. Returns whether that was all.
    pub fn advance_part(&mut self, now: Micros, limit: usize, out: &mut Vec<Flow>) -> bool {
        let due = now.saturating_sub(self.config.unanswered_timeout);
        while self.waiting.first_key_value().is_some_and(|((time, _), _)| *time < due) {
            if out.len() >= limit {
                return false;
            }
            self.send_first(false, out);
        }
        self.clock = self.clock.max(now);
        true
    }

    /// The time that [`Self::advance_part`] must reach for the next record to go out.
    #[must_use]
    pub fn next_due(&self) -> Option<Micros> {
        self.least_unsent().map(|time| time.saturating_add(self.config.unanswered_timeout).saturating_add(1))
    }

    /// Forgets what would be sent with an event time after `time`.
    pub fn cut(&mut self, time: Micros) {
        let beyond = self.waiting.split_off(&(time.saturating_add(1), 0));
        for part in beyond.into_values() {
            if let Some(conversation) = self.conversations.get_mut(part.conversation) {
                conversation.parts -= 1;
            }
        }
        self.cut_at = time;
    }

    /// The least event time of what was taken in and not yet exported.
    #[must_use]
    pub fn least_unsent(&self) -> Option<Micros> {
        self.waiting.first_key_value().map(|((time, _), _)| *time)
    }

    /// What has been counted; packets and bytes are those that were told of.
    #[must_use]
    pub fn counters(&self) -> FlowCounters {
        FlowCounters {
            active: self.conversations.len() as u64,
            evicted: self.counters.evicted + self.conversations.evicted,
            ..self.counters
        }
    }

    /// Share of the table in use, parts per thousand.
    #[must_use]
    pub fn fill(&self) -> u32 {
        (self.waiting.len() * 1000 / self.config.flow_table.max(1)) as u32
    }

    /// Names what is read from now on.
    pub fn set_input(&mut self, input: Text) {
        self.config.input = input;
    }

    /// Where the other half of `flow` waits for it.
    fn other_half(&self, number: u64, flow: &DeclaredFlow, sender: usize) -> Option<Place> {
        if flow.rev.is_some() {
            return None;
        }
        let place = self.conversations.get(number)?.waiting[1 - sender]?;
        let half = &self.waiting.get(&place)?.flow;
        let patience = self.config.unanswered_timeout;
        let overlaps =
            flow.start <= half.end.saturating_add(patience) && half.start <= flow.end.saturating_add(patience);
        overlaps.then_some(place)
    }

    fn join(&mut self, number: u64, place: Place, flow: DeclaredFlow, sender: usize) {
        if self.two_way.len() < MOST_EXPORTERS {
            self.two_way.insert(flow.exporter);
        }
        self.note(number, &flow, sender);
        if let Some(conversation) = self.conversations.get_mut(number) {
            conversation.waiting[1 - sender] = None;
            conversation.is_bare_attempt = false;
        }
        let Some(mut part) = self.waiting.remove(&place) else { return };
        let start = flow.start;
        part.join(flow, sender);
        self.waiting.insert((place.0.min(start), place.1), part);
    }

    /// Whether `flow` is a later piece of the conversation.
    fn continues(&self, number: u64, flow: &DeclaredFlow, sender: usize) -> bool {
        let Some(conversation) = self.conversations.get(number) else { return false };
        if flow.start > conversation.last_time.saturating_add(self.config.idle_timeout) {
            return false;
        }
        // An attempt that is made again is the same one.
        if flow.is_bare_attempt() && conversation.is_bare_attempt && conversation.sent[sender] {
            return true;
        }
        if flow.is_whole {
            return false;
        }
        let has_syn = flow.flags_fwd.is_some_and(|flags| flags & SYN != 0);
        !(has_syn && conversation.had_syn[sender] && flow.start > conversation.last_time)
    }

    fn begin(&mut self, key: FlowKey, sender: usize, flow: &DeclaredFlow) -> u64 {
        self.counters.flows += 1;
        let (kind, code) = flow.icmp.unwrap_or_default();
        let conversation = Conversation {
            key,
            exporter: flow.exporter,
            first_time: flow.start,
            last_time: flow.end,
            community_id: digest(&key, FirstMessage { sender, kind, code }),
            source: None,
            sent: [false; 2],
            had_syn: [false; 2],
            is_bare_attempt: true,
            exports: 0,
            packets: [0; 2],
            bytes: [0; 2],
            waiting: [None; 2],
            parts: 0,
        };
        self.conversations.insert(conversation, self.config.flow_table)
    }

    fn wait(&mut self, number: u64, sender: usize, flow: Box<DeclaredFlow>) {
        self.note(number, &flow, sender);
        self.taken += 1;
        let place = (flow.start, self.taken);
        if let Some(conversation) = self.conversations.get_mut(number) {
            conversation.parts += 1;
            if flow.rev.is_none() {
                conversation.waiting[sender] = Some(place);
            }
        }
        self.waiting.insert(place, Part::new(number, sender, flow));
    }

    /// Notes what a flow says of its conversation as a whole.
    fn note(&mut self, number: u64, flow: &DeclaredFlow, sender: usize) {
        let rev = flow.rev.unwrap_or_default();
        self.counters.packets = self.counters.packets.saturating_add(flow.fwd.packets).saturating_add(rev.packets);
        self.counters.bytes = self.counters.bytes.saturating_add(flow.fwd.bytes).saturating_add(rev.bytes);
        let Some(conversation) = self.conversations.get_mut(number) else { return };
        conversation.last_time = conversation.last_time.max(flow.end);
        conversation.sent[sender] = true;
        conversation.sent[1 - sender] |= rev.packets > 0;
        conversation.had_syn[sender] |= flow.flags_fwd.is_some_and(|flags| flags & SYN != 0);
        conversation.had_syn[1 - sender] |= flow.flags_rev.is_some_and(|flags| flags & SYN != 0);
        conversation.is_bare_attempt &= flow.is_bare_attempt();
    }

    /// Exports the share that is due first; with `whole`, all that is left of its flow with it.
    fn send_first(&mut self, whole: bool, out: &mut Vec<Flow>) {
        let Some((place, mut part)) = self.waiting.pop_first() else { return };
        let is_first_share = part.verdict.is_none();
        let verdict = part.verdict.unwrap_or_else(|| self.settle(place, &part));
        part.verdict = Some(verdict);
        let until = if whole { Micros::MAX } else { pane_end(place.0) };
        let shares = part.directions.each_mut().map(|direction| direction.take(until));
        let next = part.next();
        // A conversation stays while parts of it wait.
        let Some(conversation) = self.conversations.get_mut(part.conversation) else { return };
        for (end, share) in shares.iter().enumerate() {
            let (volume, _) = share.unwrap_or((Volume::default(), 0));
            conversation.packets[end] = conversation.packets[end].saturating_add(volume.packets);
            conversation.bytes[end] = conversation.bytes[end].saturating_add(volume.bytes);
        }
        let context = Context {
            config: &self.config,
            sensor_hash: self.sensor_hash,
            time: place.0,
            is_first_share,
            is_last_share: next.is_none(),
        };
        out.push(record(&context, &part, verdict, conversation, shares));
        self.counters.exported += 1;
        conversation.exports += 1;
        match next {
            Some(time) if time <= self.cut_at => _ = self.waiting.insert((time, place.1), part),
            _ => conversation.parts -= 1,
        }
    }

    /// Decides about a flow whose first share is due.
    fn settle(&mut self, place: Place, part: &Part) -> Verdict {
        let tells_both = part.flow.rev.is_some() || self.two_way.contains(&part.flow.exporter);
        let is_warm = place.0 >= self.warm_from;
        let Some(conversation) = self.conversations.get_mut(part.conversation) else {
            return Verdict::UNKNOWN;
        };
        for waiting in &mut conversation.waiting {
            *waiting = waiting.filter(|other| *other != place);
        }
        if let Some((source, initiator)) = conversation.source {
            return Verdict { source, initiator, outcome: Outcome::None };
        }
        let verdict = part.facts(&conversation.key, is_warm, tells_both).verdict();
        conversation.source = Some((verdict.source, verdict.initiator));
        verdict
    }
}

fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17)
}

/// The key of a flow's conversation, and the end of it that is the flow's `src`.
fn key_of(flow: &DeclaredFlow) -> (FlowKey, usize) {
    let (mut key, sender) =
        FlowKey::of_ends(u16::from(flow.proto), (&flow.src.host, flow.src.port), (&flow.dst.host, flow.dst.port));
    if let Some((kind, _)) = flow.icmp.filter(|_| matches!(flow.proto, icmp::ICMP | icmp::ICMPV6)) {
        key.ports = [icmp::class(flow.proto, kind), 0];
    }
    (key, sender)
}
