//! Ten seconds of event time of one partition: the only thing that records are added to.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use weir_schemas::{Flow, Host, Outcome, Text};

use crate::bounded::{Bounded, Weigh};
use crate::config::Shares;
use crate::distinct::Distinct;
use crate::hash::HashSeed;
use crate::partials::{PaneTables, SensorsOf, ToldCounts, tell};
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

/// Hashes of a record's ends, which several tables are keyed by.
#[derive(Clone, Copy, Debug)]
struct Hashes {
    source: u64,
    responder: u64,
}

/// What arrived at one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaneReceiver {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) unsolicited_packets: u64,
    pub(crate) seen_by: SeenBy,
}

impl Weigh for PaneReceiver {
    fn weight(&self) -> u64 {
        self.bytes
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

/// TCP attempts at one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaneResponder {
    pub(crate) syn: u64,
    pub(crate) attempts: u64,
    pub(crate) completed: u64,
    pub(crate) half_open: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    pub(crate) sources: Distinct,
    pub(crate) evidence: EvidenceSample,
    pub(crate) seen_by: SeenBy,
}

impl Weigh for PaneResponder {
    fn weight(&self) -> u64 {
        self.syn
    }

    fn heap_bytes(&self) -> usize {
        self.sources.heap_bytes() + self.evidence.heap_bytes()
    }
}

/// All traffic of a site.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaneSite {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) flows: u64,
    pub(crate) seen_by: SeenBy,
}

/// Entries that the next pane probably needs: room made at once instead of by and by. No count depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    sources: usize,
    responders: usize,
    receivers: usize,
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
    responders: Bounded<(Host, u16), PaneResponder>,
    receivers: Bounded<Host, PaneReceiver>,
    sites: Vec<(Text, PaneSite)>,
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
        let hashes = Hashes { source: self.seed.hash_of(&flow.src.host), responder: self.seed.hash_of(&flow.dst.host) };
        self.add_volume(flow, halves, seen_by, hashes);
        if flow.export_index == 0 && !flow.initiator.is_evidence() {
            self.undirected += 1;
        }
        if !halves.forward {
            return None;
        }
        let technique = Technique::of(flow);
        if flow.proto == 6 {
            self.add_responder(flow, technique == Some(Technique::Tcp), seen_by, hashes.source);
        }
        let technique = technique?;
        if technique == Technique::Tcp {
            self.add_source(flow, seen_by, hashes.source);
        }
        self.add_sweep(flow, technique, seen_by, hashes.responder);
        self.add_pair(flow, technique, seen_by, rules)
    }

    fn add_volume(&mut self, flow: &Flow, halves: Halves, seen_by: SeenBy, hashes: Hashes) {
        let scale = u64::from(flow.sampling.max(1));
        let (forward, reverse) = (&flow.fwd, &flow.rev);
        let mut packets = 0;
        let mut bytes = 0;
        if halves.forward && forward.packets > 0 {
            // An answer is never unsolicited: only what reaches a responder that has sent nothing in the flow.
            let unsolicited = if flow.rev.total_packets == 0 { forward.packets } else { 0 };
            let counts = PaneReceiver {
                packets: forward.packets * scale,
                bytes: forward.bytes * scale,
                unsolicited_packets: unsolicited * scale,
                seen_by,
            };
            self.receive(&flow.dst.host, hashes.responder, &counts);
            packets += forward.packets * scale;
            bytes += forward.bytes * scale;
        }
        if halves.reverse && reverse.packets > 0 {
            let unsolicited = if flow.fwd.total_packets == 0 { reverse.packets } else { 0 };
            let counts = PaneReceiver {
                packets: reverse.packets * scale,
                bytes: reverse.bytes * scale,
                unsolicited_packets: unsolicited * scale,
                seen_by,
            };
            self.receive(&flow.src.host, hashes.source, &counts);
            packets += reverse.packets * scale;
            bytes += reverse.bytes * scale;
        }
        let site = match self.sites.iter().position(|(site, _)| *site == flow.site) {
            Some(index) => &mut self.sites[index].1,
            None => {
                self.sites.push((flow.site.clone(), PaneSite::default()));
                let last = self.sites.len() - 1;
                &mut self.sites[last].1
            }
        };
        site.packets += packets;
        site.bytes += bytes;
        site.flows += u64::from(flow.export_index == 0);
        site.seen_by.merge(seen_by);
    }

    fn receive(&mut self, host: &Host, hash: u64, arrived: &PaneReceiver) {
        self.receivers.update_hashed(hash, host, PaneReceiver::default, |counts| {
            counts.packets += arrived.packets;
            counts.bytes += arrived.bytes;
            counts.unsolicited_packets += arrived.unsolicited_packets;
            counts.seen_by.merge(arrived.seen_by);
        });
    }

    fn add_responder(&mut self, flow: &Flow, is_attempt: bool, seen_by: SeenBy, source: u64) {
        let syn = flow.tcp.as_ref().map_or(0, |tcp| u64::from(tcp.fwd.syn));
        if syn == 0 && !is_attempt {
            return;
        }
        self.responders.update(&(flow.dst.host.clone(), flow.dst.port), PaneResponder::default, |counts| {
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

    fn add_source(&mut self, flow: &Flow, seen_by: SeenBy, hash: u64) {
        self.sources.update_hashed(hash, &flow.src.host, SourceCounts::default, |counts| {
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

    fn add_sweep(&mut self, flow: &Flow, technique: Technique, seen_by: SeenBy, target: u64) {
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

    /// Closes the pane: returns what longer windows need, not yet cut to size, and what the site stage needs, in
    /// `partial_bytes` octets; `sensors` turns bits into names, and the input has `partitions` partitions.
    #[must_use]
    pub fn close(self, partial_bytes: usize, partitions: u32, sensors: SensorsOf<'_>) -> (SourceSummary, ToldCounts) {
        let mut degraded = self.degraded.clone();
        if self.evicted() > 0 {
            degraded.insert("evicted".to_owned());
        }
        let tables = PaneTables {
            receivers_error: self.receivers.error(),
            receivers: self.receivers.into_entries(),
            responders_error: self.responders.error(),
            responders: self.responders.into_entries(),
            sites: self.sites,
        };
        let told = tell(tables, partial_bytes, partitions, sensors);
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
        (summary, told)
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
