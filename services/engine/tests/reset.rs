//! After a reset of its offset a task tells the same episodes again, and says of each finding whether it was made before.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::activity::{activity, flows_of};
use support::hostile;
use support::{
    Appended, Comeback, Durable, Outcomes, Schedule, Setup, Taking, canonical, canonical_all, comeback, drive,
    identity, log_of, partial_log, readable, run_source, straight,
};
use weir_engine::hash::HashSeed;
use weir_engine::image::UnreadableState;
use weir_engine::task::REPLAYED;
use weir_engine::{EngineConfig, Profile, SiteTask, SourceTask, StageTask};
use weir_schemas::{EpisodeState, Finding, Micros, PANE_US, PartialBody, StateEntry};

fn schedule() -> impl Strategy<Value = Schedule> {
    (prop::sample::select(vec![1_usize, 7, 50, 400]), prop::collection::btree_set(1_usize..3_000, 0..6), comeback())
        .prop_map(|(commit_every, crashes, comeback)| Schedule {
            commit_every,
            crashes: crashes.into_iter().collect(),
            comeback,
        })
}

fn is_replayed(finding: &Finding) -> bool {
    finding.degraded.iter().any(|why| why == REPLAYED)
}

/// A finding as the first run told it.
fn as_first_told(finding: &Finding) -> Finding {
    let mut finding = canonical(finding.clone());
    finding.degraded.retain(|why| why != REPLAYED);
    finding
}

/// A run over the first `per_mille` of the log, a reset to its beginning, and a run over all of it.
struct Twice {
    before: Outcomes,
    /// All that was published.
    after: Durable,
    whole: Outcomes,
}

impl Twice {
    fn new<T: Taking>(setup: &Setup, log: &[Appended<T::Record>], per_mille: usize, schedules: [&Schedule; 2]) -> Self {
        let mut whole = Durable::default();
        drive::<T>(setup, log, &straight(), &mut whole);
        let mut durable = Durable::default();
        drive::<T>(setup, &log[..per_mille * log.len() / 1_000], schedules[0], &mut durable);
        let before = std::mem::take(&mut durable.published);
        durable.reset_to = Some(0);
        drive::<T>(setup, log, schedules[1], &mut durable);
        Self { before, after: durable, whole: whole.published }
    }

    /// Each finding is the one that a run without a reset made; those that were made before say so. `may_open_ahead` are early
    /// openings of panes that had not been closed.
    fn check(&self, may_open_ahead: impl Fn(&Finding) -> bool) -> Result<(), TestCaseError> {
        let after = &self.after.published;
        prop_assert_eq!(after.findings.iter().map(as_first_told).collect::<Vec<_>>(), canonical_all(&self.whole));
        for (index, finding) in after.findings.iter().enumerate() {
            let was_made = index < self.before.findings.len();
            let is_ahead = was_made && may_open_ahead(finding);
            prop_assert_eq!(is_replayed(finding), was_made && !is_ahead, "finding {}: {:?}", index, finding);
        }
        prop_assert_eq!(after.counters.read(), self.before.counters.read() + self.whole.counters.read());
        Ok(())
    }
}

fn newest_closed(partials: &[weir_schemas::Partial]) -> Option<Micros> {
    partials.iter().rev().find(|partial| matches!(partial.body, PartialBody::Marker { .. })).map(|marker| marker.pane)
}

fn check_source(
    log: &[Appended<Option<weir_schemas::Record>>],
    per_mille: usize,
    schedules: [&Schedule; 2],
) -> Result<(), TestCaseError> {
    let twice = Twice::new::<SourceTask>(&Setup::default(), log, per_mille, schedules);
    let closed_through = newest_closed(&twice.before.partials);
    twice.check(|finding| {
        let is_early = finding.state == EpisodeState::Opened && finding.window.end - finding.window.start == PANE_US;
        is_early && closed_through.is_none_or(|closed| finding.window.start > closed)
    })?;
    prop_assert_eq!(&twice.after.published.partials, &twice.whole.partials);
    Ok(())
}

