//! One partition's task over a log of its own: whatever the batches, crashes, restores and resets, every revision stands in
//! the anomalies topic once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_bus::dead;
use weir_bus::shard::ResetCause;
use weir_schemas::{Severity, codec};

use super::*;
use crate::ledger::REMEMBERED_AFTER_CLOSING_US;
use crate::sample::{self, Sample};

const HOUR_US: Micros = 3_600_000_000;

fn settings() -> TaskSettings {
    TaskSettings { clock: || 42, metrics: None, ledger_capacity: 1000, ..TaskSettings::new(&Topics::default()) }
}

fn place() -> Place {
    Place { topic: "weir.findings.v1".to_owned(), partition: 2, partition_count: 4 }
}

fn counts() -> PartitionCounts {
    [("weir.anomalies.v1", 3), ("weir.anomalies.ecs.v1", 5), ("weir.dead.v1", 2)]
        .into_iter()
        .map(|(topic, count)| (topic.to_owned(), count))
        .collect()
}

fn delivery(offset: i64, value: Value) -> Delivery {
    let trace = (TRACE_PARENT.to_owned(), format!("00-trace-{offset}").into_bytes());
    let headers = vec![("other".to_owned(), Vec::new()), trace];
    Delivery { offset, append_time: 0, key: "key".to_owned(), value, headers }
}

/// What stands in the topics of one findings partition.
#[derive(Clone, Default)]
struct World {
    findings: Vec<Value>,
    state: Vec<StateEntry>,
    outputs: Vec<Message>,
    committed: Option<(i64, CommitMetadata)>,
    log_start: i64,
}

impl World {
    fn new(findings: Vec<Finding>) -> Self {
        let findings = findings.into_iter().map(|finding| Value::Finding(Box::new(finding))).collect();
        Self { findings, ..Self::default() }
    }

    fn recovery(&self) -> Recovery {
        let Some((offset, commit)) = self.committed else { return Recovery::First { position: self.log_start } };
        let entries = self.state[commit.state_from as usize..].to_vec();
        Recovery::Resume { commit, offset, entries, log_start: self.log_start }
    }

    fn task(&self) -> ResultsTask {
        ResultsTask::recover(&settings(), place(), self.recovery()).unwrap()
    }

    fn reset(&self, position: i64, cause: ResetCause) -> Recovery {
        let entries = self.state.clone();
        Recovery::Reset { position, entries, epoch: self.committed.map_or(0, |(_, commit)| commit.epoch), cause }
    }

    /// Gives a task up to `count` findings. How many there were.
    fn feed(&self, task: &mut ResultsTask, count: usize) -> usize {
        let first = task.position() as usize;
        let fed = self.findings.len().saturating_sub(first).min(count);
        for (index, value) in self.findings.iter().enumerate().skip(first).take(fed) {
            task.take(delivery(index as i64, value.clone()));
        }
        fed
    }

    fn commit(&mut self, task: &mut ResultsTask) {
        let sealed = task.seal(self.state.len() as i64, &counts());
        for message in sealed.messages {
            match message.value {
                Value::State(entry) => {
                    assert_eq!((message.topic.as_str(), message.partition), ("weir.state.results.v1", 2));
                    assert_eq!(message.key, entry.key());
                    self.state.push(*entry);
                }
                _ => self.outputs.push(message),
            }
        }
        let metadata = CommitMetadata::parse(&sealed.metadata).unwrap();
        assert_eq!(self.state.last().map(|head| (head.table.as_str(), head.epoch)), Some(("head", metadata.epoch)));
        self.committed = Some((sealed.offset, metadata));
    }

    fn run(&mut self, mut task: ResultsTask, batch: usize) {
        while self.feed(&mut task, batch) > 0 {
            self.commit(&mut task);
        }
    }

    fn published(&self) -> Vec<&Anomaly> {
        anomalies_of(&self.outputs).collect()
    }
}

