//! What a detector says of one window: a judgement with all its numbers, or that it cannot judge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_schemas::finding::Window;
use weir_schemas::partial::PartialFlow;
use weir_schemas::{Host, ScopeKind, Severity, Text};

/// A sensor in the evidence: id, vantage bits, records lost.
pub type EvidenceOf = (Text, u8, u64);

/// The normal that an observation was held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// Level, in the metric's unit.
    pub mean: f64,
    /// Spread, in the metric's unit.
    pub spread: f64,
    /// Samples.
    pub n: u64,
}

/// One feature's part in a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Name from the feature dictionary.
    pub feature: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What it was held against, where the rule has such a threshold.
    pub threshold: Option<f64>,
}

/// A detector's verdict that something is wrong, numbers only: results words it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was judged.
    pub scope: ScopeKind,
    /// The source, where the scope has one.
    pub source: Option<Host>,
    /// The target, where the scope has one.
    pub target: Option<Host>,
    /// The service port it is about, where there is one.
    pub target_port: Option<u16>,
    /// Site, for the scope `site`.
    pub site: Option<Text>,
    /// What tells this activity from others of the same detector and scope.
    pub discriminator: String,
    /// Finer technique; may change.
    pub variant: String,
    /// How bad.
    pub severity: Severity,
    /// Effect size, 0–1.
    pub score: f64,
    /// How sure, 0–1.
    pub confidence: f64,
    /// The feature that decided.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Its value.
    pub observed: f64,
    /// What it was held against.
    pub threshold: f64,
    /// The learnt normal, where the rule has one.
    pub normal: Option<Normal>,
    /// The greatest value that would have kept the detector silent.
    pub counterfactual: f64,
    /// Each feature's part.
    pub contributions: Vec<Part>,
    /// Key of the message template.
    pub reason: String,
    /// Some of the flows.
    pub flows: Vec<PartialFlow>,
    /// How many there were.
    pub n_flows: u64,
    /// Sensors that saw them.
    pub sensors: Vec<EvidenceOf>,
    /// The window judged.
    pub window: Window,
    /// Step by which windows of this length slide, in panes: what an episode's gap is made of.
    pub step_panes: i64,
    /// First input offset of the window's oldest pane.
    pub first_offset: i64,
    /// Every record of the window was there.
    pub complete: bool,
    /// What makes it less than exact.
    pub degraded: Vec<String>,
}

impl Judgement {
    /// How far from normal: spreads above the level, or multiples of the threshold.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        match self.normal {
            Some(normal) if normal.spread > 0.0 => (self.observed - normal.mean) / normal.spread,
            _ if self.threshold > 0.0 => self.observed / self.threshold,
            _ => self.observed,
        }
    }
}

/// A feature's part in a judgement.
#[must_use]
pub fn contribution(feature: &str, value: f64, unit: &str, threshold: Option<f64>) -> Part {
    Part { feature: feature.to_owned(), value, unit: unit.to_owned(), threshold }
}

/// Score of an effect that is `ratio` times its threshold: 0.5 at the threshold, towards 1 with each tenfold.
#[must_use]
pub fn score_of(ratio: f64) -> f64 {
    let decades = libm::log10(ratio.max(1.0));
    1.0 - 0.5 / (1.0 + decades)
}

/// How often a detector fired, stayed quiet, or could not judge; and why it could not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Windows in which it fired, keys counted one by one.
    pub fired: u64,
    /// Keys it looked at and found quiet.
    pub quiet: u64,
    /// Keys it could not judge, by reason.
    pub cannot_judge: BTreeMap<String, u64>,
}

/// Collects what one detector says of one window.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// Judgements.
    pub firings: Vec<Judgement>,
    /// Keys found quiet.
    pub quiet: u64,
    /// Keys that could not be judged, by reason.
    pub cannot_judge: BTreeMap<&'static str, u64>,
}

impl Verdicts {
    /// Something is wrong.
    pub fn fire(&mut self, judgement: Judgement) {
        self.firings.push(judgement);
    }

    /// A key was looked at and is fine.
    pub fn quiet(&mut self) {
        self.quiet += 1;
    }

    /// `count` keys cannot be judged because of `reason`, which must be worded for people.
    pub fn cannot_judge(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.cannot_judge.entry(reason).or_default() += count;
        }
    }
}
