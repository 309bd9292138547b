//! Schedules of the shard alone: members of one group over tallies, whose every output can be foretold.

use std::rc::Rc;

use weir_bus::Message;
use weir_bus::shard::{Shard, ShardSettings, Start};

use super::cluster::{Cluster, Trace};
use super::faults::Faults;
use super::member::{Membership, SimulatedMember};
use super::tally::{Tally, TallySettings, foretold, value_of};
use super::world::{Happened, Maker, Simulated, World, Wrap, is_drained};
use crate::chance::Chance;

const GROUP: &str = "tally";
const INPUT: &str = "in";
const STATE: &str = "state";
const OUTPUT: &str = "out";

/// 2026-01-01 00:00:00 UTC.
const TIME_OF_DAY: i64 = 1_767_225_600_000_000;

fn maker<M: Simulated + 'static>(seat: u64, is_static: bool, wrap: &Wrap<M>) -> Maker {
    let wrap = wrap.clone();
    Box::new(move |cluster, process| {
        let membership = Membership {
            process,
            group: GROUP.to_owned(),
            topic: INPUT.to_owned(),
            instance: is_static.then(|| format!("seat-{seat}")),
            transactional_id: format!("seat-{seat}"),
        };
        let member = wrap(SimulatedMember::join(cluster, &membership));
        let settings =
            ShardSettings { start: Start::Earliest, ..ShardSettings::new(INPUT, STATE, vec![OUTPUT.to_owned()]) };
        let task_settings = TallySettings { output: OUTPUT.to_owned(), state: STATE.to_owned() };
        Box::new(Shard::<_, Tally>::new(member, settings, task_settings))
    })
}

/// Appends some numbers to any partitions.
fn append(chance: &mut Chance, cluster: &Cluster, numbers: &mut [Vec<u64>], most: u64) {
    for number in 0..chance.between(most / 10, most) {
        let partition = chance.index(numbers.len());
        numbers[partition].push(number);
        cluster.append(Message::new(INPUT, partition as u32, "", value_of(number)), 0);
    }
}

/// Runs the schedule of a seed; returns what happened in it.
///
/// # Panics
/// Naming the seed, where a contract is violated or the outputs are not those foretold.
#[must_use]
pub fn run(seed: u64, trace: Option<Trace>) -> Happened {
    let wrap: Wrap<SimulatedMember> = Rc::new(|member| member);
    run_with(seed, &wrap, trace)
}

/// Likewise, with something between the members and their shards.
///
/// # Panics
/// Likewise.
#[must_use]
pub fn run_with<M: Simulated + 'static>(seed: u64, wrap: &Wrap<M>, trace: Option<Trace>) -> Happened {
    let mut chance = Chance::new(seed ^ 0x5eed);
    let partitions = chance.between(1, 4) as u32;
    let cluster = Cluster::new(seed, Faults::any(&mut chance), TIME_OF_DAY);
    if let Some(trace) = trace {
        cluster.set_trace(trace);
    }
    cluster.create(INPUT, partitions);
    cluster.create(STATE, partitions);
    cluster.create(OUTPUT, 2);
    let mut numbers = vec![Vec::new(); partitions as usize];
    append(&mut chance, &cluster, &mut numbers, 200);
    let is_static = chance.percent(50);
    let makers = (0..chance.between(1, 3)).map(|seat| maker(seat, is_static, wrap)).collect();
    let world = World::new(seed, cluster, makers);
    let turns = chance.between(20, 300);
    let grows_at = chance.percent(25).then_some(turns / 2);
    for turn in 0..turns {
        world.turn();
        if grows_at == Some(turn) {
            let partitions = partitions + chance.between(1, 2) as u32;
            // In this order, as a service asks for a state partition for each of its input.
            world.cluster.grow(STATE, partitions);
            world.cluster.grow(INPUT, partitions);
            numbers.resize_with(partitions as usize, Vec::new);
            append(&mut chance, &world.cluster, &mut numbers, 60);
            world.add("growths", 1);
        }
    }
    world.calm_down(|cluster| is_drained(cluster, GROUP, INPUT));

    let mut said: Vec<String> =
        world.cluster.all_committed_records(OUTPUT).into_iter().map(|record| record.key).collect();
    said.sort();
    let all = numbers.iter().zip(0..);
    let mut expected: Vec<String> = all.flat_map(|(numbers, partition)| foretold(partition, numbers)).collect();
    expected.sort();
    assert_eq!(said, expected, "seed {seed}: what is said is not what was foretold");
    world.happened()
}
