//! One activity is one episode with a life: opened, updated, closed. This is the ledger of open ones.
//!
//! Episodes enter by firing, are never evicted, and leave when closed (DESIGN §3, §5.3).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_schemas::finding::{
    Baseline, Contribution, Evidence, EvidenceFlow, EvidenceSensor, Party, Provenance, Scope, Technique,
};
use weir_schemas::partial::PartialFlow;
use weir_schemas::{EpisodeState, Finding, Host, Micros, Outcome, PANE_US, ScopeKind, Severity, Text};

use crate::detectors::{ATTACK_VERSION, Entry};
use crate::judgement::{Judgement, Part};

/// Open episodes of one detector and source, beyond which further targets feed one episode without target.
pub const EPISODES_PER_SOURCE: usize = 16;

/// Panes without a firing after which an episode closes, if no longer window fired in it.
const GAP_PANES: i64 = 6;

/// What names an activity, but for its start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeKey {
    /// Detector id.
    pub detector: String,
    /// The source, where the scope has one.
    pub source: Option<Host>,
    /// The target, where the scope has one.
    pub target: Option<Host>,
    /// The site, for the scope `site`.
    pub site: Option<Text>,
    /// Scope kind, as its place in the order of kinds.
    pub scope: ScopeRank,
    /// What tells it from others of the same scope.
    pub discriminator: String,
}

/// [`ScopeKind`] with the order of its declaration, for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeRank(pub ScopeKind);

impl EpisodeKey {
    /// The key of a judgement.
    #[must_use]
    pub fn of(detector: &Entry, judgement: &Judgement) -> Self {
        Self {
            detector: detector.id.to_owned(),
            source: judgement.source.clone(),
            target: judgement.target.clone(),
            site: judgement.site.clone(),
            scope: ScopeRank(judgement.scope),
            discriminator: judgement.discriminator.clone(),
        }
    }

    /// The scope key as text.
    #[must_use]
    pub fn scope_key(&self) -> String {
        let text = |host: &Option<Host>| host.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        match self.scope.0 {
            ScopeKind::Source => text(&self.source),
            ScopeKind::Target => text(&self.target),
            ScopeKind::Site => self.site.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string),
            _ => format!("{}>{}", text(&self.source), text(&self.target)),
        }
    }

    /// Id of the episode of this key that began at `start`: first 16 bytes of SHA-256 over the length-prefixed (u32, big
    /// endian) texts of detector, profile, scope kind, scope key, discriminator, and start in µs as decimal text; in hex.
    #[must_use]
    pub fn id(&self, profile: &str, start: Micros) -> String {
        let mut hash = Sha256::new();
        let (scope_key, start) = (self.scope_key(), start.to_string());
        for part in [&self.detector, profile, self.scope.0.name(), &scope_key, &self.discriminator, &start] {
            hash.update((part.len() as u32).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize()[..16].iter().fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// An open episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// What names it.
    pub key: EpisodeKey,
    /// Start of the newest pane of the first window that fired.
    pub start: Micros,
    /// Newest pane that fired.
    pub last: Micros,
    /// Panes without firing after which it closes.
    pub gap_panes: i64,
    /// Severity of the last revision sent.
    pub sent_severity: Severity,
    /// Observed value of the last revision sent.
    pub sent_observed: f64,
    /// The judgement with the highest severity, then the greatest observed value.
    pub peak: Judgement,
}

impl Episode {
    /// A new episode.
    #[must_use]
    pub fn open(key: EpisodeKey, judgement: Judgement, pane: Micros) -> Self {
        Self {
            key,
            start: pane,
            last: pane,
            gap_panes: GAP_PANES.max(2 * judgement.step_panes),
            sent_severity: judgement.severity,
            sent_observed: judgement.observed,
            peak: judgement,
        }
    }

    /// Takes another firing; true iff it is worth a revision.
    pub fn join(&mut self, judgement: &Judgement, pane: Micros) -> bool {
        self.last = self.last.max(pane);
        self.gap_panes = self.gap_panes.max(2 * judgement.step_panes);
        let rank = |judgement: &Judgement| (judgement.severity, judgement.observed);
        if rank(judgement) > rank(&self.peak) {
            self.peak = judgement.clone();
        }
        let worth_telling = judgement.severity > self.sent_severity
            || judgement.observed >= 2.0 * self.sent_observed.max(f64::MIN_POSITIVE);
        if worth_telling {
            self.sent_severity = self.sent_severity.max(judgement.severity);
            self.sent_observed = judgement.observed;
        }
        worth_telling
    }

    /// The pane at whose close it closes, if nothing fires until then.
    #[must_use]
    pub fn closes_at(&self) -> Micros {
        self.last + self.gap_panes * PANE_US
    }
}

/// What a firing led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Fired {
    /// A new episode: publish it.
    Opened(EpisodeKey),
    /// The episode grew: publish a revision.
    Updated(EpisodeKey),
    /// The episode goes on; nothing to publish.
    Joined,
    /// The ledger is full.
    Refused,
    /// The change does not fit into what this pane close may write.
    Deferred,
}

/// Why an episode that opened early did not enter the ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum NotAdopted {
    /// The ledger is full.
    Full(Box<Episode>),
    /// It does not fit into what this pane close may write: try at the next.
    NoRoom(Box<Episode>),
}

