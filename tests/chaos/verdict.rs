//! What must hold after a run: one line for each, with the numbers that it rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use weir_engine::detectors::CATALOGUE;
use weir_schemas::{EpisodeState, canonical};
use weir_tests::broker::ListedTransaction;

use crate::course::{Course, Lane};
use crate::failure::Failure;
use crate::fleet::Cause;
use crate::ledger::Written;
use crate::observed::Event;
use crate::schedule::{Extent, POINTS};

/// Something that must hold.
#[derive(Clone, Debug)]
pub struct Check {
    pub name: String,
    pub holds: bool,
    pub detail: String,
}

/// What a run must have had to say anything.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    pub sources: usize,
    pub episodes: usize,
    pub kills: usize,
    pub restores: usize,
    pub with_replay: usize,
    pub with_early: usize,
}

/// How many lines of a difference are told.
const SAMPLE: usize = 3;

/// Looks at everything.
pub fn judge(course: &Course, extent: Extent, least: Least) -> Result<Vec<Check>, Failure> {
    let (disturbed, golden) = (&course.disturbed, &course.golden);
    let ledger = &course.ledger;
    let mut checks = Vec::new();

    let findings = ledger.findings(&disturbed.topics.findings())?;
    let anomalies = ledger.findings(&disturbed.topics.anomalies())?;
    let golden_findings = ledger.findings(&golden.topics.findings())?;
    let golden_anomalies = ledger.findings(&golden.topics.anomalies())?;
    checks.push(same("findings", &canonical_texts(&findings), &canonical_texts(&golden_findings)));
    checks.push(same("anomalies", &canonical_texts(&anomalies), &canonical_texts(&golden_anomalies)));
    checks.push(revisions(anomalies.iter().map(|written| (written.finding.id.as_str(), written.finding.revision))));
    for lane in [disturbed, golden] {
        checks.extend(accounts(course, lane)?);
        let dead: u64 = ledger.sizes(&lane.topics.dead())?.values().sum();
        checks.push(Check {
            name: format!("{}: no dead letter", lane.name),
            holds: dead == 0,
            detail: dead.to_string(),
        });
    }
    let counters = |lane: &Lane| ledger.counters(&lane.topics.state_source());
    let (mine, theirs) = (counters(disturbed)?, counters(golden)?);
    checks.push(Check {
        name: "the source stage counted alike, to the last number".to_owned(),
        holds: mine == theirs,
        detail: format!("{} partitions", mine.len()),
    });
    checks.extend(kafka(course)?);
    checks.extend(happened(course, extent, least));
    let sources = ledger.sources(&disturbed.topics)?;
    checks.push(at_least("sources", sources, least.sources));
    checks.extend(content(&anomalies, least));
    Ok(checks)
}

fn at_least(name: &str, found: usize, least: usize) -> Check {
    Check { name: format!("{name}, at least {least}"), holds: found >= least, detail: found.to_string() }
}

/// Equal as multisets.
fn same(name: &str, mine: &[String], theirs: &[String]) -> Check {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for text in mine {
        *balance.entry(text).or_default() += 1;
    }
    for text in theirs {
        *balance.entry(text).or_default() -= 1;
    }
    balance.retain(|_, count| *count != 0);
    let mut detail = format!("{} disturbed, {} undisturbed", mine.len(), theirs.len());
    for (text, count) in balance.iter().take(SAMPLE) {
        // Writing to a String cannot fail.
        let _ = write!(detail, "; {count:+} {text}");
    }
    let holds = balance.is_empty() && !mine.is_empty();
    Check { name: format!("{name} are those of an undisturbed run"), holds, detail }
}

fn canonical_texts(findings: &[Written]) -> Vec<String> {
    findings.iter().map(|written| canonical(&written.finding)).collect()
}

/// Every id has the revisions 1 to n, each once.
fn revisions<'a>(numbered: impl Iterator<Item = (&'a str, u32)>) -> Check {
    let mut revisions: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (id, revision) in numbered {
        revisions.entry(id).or_default().push(revision);
    }
    let ids = revisions.len();
    let is_whole = |revisions: &mut Vec<u32>| {
        revisions.sort_unstable();
        (1..).zip(revisions.iter()).all(|(number, revision)| number == *revision)
    };
    let broken: Vec<String> = revisions
        .iter_mut()
        .filter_map(|(id, revisions)| (!is_whole(revisions)).then(|| format!("{id}: {revisions:?}")))
        .collect();
    let holds = broken.is_empty() && ids > 0;
    let detail = format!("{ids} ids{}", broken.first().map(|broken| format!("; {broken}")).unwrap_or_default());
    Check { name: "revisions run from 1 without a gap".to_owned(), holds, detail }
}

/// The fates of all records of a partition are as many as its records.
fn accounts(course: &Course, lane: &Lane) -> Result<Vec<Check>, Failure> {
    let flows = course.disturbed.topics.flows();
    let stages =
        [("source", flows, lane.topics.state_source()), ("site", lane.topics.partials(), lane.topics.state_site())];
    let mut checks = Vec::new();
    for (stage, input, state) in stages {
        let records = course.ledger.sizes(&input)?;
        let counted: BTreeMap<u32, u64> =
            course.ledger.counters(&state)?.iter().map(|(partition, counters)| (*partition, counters.read())).collect();
        let (all, of_all): (u64, u64) = (records.values().sum(), counted.values().sum());
        let mut detail = format!("{all} records, {of_all} accounted for");
        if records != counted {
            let _ = write!(detail, "; records {records:?}, accounted for {counted:?}");
        }
        let name = format!("{}: every record of the {stage} stage has one fate", lane.name);
        checks.push(Check { name, holds: records == counted && all > 0, detail });
    }
    Ok(checks)
}

