//! The detectors: one file each, and the catalogue that lists them. A detector sees features, baselines and thresholds, and
//! returns judgements with all their numbers; it does no I/O and words nothing.

mod host_sweep;
mod incomplete_handshakes;
mod port_scan;
mod syn_flood;
mod traffic_spike;

use std::collections::BTreeSet;

use weir_schemas::finding::Window;
use weir_schemas::{Host, Micros, ScopeKind};

use crate::baseline::BaselineView;
use crate::judgement::{EvidenceOf, Verdicts};
use crate::pane::PaneRules;
use crate::profile::{Parameter, Rules};
use crate::site_summary::SiteSummary;
use crate::summary::{PairCounts, PairKey, SeenBy, SourceSummary};

/// Every detector, in the order in which they judge: one that names an activity comes before one that would only see its
/// shadow. Adding a detector takes its file and a line here.
pub static CATALOGUE: &[&dyn Detector] = &[
    &port_scan::PortScan,
    &host_sweep::HostSweep,
    &incomplete_handshakes::IncompleteHandshakes,
    &syn_flood::SynFlood,
    &traffic_spike::TrafficSpike,
];

/// Where a detector runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Beside the source-keyed panes.
    Source,
    /// Over partials merged from all input partitions.
    Site,
}

/// A detector's entry in the catalogue; what `weir detectors show` prints.
#[derive(Debug)]
pub struct Entry {
    /// Public id.
    pub id: &'static str,
    /// Version of the rule.
    pub rule_version: u32,
    /// Where it runs.
    pub stage: Stage,
    /// What it judges.
    pub scopes: &'static [ScopeKind],
    /// What it finds, in one sentence.
    pub finds: &'static str,
    /// The rule, with units.
    pub formula: &'static str,
    /// Windows it judges.
    pub windows: &'static [Level],
    /// What must be in the records.
    pub evidence: &'static str,
    /// What its discriminator is made of.
    pub discriminator: &'static str,
    /// What can look like it and is not.
    pub false_positives: &'static [&'static str],
    /// ATT&CK technique ids.
    pub techniques: &'static [&'static str],
    /// Its thresholds.
    pub parameters: &'static [Parameter],
}

/// Version of ATT&CK the technique ids are from.
pub const ATTACK_VERSION: &str = "17.1";

/// Length of a window and the step by which it slides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// One pane: 10 s.
    Pane,
    /// 60 s sliding by 10 s.
    Minute,
    /// 5 min sliding by 60 s.
    FiveMinutes,
    /// 1 h sliding by 5 min.
    Hour,
}

impl Level {
    /// Length, panes.
    #[must_use]
    pub const fn panes(self) -> i64 {
        match self {
            Self::Pane => 1,
            Self::Minute => 6,
            Self::FiveMinutes => 30,
            Self::Hour => 360,
        }
    }

    /// Step, panes.
    #[must_use]
    pub const fn step_panes(self) -> i64 {
        match self {
            Self::Pane | Self::Minute => 1,
            Self::FiveMinutes => 6,
            Self::Hour => 30,
        }
    }

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pane => "10 s",
            Self::Minute => "60 s",
            Self::FiveMinutes => "5 min",
            Self::Hour => "1 h",
        }
    }
}

/// What a source-stage detector sees of one window.
pub struct SourceView<'a> {
    /// Length of the window.
    pub level: Level,
    /// The window.
    pub window: Window,
    /// The newest step of it: a key that was not active there is not judged again.
    pub newest: &'a SourceSummary,
    /// All of it.
    pub merged: &'a SourceSummary,
    /// Sources whose activity a scan detector has named already.
    pub named: &'a BTreeSet<Host>,
    /// Turns evidence bits into sensors.
    pub sensors: &'a dyn Fn(SeenBy) -> Vec<EvidenceOf>,
}

impl SourceView<'_> {
    /// Flows of the newest pane whose direction nothing proves; counted once, at the shortest window.
    #[must_use]
    pub fn newest_undirected(&self) -> u64 {
        if self.level == Level::Minute { self.newest.undirected } else { 0 }
    }
}

/// What a site-stage detector sees of one window.
pub struct SiteView<'a> {
    /// Length of the window.
    pub level: Level,
    /// The window.
    pub window: Window,
    /// Start of the newest pane.
    pub pane: Micros,
    /// The newest pane.
    pub newest: &'a SiteSummary,
    /// All of the window.
    pub merged: &'a SiteSummary,
    /// What is normal.
    pub baselines: &'a BaselineView<'a>,
    /// Turns evidence bits into sensors.
    pub sensors: &'a dyn Fn(SeenBy) -> Vec<EvidenceOf>,
}

/// A rule that turns features, baselines and thresholds into judgements.
pub trait Detector: Sync {
    /// Its entry in the catalogue.
    fn entry(&self) -> &'static Entry;

    /// What panes must count for it.
    fn prepare(&self, _rules: &Rules, _pane: &mut PaneRules) {}

    /// Judges a window of a source-keyed partition.
    fn judge_source(&self, _view: &SourceView<'_>, _rules: &Rules, _verdicts: &mut Verdicts) {}

    /// Judges a window of merged partials.
    fn judge_site(&self, _view: &SiteView<'_>, _rules: &Rules, _verdicts: &mut Verdicts) {}

    /// Whether the pane alone crosses the threshold with the record just added. Only for counts that never shrink; called
    /// when a pair's port count grew.
    fn crosses_early(&self, _counts: &PairCounts, _rules: &Rules) -> bool {
        false
    }

    /// The judgement of a pair that crossed early, over its pane alone.
    fn judge_early(
        &self,
        _key: &PairKey,
        _counts: &PairCounts,
        _view: &SourceView<'_>,
        _rules: &Rules,
        _: &mut Verdicts,
    ) {
    }
}

/// The detector with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Detector> {
    CATALOGUE.iter().copied().find(|detector| detector.entry().id == id)
}

/// The 95 % lower bound of a share (Wilson, "Probable Inference", 1927): what `part` of `whole` proves at least.
#[must_use]
pub fn wilson_lower_bound(part: u64, whole: u64) -> f64 {
    const Z: f64 = 1.96;
    if whole == 0 {
        return 0.0;
    }
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let centre = share + Z * Z / (2.0 * n);
    let margin = Z * libm::sqrt((share * (1.0 - share) + Z * Z / (4.0 * n)) / n);
    ((centre - margin) / (1.0 + Z * Z / n)).max(0.0)
}
