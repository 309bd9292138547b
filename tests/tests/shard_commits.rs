//! When a shard commits: outputs of several partitions share a transaction, urgent ones wait for nobody.
#![allow(clippy::unwrap_used)]

use std::rc::Rc;
use std::time::Duration;

use weir_bus::Message;
use weir_bus::shard::{Report, Shard, ShardSettings, Start, Task as _};
use weir_tests::simulation::cluster::Cluster;
use weir_tests::simulation::faults::Faults;
use weir_tests::simulation::member::{Membership, SimulatedMember};
use weir_tests::simulation::tally::{GROUP, Tally, TallySettings, value_of};

const TIME_OF_DAY: i64 = 1_767_225_600_000_000;
const PAUSE: Duration = Duration::from_millis(100);

/// A shard that owns three partitions, each of which has committed what it said first.
fn started() -> (Rc<Cluster>, Shard<SimulatedMember, Tally>) {
    let cluster = Cluster::new(1, Faults::NONE, TIME_OF_DAY);
    for (topic, partitions) in [("in", 3), ("state", 3), ("out", 1)] {
        cluster.create(topic, partitions);
    }
    for partition in 0..3 {
        say(&cluster, partition, 1);
    }
    let membership = Membership {
        process: 0,
        group: "tally".to_owned(),
        topic: "in".to_owned(),
        instance: None,
        transactional_id: "tally-0".to_owned(),
    };
    let member = SimulatedMember::join(&cluster, &membership);
    let settings = ShardSettings {
        start: Start::Earliest,
        commit_pause: PAUSE,
        ..ShardSettings::new("in", "state", vec!["out".to_owned()])
    };
    let task_settings = TallySettings { output: "out".to_owned(), state: "state".to_owned() };
    let mut shard = Shard::new(member, settings, task_settings);
    while cluster.all_committed_records("out").len() < 3 {
        shard.step(PAUSE).unwrap();
    }
    shard.take_reports();
    cluster.advance(PAUSE.as_micros() as u64);
    (cluster, shard)
}

/// Appends what makes a partition's tally say so many things.
fn say(cluster: &Cluster, partition: u32, things: u64) {
    for number in 0..GROUP * things {
        cluster.append(Message::new("in", partition, "", value_of(number)), 0);
    }
}

/// Steps without waiting until all is taken, and once more; the partitions of each commit.
fn settled(cluster: &Cluster, shard: &mut Shard<SimulatedMember, Tally>) -> Vec<Vec<u32>> {
    let is_behind = |shard: &Shard<SimulatedMember, Tally>| {
        shard.tasks().any(|(partition, task)| task.position() < cluster.bounds("in", partition).1)
    };
    while is_behind(shard) {
        shard.step(Duration::ZERO).unwrap();
    }
    shard.step(Duration::ZERO).unwrap();
    commits(shard)
}

/// The partitions of each commit since the last call.
fn commits(shard: &mut Shard<SimulatedMember, Tally>) -> Vec<Vec<u32>> {
    let partitions = |report| match report {
        Report::Committed { partitions, .. } => Some(partitions),
        _ => None,
    };
    shard.take_reports().into_iter().filter_map(partitions).collect()
}

#[test]
fn outputs_soon_after_a_commit_wait_for_each_other() {
    let (cluster, mut shard) = started();
    say(&cluster, 0, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0]], "nothing was committed for a while");
    say(&cluster, 1, 1);
    say(&cluster, 2, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0_u32; 0]; 0], "the pause has not passed");
    cluster.advance(PAUSE.as_micros() as u64);
    assert_eq!(settled(&cluster, &mut shard), [[1, 2]], "in one transaction");
}

#[test]
fn urgent_outputs_wait_for_nobody_and_take_the_others_with_them() {
    let (cluster, mut shard) = started();
    say(&cluster, 0, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0]]);
    say(&cluster, 1, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0_u32; 0]; 0]);
    say(&cluster, 2, 2);
    assert_eq!(settled(&cluster, &mut shard), [[1, 2]]);
}

#[test]
fn an_orderly_end_waits_for_no_pause() {
    let (cluster, mut shard) = started();
    say(&cluster, 0, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0]]);
    say(&cluster, 1, 1);
    assert_eq!(settled(&cluster, &mut shard), [[0_u32; 0]; 0]);
    shard.finish().unwrap();
    assert_eq!(commits(&mut shard), [[1]]);
}
