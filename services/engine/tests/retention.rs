//! Retention took records that a restored task must read again: what it then makes of them says so, and all else is as ever.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::activity::{activity, flows_of};
use support::hostile;
use support::{
    Appended, Comeback, Durable, Schedule, Setup, Taking, canonical, comeback, drive, log_of, partial_log, readable,
    run_source, straight,
};
use weir_engine::detectors::Level;
use weir_engine::task::RETENTION;
use weir_engine::{SiteTask, SourceTask, StageTask};
use weir_schemas::{EpisodeState, Finding, Micros, PANE_US, Partial, PartialBody};

/// A commit in the middle of a log whose beginning is then lost.
struct Overtaken {
    durable: Durable,
    /// Panes that began before the log does now, and were open at the commit.
    lacking: BTreeSet<Micros>,
    /// Findings published before the commit.
    before: usize,
    /// Records read before the commit.
    read: u64,
}

impl Overtaken {
    fn new<T: Taking>(
        log: &[Appended<T::Record>],
        places: (usize, usize),
        closed_through: impl Fn(&Durable, &T) -> Option<Micros>,
    ) -> Self {
        let setup = Setup::default();
        let end = places.0 * log.len() / 1_000;
        let mut durable = Durable::default();
        drive::<T>(&setup, &log[..end], &straight(), &mut durable);
        let (_, commit) = durable.committed.unwrap();
        // Between where the replay would begin and the end of the log.
        let span = log.len() - commit.replay_from as usize;
        durable.log_start = commit.replay_from + (places.1 * span / 1_000) as i64;
        let restored: T = durable.task(&setup, Comeback::Commit);
        let closed = closed_through(&durable, &restored);
        let lost = &log[commit.replay_from as usize..(durable.log_start as usize).min(end)];
        let lacking = lost
            .iter()
            .filter_map(|(_, record)| T::pane_of(record))
            .filter(|pane| closed.is_none_or(|closed| *pane > closed))
            .collect();
        let (before, read) = (durable.published.findings.len(), durable.published.counters.read());
        Self { durable, lacking, before, read }
    }

    fn go_on<T: Taking>(&mut self, log: &[Appended<T::Record>], schedule: &Schedule) -> &[Finding] {
        drive::<T>(&Setup::default(), log, schedule, &mut self.durable);
        &self.durable.published.findings[self.before..]
    }

    fn check<T: Taking>(mut self, log: &[Appended<T::Record>], schedule: &Schedule) -> Result<(), TestCaseError> {
        let (_, commit) = self.durable.committed.unwrap();
        let committed = self.durable.committed.unwrap().0;
        let (log_start, lacking, read) = (self.durable.log_start, self.lacking.clone(), self.read);
        let task: T = self.durable.task(&Setup::default(), schedule.comeback);
        prop_assert_eq!(task.position(), commit.replay_from.max(log_start));
        for finding in self.go_on::<T>(log, schedule) {
            let says_so = finding.degraded.iter().any(|why| why == RETENTION);
            let window = finding.window.start..finding.window.end;
            let touches = lacking.iter().any(|pane| window.contains(pane));
            // The last revision tells the peak, which may be older than the loss.
            if touches && finding.state != EpisodeState::Closed {
                prop_assert!(says_so, "{:?} of {:?}", finding, &lacking);
            }
            // A detector that names its newest pane may have judged it within its minute.
            let judged = window.start.min(window.end - Level::Minute.panes() * PANE_US)..window.end;
            prop_assert!(
                !says_so || lacking.iter().any(|pane| judged.contains(pane)),
                "{:?} of {:?}",
                finding,
                &lacking
            );
            prop_assert!(!(says_so && finding.complete), "{:?}", finding);
        }
        let expected = read + (log.len() as i64 - committed.max(log_start)) as u64;
        prop_assert_eq!(self.durable.published.counters.read(), expected);
        Ok(())
    }
}

