//! Replay and accounting on logs as bad as they come (see `support::hostile`).
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::hostile::{self, Case};
use support::{Outcomes, Schedule, Setup, canonical_all, comeback, run_hostile, straight};
use weir_engine::Counters;

fn schedule() -> impl Strategy<Value = Schedule> {
    (prop::sample::select(vec![1_usize, 7, 50, 400]), prop::collection::btree_set(1_usize..9_000, 1..8), comeback())
        .prop_map(|(commit_every, crashes, comeback)| Schedule {
            commit_every,
            crashes: crashes.into_iter().collect(),
            comeback,
        })
}

fn check(setup: &Setup, case: &Case, schedule: &Schedule) -> Result<(), TestCaseError> {
    let log = hostile::log_of(case);
    let whole = run_hostile(setup, &log, &straight());
    prop_assert_eq!(whole.counters.read(), log.len() as u64, "{:?}", whole.counters);
    let crashed = run_hostile(setup, &log, schedule);
    prop_assert_eq!(canonical_all(&crashed), canonical_all(&whole));
    prop_assert_eq!(&crashed.partials, &whole.partials);
    prop_assert_eq!(&crashed.counters, &whole.counters);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn crashes_change_nothing_on_bad_logs(case in hostile::case(), schedule in schedule()) {
        check(&Setup::default(), &case, &schedule)?;
    }

    #[test]
    fn crashes_change_nothing_on_bad_logs_over_budget(case in hostile::case(), schedule in schedule()) {
        check(&Setup::new(1 << 16), &case, &schedule)?;
    }
}

/// What the cases above are made of is what they claim: each fault and each kind of finding occurs in many of them.
#[test]
fn the_bad_logs_hold_every_fault() {
    let mut runner = TestRunner::deterministic();
    let mut sum = Counters::default();
    let (mut early, mut rewrites, mut cases_with_updates, mut hours) = (0, 0, 0, 0);
    for _ in 0..150 {
        let case = hostile::case().new_tree(&mut runner).unwrap().current();
        let frequent = Schedule { commit_every: 50, ..straight() };
        let Outcomes { findings, counters, rewrites: moved, .. } =
            run_hostile(&Setup::new(1 << 16), &hostile::log_of(&case), &frequent);
        let length = |finding: &weir_schemas::Finding| finding.window.end - finding.window.start;
        early += findings.iter().filter(|finding| length(finding) == weir_schemas::PANE_US).count();
        hours += findings.iter().filter(|finding| length(finding) == 360 * weir_schemas::PANE_US).count();
        cases_with_updates += u64::from(counters.findings.contains_key("updated"));
        rewrites += moved;
        sum.add(&counters);
    }
    let seen = [
        ("dead", sum.dead),
        ("duplicate", sum.duplicate),
        ("clock_fault", sum.clock_fault),
        ("late", sum.late),
        ("overlap", sum.overlap),
        ("lost", sum.lost),
        ("panes_forced", sum.panes_forced),
        ("evicted", sum.evicted),
        ("opened", sum.findings["opened"]),
        ("early", early as u64),
        ("one-hour windows", hours as u64),
        ("cases with updates", cases_with_updates),
        ("rewrites", rewrites),
    ];
    for (what, count) in seen {
        assert!(count >= 20, "only {count} x {what} in 150 cases: {seen:?}");
    }
}
