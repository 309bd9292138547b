//! Runners over a log in memory: members come and go, the sink fails and works again, and everything arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use weir_bus::member::{Committed, Remedy};
use weir_bus::{Message, Value};
use weir_schemas::{Anomaly, Micros};

use super::*;
use crate::filter::Filter;
use crate::sample::{self, Sample};
use crate::sink::{DeliveryError, Sink};

const PARTITIONS: u32 = 2;

/// What a broker keeps.
#[derive(Default)]
struct Broker {
    logs: BTreeMap<u32, Vec<Value>>,
    starts: BTreeMap<u32, i64>,
    committed: BTreeMap<u32, i64>,
    dead: Vec<Message>,
}

impl Broker {
    fn end(&self, partition: u32) -> i64 {
        self.logs.get(&partition).map_or(0, |log| log.len() as i64)
    }

    fn append(&mut self, partition: u32, value: Value) {
        self.logs.entry(partition).or_default().push(value);
    }
}

struct FakeMember {
    broker: Arc<Mutex<Broker>>,
    now: Duration,
    events: Vec<Event>,
    /// Next offset and whether paused, by started partition.
    reading: BTreeMap<u32, (i64, bool)>,
    transaction: Option<(Vec<Message>, Vec<OffsetCommit>)>,
    /// The next commit fails thus.
    fail_commit: Option<Remedy>,
    /// So many more lookups of commits are too early.
    unstable: usize,
}

impl FakeMember {
    fn new(broker: &Arc<Mutex<Broker>>) -> Self {
        Self {
            broker: Arc::clone(broker),
            now: Duration::ZERO,
            events: vec![Event::Assigned((0..PARTITIONS).collect())],
            reading: BTreeMap::new(),
            transaction: None,
            fail_commit: None,
            unstable: 0,
        }
    }
}

impl Member for FakeMember {
    fn now(&self) -> Duration {
        self.now
    }

    fn time_of_day(&self) -> Micros {
        0
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    fn partition_count(&mut self, _: &str) -> Result<u32, MemberError> {
        Ok(PARTITIONS)
    }

    fn bounds(&mut self, _: &str, partition: u32) -> Result<(i64, i64), MemberError> {
        let broker = self.broker.lock().unwrap();
        Ok((broker.starts.get(&partition).copied().unwrap_or(0), broker.end(partition)))
    }

    fn read(&mut self, _: &str, _: u32, _: i64, _: usize, _: &mut Vec<Delivery>) -> Result<bool, MemberError> {
        panic!("a sink reads its input only")
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<Vec<Option<Committed>>, MemberError> {
        if self.unstable > 0 {
            self.unstable -= 1;
            return Err(MemberError::retry("a commit is under way"));
        }
        let broker = self.broker.lock().unwrap();
        let committed = |partition| {
            let offset = broker.committed.get(partition).copied();
            offset.map(|offset| Committed { offset, metadata: String::new() })
        };
        Ok(partitions.iter().map(committed).collect())
    }

    fn poll(&mut self, wait: Duration, max: usize, into: &mut Vec<Event>) -> Result<(), MemberError> {
        into.append(&mut self.events);
        let broker = self.broker.lock().unwrap();
        let before = into.len();
        for (partition, (offset, is_paused)) in &mut self.reading {
            let start = broker.starts.get(partition).copied().unwrap_or(0);
            if *offset < start {
                into.push(Event::OutOfRange { partition: *partition });
                *is_paused = true;
                continue;
            }
            while !*is_paused && *offset < broker.end(*partition) && into.len() - before < max {
                let value = broker.logs[partition][*offset as usize].clone();
                let delivery =
                    Delivery { offset: *offset, append_time: 0, key: "key".to_owned(), value, headers: Vec::new() };
                into.push(Event::Record { partition: *partition, delivery });
                *offset += 1;
            }
        }
        if into.len() == before {
            self.now += wait;
        }
        Ok(())
    }

    fn start(&mut self, partition: u32, offset: i64) -> Result<(), MemberError> {
        self.reading.insert(partition, (offset, false));
        Ok(())
    }

    fn pause(&mut self, partition: u32) -> Result<(), MemberError> {
        self.reading.get_mut(&partition).unwrap().1 = true;
        Ok(())
    }

    fn resume(&mut self, partition: u32) -> Result<(), MemberError> {
        self.reading.get_mut(&partition).unwrap().1 = false;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), MemberError> {
        assert!(self.transaction.is_none(), "one transaction at a time");
        self.transaction = Some((Vec::new(), Vec::new()));
        Ok(())
    }

    fn send(&mut self, message: &Message) -> Result<(), MemberError> {
        self.transaction.as_mut().unwrap().0.push(message.clone());
        Ok(())
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit]) -> Result<(), MemberError> {
        self.transaction.as_mut().unwrap().1.extend_from_slice(offsets);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), MemberError> {
        if let Some(remedy) = self.fail_commit.take() {
            return Err(MemberError { remedy, detail: "the broker said no".to_owned() });
        }
        let (messages, offsets) = self.transaction.take().unwrap();
        let mut broker = self.broker.lock().unwrap();
        broker.dead.extend(messages);
        broker.committed.extend(offsets.iter().map(|commit| (commit.partition, commit.offset)));
        Ok(())
    }

    fn abort(&mut self) -> Result<(), MemberError> {
        self.transaction = None;
        Ok(())
    }
}

/// A sink that keeps what it gets, deliveries apart, and fails while it is told to.
#[derive(Clone, Default)]
struct Kept {
    deliveries: Arc<Mutex<Vec<Vec<String>>>>,
    is_failing: Arc<Mutex<bool>>,
    attempts: Arc<Mutex<usize>>,
    gather: Duration,
}

impl Kept {
    fn ids(&self) -> Vec<String> {
        self.deliveries.lock().unwrap().concat()
    }