/// Episodes with growth, closings, duplicates and replays, within the ledger's memory.
fn arbitrary_findings() -> impl Strategy<Value = Vec<Finding>> {
    let one = (0_u32..6, 1_u32..5, 0_u8..3, prop::bool::weighted(0.15), 0_i64..60);
    prop::collection::vec(one, 0..40).prop_map(|findings| findings.into_iter().map(finding).collect())
}

fn finding((id, observed, state, replayed, minutes): (u32, u32, u8, bool, i64)) -> Finding {
    let state = [EpisodeState::Opened, EpisodeState::Updated, EpisodeState::Closed][usize::from(state)];
    let finding = sample::port_scan()
        .id(&format!("episode {id}"))
        .observed(f64::from(observed))
        .state(state)
        .severity(Severity::High)
        .later(minutes * 60_000_000);
    if replayed { finding.degraded("replayed") } else { finding }
}

fn assert_numbered_from_one_without_a_gap(anomalies: &[&Anomaly]) {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for anomaly in anomalies {
        let previous = last.insert(&anomaly.id, anomaly.revision).unwrap_or(0);
        assert_eq!(anomaly.revision, previous + 1, "{}", anomaly.id);
    }
}

#[test]
fn an_anomaly_goes_out_in_both_forms_with_its_trace() {
    let mut world = World::new(vec![sample::port_scan()]);
    let mut task = world.task();
    assert_eq!((task.due(), task.position(), task.watermark()), (Due::Nothing, 0, None));
    world.feed(&mut task, 1);
    assert_eq!((task.due(), task.position()), (Due::Outputs, 1));
    assert_eq!(task.watermark(), Some(sample::port_scan().window.end));
    world.commit(&mut task);
    assert_eq!(task.due(), Due::Nothing);

    let [avro, ecs] = world.outputs.as_slice() else { panic!("two messages") };
    let Value::Anomaly(anomaly) = &avro.value else { panic!("an anomaly") };
    assert_eq!((anomaly.revision, anomaly.provenance.emitted_at), (1, Some(42)));
    assert!(anomaly.message.contains("192.0.2.7 tried 1,000 ports"), "{}", anomaly.message);
    assert_eq!(ecs.value, Value::Bytes(ecs::line(anomaly).into_bytes()));
    for (message, topic, count) in [(avro, "weir.anomalies.v1", 3), (ecs, "weir.anomalies.ecs.v1", 5)] {
        assert_eq!((message.topic.as_str(), &message.key), (topic, &anomaly.id));
        assert_eq!(message.partition, partition_of(&anomaly.id, count));
        assert_eq!(message.headers, [(TRACE_PARENT.to_owned(), b"00-trace-0".to_vec())]);
    }
    let (offset, metadata) = world.committed.unwrap();
    let expected = CommitMetadata { epoch: 1, replay_from: 1, state_from: 0, watermark: task.watermark() };
    assert_eq!((offset, metadata), (1, expected));
}

#[test]
fn what_is_no_finding_goes_to_the_dead_letters() {
    let mut entry = Vec::new();
    codec::encode_state(&StateEntry { v: 1, epoch: 1, table: "x".to_owned(), slot: 0, body: Vec::new() }, &mut entry);
    let mut world = World::new(vec![sample::port_scan()]);
    let poison = [Value::Bytes(b"{}".to_vec()), Value::Bytes(vec![0xc3, 1, 9]), Value::Bytes(entry)];
    world.findings.splice(0..0, poison.clone());
    let mut task = world.task();
    world.feed(&mut task, 10);
    world.commit(&mut task);
    let expected = ResultsCounters { read: 4, published: 1, dead: 3, ..ResultsCounters::default() };
    assert_eq!(task.counters(), expected);
    for (offset, poison) in poison.iter().enumerate() {
        let letter = &world.outputs[offset];
        assert_eq!((letter.topic.as_str(), letter.key.as_str(), &letter.value), ("weir.dead.v1", "key", poison));
        let header = |name: &str| {
            let (_, value) = letter.headers.iter().find(|(found, _)| found == name).unwrap();
            String::from_utf8(value.clone()).unwrap()
        };
        assert_eq!(header(dead::SOURCE_TOPIC), "weir.findings.v1");
        assert_eq!((header(dead::SOURCE_PARTITION), header(dead::SOURCE_OFFSET)), ("2".to_owned(), offset.to_string()));
        assert!(header(dead::REASON).starts_with("input:"), "{}", header(dead::REASON));
    }
}

