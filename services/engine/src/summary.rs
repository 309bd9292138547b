//! What a closed pane leaves behind for longer windows: bounded counts per key that merge by addition and union.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use weir_schemas::partial::PartialFlow;
use weir_schemas::{Flow, Host, Micros};

use crate::bounded::Weigh;
use crate::distinct::Distinct;
use crate::sorted::Sorted;
use crate::technique::Technique;

/// Evidence flows kept per key: those with the smallest ids, so that any merge order keeps the same.
pub const EVIDENCE_FLOWS: usize = 3;

/// The few flows that stand for many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSample(Vec<PartialFlow>);

impl EvidenceSample {
    /// Offers a flow.
    pub fn offer(&mut self, flow: &Flow) {
        if self.0.len() == EVIDENCE_FLOWS && self.0.last().is_some_and(|last| last.flow_id < flow.flow_id) {
            return;
        }
        self.insert(PartialFlow {
            flow_id: flow.flow_id,
            community_id: flow.community_id,
            src: flow.src.host.clone(),
            src_port: flow.src.port,
            dst: flow.dst.host.clone(),
            dst_port: flow.dst.port,
            proto: flow.proto,
            first_time: flow.first_time,
            packets: flow.fwd.packets + flow.rev.packets,
            bytes: flow.fwd.bytes + flow.rev.bytes,
            outcome: flow.outcome as u8,
        });
    }

    fn insert(&mut self, flow: PartialFlow) {
        let Err(place) = self.0.binary_search(&flow) else { return };
        if place == EVIDENCE_FLOWS {
            return;
        }
        if self.0.len() == EVIDENCE_FLOWS {
            self.0.pop();
        }
        self.0.reserve_exact(1);
        self.0.insert(place, flow);
    }

    /// Adds another sample.
    pub fn merge(&mut self, other: &[PartialFlow]) {
        for flow in other {
            self.insert(flow.clone());
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<PartialFlow>()
    }

    /// The flows, smallest id first, without copying them.
    #[must_use]
    pub fn into_flows(self) -> Vec<PartialFlow> {
        self.0
    }

    /// The flows, smallest id first.
    #[must_use]
    pub fn flows(&self) -> &[PartialFlow] {
        &self.0
    }
}

/// Which sensors saw a key, by their bits in the task's sensor table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBy {
    /// Sensors that saw source → responder packets.
    pub forward: u64,
    /// Sensors that saw responder → source packets.
    pub reverse: u64,
}

impl SeenBy {
    /// Adds other sensors.
    pub fn merge(&mut self, other: Self) {
        self.forward |= other.forward;
        self.reverse |= other.reverse;
    }
}

/// One source's attempts at one target by one technique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PairKey {
    /// Initiator.
    pub source: Host,
    /// Responder.
    pub target: Host,
    /// How.
    pub technique: Technique,
}

/// Counts of a [`PairKey`]. Everything but `completed` counts what the profile counts (failed attempts; `classic`: all).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
    /// Attempts counted.
    pub attempts: u64,
    /// SYN packets of those attempts.
    pub syn: u64,
    /// Attempts refused.
    pub refused: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Handshakes left half-open.
    pub half_open: u64,
    /// Attempts completed since the pair's first counted attempt of the pane.
    pub completed: u64,
    /// Distinct destination ports.
    pub ports: Distinct,
    /// Some of the flows.
    pub evidence: EvidenceSample,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl Weigh for PairCounts {
    fn weight(&self) -> u64 {
        self.ports.count()
    }

    fn heap_bytes(&self) -> usize {
        self.ports.heap_bytes() + self.evidence.heap_bytes()
    }
}

impl PairCounts {
    /// Distinct ports; an estimate beyond the exact limit, but never more than there were attempts.
    #[must_use]
    pub fn distinct_ports(&self) -> u64 {
        self.ports.count().min(self.attempts)
    }

    fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.syn += other.syn;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.half_open += other.half_open;
        self.completed += other.completed;
        self.ports.merge(&other.ports);
        self.evidence.merge(other.evidence.flows());
        self.seen_by.merge(other.seen_by);
    }
}

/// One source's attempts at one service of many hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SweepKey {
    /// Initiator.
    pub source: Host,
    /// Tcp, Udp, Icmp or Arp.
    pub technique: Technique,
    /// Service port; 0 for ICMP and ARP.
    pub port: u16,
}

