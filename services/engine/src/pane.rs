//! Ten seconds of event time of one partition: the only thing that records are added to.

use std::collections::{BTreeSet, HashMap};

use std::ops::RangeInclusive;
use std::sync::Arc;

use weir_schemas::partial::{PartialBody, PartialSensor};
use weir_schemas::{Flow, Host, Outcome, Text};

use crate::bounded::{Bounded, Weigh};
use crate::config::Shares;
use crate::distinct::Distinct;
use crate::fit::fit;
use crate::hash::HashSeed;
use crate::sorted::Sorted;
use crate::summary::{EvidenceSample, PairCounts, PairKey, SeenBy, SourceCounts, SourceSummary, SweepCounts, SweepKey};
use crate::task::RETENTION;
use crate::technique::{Technique, failed};

/// What panes count, as the profile asks.
#[derive(Clone, Debug)]
pub struct PaneRules {
    /// Completed attempts count towards pairs as well (`classic`).
    pub count_completed: bool,
    /// UDP ports left out of pairs.
    pub traceroute_ports: RangeInclusive<u16>,
}

impl Default for PaneRules {
    fn default() -> Self {
        Self { count_completed: false, traceroute_ports: 0..=0 }
    }
}

/// Which halves of a record count: all of it, unless another sensor owns the flow's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    /// Source → responder counts.
    pub forward: bool,
    /// Responder → source counts.
    pub reverse: bool,
}

impl Halves {
    /// Both halves.
    pub const BOTH: Self = Self { forward: true, reverse: true };
}

/// About what a receiver's partial takes on the wire, key and framing included.
const RECEIVER_BYTES: usize = 64;

/// Likewise a responder's, its sources left out.
const RESPONDER_BYTES: usize = 288;

#[derive(Clone, Debug, Default)]
struct ReceiverCounts {
    packets: u64,
    bytes: u64,
    unsolicited_packets: u64,
    seen_by: SeenBy,
}

impl Weigh for ReceiverCounts {
    fn weight(&self) -> u64 {
        self.bytes
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

#[derive(Clone, Debug, Default)]
struct ResponderCounts {
    syn: u64,
    attempts: u64,
    completed: u64,
    half_open: u64,
    refused: u64,
    unanswered: u64,
    sources: Distinct,
    evidence: EvidenceSample,
    seen_by: SeenBy,
}

impl Weigh for ResponderCounts {
    fn weight(&self) -> u64 {
        self.syn
    }

    fn heap_bytes(&self) -> usize {
        self.sources.heap_bytes() + self.evidence.heap_bytes()
    }
}

#[derive(Clone, Debug, Default)]
struct SiteCounts {
    packets: u64,
    bytes: u64,
    flows: u64,
    seen_by: SeenBy,
}

/// Entries that the next pane probably needs: room made at once instead of by and by. No count depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    sources: usize,
    responders: usize,
    receivers: usize,
}

impl Expected {
    /// Partials that a pane with these entries sends, sites left out.
    pub fn partials(self) -> usize {
        self.receivers + self.responders
    }
}

/// Whether what made a pane less than exact left records out of it.
#[must_use]
pub fn leaves_out(why: &str) -> bool {
    matches!(why, "forced" | RETENTION)
}

/// An open pane.
#[derive(Debug)]
pub struct Pane {
    /// Offset of its first record.
    pub first_offset: i64,
    /// What makes it less than exact.
    pub degraded: BTreeSet<String>,
    seed: HashSeed,
    sources: Bounded<Host, SourceCounts>,
    pairs: Bounded<PairKey, PairCounts>,
    sweeps: Bounded<SweepKey, SweepCounts>,
    responders: Bounded<(Host, u16), ResponderCounts>,
    receivers: Bounded<Host, ReceiverCounts>,
    sites: Vec<(Text, SiteCounts)>,
    owners: Owners,
    undirected: u64,
    records: u64,
}

impl Pane {
    /// An empty pane whose first record stands at `first_offset`.
    #[must_use]
    pub fn new(first_offset: i64, shares: &Shares, seed: HashSeed, expected: Expected) -> Self {
        Self {
            first_offset,
            degraded: BTreeSet::new(),
            seed,
            sources: Bounded::with_room(shares.sources, seed, expected.sources),
            pairs: Bounded::new(shares.pairs, seed),
            sweeps: Bounded::new(shares.sweeps, seed),
            responders: Bounded::with_room(shares.responders, seed, expected.responders),
            receivers: Bounded::with_room(shares.receivers, seed, expected.receivers),
            sites: Vec::new(),
            owners: Owners::new(shares.owners, seed),
            undirected: 0,
            records: 0,
        }
    }