/// The ledger of open episodes.
#[derive(Clone, Debug)]
pub struct Episodes {
    open: BTreeMap<EpisodeKey, (u32, Episode)>,
    free: BTreeSet<u32>,
}

/// A slot's new body; empty where the episode has left.
pub type SlotChange = (u32, Vec<u8>);

impl Episodes {
    /// An empty ledger.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { open: BTreeMap::new(), free: (0..capacity as u32).collect() }
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// The open episode of `key`.
    #[must_use]
    pub fn get(&self, key: &EpisodeKey) -> Option<&Episode> {
        self.open.get(key).map(|(_, episode)| episode)
    }

    /// Open episodes, in key order.
    pub fn iter(&self) -> impl Iterator<Item = &Episode> {
        self.open.values().map(|(_, episode)| episode)
    }

    /// How many of `detector` and `source` are open.
    #[must_use]
    pub fn of_source(&self, detector: &str, source: &Option<Host>) -> usize {
        let first = EpisodeKey {
            detector: detector.to_owned(),
            source: source.clone(),
            target: None,
            site: None,
            scope: ScopeRank(ScopeKind::Source),
            discriminator: String::new(),
        };
        let same = |key: &EpisodeKey| key.detector == detector && key.source == *source;
        self.open.range(first..).take_while(|(key, _)| same(key)).count()
    }

    /// Takes a firing at the close of `pane`; writes at most `room` bytes of state.
    pub fn fire(
        &mut self,
        key: EpisodeKey,
        judgement: Judgement,
        pane: Micros,
        room: &mut usize,
        changes: &mut Vec<SlotChange>,
    ) -> Fired {
        let joins = self.open.contains_key(&key);
        let (mut next, slot, tell) = match self.open.get(&key) {
            Some((slot, episode)) => {
                let mut next = episode.clone();
                let tell = next.join(&judgement, pane);
                (next, *slot, tell)
            }
            None => {
                let Some(slot) = self.free.first().copied() else { return Fired::Refused };
                (Episode::open(key.clone(), judgement, pane), slot, true)
            }
        };
        next.key = key.clone();
        let Ok(body) = postcard::to_stdvec(&next) else { return Fired::Deferred };
        let Some(rest) = room.checked_sub(body.len() + 16) else { return Fired::Deferred };
        *room = rest;
        self.free.remove(&slot);
        self.open.insert(key.clone(), (slot, next));
        changes.push((slot, body));
        match (joins, tell) {
            (false, _) => Fired::Opened(key),
            (true, true) => Fired::Updated(key),
            (true, false) => Fired::Joined,
        }
    }

    /// Takes an episode that opened early, at the close of its pane; writes at most `room` bytes of state. Gives it back when
    /// the ledger is full or the room is not enough.
    pub fn adopt(
        &mut self,
        episode: Episode,
        room: &mut usize,
        changes: &mut Vec<SlotChange>,
    ) -> Result<(), NotAdopted> {
        let Some(slot) = self.free.first().copied() else { return Err(NotAdopted::Full(Box::new(episode))) };
        let Ok(body) = postcard::to_stdvec(&episode) else { return Err(NotAdopted::Full(Box::new(episode))) };
        let Some(rest) = room.checked_sub(body.len() + 16) else { return Err(NotAdopted::NoRoom(Box::new(episode))) };
        *room = rest;
        self.free.remove(&slot);
        changes.push((slot, body));
        self.open.insert(episode.key.clone(), (slot, episode));
        Ok(())
    }