fn kafka(course: &Course) -> Result<Vec<Check>, Failure> {
    let open: Vec<String> =
        course.broker.transactions()?.into_iter().filter(ListedTransaction::is_open).map(|listed| listed.id).collect();
    let hanging = course.broker.find_hanging_transactions()?;
    Ok([("open", open), ("hanging", hanging)]
        .into_iter()
        .map(|(what, found)| Check {
            name: format!("no transaction is {what}, as Kafka's own tool says"),
            holds: found.is_empty(),
            detail: found.join(", "),
        })
        .collect())
}

/// What was done did what it was meant to do.
fn happened(course: &Course, extent: Extent, least: Least) -> Vec<Check> {
    let detectors = || course.fleet.deaths.iter().filter(|death| death.name.starts_with('d'));
    let mut checks = Vec::new();
    for point in POINTS {
        let at_point = |cause: &Cause| matches!(cause, Cause::Fault(fault) if fault.point == point);
        let count = detectors().filter(|death| at_point(&death.cause)).count();
        checks.push(at_least(&format!("deaths of detectors at {}", point.name()), count, extent.per_point));
    }
    let kills = detectors().filter(|death| matches!(death.cause, Cause::Fault(_) | Cause::Killed)).count();
    checks.push(at_least("detectors killed", kills, least.kills));
    let results = course.fleet.deaths.iter().filter(|death| death.name == "results");
    let results = results.filter(|death| matches!(death.cause, Cause::Fault(_) | Cause::Killed)).count();
    checks.push(at_least("results killed", results, extent.results));

    let stopped = if extent.with_changes { 2 } else { 0 };
    checks.push(at_least("detectors stopped within a commit, and let go on", course.resumed.len(), stopped));

    let events = || course.fleet.told.iter().map(|told| &told.event);
    let rows = |event: &Event| match event {
        Event::Restored { row, .. } if row != "first_start" => Some(row.clone()),
        _ => None,
    };
    let rows: Vec<String> = events().filter_map(rows).collect();
    checks.push(at_least("partitions restored", rows.len(), least.restores));
    let replays = events().filter(|event| matches!(event, Event::CaughtUp { replayed, .. } if *replayed > 0)).count();
    checks.push(at_least("restores that read records again", replays, least.with_replay));
    let early = events().filter(|event| matches!(event, Event::Early { opened } if *opened > 0)).count();
    checks.push(at_least("restores with an episode that had opened early", early, least.with_early));

    let other: BTreeSet<&String> = rows.iter().filter(|row| *row != "normal").collect();
    let alarms: BTreeSet<String> =
        events().filter_map(|event| if let Event::Alarm(text) = event { Some(text.clone()) } else { None }).collect();
    checks.push(Check {
        name: "every restore goes on from commit and state, and nothing alarms".to_owned(),
        holds: other.is_empty() && alarms.is_empty(),
        detail: format!("{other:?} {:?}", alarms.iter().take(SAMPLE).collect::<Vec<_>>()),
    });
    checks
}

/// Every detector of the catalogue had something to say, and all of it was told to its end.
fn content(anomalies: &[Written], least: Least) -> Vec<Check> {
    let of_state = |state: EpisodeState| -> BTreeSet<&str> {
        let of_state = anomalies.iter().filter(|written| written.finding.state == state);
        of_state.map(|written| written.finding.id.as_str()).collect()
    };
    let (opened, closed) = (of_state(EpisodeState::Opened), of_state(EpisodeState::Closed));
    let mut by_detector: BTreeMap<&str, usize> = CATALOGUE.iter().map(|detector| (detector.entry().id, 0)).collect();
    for written in anomalies.iter().filter(|written| written.finding.state == EpisodeState::Opened) {
        *by_detector.entry(written.finding.detector.as_str()).or_default() += 1;
    }
    vec![
        at_least("episodes", opened.len(), least.episodes),
        Check {
            name: "every detector found something".to_owned(),
            holds: by_detector.values().all(|count| *count > 0),
            detail: by_detector
                .iter()
                .map(|(detector, count)| format!("{detector} {count}"))
                .collect::<Vec<_>>()
                .join(", "),
        },
        Check {
            name: "every episode is told to its end".to_owned(),
            holds: opened == closed,
            detail: format!("{} opened, {} closed", opened.len(), closed.len()),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_lost_told_twice_or_other_is_a_difference() {
        let golden = texts(&["a", "b", "b"]);
        assert!(same("", &texts(&["b", "a", "b"]), &golden).holds);
        for other in [&["a", "b"][..], &["a", "b", "b", "b"], &["a", "b", "c"], &[]] {
            assert!(!same("", &texts(other), &golden).holds, "{other:?}");
        }
        assert!(!same("", &[], &[]).holds, "a run without findings shows nothing");
        assert_eq!(same("", &texts(&["a", "b"]), &golden).detail, "2 disturbed, 3 undisturbed; -1 b");
    }

    #[test]
    fn a_revision_that_is_missing_or_there_twice_is_a_gap() {
        let table = [
            (&[("x", 1), ("y", 1), ("x", 2)][..], true),
            (&[("x", 2), ("x", 1)], true),
            (&[("x", 1), ("x", 3)], false),
            (&[("x", 1), ("x", 1)], false),
            (&[("x", 2)], false),
            (&[], false),
        ];
        for (numbered, holds) in table {
            assert_eq!(revisions(numbered.iter().copied()).holds, holds, "{numbered:?}");
        }
    }
}