/// Counts of a [`SweepKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepCounts {
    /// Failed attempts.
    pub failed: u64,
    /// Attempts completed since the key's first failed attempt of the pane.
    pub completed: u64,
    /// Distinct hosts at which attempts failed.
    pub targets: Distinct,
    /// Some of the flows.
    pub evidence: EvidenceSample,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl Weigh for SweepCounts {
    fn weight(&self) -> u64 {
        self.targets.count()
    }

    fn heap_bytes(&self) -> usize {
        self.targets.heap_bytes() + self.evidence.heap_bytes()
    }
}

impl SweepCounts {
    /// Distinct targets; an estimate beyond the exact limit, but never more than there were failed attempts.
    #[must_use]
    pub fn distinct_targets(&self) -> u64 {
        self.targets.count().min(self.failed)
    }

    fn merge(&mut self, other: &Self) {
        self.failed += other.failed;
        self.completed += other.completed;
        self.targets.merge(&other.targets);
        self.evidence.merge(other.evidence.flows());
        self.seen_by.merge(other.seen_by);
    }
}

/// One source's TCP attempts, whatever they were aimed at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Connections begun with a SYN.
    pub attempts: u64,
    /// Of these, completed.
    pub completed: u64,
    /// Answered, never acknowledged.
    pub half_open: u64,
    /// Refused.
    pub refused: u64,
    /// Not answered.
    pub unanswered: u64,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl Weigh for SourceCounts {
    fn weight(&self) -> u64 {
        self.attempts
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl SourceCounts {
    fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.completed += other.completed;
        self.half_open += other.half_open;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.seen_by.merge(other.seen_by);
    }

    /// Attempts that did not complete.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        self.half_open + self.refused + self.unanswered
    }
}

/// One-target sweeps, and one-port pairs, that a summary carries of one source.
pub const LONE_ENTRIES: usize = 32;

/// Counts the lone entries of each source; tables are in order of source first.
#[derive(Default)]
struct LoneEntries {
    source: Option<Host>,
    kept: usize,
}

impl LoneEntries {
    fn keeps(&mut self, source: &Host) -> bool {
        if self.source.as_ref() != Some(source) {
            self.source = Some(source.clone());
            self.kept = 0;
        }
        self.kept += 1;
        self.kept <= LONE_ENTRIES
    }
}

/// An activity that a window has told: source, target where it has one, discriminator.
pub type Told = (Host, Option<Host>, String);

/// The summary of one or more closed panes of a source-keyed partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Attempts by pair.
    pub pairs: Sorted<PairKey, PairCounts>,
    /// Attempts by service.
    pub sweeps: Sorted<SweepKey, SweepCounts>,
    /// TCP attempts by source.
    pub sources: Sorted<Host, SourceCounts>,
    /// Attempts per source that eviction may have hidden.
    pub sources_error: u64,
    /// Flows whose direction nothing proved.
    pub undirected: u64,
    /// What windows up to 5 min told at the close of this pane. Longer windows leave it out, or they would tell a fast scan once
    /// more when it has long been closed.
    pub told: BTreeSet<Told>,
    /// Offset of the oldest pane's first record.
    pub first_offset: i64,
    /// Every record of it was there.
    pub complete: bool,
    /// What makes it less than exact.
    pub degraded: BTreeSet<String>,
}

impl SourceSummary {
    /// An empty summary that merges neutrally.
    #[must_use]
    pub fn neutral() -> Self {
        Self { complete: true, first_offset: i64::MAX, ..Self::default() }
    }

    /// Adds what `other` knows of the sources and services that are here already, and all its pairs: what a judgement of the
    /// newest step needs of the window's older panes.
    pub fn merge_known(&mut self, other: &Self) {
        self.pairs.merge(&other.pairs, PairCounts::merge);
        self.sweeps.merge_known(&other.sweeps, SweepCounts::merge);
        self.sources.merge_known(&other.sources, SourceCounts::merge);
        self.merge_facts(other);
    }

    /// Adds another step of a window longer than a minute, which needs pairs and sweeps only.
    pub fn merge_long(&mut self, other: &Self) {
        if other.told.is_empty() {
            self.pairs.merge(&other.pairs, PairCounts::merge);
            self.sweeps.merge(&other.sweeps, SweepCounts::merge);
        } else {
            let mut untold = Self { pairs: other.pairs.clone(), sweeps: other.sweeps.clone(), ..Self::default() };
            untold.leave_out(&other.told);
            self.pairs.merge(&untold.pairs, PairCounts::merge);
            self.sweeps.merge(&untold.sweeps, SweepCounts::merge);
        }
        self.merge_facts(other);
    }