    /// Which halves of the record count while several sensors watch its site. `mask` is the sensor's bit.
    pub fn own(&mut self, flow: &Flow, mask: u64) -> Halves {
        self.owners.own(flow, mask, &mut self.degraded)
    }

    /// Adds a record; returns the pair whose port count grew by it, if one did.
    pub fn add(&mut self, flow: &Flow, halves: Halves, mask: u64, rules: &PaneRules) -> Option<PairKey> {
        self.records += 1;
        let seen_by = SeenBy {
            forward: if flow.vantage & 1 != 0 { mask } else { 0 },
            reverse: if flow.vantage & 2 != 0 { mask } else { 0 },
        };
        self.add_volume(flow, halves, seen_by);
        if flow.export_index == 0 && !flow.initiator.is_evidence() {
            self.undirected += 1;
        }
        if !halves.forward {
            return None;
        }
        let technique = Technique::of(flow);
        if flow.proto == 6 {
            self.add_responder(flow, technique == Some(Technique::Tcp), seen_by);
        }
        let technique = technique?;
        if technique == Technique::Tcp {
            self.add_source(flow, seen_by);
        }
        self.add_sweep(flow, technique, seen_by);
        self.add_pair(flow, technique, seen_by, rules)
    }

    fn add_volume(&mut self, flow: &Flow, halves: Halves, seen_by: SeenBy) {
        let scale = u64::from(flow.sampling.max(1));
        let (forward, reverse) = (&flow.fwd, &flow.rev);
        let mut packets = 0;
        let mut bytes = 0;
        if halves.forward && forward.packets > 0 {
            // An answer is never unsolicited: only what reaches a responder that has sent nothing in the flow.
            let unsolicited = if flow.rev.total_packets == 0 { forward.packets } else { 0 };
            self.receive(&flow.dst.host, forward.packets * scale, forward.bytes * scale, unsolicited * scale, seen_by);
            packets += forward.packets * scale;
            bytes += forward.bytes * scale;
        }
        if halves.reverse && reverse.packets > 0 {
            let unsolicited = if flow.fwd.total_packets == 0 { reverse.packets } else { 0 };
            self.receive(&flow.src.host, reverse.packets * scale, reverse.bytes * scale, unsolicited * scale, seen_by);
            packets += reverse.packets * scale;
            bytes += reverse.bytes * scale;
        }
        let site = match self.sites.iter().position(|(site, _)| *site == flow.site) {
            Some(index) => &mut self.sites[index].1,
            None => {
                self.sites.push((flow.site.clone(), SiteCounts::default()));
                let last = self.sites.len() - 1;
                &mut self.sites[last].1
            }
        };
        site.packets += packets;
        site.bytes += bytes;
        site.flows += u64::from(flow.export_index == 0);
        site.seen_by.merge(seen_by);
    }

    fn receive(&mut self, host: &Host, packets: u64, bytes: u64, unsolicited: u64, seen_by: SeenBy) {
        self.receivers.update(host, ReceiverCounts::default, |counts| {
            counts.packets += packets;
            counts.bytes += bytes;
            counts.unsolicited_packets += unsolicited;
            counts.seen_by.merge(seen_by);
        });
    }

    fn add_responder(&mut self, flow: &Flow, is_attempt: bool, seen_by: SeenBy) {
        let syn = flow.tcp.as_ref().map_or(0, |tcp| u64::from(tcp.fwd.syn));
        if syn == 0 && !is_attempt {
            return;
        }
        let source = self.seed.hash_of(&flow.src.host);
        self.responders.update(&(flow.dst.host.clone(), flow.dst.port), ResponderCounts::default, |counts| {
            // A record without flag counts (a flow log) stands for one SYN.
            counts.syn += syn.max(u64::from(is_attempt));
            counts.sources.insert(source);
            counts.seen_by.merge(seen_by);
            if !is_attempt {
                return;
            }
            counts.attempts += 1;
            match flow.outcome {
                Outcome::Completed => counts.completed += 1,
                Outcome::HalfOpen => counts.half_open += 1,
                Outcome::Refused => counts.refused += 1,
                Outcome::Unanswered | Outcome::Expired => counts.unanswered += 1,
                Outcome::None => {}
            }
            if flow.outcome != Outcome::Completed {
                counts.evidence.offer(flow);
            }
        });
    }

