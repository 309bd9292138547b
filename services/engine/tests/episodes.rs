//! The life of an episode: when it opens, joins, tells a revision and closes, and what its id is made of.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::{EPOCH, Outcomes, Schedule, Setup, attempt, log_of, run_source, straight};
use weir_engine::Profile;
use weir_schemas::{EpisodeState, Finding, Flow, Outcome, PANE_US, SECOND_US, Severity};

const SOURCE: &str = "10.0.0.1";
const TARGET: &str = "10.1.0.1";

fn scan(start: i64, first_port: u16, ports: u16, step_ms: i64) -> Vec<Flow> {
    scan_of(TARGET, start, first_port, ports, step_ms)
}

fn scan_of(target: &str, start: i64, first_port: u16, ports: u16, step_ms: i64) -> Vec<Flow> {
    let at = |port: u16| start * SECOND_US + i64::from(port) * step_ms * 1_000;
    (0..ports).map(|port| attempt(at(port), SOURCE, target, first_port + port, Outcome::Refused)).collect()
}

/// One completed connection per pane keeps event time going without saying anything.
fn quiet_until(second: i64) -> Vec<Flow> {
    (0..=second / 10).map(|pane| attempt(pane * PANE_US, "10.7.0.1", "10.7.0.2", 443, Outcome::Completed)).collect()
}

fn run(flows: Vec<Flow>) -> Outcomes {
    run_source(&Setup::default(), &log_of(flows), &straight())
}

/// The same, with windows of 60 s only: the longer ones see the same ports again, minutes later.
fn run_minutes(flows: Vec<Flow>) -> Outcomes {
    let off = [("ports_5min", 0.0), ("ports_1h", 0.0)].map(|(name, value)| (name.to_owned(), value));
    let overrides = [("port_scan".to_owned(), off.into())].into();
    let profile = Profile::named("default", Some(&overrides)).unwrap().into();
    run_source(&Setup { profile, ..Setup::default() }, &log_of(flows), &straight())
}

fn of(outcomes: &Outcomes, detector: &str) -> Vec<Finding> {
    outcomes.findings.iter().filter(|finding| finding.detector == detector).cloned().collect()
}

fn pane_of(time: i64) -> i64 {
    (time - EPOCH) / PANE_US
}

#[test]
fn a_scan_opens_early_and_closes_six_panes_after_it_last_fired() {
    let outcomes = run([scan(1, 1_000, 20, 20), quiet_until(300)].concat());
    let findings = of(&outcomes, "port_scan");
    let states: Vec<EpisodeState> = findings.iter().map(|finding| finding.state).collect();
    assert_eq!(states, [EpisodeState::Opened, EpisodeState::Closed]);
    assert!((findings[0].observed - 15.0).abs() < f64::EPSILON, "it told at the fifteenth port");
    assert!((findings[1].observed - 20.0).abs() < f64::EPSILON, "the last revision holds the peak");
    assert_eq!(findings[0].window.end - findings[0].window.start, PANE_US);
    assert_eq!(findings[0].episode_start, EPOCH);
    assert_eq!(findings[0].id, findings[1].id);
}

#[test]
fn a_scan_within_the_gap_joins_and_beyond_it_is_another_episode() {
    // Fired in pane 0; the gap is six panes.
    for (second_scan_at, episodes) in [(61, 1), (69, 1), (71, 2), (200, 2)] {
        let outcomes =
            run_minutes([scan(1, 1_000, 20, 20), scan(second_scan_at, 2_000, 20, 20), quiet_until(400)].concat());
        let findings = of(&outcomes, "port_scan");
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids.len(), episodes, "second scan at {second_scan_at} s: {findings:#?}");
        for id in ids {
            let states: Vec<EpisodeState> = findings.iter().filter(|f| f.id == id).map(|f| f.state).collect();
            assert_eq!((states.first(), states.last()), (Some(&EpisodeState::Opened), Some(&EpisodeState::Closed)));
            assert_eq!(states.iter().filter(|state| **state == EpisodeState::Closed).count(), 1);
        }
    }
}