#[test]
fn a_great_many_outputs_are_due_at_once() {
    let findings = (0..=MOST_OUTPUTS as u32).map(|id| sample::port_scan().id(&id.to_string())).collect();
    let world = World::new(findings);
    let mut task = world.task();
    world.feed(&mut task, MOST_OUTPUTS - 1);
    assert_eq!(task.due(), Due::Outputs);
    world.feed(&mut task, 1);
    assert_eq!(task.due(), Due::AtOnce);
}

#[test]
fn retention_that_overtook_the_group_is_taken_as_it_is() {
    let mut world = World::new((0..9).map(|id| sample::port_scan().id(&id.to_string())).collect());
    let mut task = world.task();
    world.feed(&mut task, 2);
    world.commit(&mut task);
    world.log_start = 5;
    assert_eq!(world.task().position(), 5);
    let expired = Recovery::Expired { entries: world.state.clone(), log_start: 6 };
    assert_eq!(ResultsTask::recover(&settings(), place(), expired).unwrap().position(), 6);
}

#[test]
fn a_state_that_does_not_fit_its_commit_is_unreadable() {
    let mut world = World::new(vec![sample::port_scan()]);
    let mut task = world.task();
    world.feed(&mut task, 1);
    world.commit(&mut task);
    let refusal = |world: &World| ResultsTask::recover(&settings(), place(), world.recovery()).unwrap_err();

    let mut lost = world.clone();
    lost.state.clear();
    assert!(matches!(refusal(&lost), Refusal::Unreadable(_)));

    let mut damaged = world.clone();
    damaged.state[0].body = vec![0xff; 3];
    assert!(matches!(refusal(&damaged), Refusal::Unreadable(_)));
    let reset = damaged.reset(0, ResetCause::StateLost);
    let mut task = ResultsTask::recover(&settings(), place(), reset).unwrap();
    damaged.feed(&mut task, 1);
    damaged.commit(&mut task);
    assert_eq!(damaged.task().position(), 1, "what was damaged is no longer read");

    let mut newer = world.clone();
    newer.state[0].v = 99;
    for recovery in [newer.recovery(), newer.reset(0, ResetCause::Operator)] {
        let refusal = ResultsTask::recover(&settings(), place(), recovery).unwrap_err();
        assert!(matches!(&refusal, Refusal::Environment(why) if why.contains("version is 99")), "{refusal}");
    }
}

#[test]
fn a_reset_tells_nothing_twice_even_what_was_forgotten_since() {
    let closed = sample::port_scan().state(EpisodeState::Closed);
    let later = sample::host_sweep().id("later").later(REMEMBERED_AFTER_CLOSING_US + HOUR_US);
    let mut world = World::new(vec![sample::port_scan(), closed, later]);
    world.run(world.task(), 1);
    assert_eq!(world.published().len(), 3);
    let reset = ResultsTask::recover(&settings(), place(), world.reset(0, ResetCause::Operator)).unwrap();
    world.run(reset, 1);
    assert_eq!(world.published().len(), 3);
    // An old episode that comes anew is news.
    world.findings.push(Value::Finding(Box::new(sample::port_scan().id("from an old capture"))));
    world.run(world.task(), 1);
    assert_eq!(world.published().len(), 4);
}

