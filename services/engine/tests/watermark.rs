//! The watermark rules of a partition as tables: who is active, who is waited for, and how long.
#![allow(clippy::unwrap_used)]

mod support;

use support::{EPOCH, Setup, attempt};
use weir_engine::{SourceTask, StageTask, TaskIdentity};
use weir_schemas::{EpisodeState, Mark, MarkStatus, Micros, Outcome, PANE_US, PartialBody, Record, SECOND_US};

/// A partition's log, written line by line; times in seconds.
struct Log {
    task: SourceTask,
    seq: std::collections::BTreeMap<(&'static str, i64), u64>,
    now: Micros,
}

impl Log {
    fn new() -> Self {
        let setup = Setup::default();
        let identity = TaskIdentity { topic: "weir.flows.v1".to_owned(), partition: 0, partition_count: 1 };
        let task = SourceTask::new(identity, setup.config, setup.profile, 0);
        Self { task, seq: std::collections::BTreeMap::new(), now: EPOCH }
    }

    fn at(&mut self, second: i64) -> &mut Self {
        self.now = EPOCH + second * SECOND_US;
        self
    }

    fn next_seq(&mut self, sensor: &'static str, boot: i64) -> u64 {
        let seq = self.seq.entry((sensor, boot)).or_default();
        *seq += 1;
        *seq
    }

    fn write(&mut self, record: &Record) -> &mut Self {
        self.task.apply(self.task.position(), self.now, record);
        self
    }

    fn mark_of(&mut self, sensor: &'static str, boot: i64, t: Micros, end: bool) -> &mut Self {
        let seq = self.next_seq(sensor, boot);
        let (sensor, site) = (sensor.into(), "lab".into());
        self.write(&Record::Mark(Box::new(Mark { sensor, site, boot, seq, t, end, status: MarkStatus::default() })))
    }

    fn mark(&mut self, sensor: &'static str, t: i64) -> &mut Self {
        self.mark_of(sensor, 1, EPOCH + t * SECOND_US, false)
    }

    fn end(&mut self, sensor: &'static str, t: i64) -> &mut Self {
        self.mark_of(sensor, 1, EPOCH + t * SECOND_US, true)
    }

    fn flow_of(&mut self, sensor: &'static str, boot: i64, second: i64, port: u16) -> &mut Self {
        let mut flow = attempt(second * SECOND_US, "10.0.0.1", "10.0.0.2", port, Outcome::Refused);
        flow.sensor = sensor.into();
        flow.boot = boot;
        flow.seq = self.next_seq(sensor, boot);
        self.write(&Record::Flow(Box::new(flow)))
    }

    fn flow(&mut self, sensor: &'static str, second: i64) -> &mut Self {
        self.flow_of(sensor, 1, second, 80)
    }

    fn watermark(&self) -> Option<i64> {
        self.task.watermark().map(|watermark| (watermark - EPOCH) / SECOND_US)
    }

    fn late(&self) -> u64 {
        self.task.counters().late
    }
}

#[test]
fn the_watermark_is_the_least_promise_and_never_goes_back() {
    let mut log = Log::new();
    assert_eq!(log.watermark(), None);
    assert_eq!(log.at(10).mark("a", 8).watermark(), Some(8));
    assert_eq!(log.mark("b", 5).watermark(), Some(8), "a newcomer behind does not turn it back");
    assert_eq!(log.at(30).mark("a", 20).watermark(), Some(8), "b holds it");
    assert_eq!(log.mark("b", 15).watermark(), Some(15));
    assert_eq!(log.mark("b", 12).watermark(), Some(15), "a promise is not taken back");
    assert_eq!(log.mark("b", 30).watermark(), Some(20));
}

#[test]
fn a_sensor_without_marks_is_waited_for_30_s_of_append_clock() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    for second in 1..30 {
        assert_eq!(log.at(second).mark("a", second).watermark(), Some(0), "after {second} s");
    }
    assert_eq!(log.at(30).mark("a", 30).watermark(), Some(30));
    assert_eq!(
        log.at(31).mark("b", 3).mark("a", 31).watermark(),
        Some(30),
        "it is active again, but nothing goes back"
    );
    assert_eq!(log.at(32).mark("a", 99).watermark(), Some(30), "and waited for again");
}

#[test]
fn records_without_marks_do_not_keep_a_sensor_active() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    for second in 1..=30 {
        log.at(second).flow("b", second).mark("a", second);
    }
    assert_eq!(log.watermark(), Some(30));
}

#[test]
fn an_outage_is_one_second_on_the_append_clock() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    assert_eq!(log.at(86_400).mark("a", 1).watermark(), Some(0), "b is waited for after a day without a record");
    assert_eq!(log.at(86_401).mark("b", 1).watermark(), Some(1));
}

#[test]
fn an_append_time_that_goes_back_stops_the_append_clock_for_one_record() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    for second in 1..=29 {
        log.at(second).mark("a", second);
    }
    assert_eq!(log.at(10).mark("a", 12).watermark(), Some(0));
    assert_eq!(log.at(11).mark("a", 13).watermark(), Some(29));
}

#[test]
fn a_sensor_more_than_60_s_behind_is_let_go_after_30_s_and_returns_when_it_caught_up() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    // b lags by 70 s from its first second on.
    for second in 1..=30 {
        log.at(second).mark("b", second).mark("a", second + 70 - 70);
    }
    log.at(31).mark("a", 31).mark("b", 31);
    for second in 100..130 {
        log.at(second).mark("a", second).mark("b", second - 70 + 1);
        assert_eq!(log.watermark(), Some(second - 69), "waited for at {second}");
    }
    assert_eq!(log.at(130).mark("a", 130).watermark(), Some(130), "let go");
    assert_eq!(log.at(131).mark("b", 61).mark("a", 131).watermark(), Some(131));
    assert_eq!(log.at(132).mark("b", 100).mark("a", 132).watermark(), Some(131), "caught up: waited for again");
}

