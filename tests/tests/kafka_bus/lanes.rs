//! Topics as they should be, publishers that account for what they publish, readers that follow.

use std::collections::{BTreeMap, BTreeSet};

use weir_bus::kafka::{Admin, Begin, Publisher, Reader, Scale};
use weir_bus::topic::TOPICS;
use weir_bus::{Message, Topics, partition_of};
use weir_schemas::schema;

use crate::support::{LOOK, PATIENCE, create_plain, follow, lane, mark, until};

#[test]
fn topics_are_made_as_specified_described_and_grown_state_first() {
    let (settings, topics) = lane("topics");
    let admin = Admin::open(&settings, PATIENCE).unwrap();
    let all: Vec<String> = TOPICS.iter().map(|spec| topics.named(spec.suffix)).collect();
    assert_eq!(admin.verify(&topics, &all).unwrap(), [""; 0]);
    let again = admin.create(&topics, Scale::Development, None).unwrap();
    assert!(again.iter().all(|creation| !creation.is_new));
    for standing in admin.describe(&topics).unwrap() {
        assert_eq!(standing.differences, [], "{}", standing.topic);
        assert_eq!(standing.found.unwrap().partitions, standing.spec.partitions_development);
    }

    let grown = admin.grow(&topics, Some(&topics.flows()), 14).unwrap();
    let grown: Vec<(&str, u32, u32)> =
        grown.iter().map(|growth| (growth.topic.as_str(), growth.before, growth.after)).collect();
    let (flows, state) = (topics.flows(), topics.state_source());
    assert_eq!(grown, [(state.as_str(), 12, 14), (flows.as_str(), 12, 14)]);
    assert_eq!(admin.grow(&topics, None, 6).unwrap().len(), 6, "three inputs and their state");
    assert!(admin.grow(&topics, Some("nobody's"), 6).unwrap_err().0.contains("no topic"));
    assert_eq!(admin.verify(&topics, &all).unwrap(), [""; 0]);

    let absent = Topics::new(&format!("{}absent.", topics.prefix));
    let faults = admin.verify(&absent, &[absent.flows()]).unwrap();
    assert_eq!(faults, [format!("topic {} does not exist; run `weir topics create`", absent.flows())]);
}

#[test]
fn a_topic_with_a_wrong_time_or_too_few_state_partitions_is_a_fault() {
    let (settings, topics) = lane("faults");
    let wrong = Topics::new(&format!("{}wrong.", topics.prefix));
    create_plain(&settings, &wrong.flows(), 3);
    create_plain(&settings, &wrong.state_source(), 2);
    let admin = Admin::open(&settings, PATIENCE).unwrap();
    let faults = admin.verify(&wrong, &[wrong.flows(), wrong.state_source()]).unwrap();
    let (flows, state) = (wrong.flows(), wrong.state_source());
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with(&format!("topic {flows} has message.timestamp.type=CreateTime")), "{faults:?}");
    assert!(faults[1].ends_with(&format!("run `weir topics grow {state} 3`")), "{faults:?}");
    assert!(
        faults[2].starts_with(&format!("topic {state} has cleanup.policy=delete, which must be compact")),
        "{faults:?}"
    );
}

#[test]
fn a_publisher_accounts_for_every_record_and_a_reader_follows_them() {
    let (settings, topics) = lane("publish");
    let publisher = Publisher::open(&settings, PATIENCE).unwrap();
    assert_eq!(publisher.partition_count(&topics.flows()).unwrap(), 12);
    publisher.write_schemas(&topics, &schema::ALL).unwrap();
    let mut late = Reader::open(&settings, &topics.flows(), Begin::End, PATIENCE).unwrap();
    until("the late reader stands at the end", || late.poll(LOOK).unwrap().is_none() && late.is_at_end());
    let mut expected = BTreeMap::new();
    for seq in 0..1_000_u64 {
        let key = format!("10.0.{}.{}", seq / 256, seq % 256);
        let partition = partition_of(&key, 12);
        expected.insert(seq, partition);
        publisher.publish(&Message::new(topics.flows(), partition, key, mark(seq))).unwrap();
    }
    publisher.flush(PATIENCE).unwrap();
    let counts = publisher.counts();
    assert_eq!((counts.delivered, counts.failures(), counts.in_flight), (1_005, 0, 0));

    for begin in [Begin::Earliest, Begin::Time(0)] {
        let mut reader = Reader::open(&settings, &topics.flows(), begin, PATIENCE).unwrap();
        assert_eq!(follow(&mut reader, 1_000), expected);
    }
    assert_eq!(follow(&mut late, 1_000), expected);

    let mut schemas = Reader::open(&settings, &topics.schemas(), Begin::Earliest, PATIENCE).unwrap();
    let mut keys = BTreeSet::new();
    until("all schemas are read", || {
        keys.extend(schemas.poll(LOOK).unwrap().map(|(_, delivery)| delivery.key));
        keys.len() == schema::ALL.len()
    });
    assert!(keys.contains(&format!("{:016x}", schema::FLOW.fingerprint)));

    let nowhere = publisher.publish(&Message::new(topics.flows(), 99, "k", mark(0)));
    until("the partition that does not exist is told of", || nowhere.is_err() || publisher.counts().failures() == 1);
}
