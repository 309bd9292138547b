//! Tests of the local bus: tables, and random scripts held against a plain model.

use proptest::prelude::*;
use weir_schemas::{Mark, MarkStatus, StateEntry};

use super::*;
use crate::{CodecError, Message};

fn state(topic: &str, partition: u32, number: u64) -> Message {
    let entry = StateEntry { v: 1, epoch: number, table: "test".into(), slot: 0, body: Vec::new() };
    Message::new(topic, partition, number.to_string(), Value::State(Box::new(entry)))
}

fn mark(partition: u32, t: Micros, end: bool) -> Message {
    let mark = Mark {
        sensor: "s".into(),
        site: "local".into(),
        boot: 1,
        seq: 1,
        t,
        end,
        status: MarkStatus { packets: 0, drops: 0, decode_errors: 0, table_fill: 0, spool_bytes: 0 },
    };
    Message::new("t", partition, "", Value::Record(Record::Mark(Box::new(mark))))
}

fn commit(partition: u32, offset: i64, metadata: &str) -> GroupOffset {
    GroupOffset { group: "g".into(), topic: "t".into(), partition, offset, metadata: metadata.into() }
}

fn messages(messages: Vec<Message>) -> Batch {
    Batch { messages, offsets: Vec::new() }
}

fn bus(partitions: u32, retention: Retention) -> LocalBus {
    let mut bus = LocalBus::new();
    bus.create("t", partitions, retention).unwrap();
    bus
}

fn read_all(bus: &mut LocalBus, partition: u32, offset: i64) -> Vec<Delivery> {
    let mut into = Vec::new();
    bus.read("t", partition, offset, usize::MAX, &mut into).unwrap();
    into
}

#[test]
fn a_batch_with_one_fault_changes_nothing() {
    let faults: [(Message, GroupOffset, &str); 4] = [
        (state("elsewhere", 0, 2), commit(0, 1, ""), "topic elsewhere does not exist"),
        (state("t", 2, 2), commit(0, 1, ""), "topic t has 2 partitions, not a partition 2"),
        (state("t", 1, 2), commit(9, 1, ""), "topic t has 2 partitions, not a partition 9"),
        (state("t", 1, 2), commit(0, 1, &"x".repeat(257)), "commit metadata of 257 bytes"),
    ];
    for (message, offset, expected) in faults {
        let mut bus = bus(2, Retention::All);
        let batch = Batch { messages: vec![mark(0, 5, false), message], offsets: vec![commit(1, 7, ""), offset] };
        let error = bus.append(batch).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(bus.offsets("t", 0).unwrap(), (0, 0));
        assert_eq!(bus.committed("g", "t", 1).unwrap(), None);
        // The clock has not moved either.
        bus.append(messages(vec![state("t", 0, 1)])).unwrap();
        assert_eq!(read_all(&mut bus, 0, 0)[0].append_time, 0);
    }
}

#[test]
fn append_time_is_the_newest_event_time_so_far() {
    let mut bus = bus(2, Retention::All);
    bus.append(messages(vec![mark(0, 50, false), mark(1, 40, false), mark(1, 60, false), state("t", 1, 1)])).unwrap();
    bus.append(messages(vec![mark(0, Micros::MAX, true)])).unwrap();
    let times = |deliveries: Vec<Delivery>| deliveries.iter().map(|d| d.append_time).collect::<Vec<_>>();
    assert_eq!(times(read_all(&mut bus, 0, 0)), [50, 60]);
    assert_eq!(times(read_all(&mut bus, 1, 0)), [50, 60, 60]);
    bus.append_at(messages(vec![mark(0, 70, false)]), 9).unwrap();
    assert_eq!(times(read_all(&mut bus, 0, 2)), [9]);
}

#[test]
fn a_message_is_taken_once_where_it_is_kept_until_read() {
    let mut bus = bus(1, Retention::UntilRead);
    bus.append(messages((0..5).map(|number| state("t", 0, number)).collect())).unwrap();
    let mut into = Vec::new();
    bus.read("t", 0, 1, 2, &mut into).unwrap();
    assert_eq!(into.iter().map(|delivery| delivery.offset).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(bus.offsets("t", 0).unwrap(), (3, 5));
    let error = bus.read("t", 0, 1, 2, &mut into).unwrap_err().to_string();
    assert_eq!(error, "offset 1 of t/0 is outside the log, which holds 3..5");
    bus.read("t", 0, 5, 1, &mut into).unwrap();
    assert_eq!((into.len(), bus.offsets("t", 0).unwrap()), (2, (5, 5)));
}

#[test]
fn topics_are_created_once_and_not_empty() {
    let mut bus = bus(1, Retention::All);
    assert!(matches!(bus.create("t", 1, Retention::All), Err(BusError::NotCreated { .. })));
    assert!(matches!(bus.create("u", 0, Retention::All), Err(BusError::NotCreated { .. })));
    assert!(matches!(bus.partition_count("u"), Err(BusError::UnknownTopic(_))));
    assert_eq!(bus.partition_count("t").unwrap(), 1);
}

/// Encodes state entries as their epoch, eight bytes; everything else is foreign to it.
struct EpochCodec;

impl Codec for EpochCodec {
    fn encode(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::State(entry) => entry.epoch.to_be_bytes().to_vec(),
            other => panic!("the test sends state entries only, not {other:?}"),
        }
    }

    fn decode(&self, topic: &str, bytes: &[u8]) -> Result<Value, CodecError> {
        let epoch = bytes.try_into().map_err(|_| CodecError(format!("{} bytes on {topic}, not 8", bytes.len())))?;
        Ok(state(topic, 0, u64::from_be_bytes(epoch)).value)
    }
}

