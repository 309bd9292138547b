//! What the detector publishes (`finding`) and what results publishes (`anomaly`): one shape.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::Text;
use crate::time::Micros;

/// How bad, from the size of the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look when there is time.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a page.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// The lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a detector judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeKind {
    /// One initiator.
    Source,
    /// One responder or receiver.
    Target,
    /// One source and one target.
    Pair,
    /// An address prefix.
    Prefix,
    /// A site.
    Site,
    /// A sensor.
    Sensor,
    /// One flow.
    Flow,
}

impl ScopeKind {
    /// The lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Pair => "pair",
            Self::Prefix => "prefix",
            Self::Site => "site",
            Self::Sensor => "sensor",
            Self::Flow => "flow",
        }
    }
}

/// Where an episode is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpisodeState {
    /// First revision.
    Opened,
    /// Grew.
    Updated,
    /// Last revision, with the peak.
    Closed,
}

impl EpisodeState {
    /// The lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// What a finding is about: the kind, and a key text unique within it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// Kind of thing judged.
    pub kind: ScopeKind,
    /// `10.0.0.1`, `10.0.0.1>10.0.0.2`, a site name, …
    pub key: String,
}

/// One end named by a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// Address as RFC 5952 text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip: Option<String>,
    /// Name, where the input had no address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Port, where the finding is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
}

/// The normal that an observation was held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// `level_spread`, or `none` where the rule is a fixed threshold.
    pub kind: String,
    /// Learnt level, in the finding's unit.
    pub mean: Option<f64>,
    /// Learnt spread (standard deviation), in the finding's unit.
    pub spread: Option<f64>,
    /// Samples it rests on.
    pub n: u64,
    /// Where the observation stands among them, 0–1, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantile: Option<f64>,
}

/// One feature's part in the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Name from the feature dictionary.
    pub feature: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What it was held against, where the rule has such a threshold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<f64>,
}

/// ATT&CK techniques.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    /// Version of ATT&CK the ids are from.
    pub attack_version: String,
    /// `T1046`, …
    pub ids: Vec<String>,
}

/// A flow that proves the finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EvidenceFlow {
    /// The flow's id, 16 hex digits.
    pub flow_id: String,
    /// Community ID (v1).
    pub community_id: String,
    /// Source, `address:port` or `[address]:port`.
    pub src: String,
    /// Responder, likewise.
    pub dst: String,
    /// IP protocol number.
    pub proto: u8,
    /// Time of its first packet, µs.
    #[serde(with = "crate::rfc3339::as_text")]
    pub first_time: Micros,
    /// Packets, both directions, as far as the detector had seen them.
    pub packets: u64,
    /// Bytes, both directions, likewise.
    pub bytes: u64,
    /// What became of the attempt.
    pub outcome: String,
}

/// A sensor whose records are in the evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EvidenceSensor {
    /// Sensor id.
    pub id: Text,
    /// Vantage bits of its records, or-ed.
    pub vantage: u8,
    /// Records lost between it and the detector (gaps in `seq`).
    pub loss: u64,
}

/// The numbers and flows that prove a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// At most five flows, those with the smallest ids.
    pub flows: Vec<EvidenceFlow>,
    /// How many flows there were.
    pub n_flows: u64,
    /// Sensors that saw them.
    pub sensors: Vec<EvidenceSensor>,
}

/// Where a finding comes from; no part of its canonical form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Input topic.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// First input offset of the oldest pane in the window.
    pub first_offset: i64,
    /// Last input offset read when the verdict was formed.
    pub last_offset: i64,
    /// Engine version.
    pub engine: String,
    /// Hash of the profile's rules.
    pub rules_hash: String,
    /// When results published it, µs; absent on findings (the engine has no clock).
    #[serde(with = "crate::rfc3339::as_optional_text", default)]
    pub emitted_at: Option<Micros>,
}

/// A window of event time, `[start, end)`, µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Start, inclusive.
    #[serde(with = "crate::rfc3339::as_text")]
    pub start: Micros,
    /// End, exclusive.
    #[serde(with = "crate::rfc3339::as_text")]
    pub end: Micros,
}

/// One revision of one episode, as the detector saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Version of this shape.
    pub v: u32,
    /// First 16 bytes of the SHA-256 that names the episode, hex.
    pub id: String,
    /// Revision, from 1; 0 on a finding: results numbers revisions.
    pub revision: u32,
    /// Where the episode is in its life.
    pub state: EpisodeState,
    /// Id of the detector in the catalogue.
    pub detector: String,
    /// Version of its rule.
    pub rule_version: u32,
    /// Profile it was judged under.
    pub profile: String,
    /// How bad.
    pub severity: Severity,
    /// Effect size on a scale of its own, 0–1.
    pub score: f64,
    /// How sure, 0–1.
    pub confidence: f64,
    /// What was judged.
    pub scope: Scope,
    /// The source, where the scope has one.
    pub source: Option<Party>,
    /// The target, where the scope has one.
    pub target: Option<Party>,
    /// What tells this activity from others of the same detector and scope.
    pub discriminator: String,
    /// Start of the episode: start of the newest pane of the first window that fired, µs.
    #[serde(with = "crate::rfc3339::as_text")]
    pub episode_start: Micros,
    /// The window judged.
    pub window: Window,
    /// The feature that decided.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Its value.
    pub observed: f64,
    /// What it was held against.
    pub threshold: f64,
    /// The normal it was held against.
    pub baseline: Baseline,
    /// How far from normal: multiples of the threshold, or of the spread where there is a baseline.
    pub deviation: f64,
    /// The greatest value of the metric that would have kept the detector silent.
    pub counterfactual: f64,
    /// Each feature's part.
    pub contributions: Vec<Contribution>,
    /// Named model scores; empty for rules.
    pub scores: std::collections::BTreeMap<String, f64>,
    /// What happened, for people; empty on a finding: results words it.
    pub message: String,
    /// Key of the message template.
    pub reason: String,
    /// Finer technique of the detector (`syn`, `connect`, …); may change while the activity lasts.
    pub variant: String,
    /// ATT&CK techniques.
    pub technique: Technique,
    /// What proves it.
    pub evidence: Evidence,
    /// All records of the window were there.
    pub complete: bool,
    /// What makes the verdict less than exact: `forced`, `evicted`, `dedupe`, `rules_changed`, `replayed`, …
    pub degraded: Vec<String>,
    /// Labels of the input, for evaluation.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A finding after results numbered and worded it.
pub type Anomaly = Finding;
