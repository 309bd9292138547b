//! Words for a finding, made from its numbers alone: who did what to whom, how sure that is, and one concrete check.
//!
//! Detectors return numbers and a key (`reason`); one template per key words them, and a general one the rest.

mod check;
mod who;

use weir_schemas::finding::Contribution;
use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{Finding, ScopeKind};

pub use check::Check;
pub(crate) use who::words;
pub use who::{party, source, target};

use crate::format::{count_of, duration, number, percent, quantity, utc};
use crate::text;

/// A finding in words. Names in it are printable: no control character of a capture is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Who did what to whom, when, the observed value and its threshold. One sentence.
    pub what: String,
    /// How sure, and why. One sentence.
    pub how_sure: String,
    /// What to look at next.
    pub check: Check,
}

/// Words one finding.
#[must_use]
pub fn explain(finding: &Finding) -> Explanation {
    Explanation { what: what(finding), how_sure: how_sure(finding), check: check::check(finding) }
}

/// The `message` of an anomaly: what happened, and how sure that is.
#[must_use]
pub fn message(finding: &Finding) -> String {
    format!("{} {}", what(finding), how_sure(finding))
}

fn what(finding: &Finding) -> String {
    let body = match finding.reason.as_str() {
        "port_scan" => port_scan(finding),
        "host_sweep" => host_sweep(finding),
        "incomplete_handshakes" => incomplete_handshakes(finding),
        "syn_flood" => syn_flood(finding),
        "traffic_spike" => traffic_spike(finding),
        _ => general(finding),
    };
    let threshold = quantity(finding.threshold, &finding.unit);
    format!("{body} {}; the threshold is {threshold}.", when(finding))
}

fn port_scan(finding: &Finding) -> String {
    let technique = match finding.variant.as_str() {
        "" => String::new(),
        variant => format!(" with {} probes", who::technique(variant)),
    };
    let outcomes = extra(finding, &["attempts", "refused", "unanswered", "half_open", "completed"]);
    let target = who::target_or(finding, "several hosts");
    format!("{} tried {} of {target}{technique}{outcomes}", source(finding), observed(finding))
}

fn host_sweep(finding: &Finding) -> String {
    let means = match (who::means(finding), who::evidence_port(finding)) {
        (Some(means), Some(port)) => format!(" over {means} port {port}{}", who::registered(&means, port)),
        (Some(means), None) => format!(" over {means}"),
        (None, _) => String::new(),
    };
    let outcomes = extra(finding, &["attempts", "failed", "completed"]);
    format!("{} went through {}{means}{outcomes}", source(finding), observed(finding))
}

fn incomplete_handshakes(finding: &Finding) -> String {
    let toward = match &finding.target {
        Some(target) => format!(" with {}", party(target)),
        None => String::new(),
    };
    let outcomes = extra(finding, &["attempts", "refused", "unanswered", "half_open", "completed", "failed_targets"]);
    let share = observed(finding);
    format!("Of the TCP handshakes that {} began{toward}, {share} stayed incomplete{outcomes}", source(finding))
}

fn syn_flood(finding: &Finding) -> String {
    let senders = match feature(finding, "distinct_sources") {
        Some(sources) => format!(", from about {}", count_of(sources.value.max(0.0) as u64, "source")),
        None => String::new(),
    };
    let counts = extra(finding, &["syn", "completed", "half_open"]);
    let target = who::target_or(finding, "A host");
    format!("{target} was asked for TCP connections that were never completed: {}{counts}{senders},", observed(finding))
}

fn traffic_spike(finding: &Finding) -> String {
    let whose = match finding.scope.kind {
        ScopeKind::Site => format!("site {}", text::printable(&finding.scope.key)),
        _ => who::target_or(finding, &text::printable(&finding.scope.key)),
    };
    let normal = match (finding.baseline.mean, finding.baseline.spread) {
        (Some(mean), Some(spread)) => {
            format!(", where {} ± {} is normal,", quantity(mean, &finding.unit), quantity(spread, &finding.unit))
        }
        _ => String::new(),
    };
    format!("Traffic of {whose} reached {}{normal}", observed(finding))
}

