//! `incomplete_handshakes`: a source whose TCP connections mostly do not come about.
//!
//! Rule: of `attempts` ≥ `min_attempts` in 60 s, the share that did not complete (half-open, refused, unanswered) has a 95 %
//! lower bound over `medium_share` (medium) or `high_share` (high); at least `min_targets` distinct targets failed; and no scan
//! of that source has been named (one activity has one name). Attempts that eviction may have hidden count as completed.
//! `classic`: the plain share over 10 % (medium) or 25 % (high), of any number of attempts.
//! Defaults: 10 and 25 % of a handful is noise, so `default` asks for 30 attempts, and for failures at three hosts, because
//! one dead server is no property of the source.
//! Evidence: SYNs seen, with their outcomes; needs both directions, or every handshake looks incomplete.
//! Known false positives: clients behind a firewall that lost its state; a sensor that sees one direction only.
//! ATT&CK: T1046 Network Service Discovery.

use std::collections::BTreeMap;

use weir_schemas::{Host, ScopeKind, Severity};

use super::{Detector, Entry, Level, SourceView, Stage, wilson_lower_bound};
use crate::judgement::{Judgement, Verdicts, contribution, score_of};
use crate::profile::{Parameter, Rules};
use crate::summary::{EvidenceSample, SourceCounts};
use crate::technique::Technique;

pub(super) struct IncompleteHandshakes;

const MIN_ATTEMPTS: usize = 0;
const MEDIUM_SHARE: usize = 1;
const HIGH_SHARE: usize = 2;
const MIN_TARGETS: usize = 3;
const PLAIN_SHARE: usize = 4;

static ENTRY: Entry = Entry {
    id: "incomplete_handshakes",
    rule_version: 1,
    stage: Stage::Source,
    scopes: &[ScopeKind::Source],
    finds: "a source whose TCP connections mostly do not come about",
    formula: "incomplete / attempts in 60 s (95 % lower bound) > medium_share or high_share, with >= min_attempts attempts and >= min_targets failed targets",
    windows: &[Level::Minute],
    evidence: "SYNs seen, with their outcomes, from a sensor that sees both directions",
    discriminator: "empty",
    false_positives: &[
        "clients behind a firewall that lost its state",
        "asymmetric routing: the answers pass elsewhere",
    ],
    techniques: &["T1046"],
    parameters: &[
        Parameter {
            name: "min_attempts",
            unit: "attempts",
            default: 30.0,
            classic: 1.0,
            doc: "attempts in 60 s below which nothing is said",
        },
        Parameter {
            name: "medium_share",
            unit: "ratio",
            default: 0.25,
            classic: 0.10,
            doc: "share of incomplete attempts for medium",
        },
        Parameter {
            name: "high_share",
            unit: "ratio",
            default: 0.50,
            classic: 0.25,
            doc: "share of incomplete attempts for high",
        },
        Parameter {
            name: "min_targets",
            unit: "hosts",
            default: 3.0,
            classic: 0.0,
            doc: "distinct targets that failed: one dead server is no property of the source",
        },
        Parameter {
            name: "plain_share",
            unit: "switch",
            default: 0.0,
            classic: 1.0,
            doc: "1 = the plain share instead of its 95 % lower bound",
        },
    ],
};

impl Detector for IncompleteHandshakes {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn judge_source(&self, view: &SourceView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        let mut failed: Option<BTreeMap<Host, (u64, EvidenceSample)>> = None;
        // A window of a minute holds the sources that its newest pane does.
        for (source, counts) in view.merged.sources.iter() {
            let incomplete = counts.incomplete();
            if incomplete == 0 {
                verdicts.quiet();
                continue;
            }
            if counts.attempts < rules.count(MIN_ATTEMPTS) {
                verdicts.cannot_judge("sources with too few connection attempts for a share", 1);
                continue;
            }
            if counts.seen_by.reverse == 0 {
                verdicts.cannot_judge("sources whose answers no sensor saw", 1);
                continue;
            }
            let possible = counts.attempts + view.merged.sources_error;
            let share = if rules.is_on(PLAIN_SHARE) {
                incomplete as f64 / possible as f64
            } else {
                wilson_lower_bound(incomplete, possible)
            };
            let (targets, evidence) =
                failed.get_or_insert_with(|| failed_targets(view)).get(source).cloned().unwrap_or_default();
            let named = view.named.contains(source) && !rules.is_on(PLAIN_SHARE);
            if named || share <= rules.get(MEDIUM_SHARE) || targets < rules.count(MIN_TARGETS) {
                verdicts.quiet();
                continue;
            }
            verdicts.fire(judgement(source, *counts, share, targets, &evidence, view, rules));
        }
    }
}

/// Distinct targets at which each source's TCP attempts failed, and some of the flows.
fn failed_targets(view: &SourceView<'_>) -> BTreeMap<Host, (u64, EvidenceSample)> {
    let mut failed: BTreeMap<Host, (u64, EvidenceSample)> = BTreeMap::new();
    for (key, counts) in view.merged.pairs.iter() {
        if key.technique == Technique::Tcp && counts.refused + counts.unanswered + counts.half_open > 0 {
            let (targets, evidence) = failed.entry(key.source.clone()).or_default();
            *targets += 1;
            evidence.merge(counts.evidence.flows());
        }
    }
    failed
}

fn judgement(
    source: &Host,
    counts: SourceCounts,
    share: f64,
    targets: u64,
    evidence: &EvidenceSample,
    view: &SourceView<'_>,
    rules: &Rules,
) -> Judgement {
    let is_high = share > rules.get(HIGH_SHARE);
    let threshold = if is_high { rules.get(HIGH_SHARE) } else { rules.get(MEDIUM_SHARE) };
    Judgement {
        scope: ScopeKind::Source,
        source: Some(source.clone()),
        target: None,
        target_port: None,
        site: None,
        discriminator: String::new(),
        variant: String::new(),
        severity: if is_high { Severity::High } else { Severity::Medium },
        score: score_of(share / rules.get(MEDIUM_SHARE)),
        confidence: 0.7,
        metric: "incomplete_share".to_owned(),
        unit: "ratio".to_owned(),
        observed: share,
        threshold,
        normal: None,
        counterfactual: rules.get(MEDIUM_SHARE),
        contributions: vec![
            contribution("incomplete_share", share, "ratio", Some(threshold)),
            contribution("attempts", counts.attempts as f64, "attempts", Some(rules.get(MIN_ATTEMPTS))),
            contribution("half_open", counts.half_open as f64, "attempts", None),
            contribution("refused", counts.refused as f64, "attempts", None),
            contribution("unanswered", counts.unanswered as f64, "attempts", None),
            contribution("failed_targets", targets as f64, "hosts", Some(rules.get(MIN_TARGETS))),
        ],
        reason: "incomplete_handshakes".to_owned(),
        flows: evidence.flows().to_vec(),
        n_flows: counts.attempts,
        sensors: (view.sensors)(counts.seen_by),
        window: view.window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}