#[test]
fn a_five_minute_window_makes_the_gap_two_of_its_steps() {
    // 20 ports in 5 min and never 15 in 60 s: only the window of 5 min fires, at each full minute.
    let outcomes = run([scan(3, 1_000, 21, 14_000), quiet_until(1_200)].concat());
    let findings = of(&outcomes, "port_scan");
    assert!(!findings.is_empty());
    assert!(findings.iter().all(|finding| finding.window.end - finding.window.start == 30 * PANE_US));
    assert!(findings.iter().all(|finding| (finding.window.end - EPOCH) % (6 * PANE_US) == 0));
    assert_eq!(findings.iter().map(|finding| &finding.id).collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn revisions_come_when_the_observed_doubles_or_severity_rises_and_once_per_pane_close() {
    // Ports per pane: 16 (early), then growing; each pane alone within a window of 60 s.
    let flows = [
        scan(1, 1_000, 16, 20),
        scan(11, 2_000, 8, 20),
        scan(21, 3_000, 6, 20),
        scan(31, 4_000, 30, 20),
        scan(41, 5_000, 50, 20),
        quiet_until(300),
    ];
    let findings = of(&run_minutes(flows.concat()), "port_scan");
    let told: Vec<(EpisodeState, i64, Severity)> =
        findings.iter().map(|f| (f.state, pane_of(f.window.end) - 1, f.severity)).collect();
    // 15 at the record; 30 of them at the close of pane 2; 60 at pane 3; 110 (high) at pane 4.
    assert_eq!(
        told,
        [
            (EpisodeState::Opened, 0, Severity::Medium),
            (EpisodeState::Updated, 2, Severity::Medium),
            (EpisodeState::Updated, 3, Severity::Medium),
            (EpisodeState::Updated, 4, Severity::High),
            (EpisodeState::Closed, 4, Severity::High),
        ]
    );
    let mut seen = BTreeSet::new();
    for finding in findings.iter().filter(|finding| finding.state == EpisodeState::Updated) {
        assert!(seen.insert(finding.window.end), "two revisions at one pane close");
    }
}

#[test]
fn beyond_sixteen_targets_the_rest_feed_one_episode_without_target() {
    let mut flows = quiet_until(300);
    for target in 0..40 {
        flows.extend(scan_of(&format!("10.1.1.{target}"), 1, 1_000, 16, 20));
    }
    let findings = of(&run(flows), "port_scan");
    let opened: Vec<&Finding> = findings.iter().filter(|f| f.state == EpisodeState::Opened).collect();
    let with_target = opened.iter().filter(|finding| finding.target.is_some()).count();
    assert_eq!((with_target, opened.len()), (16, 17));
    assert_eq!(opened.last().unwrap().scope.key, SOURCE);
}

/// Was a bug: episodes opened early in a pane still open were not counted when an older pane closed.
#[test]
fn early_episodes_count_towards_the_sixteen() {
    let mut flows = quiet_until(300);
    // Sixteen targets fire at the close of pane 1 (half their ports in each of two panes), and as many others open early in
    // pane 2, before the mark that closes pane 1 is in the log.
    for target in 0..16 {
        flows.extend(scan_of(&format!("10.1.1.{target}"), 1, 1_000, 8, 20));
        flows.extend(scan_of(&format!("10.1.1.{target}"), 11, 2_000, 8, 20));
    }
    for target in 16..32 {
        flows.extend(scan_of(&format!("10.1.1.{target}"), 20, 1_000, 16, 1));
    }
    let mut log = log_of(flows);
    log.retain(|(_, record)| match record {
        weir_schemas::Record::Mark(mark) => {
            !(EPOCH + 2 * PANE_US..EPOCH + 2 * PANE_US + 2 * SECOND_US).contains(&mark.t)
        }
        weir_schemas::Record::Flow(_) => true,
    });
    let findings = of(&run_source(&Setup::default(), &log, &straight()), "port_scan");
    let (mut open, mut most) = (BTreeSet::new(), 0);
    for finding in findings.iter().filter(|finding| finding.target.is_some()) {
        match finding.state {
            EpisodeState::Opened => _ = open.insert(&finding.id),
            EpisodeState::Closed => _ = open.remove(&finding.id),
            EpisodeState::Updated => {}
        }
        most = most.max(open.len());
    }
    assert_eq!(most, 16);
}

#[test]
fn ids_survive_restarts() {
    let log = log_of([scan(1, 1_000, 20, 20), scan(3, 3_000, 21, 14_000), quiet_until(900)].concat());
    let ids = |outcomes: &Outcomes| -> Vec<String> { outcomes.findings.iter().map(|f| f.id.clone()).collect() };
    let whole = run_source(&Setup::default(), &log, &straight());
    for crash in (10..log.len()).step_by(97) {
        let schedule = Schedule { commit_every: 20, crashes: vec![crash], ..straight() };
        assert_eq!(ids(&run_source(&Setup::default(), &log, &schedule)), ids(&whole));
    }
}

#[test]
fn a_fast_scan_is_told_once_however_long_the_windows_that_still_hold_it() {
    // 100 ports in 20 s; then, so that time goes on, one completed connection a minute for two hours.
    let scan =
        (0..100).map(|port| attempt(i64::from(port) * 200_000, "10.0.0.1", "10.1.0.1", 1_000 + port, Outcome::Refused));
    let later =
        (1..120).map(|minute| attempt(minute * 60 * SECOND_US, "10.0.0.1", "10.1.0.9", 443, Outcome::Completed));
    let log = log_of(scan.chain(later).collect());
    let outcomes = run_source(&Setup::default(), &log, &straight());
    let opened: Vec<_> = outcomes.findings.iter().filter(|finding| finding.state == EpisodeState::Opened).collect();
    assert_eq!(opened.len(), 1, "{opened:#?}");
}
