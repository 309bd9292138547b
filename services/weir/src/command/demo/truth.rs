//! What was planted in the bundled capture, and how the verdicts are held against it.
//!
//! The truth is the capture's row in `tests/captures/truth.tsv`: `must` and `allow` list items `DETECTOR@SOURCE>TARGET`
//! separated by `;`, where `*` or nothing is any address and `-` none. What must be found needs medium severity; a false
//! alert is of medium severity or above and matches no item.

use std::collections::BTreeSet;
use std::fmt;

use weir_schemas::finding::Party;
use weir_schemas::{Anomaly, Severity};

const TABLE: &str = include_str!("../../../../../tests/captures/truth.tsv");
const CAPTURE: &str = "demo.pcap.zst";

/// What is true of the capture.
pub struct Truth {
    must: Vec<Item>,
    allow: Vec<Item>,
}

/// One activity.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    detector: &'static str,
    source: End,
    target: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Any,
    Absent,
    Is(&'static str),
}

/// How the verdicts compare.
#[derive(Debug, PartialEq, Eq)]
pub struct Score {
    planted: usize,
    found: usize,
    false_alerts: usize,
}

impl Truth {
    /// The truth about the bundled capture.
    pub fn bundled() -> Self {
        let row = TABLE.lines().map(|line| line.split('\t').collect::<Vec<_>>()).find(|row| row[0] == CAPTURE);
        // A test holds that the row is there.
        let cell = |index: usize| row.as_ref().and_then(|row| row.get(index)).copied().unwrap_or_default();
        Self { must: items(cell(1)), allow: items(cell(2)) }
    }

    /// Compares verdicts, all revisions of them.
    pub fn score(&self, verdicts: &[Anomaly]) -> Score {
        let alerts = || verdicts.iter().filter(|verdict| verdict.severity >= Severity::Medium);
        let found = self.must.iter().filter(|item| alerts().any(|alert| item.matches(alert))).count();
        let is_known = |alert: &Anomaly| self.must.iter().chain(&self.allow).any(|item| item.matches(alert));
        let false_alerts: BTreeSet<&str> = alerts().filter(|alert| !is_known(alert)).map(|alert| &*alert.id).collect();
        Score { planted: self.must.len(), found, false_alerts: false_alerts.len() }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alerts = weir_results::format::count_of(self.false_alerts as u64, "false alert");
        write!(f, "Held against the truth: {} of {} planted attacks found, {alerts}.", self.found, self.planted)
    }
}

fn items(cell: &'static str) -> Vec<Item> {
    cell.split(';').filter(|text| !text.is_empty()).map(item).collect()
}

fn item(text: &'static str) -> Item {
    let (detector, ends) = text.split_once('@').unwrap_or((text, ""));
    let (source, target) = ends.split_once('>').unwrap_or((ends, ""));
    Item { detector, source: end(source), target: end(target) }
}

fn end(text: &'static str) -> End {
    match text {
        "" | "*" => End::Any,
        "-" => End::Absent,
        address => End::Is(address),
    }
}

impl Item {
    fn matches(&self, anomaly: &Anomaly) -> bool {
        self.detector == anomaly.detector
            && self.source.matches(anomaly.source.as_ref())
            && self.target.matches(anomaly.target.as_ref())
    }
}

impl End {
    fn matches(&self, party: Option<&Party>) -> bool {
        let address = party.and_then(|party| party.ip.as_deref().or(party.name.as_deref()));
        match self {
            Self::Any => true,
            Self::Absent => address.is_none(),
            Self::Is(wanted) => address == Some(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_names_three_attacks() {
        let truth = Truth::bundled();
        let must: Vec<&str> = truth.must.iter().map(|item| item.detector).collect();
        assert_eq!(must, ["port_scan", "host_sweep", "syn_flood"]);
        assert_eq!(truth.must[2], Item { detector: "syn_flood", source: End::Absent, target: End::Is("10.0.0.10") });
        assert!(!truth.allow.is_empty());
    }

    #[test]
    fn nothing_found_is_nothing_false() {
        let score = Truth::bundled().score(&[]);
        assert_eq!(score, Score { planted: 3, found: 0, false_alerts: 0 });
        assert_eq!(score.to_string(), "Held against the truth: 0 of 3 planted attacks found, 0 false alerts.");
    }
}
