//! The loop against a clock that goes only while it waits.

use std::collections::BTreeMap;
use std::path::Path;

use weir_schemas::{Flow, SECOND_US};
use weir_sensor::flow::FlowConfig;
use weir_sensor::input::{self, Input, InputOptions};
use weir_sensor::rebase::Rebased;
use weir_sensor::sensor::SensorConfig;

use super::*;

/// Event time of a capture's first packet after rebasing.
const FIRST: Micros = 1_800_000_000 * SECOND_US;

struct Recorded {
    clock: Duration,
    sent: Vec<(Duration, Message)>,
    /// Raised once the clock has reached this.
    stop: Option<(Duration, Shutdown)>,
}

impl Outlet for Recorded {
    fn now(&self) -> Duration {
        self.clock
    }

    fn send(&mut self, message: Message) -> Result<(), Failure> {
        self.sent.push((self.clock, message));
        Ok(())
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Failure> {
        assert!(!duration.is_zero() && duration <= TURN, "{duration:?}");
        self.clock += duration;
        if let Some((at, shutdown)) = &self.stop
            && self.clock >= *at
        {
            shutdown.request();
        }
        Ok(())
    }

    fn note(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Pings, one a second for some twenty seconds.
fn replay(pace: Pace, stop: Option<Duration>) -> (Recorded, Totals) {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/benign_ping.pcapng.gz");
    let input = input::open(&[capture], &InputOptions::default()).unwrap();
    let input: Box<dyn Input> = Box::new(Rebased::first_at(input, || FIRST));
    let settings = SensorConfig {
        flow: FlowConfig::default(),
        topic: "weir.flows.v1".to_owned(),
        partitions: 3,
        ipv6_prefix: 64,
        mark_interval: SECOND_US,
    };
    let shutdown = Shutdown::new();
    let stop = stop.map(|at| (at, shutdown.clone()));
    let outlet = Recorded { clock: Duration::from_secs(7), sent: Vec::new(), stop };
    let mut replay = Replay::new(FileSensor::new(input, settings), pace, outlet, Tracer::default());
    replay.run(&shutdown, |warning| panic!("{warning:?}")).unwrap();
    let totals = replay.totals();
    (replay.into_outlet(), totals)
}

fn flows(recorded: &Recorded) -> Vec<Flow> {
    let flow = |message: &Message| match &message.value {
        Value::Record(Record::Flow(flow)) => Some(Flow { seq: 0, ..(**flow).clone() }),
        _ => None,
    };
    recorded.sent.iter().filter_map(|(_, message)| flow(message)).collect()
}

#[test]
fn the_pace_changes_when_records_go_out_and_not_which() {
    let (whole, totals) = replay(Pace::Max, None);
    assert_eq!(whole.clock, Duration::from_secs(7), "at full speed nobody waits");
    let records = flows(&whole);
    assert_eq!(records.len() as u64, totals.records);
    for pace in [Pace::REAL_TIME, Pace::Times(10.0), Pace::Times(0.5)] {
        let (paced, _) = replay(pace, None);
        assert_eq!(flows(&paced), records, "{pace:?}");
    }
}

#[test]
fn nothing_goes_out_before_it_is_due_and_marks_go_out_when_they_are() {
    let (paced, _) = replay(Pace::REAL_TIME, None);
    let began = Duration::from_secs(7);
    let mut marked = BTreeMap::new();
    for (at, message) in &paced.sent {
        let passed = Micros::try_from(at.saturating_sub(began).as_micros()).unwrap();
        match &message.value {
            Value::Record(Record::Flow(flow)) => assert!(flow.event_time <= FIRST + passed),
            Value::Record(Record::Mark(mark)) => {
                assert!(mark.end || mark.t <= FIRST + passed);
                marked.entry(message.partition).or_insert_with(Vec::new).push(passed);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(marked.len(), 3);
    for times in marked.values() {
        assert!(times.len() > 10, "{times:?}");
        // A mark a second, as soon as a turn after it is due.
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= SECOND_US + 100_000), "{times:?}");
    }
}

#[test]
fn marks_of_one_promise_share_a_trace_and_records_have_none() {
    let (whole, _) = replay(Pace::Max, None);
    let mut traces = BTreeMap::<String, u32>::new();
    for (_, message) in &whole.sent {
        let context = TraceContext::of_headers(&message.headers);
        match &message.value {
            Value::Record(Record::Mark(_)) => *traces.entry(context.unwrap().trace_id()).or_default() += 1,
            _ => assert_eq!(message.headers, []),
        }
    }
    assert!(traces.len() > 10 && traces.values().all(|count| *count == 3), "{traces:?}");
}

#[test]
fn a_request_to_stop_ends_it_with_what_was_due() {
    let (stopped, totals) = replay(Pace::REAL_TIME, Some(Duration::from_secs(10)));
    assert!(stopped.clock < Duration::from_millis(10_100), "{:?}", stopped.clock);
    assert!(flows(&stopped).iter().all(|flow| flow.last_time <= FIRST + 4 * SECOND_US));
    assert!(totals.packets < replay(Pace::Max, None).1.packets);
    let ends = stopped
        .sent
        .iter()
        .filter(|(_, message)| matches!(&message.value, Value::Record(Record::Mark(mark)) if mark.end));
    assert_eq!(ends.count(), 3);
}
