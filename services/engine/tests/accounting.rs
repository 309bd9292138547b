//! Every record has one fate: the first that fits. The table names each with the record that meets it.
#![allow(clippy::unwrap_used)]

mod support;

use support::{EPOCH, Setup, attempt, mark};
use weir_engine::{Counters, SourceTask, StageTask, TaskIdentity};
use weir_schemas::{Flow, Micros, Outcome, Record, SECOND_US};

fn flow(sensor: &str, seq: u64, second: i64) -> Flow {
    let mut flow = attempt(second * SECOND_US, "10.0.0.1", "10.0.0.2", 80, Outcome::Refused);
    (flow.sensor, flow.seq) = (sensor.into(), seq);
    flow
}

fn promise(sensor: &str, seq: u64, second: i64) -> Record {
    let mut record = mark(sensor, second * SECOND_US, false);
    if let Record::Mark(mark) = &mut record {
        mark.seq = seq;
    }
    record
}

fn fates(counters: &Counters) -> [u64; 7] {
    let Counters { dead, duplicate, clock_fault, mark, late, overlap, counted, .. } = counters;
    [*dead, *duplicate, *clock_fault, *mark, *late, *overlap, *counted]
}

/// Two sensors of a site, 30 s in; panes before 20 s are closed.
fn task() -> SourceTask {
    let setup = Setup::default();
    let identity = TaskIdentity { topic: "weir.flows.v1".to_owned(), partition: 0, partition_count: 1 };
    let mut task = SourceTask::new(identity, setup.config, setup.profile, 0);
    let log = [promise("a", 1, 20), promise("b", 1, 20), Record::Flow(Box::new(flow("a", 2, 25)))];
    for record in &log {
        task.apply(task.position(), EPOCH + 30 * SECOND_US, record);
    }
    assert_eq!(fates(task.counters()), [0, 0, 0, 2, 0, 0, 1]);
    task
}

#[test]
fn each_record_meets_the_first_fate_that_fits() {
    let boxed = |flow: Flow| Some(Record::Flow(Box::new(flow)));
    let broken = |mut flow: Flow| {
        flow.last_time = flow.event_time - 1;
        flow
    };
    let cases: [(&str, Option<Record>, [u64; 7]); 15] = [
        ("undecodable", None, [1, 0, 0, 0, 0, 0, 0]),
        ("its end before its start", boxed(broken(flow("a", 3, 25))), [1, 0, 0, 0, 0, 0, 0]),
        ("dead before duplicate", boxed(broken(flow("a", 2, 25))), [1, 0, 0, 0, 0, 0, 0]),
        ("the same number", boxed(flow("a", 2, 25)), [0, 1, 0, 0, 0, 0, 0]),
        ("a lower number", boxed(flow("a", 1, 25)), [0, 1, 0, 0, 0, 0, 0]),
        ("duplicate before clock fault", boxed(flow("a", 2, 99)), [0, 1, 0, 0, 0, 0, 0]),
        ("duplicate before late", boxed(flow("a", 2, 1)), [0, 1, 0, 0, 0, 0, 0]),
        ("a mark seen before", Some(promise("a", 1, 29)), [0, 1, 0, 0, 0, 0, 0]),
        ("6 s ahead", boxed(flow("a", 3, 36)), [0, 0, 1, 0, 0, 0, 0]),
        ("a mark 6 s ahead", Some(promise("a", 3, 36)), [0, 0, 1, 0, 0, 0, 0]),
        ("5 s ahead", boxed(flow("a", 3, 35)), [0, 0, 0, 0, 0, 0, 1]),
        ("a mark", Some(promise("a", 3, 29)), [0, 0, 0, 1, 0, 0, 0]),
        ("of a closed pane", boxed(flow("a", 3, 19)), [0, 0, 0, 0, 1, 0, 0]),
        ("of an open pane", boxed(flow("a", 3, 20)), [0, 0, 0, 0, 0, 0, 1]),
        ("of an unknown sensor", boxed(flow("c", 9, 26)), [0, 0, 0, 0, 0, 0, 1]),
    ];
    for (what, record, expected) in cases {
        let mut task = task();
        let before = fates(task.counters());
        match &record {
            Some(record) => task.apply(task.position(), EPOCH + 30 * SECOND_US, record),
            None => task.apply_dead(task.position(), EPOCH + 30 * SECOND_US),
        }
        let after = fates(task.counters());
        let met: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(met, expected, "{what}");
        assert_eq!(task.counters().read(), 4);
    }
}

#[test]
fn of_two_sensors_the_first_in_the_log_counts_each_half() {
    // (vantage of a, vantage of b) → what b's record of the same flow is.
    for (first, second, overlaps) in [(3, 3, 1), (3, 1, 1), (3, 2, 1), (1, 2, 0), (1, 3, 0), (2, 1, 0), (1, 1, 1)] {
        let mut task = task();
        for (sensor, seq, vantage) in [("a", 3, first), ("b", 2, second)] {
            let mut record = flow(sensor, seq, 26);
            record.vantage = vantage;
            task.apply(task.position(), EPOCH + 30 * SECOND_US, &Record::Flow(Box::new(record)));
        }
        assert_eq!(task.counters().overlap, overlaps, "{first} then {second}");
        assert_eq!(task.counters().read(), 5);
    }
}

#[test]
fn a_gap_in_the_sequence_is_loss() {
    let mut task = task();
    let at: Micros = EPOCH + 30 * SECOND_US;
    task.apply(3, at, &Record::Flow(Box::new(flow("a", 10, 25))));
    assert_eq!(task.counters().lost, 7);
    task.apply(4, at, &promise("a", 12, 25));
    assert_eq!((task.counters().lost, task.counters().read()), (7, 5), "loss is no fate of a record read");
}