#[test]
fn without_state_numbering_begins_anew() {
    let mut world = World::new(vec![sample::port_scan(), sample::port_scan().observed(2000.0)]);
    world.run(world.task(), 1);
    let lost = Recovery::Reset { position: 0, entries: Vec::new(), epoch: 2, cause: ResetCause::StateLost };
    let task = ResultsTask::recover(&settings(), place(), lost).unwrap();
    world.run(task, 1);
    let revisions: Vec<u32> = world.published().iter().map(|anomaly| anomaly.revision).collect();
    assert_eq!(revisions, [1, 2, 1, 2]);
    let (_, commit) = world.committed.unwrap();
    assert_eq!(commit.epoch, 4, "no two commits have one number");
}

#[test]
fn the_state_is_written_anew_every_so_often_though_the_task_starts_again_and_again() {
    let findings = (0..400).map(|id| sample::port_scan().id(&id.to_string())).collect();
    let mut world = World::new(findings);
    world.run(world.task(), 400);
    // A commit for each of 6,000 findings, and restarts too often for a rewrite to begin and end between two of them.
    let mut task = world.task();
    for observed in 0..6000_u32 {
        let news = sample::port_scan().id("0").observed(f64::from(observed));
        world.findings.push(Value::Finding(Box::new(news)));
        if observed.is_multiple_of(100) {
            task = world.task();
        }
        assert_eq!(world.feed(&mut task, 10), 1);
        world.commit(&mut task);
    }
    let (_, commit) = world.committed.unwrap();
    assert!(commit.state_from > 4000, "{commit:?}");
    let restored = world.task();
    assert_eq!(restored.state.ledger.len(), 400);
    let everything = State::load(&world.state, 1000, 0, Damage::Refuse).unwrap().state;
    let slots = |state: &State| state.ledger.slots_from(0).map(|(slot, kept)| (slot, kept.clone())).collect::<Vec<_>>();
    assert_eq!(slots(&restored.state), slots(&everything));
}

proptest! {
    #[test]
    fn batches_and_crashes_make_no_difference(
        findings in arbitrary_findings(),
        steps in prop::collection::vec((1_usize..6, 0_u8..3), 1..40),
    ) {
        let mut undisturbed = World::new(findings.clone());
        undisturbed.run(undisturbed.task(), 1000);
        assert_numbered_from_one_without_a_gap(&undisturbed.published());

        let mut world = World::new(findings);
        let mut task = world.task();
        for (batch, end) in steps {
            world.feed(&mut task, batch);
            match end {
                0 => world.commit(&mut task),
                1 => task = world.task(),
                _ => {
                    world.commit(&mut task);
                    task = world.task();
                }
            }
        }
        world.run(task, 7);
        prop_assert_eq!(world.published(), undisturbed.published());
        let of = |topic: &str| world.outputs.iter().filter(|message| message.topic == topic).count();
        prop_assert_eq!(of("weir.anomalies.v1"), of("weir.anomalies.ecs.v1"));
    }

    #[test]
    fn a_reset_to_any_offset_with_any_crash_after_it_tells_nothing_twice(
        findings in arbitrary_findings(),
        (batch, again) in (1_usize..6, 1_usize..6),
        (position, crash_after) in (0_usize..41, 0_usize..10),
        expired in any::<bool>(),
    ) {
        let mut world = World::new(findings);
        world.run(world.task(), batch);
        let before: Vec<Anomaly> = world.published().into_iter().cloned().collect();
        if world.committed.is_none() {
            return Ok(());
        }
        let position = position.min(world.findings.len()) as i64;
        let recovery = if expired {
            Recovery::Expired { entries: world.state.clone(), log_start: 0 }
        } else {
            world.reset(position, ResetCause::Operator)
        };
        let mut task = ResultsTask::recover(&settings(), place(), recovery).unwrap();
        for _ in 0..crash_after {
            world.feed(&mut task, again);
            world.commit(&mut task);
            task = world.task();
        }
        world.run(task, again);
        prop_assert_eq!(world.published(), before.iter().collect::<Vec<_>>());
    }
}