    fn add_source(&mut self, flow: &Flow, seen_by: SeenBy) {
        self.sources.update(&flow.src.host, SourceCounts::default, |counts| {
            counts.attempts += 1;
            match flow.outcome {
                Outcome::Completed => counts.completed += 1,
                Outcome::HalfOpen => counts.half_open += 1,
                Outcome::Refused => counts.refused += 1,
                Outcome::Unanswered | Outcome::Expired => counts.unanswered += 1,
                Outcome::None => {}
            }
            counts.seen_by.merge(seen_by);
        });
    }

    fn add_sweep(&mut self, flow: &Flow, technique: Technique, seen_by: SeenBy) {
        if !matches!(technique, Technique::Tcp | Technique::Udp | Technique::Icmp | Technique::Arp) {
            return;
        }
        let port = if matches!(technique, Technique::Tcp | Technique::Udp) { flow.dst.port } else { 0 };
        let key = SweepKey { source: flow.src.host.clone(), technique, port };
        if !failed(flow) {
            if flow.outcome == Outcome::Completed {
                self.sweeps.touch(&key, |counts| counts.completed += 1);
            }
            return;
        }
        let target = self.seed.hash_of(&flow.dst.host);
        self.sweeps.update(&key, SweepCounts::default, |counts| {
            counts.failed += 1;
            counts.targets.insert(target);
            counts.evidence.offer(flow);
            counts.seen_by.merge(seen_by);
        });
    }

    fn add_pair(&mut self, flow: &Flow, technique: Technique, seen_by: SeenBy, rules: &PaneRules) -> Option<PairKey> {
        let has_ports = !matches!(technique, Technique::Arp | Technique::Icmp);
        let is_traceroute = technique == Technique::Udp && rules.traceroute_ports.contains(&flow.dst.port);
        if !has_ports || is_traceroute {
            return None;
        }
        let key = PairKey { source: flow.src.host.clone(), target: flow.dst.host.clone(), technique };
        let counts_here = failed(flow) || (rules.count_completed && flow.outcome == Outcome::Completed);
        if !counts_here {
            if flow.outcome == Outcome::Completed {
                self.pairs.touch(&key, |counts| counts.completed += 1);
            }
            return None;
        }
        let port = self.seed.hash_of(&flow.dst.port);
        let grew = self.pairs.update(&key, PairCounts::default, |counts| {
            counts.attempts += 1;
            counts.syn += flow.tcp.as_ref().map_or(1, |tcp| u64::from(tcp.fwd.syn));
            match flow.outcome {
                Outcome::Refused => counts.refused += 1,
                Outcome::HalfOpen => counts.half_open += 1,
                Outcome::Completed => counts.completed += 1,
                _ => counts.unanswered += 1,
            }
            counts.evidence.offer(flow);
            counts.seen_by.merge(seen_by);
            counts.ports.insert(port)
        });
        grew.then_some(key)
    }

    /// How many entries a pane like this one needs.
    pub fn expected(&self) -> Expected {
        Expected { sources: self.sources.len(), responders: self.responders.len(), receivers: self.receivers.len() }
    }

    /// Counts of a pair.
    pub fn pair(&self, key: &PairKey) -> Option<&PairCounts> {
        self.pairs.get(key)
    }

    /// Whether nothing is known to be missing.
    pub fn is_complete(&self) -> bool {
        self.degraded.iter().all(|why| !leaves_out(why))
    }

    /// Records added.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Entries that left the pane's tables for lack of room.
    pub fn evicted(&self) -> u64 {
        self.sources.evicted()
            + self.pairs.evicted()
            + self.sweeps.evicted()
            + self.responders.evicted()
            + self.receivers.evicted()
    }