    /// Drops what has been told already.
    pub fn leave_out(&mut self, told: &BTreeSet<Told>) {
        let knows = |source: &Host, target: Option<&Host>, technique: Technique| {
            told.contains(&(source.clone(), target.cloned(), technique.name().to_owned()))
        };
        self.pairs.retain(|key, _| !knows(&key.source, Some(&key.target), key.technique));
        self.sweeps.retain(|key, _| !knows(&key.source, None, key.technique));
    }

    fn merge_facts(&mut self, other: &Self) {
        self.sources_error += other.sources_error;
        self.undirected += other.undirected;
        self.first_offset = self.first_offset.min(other.first_offset);
        self.complete &= other.complete;
        self.degraded.extend(other.degraded.iter().cloned());
    }

    /// Keeps at most [`LONE_ENTRIES`] one-target sweeps and one-port pairs of each source: a port scan makes a sweep of every port,
    /// a sweep makes a pair of every host, and neither says more than the other. What is dropped depends on the source alone.
    pub fn thin_lone_entries(&mut self) {
        let mut lone = LoneEntries::default();
        self.sweeps.retain(|key, counts| counts.targets.count() > 1 || lone.keeps(&key.source));
        let mut lone = LoneEntries::default();
        self.pairs.retain(|key, counts| counts.ports.count() > 1 || lone.keeps(&key.source));
    }

    /// Cuts the summary to what `bytes` of state can hold, heaviest first per table; returns how many entries left.
    pub fn bound(&mut self, bytes: usize) -> u64 {
        let share = bytes / 8;
        let (pairs, _) = keep_heaviest(&mut self.pairs, share * 3);
        let (sweeps, _) = keep_heaviest(&mut self.sweeps, share * 2);
        let (sources, heaviest_lost) = keep_heaviest(&mut self.sources, share * 3);
        self.sources_error += heaviest_lost;
        let left = pairs + sweeps + sources;
        if left > 0 {
            self.degraded.insert("evicted".to_owned());
        }
        left
    }
}

/// Keeps the heaviest entries (of equal weight, the greatest keys) whose encodings fit into `bytes`; returns how many left, and the greatest weight among them.
pub fn keep_heaviest<K, V>(entries: &mut Sorted<K, V>, bytes: usize) -> (u64, u64)
where
    K: Ord + Clone + Serialize,
    V: Weigh + Clone + Serialize,
{
    let size_of = |key: &K, value: &V| postcard::experimental::serialized_size(&(key, value)).unwrap_or(bytes + 1);
    let sizes: Vec<usize> = entries.iter().map(|(key, value)| size_of(key, value)).collect();
    if sizes.iter().sum::<usize>() <= bytes {
        return (0, 0);
    }
    let least = sizes.iter().copied().min().unwrap_or_default().max(1);
    let mut ranked: Vec<(Reverse<(u64, &K)>, usize)> =
        entries.iter().zip(sizes).map(|((key, value), size)| (Reverse((value.weight(), key)), size)).collect();
    // No more than these have room, and only they need an order; the one after them is the first that has none for sure.
    let most = bytes / least;
    if most + 1 < ranked.len() {
        ranked.select_nth_unstable(most);
        ranked.truncate(most + 1);
    }
    ranked.sort_unstable();
    let mut room = bytes;
    let first_leaving = ranked.into_iter().find(|(_, size)| match room.checked_sub(*size) {
        Some(rest) => {
            room = rest;
            false
        }
        None => true,
    });
    let Some((Reverse((heaviest_lost, key)), _)) = first_leaving else { return (0, 0) };
    let key = key.clone();
    let before = entries.len();
    // Nothing lighter may stay when something heavier had to leave.
    entries.retain(|known, value| {
        let weight = value.weight();
        weight > heaviest_lost || (weight == heaviest_lost && *known > key)
    });
    ((before - entries.len()) as u64, heaviest_lost)
}

/// The window of event time that a merge of panes covers.
#[must_use]
pub fn window_of(newest_pane: Micros, panes: i64) -> weir_schemas::finding::Window {
    let end = newest_pane + weir_schemas::PANE_US;
    weir_schemas::finding::Window { start: end - panes * weir_schemas::PANE_US, end }
}
