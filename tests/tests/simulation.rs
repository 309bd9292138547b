//! The shard, the detector's stages and results over the simulated log; and members that break the protocol, which schedules
//! must notice.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use weir_engine::Counters;
use weir_tests::simulation::pipeline::{Pipelines, VARIETIES};
use weir_tests::simulation::plain;
use weir_tests::simulation::sabotage::{Sabotage, Sabotaged};
use weir_tests::simulation::world::{Happened, Wrap};

/// The whole of it runs from `weir-simulate`, built with optimisation; these are its first schedules.
#[test]
fn the_shard_tells_everything_once_whatever_happens() {
    let mut happened = Happened::default();
    for seed in 0..2_000 {
        happened.merge(&plain::run(seed, None));
    }
    let expected =
        ["aborts", "deaths", "fenced", "restores with a replay", "revocations", "waits for state", "growths seen"];
    for what in expected {
        assert!(happened.counts.get(what).is_some_and(|times| *times > 0), "{what}: {happened:?}");
    }
}

#[test]
fn detector_and_results_publish_what_they_publish_undisturbed() {
    let pipelines = Pipelines::new();
    let mut happened = Happened::default();
    for seed in 0..150 {
        happened.merge(&pipelines.run(seed, None));
    }
    let expected = [
        "aborts",
        "deaths",
        "fenced",
        "restores with a replay",
        "revocations",
        "group_expired",
        "offset_lost",
        "operator",
        "state_lost",
        "retention_overtaken",
        "overtaken while reading",
        "growths seen",
        "orderly ends",
        "poisoned records",
        "states that were written anew",
    ];
    for what in expected {
        assert!(happened.counts.get(what).is_some_and(|times| *times > 0), "{what}: {happened:?}");
    }
}

/// The undisturbed runs that all others are held against have something to say, of every detector and every fate.
#[test]
fn undisturbed_traffic_fires_every_detector_and_meets_every_fate() {
    let pipelines = Pipelines::new();
    for variety in 0..VARIETIES {
        let verdicts = pipelines.undisturbed(variety);
        for detector in ["port_scan", "host_sweep", "incomplete_handshakes", "syn_flood", "traffic_spike"] {
            let fired = verdicts.anomalies.iter().filter(|anomaly| anomaly.detector == detector).count();
            assert!(fired >= 2, "variety {variety}: {detector} fired {fired} times");
        }
        assert_eq!(verdicts.misnumbered(), None, "variety {variety}");
        let mut fates = Counters::default();
        for counters in &verdicts.source {
            fates.add(counters);
        }
        let Counters { dead, duplicate, clock_fault, mark, late, overlap, counted, .. } = fates;
        let fates = [dead, duplicate, clock_fault, mark, late, overlap, counted];
        assert!(fates.iter().all(|records| *records > 0), "variety {variety}: {fates:?}");
    }
}

#[test]
fn a_seed_brings_the_same_again() {
    let pipelines = Pipelines::new();
    let trace = |seed: u64| {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let into = lines.clone();
        pipelines.run(seed, Some(Box::new(move |line: &str| into.borrow_mut().push(line.to_owned()))));
        lines.take()
    };
    for seed in 0..5 {
        let (once, again) = (trace(seed), trace(seed));
        assert!(once.len() > 50, "seed {seed}: {} lines", once.len());
        assert_eq!(once, again, "seed {seed}");
    }
}

/// The first of `seeds` whose schedule notices.
fn caught_at(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Happened) -> Option<u64> {
    seeds.into_iter().find(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err())
}

/// Seeds bring the same again, so what is noticed once is noticed always.
#[test]
fn whoever_breaks_the_protocol_is_noticed() {
    let pipelines = Pipelines::new();
    for sabotage in Sabotage::ALL {
        let wrap: Wrap<Sabotaged> = Rc::new(move |member| Sabotaged::new(member, sabotage));
        let caught = caught_at(0..1_000, |seed| plain::run_with(seed, &wrap, None));
        assert!(caught.is_some(), "{sabotage:?} goes unnoticed by the shard's schedules");
        let caught = caught_at(0..1_000, |seed| pipelines.run_with(seed, &wrap, None));
        assert!(caught.is_some(), "{sabotage:?} goes unnoticed by the services' schedules");
    }
}
