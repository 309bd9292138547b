//! Ends of the input, seen through several partitions whose markers come in any order; and partitions that are added.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{Appended, EPOCH, Setup, attempt, canonical_all, identity, run_site, straight};
use weir_engine::{SiteTask, SourceTask, StageTask};
use weir_schemas::partial::{DistinctSet, PartialCounts, PartialSensor, ResponderCounts};
use weir_schemas::{
    EpisodeState, Host, Mark, MarkStatus, Micros, Outcome, PANE_US, Partial, PartialBody, Record, SECOND_US,
};

fn partial(partition: u32, partition_count: u32, pane: i64, body: PartialBody) -> Partial {
    let rules_hash = Setup::default().profile.rules_hash();
    Partial { v: 1, partition, partition_count, pane: EPOCH + pane * PANE_US, rules_hash, body }
}

fn marker(partition: u32, count: u32, pane: i64, end: Option<i64>, degraded: Option<&str>) -> Partial {
    let degraded: Vec<String> = degraded.into_iter().map(str::to_owned).collect();
    let (ended, complete, generation) = (end.is_some(), degraded.is_empty(), end.unwrap_or_default());
    partial(partition, count, pane, PartialBody::Marker { ended, complete, degraded, generation })
}

fn flood(partition: u32, count: u32, pane: i64, syn: u64) -> Partial {
    let sensor = PartialSensor { id: format!("s{partition}").as_str().into(), vantage: 1, loss: 0 };
    let responder = ResponderCounts {
        host: Host::parse("10.0.0.1"),
        port: 80,
        syn,
        attempts: syn,
        completed: 0,
        half_open: 0,
        refused: 0,
        unanswered: syn,
        sources: DistinctSet::Exact(vec![u64::from(partition), 7]),
        flows: Vec::new(),
        sensor_set: 0,
    };
    let counts = PartialCounts { sensor_sets: vec![vec![sensor]], responders: vec![responder], ..Default::default() };
    partial(partition, count, pane, PartialBody::Counts(counts))
}

const PARTITIONS: u32 = 3;

/// What one partition does within one generation.
#[derive(Clone, Debug)]
struct Part {
    /// SYNs of the generation's panes, as far as it has any.
    syn: Vec<u64>,
    /// It tells of each pane by itself, or of all at the end.
    is_chatty: bool,
    /// A pane of it was forced.
    is_forced: bool,
    /// A sensor of the next generation reached it before the last one of this had ended: it says no end.
    is_overlapped: bool,
    /// Says at once that it has started again.
    restarts: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let syn = prop::collection::vec(prop_oneof![Just(0_u64), 200_u64..1_500], 1..6);
    (syn, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.15), any::<bool>()).prop_map(
        |(syn, is_chatty, is_forced, is_overlapped, restarts)| Part {
            syn,
            is_chatty,
            is_forced,
            is_overlapped,
            restarts,
        },
    )
}

/// What each partition says, in its own order. The ends of a generation name the same pane in all of them.
fn voices(generations: &[[Part; PARTITIONS as usize]]) -> Vec<Vec<Partial>> {
    let mut voices = vec![Vec::new(); PARTITIONS as usize];
    let mut first = 0;
    for (generation, parts) in generations.iter().enumerate() {
        let panes = parts.iter().map(|part| part.syn.len()).max().unwrap() as i64;
        let last = first + panes - 1;
        for (partition, part) in (0..PARTITIONS).zip(parts) {
            let say = &mut voices[partition as usize];
            let degraded = part.is_forced.then_some("forced");
            for (pane, syn) in (first..).zip(&part.syn) {
                if *syn > 0 {
                    say.push(flood(partition, PARTITIONS, pane, *syn));
                }
                if part.is_chatty {
                    say.push(marker(partition, PARTITIONS, pane, None, degraded));
                }
            }
            let is_last = generation + 1 == generations.len();
            let end = (is_last || !part.is_overlapped).then_some(1_000 + generation as i64);
            say.push(marker(partition, PARTITIONS, last, end, degraded));
            if part.restarts && !is_last {
                say.push(marker(partition, PARTITIONS, last, None, None));
            }
        }
        first = last + 1;
    }
    voices
}