    /// Closes the pane: sends what the site stage needs, in order of kind and key, and returns what longer windows need, not
    /// yet cut to size; `sensors` turns bits into names.
    #[must_use]
    pub fn close(
        self,
        partial_bytes: usize,
        sensors: &dyn Fn(SeenBy) -> Vec<(Text, u8, u64)>,
        mut send: impl FnMut(PartialBody),
    ) -> (SourceSummary, u64) {
        let mut degraded = self.degraded.clone();
        if self.evicted() > 0 {
            degraded.insert("evicted".to_owned());
        }
        let mut names = SensorNames { sensors, newest: None };
        let receiver_bytes = partial_bytes / 8 * 3;
        let error = self.receivers.error();
        let receivers = fit(
            self.receivers.into_sorted(|_, _| true),
            receiver_bytes,
            |_| RECEIVER_BYTES,
            &[&|(_, counts): &(Host, ReceiverCounts)| counts.bytes, &|(_, counts)| counts.unsolicited_packets],
        );
        let error = error.max(receivers.heaviest_left_out);
        for (host, counts) in receivers.kept {
            send(PartialBody::Receiver {
                host,
                packets: counts.packets,
                bytes: counts.bytes,
                unsolicited_packets: counts.unsolicited_packets,
                error,
                sensors: names.of(counts.seen_by),
            });
        }
        let error = self.responders.error();
        let responders = fit(
            self.responders.into_sorted(|_, _| true),
            partial_bytes - receiver_bytes,
            |(_, counts)| RESPONDER_BYTES + counts.sources.heap_bytes(),
            &[&|(_, counts): &((Host, u16), ResponderCounts)| counts.syn, &|(_, counts)| {
                counts.half_open + counts.unanswered
            }],
        );
        let error = error.max(responders.heaviest_left_out);
        let left_out = receivers.left_out + responders.left_out;
        for ((host, port), counts) in responders.kept {
            send(PartialBody::Responder {
                host,
                port,
                syn: counts.syn,
                attempts: counts.attempts,
                completed: counts.completed,
                half_open: counts.half_open,
                refused: counts.refused,
                unanswered: counts.unanswered,
                error,
                sources: counts.sources.into_wire(),
                flows: counts.evidence.into_flows(),
                sensors: names.of(counts.seen_by),
            });
        }
        let mut sites = self.sites;
        sites.sort_by(|left, right| left.0.cmp(&right.0));
        for (site, counts) in sites {
            send(PartialBody::Site {
                site,
                packets: counts.packets,
                bytes: counts.bytes,
                flows: counts.flows,
                sensors: names.of(counts.seen_by),
            });
        }
        let sources_error = self.sources.error();
        let summary = SourceSummary {
            told: BTreeSet::new(),
            pairs: Sorted::from_ordered(self.pairs.into_sorted(|_, _| true)),
            sweeps: Sorted::from_ordered(self.sweeps.into_sorted(|_, _| true)),
            sources: Sorted::from_ordered(self.sources.into_sorted(|_, _| true)),
            sources_error,
            undirected: self.undirected,
            first_offset: self.first_offset,
            complete: degraded.iter().all(|why| !leaves_out(why)),
            degraded,
        };
        (summary, left_out)
    }
}

/// Names of sensors by evidence bits; neighbours in a pane mostly share them.
struct SensorNames<'a> {
    sensors: &'a dyn Fn(SeenBy) -> Vec<(Text, u8, u64)>,
    newest: Option<(SeenBy, Arc<[PartialSensor]>)>,
}

impl SensorNames<'_> {
    fn of(&mut self, seen_by: SeenBy) -> Arc<[PartialSensor]> {
        if let Some((known, names)) = &self.newest
            && *known == seen_by
        {
            return names.clone();
        }
        let wire = |(id, vantage, loss)| PartialSensor { id, vantage, loss };
        let names: Arc<[PartialSensor]> = (self.sensors)(seen_by).into_iter().map(wire).collect();
        self.newest = Some((seen_by, names.clone()));
        names
    }
}

/// Who counts which half of a flow: the first sensor in the log whose vantage has it.
#[derive(Debug)]
struct Owners {
    table: HashMap<[u8; 20], (u64, u64), HashSeed>,
    capacity: usize,
}

impl Owners {
    fn new(capacity: usize, seed: HashSeed) -> Self {
        Self { table: HashMap::with_hasher(seed), capacity }
    }

    fn own(&mut self, flow: &Flow, mask: u64, degraded: &mut BTreeSet<String>) -> Halves {
        let (forward, reverse) = (flow.vantage & 1 != 0, flow.vantage & 2 != 0);
        let known = self.table.contains_key(&flow.community_id);
        if !known && self.table.len() >= self.capacity {
            degraded.insert("dedupe".to_owned());
            return Halves::BOTH;
        }
        let owner = self.table.entry(flow.community_id).or_default();
        if forward && owner.0 == 0 {
            owner.0 = mask;
        }
        if reverse && owner.1 == 0 {
            owner.1 = mask;
        }
        Halves { forward: forward && owner.0 == mask, reverse: reverse && owner.1 == mask }
    }
}

/// Where a key's partials go: every partition computes the same place for the same key.
#[must_use]
pub fn partial_key(body: &PartialBody) -> String {
    match body {
        PartialBody::Receiver { host, .. } | PartialBody::Responder { host, .. } => host.to_string(),
        PartialBody::Site { site, .. } => site.to_string(),
        PartialBody::Marker { .. } => String::new(),
    }
}