/// The site stage without the detector that rests on baselines: those are kept, and so know more the second time.
fn without_baselines() -> Setup {
    let off = [("traffic_spike".to_owned(), BTreeMap::from([("floor".to_owned(), 1e18)]))].into();
    Setup { profile: Profile::named("default", Some(&off)).unwrap().into(), ..Setup::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_reset_to_earliest_tells_the_same_again(
        activities in prop::collection::vec(activity(), 1..8),
        per_mille in 0_usize..1_000,
        first in schedule(),
        second in schedule(),
    ) {
        let log = readable(&log_of(flows_of(&activities)));
        check_source(&log, per_mille, [&first, &second])?;
    }

    #[test]
    fn a_reset_to_earliest_tells_the_same_again_on_bad_logs(
        case in hostile::case(), per_mille in 0_usize..=1_000, first in schedule(), second in schedule(),
    ) {
        check_source(&hostile::log_of(&case), per_mille, [&first, &second])?;
    }

    #[test]
    fn a_reset_of_the_site_stage_tells_the_same_again_and_learns_nothing_twice(
        activities in prop::collection::vec(activity(), 1..8),
        per_mille in 0_usize..1_000,
        first in schedule(),
        second in schedule(),
    ) {
        let setup = without_baselines();
        let log = partial_log(&run_source(&setup, &log_of(flows_of(&activities)), &straight()).partials);
        let twice = Twice::new::<SiteTask>(&setup, &log, per_mille, [&first, &second]);
        twice.check(|_| false)?;
        let mut straight_on = SiteTask::new(identity(), setup.config.clone(), setup.profile.clone(), 0);
        for (offset, (append_time, partial)) in log.iter().enumerate() {
            straight_on.take(offset as i64, *append_time, partial);
        }
        let restored: SiteTask = twice.after.task(&setup, Comeback::Commit);
        prop_assert_eq!(restored.export_baselines(), straight_on.export_baselines());
    }

    /// A reset that is itself replaying when another comes still knows how far the first run was.
    #[test]
    fn a_reset_within_a_reset_forgets_nothing(
        activities in prop::collection::vec(activity(), 1..6),
        first in 500_usize..1_000,
        second in 0_usize..500,
    ) {
        let (setup, log) = (Setup::default(), readable(&log_of(flows_of(&activities))));
        let mut durable = Durable::default();
        drive::<SourceTask>(&setup, &log[..first * log.len() / 1_000], &straight(), &mut durable);
        let closed_through = newest_closed(&durable.published.partials);
        durable.reset_to = Some(0);
        drive::<SourceTask>(&setup, &log[..second * log.len() / 1_000], &straight(), &mut durable);
        durable.published = Outcomes::default();
        durable.reset_to = Some(0);
        drive::<SourceTask>(&setup, &log, &straight(), &mut durable);
        for finding in durable.published.findings.iter().filter(|finding| finding.state != EpisodeState::Closed) {
            let pane = finding.window.end - PANE_US;
            prop_assert_eq!(is_replayed(finding), closed_through.is_some_and(|closed| pane <= closed));
        }
    }

    /// Forwards: what was skipped is not told, and what comes after is new.
    #[test]
    fn a_reset_forwards_never_panics_and_marks_nothing_new(case in hostile::case(), place in (0_usize..500, 500_usize..1_000)) {
        let (setup, log) = (Setup::default(), hostile::log_of(&case));
        let mut durable = Durable::default();
        drive::<SourceTask>(&setup, &log[..place.0 * log.len() / 1_000], &straight(), &mut durable);
        let closed_through = newest_closed(&durable.published.partials);
        let (published, read) = (durable.published.findings.len(), durable.published.counters.read());
        let position = place.1 * log.len() / 1_000;
        durable.reset_to = Some(position as i64);
        drive::<SourceTask>(&setup, &log, &straight(), &mut durable);
        prop_assert_eq!(durable.published.counters.read(), read + (log.len() - position) as u64);
        for finding in &durable.published.findings[published..] {
            let newest_pane = finding.window.end - PANE_US;
            prop_assert!(!is_replayed(finding) || closed_through.is_some_and(|closed| newest_pane <= closed));
        }
    }
}

/// A run that has found something, and its log.
fn first_run() -> (Setup, Vec<Appended<Option<weir_schemas::Record>>>, Durable) {
    let setup = Setup::default();
    let scan = |port: u16| {
        support::attempt(
            i64::from(port) * 400_000,
            "10.0.0.1",
            "10.1.0.1",
            1_000 + port,
            weir_schemas::Outcome::Refused,
        )
    };
    let log = readable(&log_of((0..400).map(scan).collect()));
    let mut durable = Durable::default();
    drive::<SourceTask>(&setup, &log[..300], &Schedule { commit_every: 40, ..straight() }, &mut durable);
    assert!(!durable.published.findings.is_empty());
    (setup, log, durable)
}

fn reset(setup: &Setup, entries: &[StateEntry], epoch: u64) -> Result<SourceTask, UnreadableState> {
    SourceTask::reset(identity(), setup.config.clone(), setup.profile.clone(), 0, entries, epoch)
}

#[test]
fn the_epoch_goes_on_above_any_other() {
    let (setup, _, durable) = first_run();
    let newest = durable.state.last().unwrap().epoch;
    for (epoch, expected) in [(0, newest + 1), (newest, newest + 1), (newest + 7, newest + 8)] {
        assert_eq!(reset(&setup, &durable.state, epoch).unwrap().checkpoint(0).state.last().unwrap().epoch, expected);
    }
    assert_eq!(reset(&setup, &[], 5).unwrap().checkpoint(0).state.last().unwrap().epoch, 6, "nothing is known");
}

#[test]
fn slots_of_before_are_written_empty_and_no_restore_reads_them() {
    let (setup, _, durable) = first_run();
    let mut task = reset(&setup, &durable.state, 0).unwrap();
    let state_end = durable.state.len() as i64;
    let checkpoint = task.checkpoint(state_end);
    let (last, slots) = checkpoint.state.split_last().unwrap();
    assert_eq!(last.table, "head");
    assert!(!slots.is_empty() && slots.iter().all(|entry| entry.body.is_empty()), "{slots:?}");
    let commit = weir_schemas::CommitMetadata::parse(&checkpoint.metadata).unwrap();
    assert_eq!(commit.state_from, state_end);
    // A restore that reads more than it must, old entries that nothing can read among it, sees none of that.
    let mut all = durable.state.clone();
    all[0].v = 99;
    all[1].table = "gone".to_owned();
    all.extend(checkpoint.state.clone());
    let restored = SourceTask::restore_expired(identity(), setup.config, setup.profile, &all, 0).unwrap();
    assert_eq!((restored.state_bytes(), restored.opened_len(), restored.position()), (0, 0, 0));
}

#[test]
fn what_cannot_be_read_is_left_out_and_another_hash_seed_is_not() {
    let (setup, log, durable) = first_run();
    let mut damaged = durable.state.clone();
    for (index, entry) in damaged.iter_mut().enumerate() {
        match index % 3 {
            0 => entry.v = 2,
            1 => entry.body.truncate(1),
            _ => entry.table = "gone".to_owned(),
        }
    }
    let mut task = reset(&setup, &damaged, 3).unwrap();
    for (offset, (append_time, record)) in log.iter().enumerate() {
        task.take(offset as i64, *append_time, record);
    }
    assert!(task.outbox().findings.iter().all(|finding| !is_replayed(finding)), "nothing says how far it had come");
    let other = Setup { config: EngineConfig { seed: HashSeed::from_bytes([7; 16]), ..setup.config.clone() }, ..setup };
    let refusal = reset(&other, &durable.state, 0).err().unwrap();
    assert_eq!(refusal, UnreadableState::HashSeed);
    assert!(refusal.needs_action());
}

#[test]
fn who_must_act_and_what_counts_as_lost() {
    let body = UnreadableState::Body { table: "summary".to_owned(), slot: 1 };
    let cases = [
        (UnreadableState::HashSeed, true),
        (UnreadableState::Version(2), true),
        (UnreadableState::Version(0), false),
        (UnreadableState::Table("gone".to_owned()), false),
        (body, false),
        (UnreadableState::Epoch { committed: 1, found: None }, false),
        (UnreadableState::Offset { committed: 1, found: 2 }, false),
        (UnreadableState::Headless, false),
    ];
    for (error, needs_action) in cases {
        assert_eq!(error.needs_action(), needs_action, "{error}");
    }
}