fn closed_by_source(durable: &Durable, _: &SourceTask) -> Option<Micros> {
    let is_marker = |partial: &&Partial| matches!(partial.body, PartialBody::Marker { .. });
    durable.published.partials.iter().rev().find(is_marker).map(|marker| marker.pane)
}

fn closed_by_site(_: &Durable, task: &SiteTask) -> Option<Micros> {
    task.watermark()
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (prop::sample::select(vec![1_usize, 7, 50, 400]), prop::collection::btree_set(1_usize..2_000, 0..6), comeback())
        .prop_map(|(commit_every, crashes, comeback)| Schedule {
            commit_every,
            crashes: crashes.into_iter().collect(),
            comeback,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn panes_that_lost_records_say_so_through_crashes(
        activities in prop::collection::vec(activity(), 1..8),
        places in (1_usize..1_000, 0_usize..=1_000),
        schedule in schedule(),
    ) {
        let log = readable(&log_of(flows_of(&activities)));
        let new = || Overtaken::new::<SourceTask>(&log, places, closed_by_source);
        new().check::<SourceTask>(&log, &schedule)?;
        let findings = |findings: &[Finding]| findings.iter().cloned().map(canonical).collect::<Vec<_>>();
        let whole = findings(new().go_on::<SourceTask>(&log, &straight()));
        prop_assert_eq!(findings(new().go_on::<SourceTask>(&log, &schedule)), whole);
    }

    #[test]
    fn panes_of_the_site_stage_that_lost_partials_say_so(
        activities in prop::collection::vec(activity(), 1..8),
        places in (1_usize..1_000, 0_usize..=1_000),
        schedule in schedule(),
    ) {
        let log = partial_log(&run_source(&Setup::default(), &log_of(flows_of(&activities)), &straight()).partials);
        let overtaken = Overtaken::new::<SiteTask>(&log, places, closed_by_site);
        overtaken.check::<SiteTask>(&log, &schedule)?;
    }

    #[test]
    fn nothing_panics_on_bad_logs(
        case in hostile::case(), places in (1_usize..1_000, 0_usize..=1_000), schedule in schedule(),
    ) {
        let log = hostile::log_of(&case);
        let mut overtaken = Overtaken::new::<SourceTask>(&log, places, closed_by_source);
        let (committed, _) = overtaken.durable.committed.unwrap();
        let expected = overtaken.read + (log.len() as i64 - committed.max(overtaken.durable.log_start)) as u64;
        for finding in overtaken.go_on::<SourceTask>(&log, &schedule) {
            let says_so = finding.degraded.iter().any(|why| why == RETENTION);
            prop_assert!(!(says_so && finding.complete), "{:?}", finding);
        }
        prop_assert_eq!(overtaken.durable.published.counters.read(), expected);
    }
}

/// The source stage's loss reaches the site stage with its markers.
#[test]
fn a_marker_of_panes_that_lost_records_is_not_complete() {
    let scan = |port: u16| {
        let at = i64::from(port) * 100_000;
        support::attempt(at, "10.0.0.1", "10.1.0.1", 1_000 + port, weir_schemas::Outcome::Refused)
    };
    let log = readable(&log_of((0..400).map(scan).collect()));
    let mut overtaken = Overtaken::new::<SourceTask>(&log, (500, 300), closed_by_source);
    assert_eq!(overtaken.lacking.len(), 1);
    let before = overtaken.durable.published.partials.len();
    overtaken.go_on::<SourceTask>(&log, &straight());
    let remarks: Vec<(Micros, bool, &[String])> = overtaken.durable.published.partials[before..]
        .iter()
        .filter_map(|partial| match &partial.body {
            PartialBody::Marker { complete, degraded, .. } => Some((partial.pane, *complete, degraded.as_slice())),
            PartialBody::Counts(_) => None,
        })
        .collect();
    let lacking = *overtaken.lacking.first().unwrap();
    assert!(remarks.contains(&(lacking, false, &[RETENTION.to_owned()])), "{remarks:?}");
    assert!(remarks.iter().any(|(pane, complete, _)| *pane == lacking + PANE_US && *complete), "{remarks:?}");
}