/// The voices merged in the order of `turns`, then one after the other.
fn merged(voices: &[Vec<Partial>], turns: &[usize]) -> Vec<Appended<Option<Partial>>> {
    let mut rest: Vec<_> = voices.iter().map(|voice| voice.iter()).collect();
    let mut log: Vec<&Partial> = turns.iter().filter_map(|turn| rest[turn % voices.len()].next()).collect();
    log.extend(rest.into_iter().flatten());
    log.into_iter().map(|partial| (EPOCH, Some(partial.clone()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// Was a bug: a partition that started again before another had ended hid that all had.
    #[test]
    fn the_order_between_partitions_says_nothing(
        generations in prop::collection::vec([part(), part(), part()], 1..4),
        turns in prop::collection::vec(0_usize..3, 0..80),
    ) {
        let voices = voices(&generations);
        let one_by_one = run_site(&Setup::default(), &merged(&voices, &[]), &straight());
        let mixed = run_site(&Setup::default(), &merged(&voices, &turns), &straight());
        prop_assert_eq!(canonical_all(&mixed), canonical_all(&one_by_one));
        prop_assert_eq!(&mixed.counters, &one_by_one.counters);
        prop_assert_eq!((mixed.counters.late, mixed.counters.panes_forced), (0, 0));
        let count = |state: EpisodeState| mixed.findings.iter().filter(|finding| finding.state == state).count();
        prop_assert_eq!(count(EpisodeState::Opened), count(EpisodeState::Closed), "the input has ended");
    }
}

/// The cases above hold what they are about: episodes that an end within the log closes.
#[test]
fn an_end_of_all_partitions_closes_the_episodes_whichever_starts_again_first() {
    let flooded = Part { syn: vec![1_500], is_chatty: true, is_forced: false, is_overlapped: false, restarts: true };
    let voices = voices(&[[&flooded; 3].map(Clone::clone), [&flooded; 3].map(Clone::clone)]);
    for turns in [vec![], vec![0; 6], vec![2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1], (0..30).collect()] {
        let outcomes = run_site(&Setup::default(), &merged(&voices, &turns), &straight());
        let states: Vec<EpisodeState> = outcomes.findings.iter().map(|finding| finding.state).collect();
        assert_eq!(
            states,
            [EpisodeState::Opened, EpisodeState::Closed, EpisodeState::Opened, EpisodeState::Closed],
            "{turns:?}"
        );
    }
}

/// Two sensors' marks, the same in every partition up to the order between the sensors; and flows that are the partition's own.
fn ends_of(flows: &[(i64, &'static str)], is_swapped: bool) -> Vec<(Micros, Micros)> {
    let setup = Setup::default();
    let mut task = SourceTask::new(identity(), setup.config, setup.profile, 0);
    let mut seq = std::collections::BTreeMap::<(&str, i64), u64>::new();
    let mut next = |sensor, boot| {
        let seq = seq.entry((sensor, boot)).or_default();
        *seq += 1;
        *seq
    };
    let mut records: Vec<(i64, Record)> = Vec::new();
    let mut mark = |records: &mut Vec<(i64, Record)>, sensor: &'static str, boot: i64, second: i64, end: bool| {
        let (t, seq) = (EPOCH + second * SECOND_US, next(sensor, boot));
        let mark = Mark { sensor: sensor.into(), site: "lab".into(), boot, seq, t, end, status: MarkStatus::default() };
        records.push((second, Record::Mark(Box::new(mark))));
    };
    for (life, [first_boot, second_boot]) in [(0, [10, 20]), (1, [40, 30])] {
        let begin = life * 100;
        for second in begin..begin + 33 {
            mark(&mut records, "a", first_boot, second, false);
            mark(&mut records, "b", second_boot, second, false);
            for (at, source) in flows.iter().filter(|(at, _)| *at + begin == second) {
                let mut flow = attempt((at + begin) * SECOND_US, source, "10.1.0.1", 80, Outcome::Refused);
                // Nobody numbers the records of a boot before the first.
                (flow.boot, flow.seq) = (0, 1);
                records.push((second, Record::Flow(Box::new(flow))));
            }
        }
        let mut ends = [("a", first_boot, 33), ("b", second_boot, 47)];
        if is_swapped {
            ends.reverse();
        }
        for (sensor, boot, second) in ends {
            mark(&mut records, sensor, boot, begin + second, true);
        }
    }
    for (offset, (second, record)) in records.iter().enumerate() {
        task.apply(offset as i64, EPOCH + second * SECOND_US, record);
    }
    let end_of = |partial: &Partial| match partial.body {
        PartialBody::Marker { ended: true, generation, .. } => Some((generation, partial.pane)),
        _ => None,
    };
    task.outbox().partials.iter().filter_map(end_of).collect()
}

#[test]
fn partitions_end_in_the_same_pane_and_generation_whatever_else_they_read() {
    let pane = |second: i64| EPOCH + second / 10 * PANE_US;
    let expected = vec![(20, pane(46)), (40, pane(146))];
    for flows in [vec![], vec![(3, "10.0.0.1")], vec![(1, "10.0.0.1"), (32, "10.0.0.2")], vec![(25, "10.0.0.3")]] {
        for is_swapped in [false, true] {
            assert_eq!(ends_of(&flows, is_swapped), expected, "{flows:?} {is_swapped}");
        }
    }
}

/// Partitions are added while panes are open: whoever has not been heard of is waited for, and nothing is lost.
#[test]
fn nothing_of_the_panes_after_a_growth_is_lost() {
    let setup = Setup::default();
    let mut task = SiteTask::new(identity(), setup.config, setup.profile, 0);
    task.set_partition_count(1);
    let mut say = |partials: &[Partial]| {
        for partial in partials {
            task.apply(task.position(), EPOCH, partial);
        }
        (task.counters().panes_closed, task.counters().late)
    };
    // Two partitions, one pane.
    assert_eq!(
        say(&[flood(0, 2, 0, 100), marker(0, 2, 0, None, None), flood(1, 2, 0, 100), marker(1, 2, 0, None, None)]),
        (1, 0)
    );
    // Partition 0 knows of two more now: pane 1 waits for them, although both of the old ones have closed it.
    assert_eq!(
        say(&[flood(0, 4, 1, 900), marker(0, 4, 1, None, None), flood(1, 2, 1, 900), marker(1, 2, 1, None, None)]),
        (1, 0)
    );
    assert_eq!(say(&[flood(2, 4, 1, 900), marker(2, 4, 1, None, None)]), (1, 0));
    // An old count does not shrink what is expected.
    assert_eq!(say(&[marker(1, 2, 2, None, None), marker(0, 4, 2, None, None), marker(2, 4, 2, None, None)]), (1, 0));
    assert_eq!(say(&[flood(3, 4, 1, 900), marker(3, 4, 1, None, None)]), (2, 0));
    let findings = &task.outbox().findings;
    assert_eq!(findings.len(), 1);
    assert!((findings[0].observed - 3_600.0 / 10.0).abs() < 1e-9, "all four are in it: {}", findings[0].observed);
    assert!(findings[0].complete && findings[0].degraded.is_empty(), "{:?}", findings[0].degraded);
}

#[test]
fn markers_carry_the_new_count_of_partitions() {
    let setup = Setup::default();
    let mut task = SourceTask::new(identity(), setup.config, setup.profile, 0);
    let mut counts = Vec::new();
    for pane in 0..4 {
        if pane == 2 {
            task.set_partition_count(12);
        }
        let mut record = support::mark("s1", (pane + 1) * PANE_US, false);
        if let Record::Mark(mark) = &mut record {
            mark.seq = pane as u64 + 1;
        }
        task.apply(pane, EPOCH + (pane + 1) * PANE_US, &record);
        counts.extend(task.outbox().partials.last().map(|partial| partial.partition_count));
    }
    assert_eq!(counts, [1, 1, 12, 12]);
}