fn general(finding: &Finding) -> String {
    let detector = who::words(&finding.detector);
    let metric = who::words(&finding.metric);
    let between = match (&finding.source, &finding.target) {
        (Some(source), Some(target)) => format!("{} toward {}", party(source), party(target)),
        (Some(only), None) | (None, Some(only)) => party(only),
        (None, None) => format!("{} {}", finding.scope.kind.name(), text::printable(&finding.scope.key)),
    };
    format!("The detector {detector} fired for {between}: {metric} was {}", observed(finding))
}

fn observed(finding: &Finding) -> String {
    quantity(finding.observed, &finding.unit)
}

/// `in the 60 s before 2026-03-01 12:00:10 UTC`.
fn when(finding: &Finding) -> String {
    let length = finding.window.end.saturating_sub(finding.window.start);
    format!("in the {} before {}", duration(length), utc(finding.window.end))
}

fn feature<'a>(finding: &'a Finding, name: &str) -> Option<&'a Contribution> {
    finding.contributions.iter().find(|contribution| contribution.feature == name)
}

/// ` (1,003 attempts, 998 refused)`: the named features that the finding has, that are not zero and not its metric.
fn extra(finding: &Finding, names: &[&str]) -> String {
    let parts: Vec<String> = names
        .iter()
        .filter(|name| **name != finding.metric)
        .filter_map(|name| feature(finding, name))
        .filter(|feature| feature.value != 0.0)
        .map(outcome)
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// `998 refused`, `37,623 SYN packets`, `failed targets: 12 hosts`.
fn outcome(feature: &Contribution) -> String {
    match (feature.feature.as_str(), feature.unit.as_str()) {
        ("attempts", _) => count_of(feature.value.max(0.0) as u64, "attempt"),
        ("syn", _) => count_of(feature.value.max(0.0) as u64, "SYN packet"),
        (name, "attempts") => format!("{} {}", number(feature.value), who::words(name)),
        (name, "handshakes") => format!("{} {}", quantity(feature.value, &feature.unit), who::words(name)),
        (name, unit) => format!("{}: {}", who::words(name), quantity(feature.value, unit)),
    }
}

fn how_sure(finding: &Finding) -> String {
    let word = match finding.confidence {
        confidence if confidence >= 0.8 => "high",
        confidence if confidence >= 0.5 => "medium",
        _ => "low",
    };
    let mut reasons = Vec::new();
    if finding.evidence.n_flows > 0 {
        reasons.push(format!("{} as evidence", count_of(finding.evidence.n_flows, "flow")));
    }
    if finding.baseline.n > 0 {
        reasons.push(format!("normal learnt from {}", count_of(finding.baseline.n, "sample")));
    }
    reasons.extend(vantage(finding));
    let lost: u64 = finding.evidence.sensors.iter().map(|sensor| sensor.loss).sum();
    if lost > 0 {
        reasons.push(format!("{} lost between sensor and detector", count_of(lost, "record")));
    }
    let complete =
        if finding.complete { "all records of the window were there" } else { "records of the window are missing" };
    reasons.push(complete.to_owned());
    if !finding.degraded.is_empty() {
        let degraded: Vec<String> = finding.degraded.iter().map(|reason| who::degraded(reason)).collect();
        reasons.push(format!("less than exact because {}", degraded.join(" and ")));
    }
    format!("Confidence is {word} ({}): {}.", percent(finding.confidence), reasons.join(", "))
}

/// What the sensors could see: both directions, or one.
fn vantage(finding: &Finding) -> Option<String> {
    let sensors = &finding.evidence.sensors;
    let seen = sensors.iter().fold(0, |bits, sensor| bits | sensor.vantage);
    let what = match seen & (VANTAGE_FORWARD | VANTAGE_REVERSE) {
        0 => return None,
        VANTAGE_FORWARD => "only the source's packets",
        VANTAGE_REVERSE => "only the answers",
        _ => "both directions",
    };
    let witnesses = count_of(sensors.len() as u64, "sensor");
    Some(format!("{what} seen by {witnesses}"))
}

#[cfg(test)]
mod tests;
