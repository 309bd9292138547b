//! A task that crashes at any record and restarts from its last commit publishes what a task without crashes does.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::{
    Appended, Outcomes, Schedule, Setup, attempt, canonical_all, log_of, run_site, run_source, straight, transfer,
};
use weir_schemas::{Finding, Flow, Outcome, PANE_US, Partial, Record, SECOND_US};

/// A stretch of activity, from which records are made.
#[derive(Clone, Debug)]
enum Activity {
    Scan { source: u8, target: u8, ports: u16, step_ms: i64 },
    Sweep { source: u8, targets: u8, port: u16, step_ms: i64 },
    Browse { source: u8, connections: u8, failing: u8 },
    Flood { target: u8, syn: u16 },
    Transfer { source: u8, target: u8, megabytes: u8 },
}

fn activity() -> impl Strategy<Value = (i64, Activity)> {
    let kinds = prop_oneof![
        (0_u8..6, 0_u8..6, 1_u16..60, prop::sample::select(vec![5_i64, 300, 4_000, 45_000]))
            .prop_map(|(source, target, ports, step_ms)| Activity::Scan { source, target, ports, step_ms }),
        (0_u8..6, 1_u8..70, 20_u16..25, prop::sample::select(vec![5_i64, 500, 9_000]))
            .prop_map(|(source, targets, port, step_ms)| Activity::Sweep { source, targets, port, step_ms }),
        (0_u8..6, 1_u8..60, 0_u8..40).prop_map(|(source, connections, failing)| Activity::Browse {
            source,
            connections,
            failing
        }),
        (0_u8..3, 100_u16..1_500).prop_map(|(target, syn)| Activity::Flood { target, syn }),
        (0_u8..6, 0_u8..3, 1_u8..60).prop_map(|(source, target, megabytes)| Activity::Transfer {
            source,
            target,
            megabytes
        }),
    ];
    (0_i64..1_200, kinds)
}

fn flows_of(activities: &[(i64, Activity)]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (start, activity) in activities {
        let at = |step: i64, step_ms: i64| start * SECOND_US + step * step_ms * 1_000;
        match activity {
            Activity::Scan { source, target, ports, step_ms } => {
                flows.extend((0..*ports).map(|port| {
                    let outcome = if port % 3 == 0 { Outcome::Unanswered } else { Outcome::Refused };
                    let (source, target) = (format!("10.0.0.{source}"), format!("10.1.0.{target}"));
                    attempt(at(i64::from(port), *step_ms), &source, &target, 1_000 + port, outcome)
                }));
            }
            Activity::Sweep { source, targets, port, step_ms } => {
                flows.extend((0..*targets).map(|target| {
                    let outcome = if target % 9 == 0 { Outcome::Completed } else { Outcome::Unanswered };
                    let (source, target_name) = (format!("10.0.0.{source}"), format!("10.2.0.{target}"));
                    attempt(at(i64::from(target), *step_ms), &source, &target_name, *port, outcome)
                }));
            }
            Activity::Browse { source, connections, failing } => {
                flows.extend((0..*connections).map(|step| {
                    let outcome = if step < *failing { Outcome::Refused } else { Outcome::Completed };
                    let target = format!("10.3.0.{}", step % 7);
                    attempt(at(i64::from(step), 200), &format!("10.0.0.{source}"), &target, 443, outcome)
                }));
            }
            Activity::Flood { target, syn } => {
                flows.extend((0..*syn).map(|step| {
                    let source = format!("172.16.{}.{}", step / 250, step % 250);
                    attempt(at(i64::from(step), 3), &source, &format!("10.1.0.{target}"), 80, Outcome::Unanswered)
                }));
            }
            Activity::Transfer { source, target, megabytes } => {
                flows.extend((0..i64::from(*megabytes)).map(|step| {
                    let (source, target) = (format!("10.0.0.{source}"), format!("10.1.0.{target}"));
                    transfer(at(step, 900), &source, &target, 1_000_000)
                }));
            }
        }
    }
    flows
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (prop::sample::select(vec![1_usize, 7, 50, 400, 3_000]), prop::collection::btree_set(1_usize..6_000, 0..8))
        .prop_map(|(commit_every, crashes)| Schedule { commit_every, crashes: crashes.into_iter().collect() })
}

fn assert_same(crashed: &Outcomes, whole: &Outcomes) -> Result<(), TestCaseError> {
    prop_assert_eq!(canonical_all(crashed), canonical_all(whole));
    prop_assert_eq!(&crashed.partials, &whole.partials);
    prop_assert_eq!(&crashed.counters, &whole.counters);
    Ok(())
}

fn partial_log(partials: &[Partial]) -> Vec<Appended<Partial>> {
    partials.iter().map(|partial| (partial.pane, partial.clone())).collect()
}

fn check(setup: &Setup, log: &[Appended<Record>], schedule: &Schedule) -> Result<(), TestCaseError> {
    let whole = run_source(setup, log, &straight());
    prop_assert_eq!(whole.counters.read(), log.len() as u64);
    prop_assert_eq!(whole.counters.late, 0);
    assert_same(&run_source(setup, log, schedule), &whole)?;
    let partials = partial_log(&whole.partials);
    let site = run_site(setup, &partials, &straight());
    prop_assert_eq!(site.counters.read(), partials.len() as u64);
    assert_same(&run_site(setup, &partials, schedule), &site)?;
    for findings in [&whole.findings, &site.findings] {
        let opened = findings.iter().filter(|finding| finding.state == weir_schemas::EpisodeState::Opened).count();
        let closed = findings.iter().filter(|finding| finding.state == weir_schemas::EpisodeState::Closed).count();
        prop_assert_eq!(opened, closed, "every episode that opens closes by the end of the input");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn crashes_change_nothing(
        activities in prop::collection::vec(activity(), 1..8), schedule in schedule()
    ) {
        check(&Setup::default(), &log_of(flows_of(&activities)), &schedule)?;
    }

    #[test]
    fn crashes_change_nothing_over_budget(
        activities in prop::collection::vec(activity(), 1..8), schedule in schedule()
    ) {
        // Sixteen entries or so per table: every activity but the smallest is over it.
        check(&Setup::new(1 << 16), &log_of(flows_of(&activities)), &schedule)?;
    }
}

/// The cases above are not tame: most of them find something, and early openings, revisions and site findings are among it.
#[test]
fn the_activities_are_worth_a_crash() {
    let (setup, mut runner) = (Setup::default(), TestRunner::deterministic());
    let mut cases_with = [("findings", 0), ("early openings", 0), ("revisions", 0), ("site findings", 0)];
    for _ in 0..100 {
        let activities = prop::collection::vec(activity(), 1..8).new_tree(&mut runner).unwrap().current();
        let source = run_source(&setup, &log_of(flows_of(&activities)), &straight());
        let site = run_site(&setup, &partial_log(&source.partials), &straight());
        let is_early = |finding: &Finding| finding.window.end - finding.window.start == PANE_US;
        let holds = [
            !source.findings.is_empty(),
            source.findings.iter().any(is_early),
            source.counters.findings.contains_key("updated"),
            !site.findings.is_empty(),
        ];
        cases_with.iter_mut().zip(holds).for_each(|((_, count), holds)| *count += u32::from(holds));
    }
    for ((what, count), least) in cases_with.iter().zip([50, 20, 5, 5]) {
        assert!(*count >= least, "only {count} of 100 cases have {what}: {cases_with:?}");
    }
}