    /// Takes out the episodes that are due, in key order.
    pub fn close(&mut self, is_due: impl Fn(&Episode) -> bool, changes: &mut Vec<SlotChange>) -> Vec<Episode> {
        let keys: Vec<EpisodeKey> =
            self.iter().filter(|episode| is_due(episode)).map(|episode| episode.key.clone()).collect();
        let mut closed = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some((slot, episode)) = self.open.remove(&key) {
                self.free.insert(slot);
                changes.push((slot, Vec::new()));
                closed.push(episode);
            }
        }
        closed
    }

    /// Loads a slot from the state topic.
    pub fn load(&mut self, slot: u32, body: &[u8]) -> Result<(), postcard::Error> {
        let episode: Episode = postcard::from_bytes(body)?;
        self.free.remove(&slot);
        self.open.insert(episode.key.clone(), (slot, episode));
        Ok(())
    }
}

/// The finding that tells one revision of an episode.
#[must_use]
pub fn finding(
    detector: &Entry,
    episode: &Episode,
    judgement: &Judgement,
    state: EpisodeState,
    profile: &str,
    provenance: Provenance,
) -> Finding {
    let normal = judgement.normal;
    let party = |host: &Option<Host>, port: Option<u16>| host.as_ref().map(|host| party_of(host, port));
    let mut degraded = judgement.degraded.clone();
    degraded.sort();
    degraded.dedup();
    Finding {
        v: 1,
        id: episode.key.id(profile, episode.start),
        revision: 0,
        state,
        detector: detector.id.to_owned(),
        rule_version: detector.rule_version,
        profile: profile.to_owned(),
        severity: judgement.severity,
        score: judgement.score,
        confidence: judgement.confidence,
        scope: Scope { kind: episode.key.scope.0, key: episode.key.scope_key() },
        source: party(&episode.key.source, None),
        target: party(&episode.key.target, judgement.target_port),
        discriminator: episode.key.discriminator.clone(),
        episode_start: episode.start,
        window: judgement.window,
        metric: judgement.metric.clone(),
        unit: judgement.unit.clone(),
        observed: judgement.observed,
        threshold: judgement.threshold,
        baseline: Baseline {
            kind: if normal.is_some() { "level_spread" } else { "none" }.to_owned(),
            mean: normal.map(|normal| normal.mean),
            spread: normal.map(|normal| normal.spread),
            n: normal.map_or(0, |normal| normal.n),
            quantile: None,
        },
        deviation: judgement.deviation(),
        counterfactual: judgement.counterfactual,
        contributions: judgement.contributions.iter().map(contribution_of).collect(),
        scores: BTreeMap::new(),
        message: String::new(),
        reason: judgement.reason.clone(),
        variant: judgement.variant.clone(),
        technique: Technique {
            attack_version: ATTACK_VERSION.to_owned(),
            ids: detector.techniques.iter().map(|id| (*id).to_owned()).collect(),
        },
        evidence: evidence(judgement),
        complete: judgement.complete,
        degraded,
        labels: BTreeMap::new(),
        provenance,
    }
}

fn contribution_of(part: &Part) -> Contribution {
    Contribution {
        feature: part.feature.clone(),
        value: part.value,
        unit: part.unit.clone(),
        threshold: part.threshold,
    }
}

fn evidence(judgement: &Judgement) -> Evidence {
    let sensor =
        |(id, vantage, loss): &(Text, u8, u64)| EvidenceSensor { id: id.clone(), vantage: *vantage, loss: *loss };
    Evidence {
        flows: judgement.flows.iter().map(evidence_flow).collect(),
        n_flows: judgement.n_flows,
        sensors: judgement.sensors.iter().map(sensor).collect(),
    }
}

fn evidence_flow(flow: &PartialFlow) -> EvidenceFlow {
    EvidenceFlow {
        flow_id: format!("{:016x}", flow.flow_id),
        community_id: weir_schemas::flow::community_id_text(&flow.community_id),
        src: end_text(&flow.src, flow.src_port),
        dst: end_text(&flow.dst, flow.dst_port),
        proto: flow.proto,
        first_time: flow.first_time,
        packets: flow.packets,
        bytes: flow.bytes,
        outcome: Outcome::from_wire(i32::from(flow.outcome)).unwrap_or_default().name().to_owned(),
    }
}

fn end_text(host: &Host, port: u16) -> String {
    match host {
        Host::V6(address) => format!("[{address}]:{port}"),
        other => format!("{other}:{port}"),
    }
}

fn party_of(host: &Host, port: Option<u16>) -> Party {
    Party { ip: host.ip().map(|ip| ip.to_string()), name: host.name().map(ToString::to_string), port }
}
