//! A task that crashes at any record and restarts from its last commit publishes what a task without crashes does.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::activity::{activity, flows_of};
use support::{
    Appended, Outcomes, Schedule, Setup, canonical_all, comeback, log_of, partial_log, run_site, run_source, straight,
};
use weir_schemas::{Finding, PANE_US, Record};

fn schedule() -> impl Strategy<Value = Schedule> {
    (
        prop::sample::select(vec![1_usize, 7, 50, 400, 3_000]),
        prop::collection::btree_set(1_usize..6_000, 0..8),
        comeback(),
    )
        .prop_map(|(commit_every, crashes, comeback)| Schedule {
            commit_every,
            crashes: crashes.into_iter().collect(),
            comeback,
        })
}

fn assert_same(crashed: &Outcomes, whole: &Outcomes) -> Result<(), TestCaseError> {
    prop_assert_eq!(canonical_all(crashed), canonical_all(whole));
    prop_assert_eq!(&crashed.partials, &whole.partials);
    prop_assert_eq!(&crashed.counters, &whole.counters);
    Ok(())
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