#[test]
fn a_codec_stands_between_append_and_read() {
    let mut bus = LocalBus::with_codec(Box::new(EpochCodec));
    bus.create("t", 1, Retention::All).unwrap();
    let poison = Message { value: Value::Bytes(vec![1, 2, 3]), ..state("t", 0, 0) };
    bus.append(messages(vec![state("t", 0, 7), poison.clone(), state("t", 0, 8)])).unwrap();
    assert_eq!(bus.topics[0].partitions[0].log[0].value, Value::Bytes(7_u64.to_be_bytes().to_vec()));
    let values: Vec<Value> = read_all(&mut bus, 0, 0).into_iter().map(|delivery| delivery.value).collect();
    assert_eq!(values, [state("t", 0, 7).value, poison.value, state("t", 0, 8).value]);
}

/// What a script does: append to partitions (`None` names a partition that does not exist), or read.
#[derive(Clone, Debug)]
enum Step {
    Append { partitions: Vec<Option<u32>>, commit: Option<(u32, i64)> },
    Read { partition: u32, max: usize },
}

fn any_step() -> impl Strategy<Value = Step> {
    let partition = prop_oneof![9 => (0_u32..3).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        (prop::collection::vec(partition, 0..20), prop::option::of((0_u32..4, 0_i64..100)))
            .prop_map(|(partitions, commit)| Step::Append { partitions, commit }),
        (0_u32..3, 0_usize..30).prop_map(|(partition, max)| Step::Read { partition, max }),
    ]
}

proptest! {
    /// Whatever is appended and read in whatever batches: offsets are dense, order is kept, nothing is lost or read
    /// twice, a refused batch leaves no trace, and a group's offset is the last one committed with a whole batch.
    #[test]
    fn the_log_behaves_like_its_model(steps in prop::collection::vec(any_step(), 0..40), keep: bool) {
        let mut bus = bus(3, if keep { Retention::All } else { Retention::UntilRead });
        let mut model: [Vec<String>; 3] = Default::default();
        let mut committed: [Option<i64>; 3] = [None; 3];
        let mut position = [0_i64; 3];
        let mut number = 0;
        for step in steps {
            match step {
                Step::Append { partitions, commit: offset } => {
                    let mut batch = Batch::default();
                    for partition in &partitions {
                        number += 1;
                        batch.messages.push(state("t", partition.unwrap_or(3), number));
                    }
                    batch.offsets.extend(offset.map(|(partition, offset)| commit(partition, offset, "m")));
                    let valid = partitions.iter().all(Option::is_some) && offset.is_none_or(|(p, _)| p < 3);
                    let keys: Vec<(u32, String)> =
                        batch.messages.iter().map(|message| (message.partition, message.key.clone())).collect();
                    prop_assert_eq!(bus.append(batch).is_ok(), valid);
                    if valid {
                        for (partition, key) in keys {
                            model[partition as usize].push(key);
                        }
                        if let Some((partition, offset)) = offset {
                            committed[partition as usize] = Some(offset);
                        }
                    }
                }
                Step::Read { partition, max } => {
                    let index = partition as usize;
                    let mut into = Vec::new();
                    bus.read("t", partition, position[index], max, &mut into).unwrap();
                    let left = model[index].len() - position[index] as usize;
                    prop_assert_eq!(into.len(), left.min(max));
                    for delivery in into {
                        prop_assert_eq!(delivery.offset, position[index]);
                        prop_assert_eq!(&delivery.key, &model[index][position[index] as usize]);
                        position[index] += 1;
                    }
                }
            }
        }
        for partition in 0..3_u32 {
            let index = partition as usize;
            let start = if keep { 0 } else { position[index] };
            prop_assert_eq!(bus.offsets("t", partition).unwrap(), (start, model[index].len() as i64));
            let expected = committed[index].map(|offset| (offset, "m".to_owned()));
            prop_assert_eq!(bus.committed("g", "t", partition).unwrap(), expected);
            prop_assert!(bus.read("t", partition, model[index].len() as i64 + 1, 1, &mut Vec::new()).is_err());
        }
    }
}
