//! The shard over the simulated log, with a task whose every output can be foretold.

use weir_tests::simulation::plain;
use weir_tests::simulation::world::Happened;

#[test]
fn whatever_happens_each_group_is_told_once() {
    let mut happened = Happened::default();
    for seed in 0..500 {
        happened.merge(&plain::run(seed, None));
    }
    for what in ["deaths", "fenced", "aborts", "revocations", "restores with a replay", "waits for state"] {
        assert!(happened.counts.get(what).is_some_and(|times| *times > 0), "{what}: {happened:?}");
    }
}
