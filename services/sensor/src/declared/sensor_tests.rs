//! Declared flows through a whole sensor: marks keep up with what long flows have still to send.

use std::collections::BTreeMap;

use weir_bus::{Message, Value};
use weir_schemas::{End, Flow, Host, Micros, PANE_US, Record, SECOND_US, pane_start};

use super::{DeclaredFlow, Measured};
use crate::flow::FlowConfig;
use crate::input::{Input, Observed};
use crate::packet::{InputCounters, InputWarning};
use crate::sensor::{FileSensor, SensorConfig};

const START: Micros = 1_700_000_000 * SECOND_US;

struct Flows(std::vec::IntoIter<DeclaredFlow>, InputCounters);

impl Input for Flows {
    fn next(&mut self) -> Option<Observed> {
        self.0.next().map(|flow| Observed::Flow(Box::new(flow)))
    }

    fn counters(&self) -> &InputCounters {
        &self.1
    }

    fn take_warnings(&mut self) -> Vec<InputWarning> {
        Vec::new()
    }

    fn kind(&self) -> &'static str {
        "zeek_conn"
    }
}

/// Ten flows a minute apart; each goes on for twenty minutes, half an hour of silence in the middle.
fn sensor() -> FileSensor {
    let flow = |number: u8| {
        let end = |host: u8| End::new(Host::V4([10, 0, 0, host].into()), 1000 + u16::from(host));
        let at = START + Micros::from(number) * 60 * SECOND_US + Micros::from(number / 5) * 1800 * SECOND_US;
        let fwd = Measured { packets: 1000, bytes: 100_000, payload: None };
        let rev = Some(fwd);
        DeclaredFlow { fwd, rev, ..DeclaredFlow::new(end(number), end(100), 17, at, at + 1200 * SECOND_US) }
    };
    let flows: Vec<_> = (0..10).map(flow).collect();
    let config = SensorConfig {
        flow: FlowConfig::default(),
        topic: "weir.flows.v1".into(),
        partitions: 2,
        ipv6_prefix: 64,
        mark_interval: SECOND_US,
    };
    FileSensor::new(Box::new(Flows(flows.into_iter(), InputCounters::default())), config)
}

fn records(messages: &[Message]) -> Vec<Flow> {
    let record = |message: &Message| match &message.value {
        Value::Record(Record::Flow(flow)) => Some(Flow { seq: 0, ..(**flow).clone() }),
        _ => None,
    };
    messages.iter().filter_map(record).collect()
}

fn drain(step: usize) -> Vec<Message> {
    let mut sensor = sensor();
    let mut messages = Vec::new();
    loop {
        let outcome = sensor.step(step);
        messages.extend(outcome.messages);
        if outcome.ended {
            assert_eq!(sensor.late_packets(), 0);
            return messages;
        }
    }
}

#[test]
fn no_record_is_late_and_none_far_ahead_of_the_marks() {
    let mut promised: BTreeMap<i32, Micros> = BTreeMap::new();
    let mut ends = 0;
    let mut packets = 0;
    for message in drain(usize::MAX) {
        match message.value {
            Value::Record(Record::Flow(flow)) => {
                let promised = promised.get(&(message.partition as i32)).copied().unwrap_or(START);
                assert!(flow.event_time >= promised);
                // A mark a second: what is sent lies in the pane of the mark or the next.
                assert!(pane_start(flow.event_time) <= pane_start(promised) + 2 * PANE_US);
                packets += flow.fwd.packets + flow.rev.packets;
            }
            Value::Record(Record::Mark(mark)) => {
                promised.insert(message.partition as i32, mark.t);
                ends += u32::from(mark.end);
            }
            other => panic!("a sensor sends records only, not {other:?}"),
        }
    }
    assert_eq!((packets, ends), (20_000, 2));
}

#[test]
fn steps_of_any_size_and_pace_send_the_same() {
    let whole = drain(usize::MAX);
    for step in [1, 3] {
        assert_eq!(whole, drain(step));
    }
    let mut sensor = sensor();
    let (mut messages, mut limit) = (Vec::new(), START);
    while let Some(due) = sensor.next_due() {
        limit = limit.max(due);
        let sent = sensor.step_until(limit, 100).messages;
        assert!(records(&sent).iter().all(|record| record.event_time <= limit));
        messages.extend(sent);
    }
    messages.extend(sensor.step_until(Micros::MAX, 100).messages);
    assert_eq!(records(&whole), records(&messages));
}

#[test]
fn a_replay_that_ends_now_sends_nothing_of_the_time_to_come() {
    let mut sensor = sensor();
    let mut messages = sensor.step_until(START + 90 * SECOND_US, 100).messages;
    sensor.end_now();
    for _ in 0..1000 {
        let outcome = sensor.step(100);
        messages.extend(outcome.messages);
        if outcome.ended {
            break;
        }
    }
    let last = records(&messages).iter().map(|record| record.event_time).max();
    assert!(last.is_some_and(|last| last <= START + 90 * SECOND_US), "{last:?}");
}