    fn fail(&self, is_failing: bool) {
        *self.is_failing.lock().unwrap() = is_failing;
    }
}

impl Sink for Kept {
    fn deliver(&mut self, anomalies: &[&Anomaly]) -> Result<(), DeliveryError> {
        *self.attempts.lock().unwrap() += 1;
        if *self.is_failing.lock().unwrap() {
            return Err(DeliveryError("disk full".to_owned()));
        }
        self.deliveries.lock().unwrap().push(anomalies.iter().map(|anomaly| anomaly.id.clone()).collect());
        Ok(())
    }

    fn gathers_for(&self) -> Duration {
        self.gather
    }
}

fn runner(broker: &Arc<Mutex<Broker>>, sink: &Kept, from: Begin) -> SinkRunner<FakeMember> {
    let configured = ConfiguredSink {
        id: "siem".to_owned(),
        required: false,
        filter: Filter::default(),
        from,
        sink: Box::new(sink.clone()),
    };
    SinkRunner::new(FakeMember::new(broker), configured, RunnerSettings::new(&Topics::default()))
}

fn publish(broker: &Arc<Mutex<Broker>>, partition: u32, ids: impl IntoIterator<Item = impl ToString>) {
    let mut broker = broker.lock().unwrap();
    for id in ids {
        broker.append(partition, Value::Anomaly(Box::new(sample::port_scan().id(&id.to_string()))));
    }
}

fn steps(runner: &mut SinkRunner<FakeMember>, count: usize) -> SinkStep {
    let mut sum = SinkStep::default();
    for _ in 0..count {
        let step = runner.step(Duration::from_secs(1)).unwrap();
        sum.read += step.read;
        sum.filtered += step.filtered;
        sum.dead += step.dead;
        sum.delivered += step.delivered;
    }
    sum
}

#[test]
fn a_new_sink_begins_at_the_end_or_the_start_and_an_old_one_where_it_stopped() {
    for (from, expected) in [(Begin::Latest, vec!["new"]), (Begin::Earliest, vec!["old", "new"])] {
        let (broker, kept) = (Arc::default(), Kept::default());
        publish(&broker, 0, ["old"]);
        steps(&mut runner(&broker, &kept, from), 2);
        // Nothing was there to commit but the position, and that is enough for the next one.
        publish(&broker, 0, ["new"]);
        steps(&mut runner(&broker, &kept, from), 3);
        steps(&mut runner(&broker, &kept, from), 3);
        assert_eq!(kept.ids(), expected);
    }
}

#[test]
fn a_failing_sink_keeps_its_place_and_loses_nothing() {
    let (broker, kept) = (Arc::default(), Kept::default());
    let mut runner = runner(&broker, &kept, Begin::Latest);
    steps(&mut runner, 2);
    kept.fail(true);
    publish(&broker, 0, 0..10);
    steps(&mut runner, 100);
    let Health::Failing { reason, since } = runner.health() else { panic!("it fails") };
    assert_eq!(reason, "disk full");
    assert!(since >= Duration::from_mins(1), "{since:?}");
    assert!(*kept.attempts.lock().unwrap() <= 10, "attempts become rarer");
    assert_eq!(broker.lock().unwrap().committed[&0], 0);
    kept.fail(false);
    steps(&mut runner, 40);
    assert_eq!(runner.health(), Health::Working);
    assert_eq!(kept.ids(), (0..10).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!(broker.lock().unwrap().committed[&0], 10);
}

#[test]
fn reading_stops_while_too_much_is_held_and_goes_on_after() {
    let (broker, kept) = (Arc::default(), Kept::default());
    let mut runner = runner(&broker, &kept, Begin::Earliest);
    kept.fail(true);
    publish(&broker, 0, 0..10_000);
    steps(&mut runner, 50);
    assert!(runner.held.len() < MOST_HELD + 2 * MOST_EVENTS, "{}", runner.held.len());
    kept.fail(false);
    steps(&mut runner, 100);
    assert_eq!(kept.ids(), (0..10_000).map(|id| id.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_window_is_delivered_in_one_piece_and_the_position_waits_for_it() {
    let (broker, kept) = (Arc::default(), Kept { gather: Duration::from_secs(5), ..Kept::default() });
    let mut runner = runner(&broker, &kept, Begin::Earliest);
    publish(&broker, 0, ["a"]);
    steps(&mut runner, 3);
    publish(&broker, 1, ["b"]);
    let later = sample::port_scan().id("later").later(10_000_000);
    broker.lock().unwrap().append(1, Value::Anomaly(Box::new(later)));
    steps(&mut runner, 3);
    assert_eq!((kept.ids().len(), broker.lock().unwrap().committed.get(&0).copied()), (0, Some(0)));
    steps(&mut runner, 10);
    assert_eq!(*kept.deliveries.lock().unwrap(), [["a", "b", "later"]]);
    assert_eq!(broker.lock().unwrap().committed, BTreeMap::from([(0, 1), (1, 2)]));
}

#[test]
fn the_filter_and_poison_move_the_position_and_poison_is_put_aside() {
    let (broker, kept) = (Arc::default(), Kept::default());
    let mut runner = runner(&broker, &kept, Begin::Earliest);
    runner.sink.filter = "detector=syn_flood".parse().unwrap();
    publish(&broker, 0, ["scan"]);
    broker.lock().unwrap().append(0, Value::Bytes(b"{}".to_vec()));
    broker.lock().unwrap().append(0, Value::Anomaly(Box::new(sample::syn_flood().id("flood"))));
    runner.member.fail_commit = Some(Remedy::Abort);
    let sum = steps(&mut runner, 6);
    assert_eq!(sum, SinkStep { read: 3, filtered: 1, dead: 1, delivered: 1 });
    assert_eq!(kept.ids(), ["flood"]);
    let broker = broker.lock().unwrap();
    assert_eq!(broker.committed[&0], 3);
    assert_eq!(broker.dead.len(), 1, "once, though its first transaction was aborted");
    assert_eq!(broker.dead[0].value, Value::Bytes(b"{}".to_vec()));
    let reason = &broker.dead[0].headers.iter().find(|(name, _)| name == weir_bus::dead::REASON).unwrap().1;
    assert!(reason.starts_with(b"sink siem: input:"));
}

#[test]
fn what_retention_took_is_gone_and_the_rest_comes() {
    let (broker, kept) = (Arc::default(), Kept::default());
    publish(&broker, 0, 0..5);
    broker.lock().unwrap().committed.insert(0, 1);
    broker.lock().unwrap().starts.insert(0, 3);
    steps(&mut runner(&broker, &kept, Begin::Latest), 3);
    assert_eq!(kept.ids(), ["3", "4"], "before it started");

    let kept = Kept::default();
    let mut runner = runner(&broker, &kept, Begin::Latest);
    steps(&mut runner, 1);
    publish(&broker, 0, 5..9);
    broker.lock().unwrap().starts.insert(0, 7);
    steps(&mut runner, 3);
    assert_eq!(kept.ids(), ["7", "8"], "while it ran");
}

#[test]
fn a_commit_under_way_is_waited_for_and_a_fenced_member_is_given_up() {
    let (broker, kept) = (Arc::default(), Kept::default());
    publish(&broker, 0, ["a"]);
    let mut runner = runner(&broker, &kept, Begin::Earliest);
    runner.member.unstable = 3;
    steps(&mut runner, 4);
    assert_eq!((runner.partitions(), kept.ids().len()), (0, 0));
    steps(&mut runner, 2);
    assert_eq!((runner.partitions(), kept.ids().len()), (2, 1));
    publish(&broker, 0, ["b"]);
    runner.member.fail_commit = Some(Remedy::Leave);
    let error = loop {
        if let Err(error) = runner.step(Duration::from_secs(1)) {
            break error;
        }
    };
    assert_eq!(error.remedy, Remedy::Leave);
}

/// What may happen between two steps.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Publish(u32, usize),
    Fail,
    Mend,
    Crash,
    Revoke(u32),
    AbortNextCommit,
    Nothing,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..PARTITIONS, 1_usize..5).prop_map(|(partition, count)| Happening::Publish(partition, count)),
        1 => Just(Happening::Fail),
        1 => Just(Happening::Mend),
        1 => Just(Happening::Crash),
        1 => (0..PARTITIONS).prop_map(Happening::Revoke),
        1 => Just(Happening::AbortNextCommit),
        3 => Just(Happening::Nothing),
    ]
}

proptest! {
    #[test]
    fn everything_arrives_and_first_in_order_of_its_partition(
        happenings in prop::collection::vec(happening(), 1..60),
        gather in 0_u64..3,
    ) {
        let broker = Arc::default();
        let kept = Kept { gather: Duration::from_secs(gather), ..Kept::default() };
        let mut running = runner(&broker, &kept, Begin::Earliest);
        let mut published: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for happening in happenings {
            match happening {
                Happening::Publish(partition, count) => {
                    let ids = published.entry(partition).or_default();
                    let new: Vec<String> = (0..count).map(|n| format!("{partition}-{}", ids.len() + n)).collect();
                    publish(&broker, partition, &new);
                    ids.extend(new);
                }
                Happening::Fail => kept.fail(true),
                Happening::Mend => kept.fail(false),
                Happening::Crash => running = runner(&broker, &kept, Begin::Earliest),
                Happening::Revoke(partition) => {
                    running.member.events.push(Event::Revoked(vec![partition]));
                    running.member.events.push(Event::Assigned(vec![partition]));
                    running.member.reading.remove(&partition);
                }
                Happening::AbortNextCommit => running.member.fail_commit = Some(Remedy::Abort),
                Happening::Nothing => {}
            }
            steps(&mut running, 1);
        }
        kept.fail(false);
        steps(&mut running, 80);
        for (partition, ids) in published {
            let arrived = kept.ids();
            let mut first: Vec<&String> = Vec::new();
            for id in arrived.iter().filter(|id| ids.contains(id)) {
                if !first.contains(&id) {
                    first.push(id);
                }
            }
            prop_assert_eq!(first, ids.iter().collect::<Vec<_>>());
            prop_assert_eq!(broker.lock().unwrap().committed[&partition], ids.len() as i64);
        }
    }
}