#[test]
fn without_an_active_sensor_the_watermark_stays() {
    let mut log = Log::new();
    log.at(0).mark("a", 0);
    for second in 1..200 {
        log.at(second).flow("a", second);
    }
    assert_eq!(log.watermark(), Some(0));
    assert_eq!(log.task.counters().panes_closed, 8, "only the thirteenth pane and those after it close others");
    assert_eq!(log.task.counters().panes_forced, 8);
}

#[test]
fn an_end_that_leaves_none_closes_the_panes_then_the_episodes() {
    let mut log = Log::new();
    log.at(0).mark("a", 0).mark("b", 0);
    for port in 0..20 {
        log.flow_of("a", 1, 1, 1_000 + port);
    }
    log.end("a", 1);
    assert_eq!(log.task.open_panes(), 1, "b is still active");
    log.end("b", 1);
    assert_eq!(log.task.open_panes(), 0);
    let states: Vec<EpisodeState> = log.task.outbox().findings.iter().map(|finding| finding.state).collect();
    assert_eq!(states, [EpisodeState::Opened, EpisodeState::Closed]);
    let last = log.task.outbox().partials.last().unwrap();
    assert_eq!(last.pane, EPOCH);
    assert!(matches!(last.body, PartialBody::Marker { ended: true, .. }), "{last:?}");
}

#[test]
fn marks_of_an_older_boot_are_ignored_and_its_records_count() {
    let mut log = Log::new();
    log.at(10).mark_of("a", 2, EPOCH + 5 * SECOND_US, false);
    log.mark_of("a", 1, EPOCH + 9 * SECOND_US, false);
    assert_eq!(log.watermark(), Some(5));
    log.flow_of("a", 1, 9, 80).mark_of("a", 1, EPOCH, true);
    assert_eq!((log.task.counters().counted, log.task.counters().mark), (1, 3));
    assert_eq!(log.task.open_panes(), 1, "the older boot's end ended nothing");
}

/// Was a bug: the promise of the boot before went on holding, so what the new one had still to send became late.
#[test]
fn a_restarted_sensor_is_held_to_its_new_promise() {
    let mut log = Log::new();
    log.at(40).mark("b", 10).mark("a", 40);
    log.at(41).mark_of("a", 2, EPOCH + 22 * SECOND_US, false);
    assert_eq!(log.at(42).mark("b", 41).watermark(), Some(22));
    assert_eq!(log.flow_of("a", 2, 25, 80).late(), 0);
}

/// Was a bug: an `end` mark may name any time, and the next boot inherited it.
#[test]
fn a_sensor_that_ended_and_starts_again_is_waited_for() {
    let mut log = Log::new();
    log.at(40).mark("b", 10).mark("a", 20).mark_of("a", 1, EPOCH + 45 * SECOND_US, true);
    log.flow_of("a", 2, 21, 80).mark_of("a", 2, EPOCH + 20 * SECOND_US, false);
    assert_eq!(log.at(42).mark("b", 41).watermark(), Some(20));
    assert_eq!(log.flow_of("a", 2, 25, 80).late(), 0);
}

/// Was a bug: sensors that fell silent kept their places in a full table, and the marks of a new one never counted.
#[test]
fn a_new_sensor_takes_the_place_of_one_long_silent() {
    let mut log = Log::new();
    let names: Vec<&'static str> = (0..weir_engine::sensors::MAX_SENSORS)
        .map(|number| &*Box::leak(format!("pod-{number}").into_boxed_str()))
        .collect();
    for name in names {
        log.at(0).mark(name, 0);
    }
    for second in 1..=30 {
        log.at(second).mark("pod-0", second);
    }
    assert_eq!(log.at(31).mark("new", 25).mark("pod-0", 35).watermark(), Some(30), "the new one is waited for");
}

/// Was a bug: the last record of a capture begins up to 10 s before its last packet, which is what the `end` names. On the
/// local bus that was ahead of the append time, so nothing ever closed.
#[test]
fn an_end_ends_however_far_ahead_its_time_is() {
    for t in [6, 9, 1_000, i64::from(i32::MAX)] {
        let mut log = Log::new();
        log.at(0).mark("a", 0).flow("a", 0).end("a", t);
        assert_eq!((log.task.open_panes(), log.task.counters().clock_fault), (0, 0), "end at {t} s");
    }
}

#[test]
fn no_time_of_a_record_or_mark_is_too_wild() {
    for wild in [i64::MIN, i64::MIN + 1, i64::MIN / 2, -PANE_US, -1, 0, i64::MAX / 2, i64::MAX - PANE_US, i64::MAX] {
        for append in [EPOCH, wild] {
            let mut log = Log::new();
            log.at(0).mark("a", 0).flow("a", 0);
            log.now = append;
            let mut flow = attempt(0, "10.0.0.1", "10.0.0.2", 80, Outcome::Refused);
            (flow.event_time, flow.first_time, flow.last_time, flow.seq, flow.boot) = (wild, wild, wild, 1, 9);
            log.write(&Record::Flow(Box::new(flow)));
            log.mark_of("a", 9, wild, false);
            log.mark_of("a", 9, wild, true);
            let checkpoint = log.task.checkpoint(0);
            assert_eq!(log.task.counters().read(), 5, "{wild} {append}");
            assert!(checkpoint.metadata.len() <= 256);
        }
    }
}
