//! What these tests do over and over: lanes of their own, members, marks, and waiting for what must come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use weir_bus::kafka::{Admin, KafkaMember, Membership, Publisher, Reader, Scale, Settings};
use weir_bus::member::{Event, Member, OffsetCommit, Remedy};
use weir_bus::{Delivery, Message, Topics, Value};
use weir_schemas::{Mark, MarkStatus, Record, StateEntry};
use weir_tests::broker;

/// Longer than any election, restart or busy machine takes.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// One look for something that should be there soon.
pub const LOOK: Duration = Duration::from_millis(100);

/// The shared broker, and topics of this test's own.
pub fn lane(test: &str) -> (Settings, Topics) {
    let settings = Settings::plain(broker::shared().bootstrap(), "weir-test");
    let topics = broker::topics(test);
    Admin::open(&settings, PATIENCE).unwrap().create(&topics, Scale::Development, None).unwrap();
    (settings, topics)
}

/// A static member of the lane's one group.
pub fn membership(topics: &Topics, name: &str) -> Membership {
    Membership {
        group: format!("{}group", topics.prefix),
        topic: topics.flows(),
        schemas: topics.schemas(),
        instance_id: Some(name.to_owned()),
        transactional_id: format!("{}{name}", topics.prefix),
    }
}

pub fn join(settings: &Settings, membership: &Membership) -> KafkaMember {
    KafkaMember::join(settings, membership.clone(), PATIENCE).unwrap()
}

/// A consumer that takes a static member's name in its group, and nothing else. To be polled, so that it joins.
pub fn join_by_name(settings: &Settings, membership: &Membership) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.bootstrap).set("group.id", &membership.group);
    config.set("group.instance.id", membership.instance_id.as_ref().unwrap());
    config.set("partition.assignment.strategy", "cooperative-sticky").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[&membership.topic]).unwrap();
    consumer
}

/// Looks until `found` says so.
pub fn until(what: &str, mut found: impl FnMut() -> bool) {
    until_some(what, || found().then_some(()));
}

/// Looks until there is something.
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// What a member meets in one look. A partition whose leader is being elected, as a new topic's is, is looked at again.
pub fn poll(member: &mut KafkaMember) -> Vec<Event> {
    let mut events = Vec::new();
    if let Err(error) = member.poll(LOOK, 1_000, &mut events) {
        assert_eq!(error.remedy, Remedy::Retry, "{error}");
    }
    events
}

/// Polls until the member has `count` partitions; their numbers in order.
pub fn assignment(member: &mut KafkaMember, count: usize) -> Vec<u32> {
    let mut partitions = BTreeSet::new();
    until("partitions are given", || {
        partitions.extend(poll(member).into_iter().flat_map(assigned_in));
        partitions.len() == count
    });
    partitions.into_iter().collect()
}

pub fn assigned_in(event: Event) -> Vec<u32> {
    match event {
        Event::Assigned(partitions) => partitions,
        _ => Vec::new(),
    }
}

pub fn revoked_in(event: Event) -> Vec<u32> {
    match event {
        Event::Revoked(partitions) => partitions,
        _ => Vec::new(),
    }
}

/// The next event of a kind; others are passed over.
pub fn event(member: &mut KafkaMember, is_wanted: impl Fn(&Event) -> bool) -> Event {
    until_some("the event comes", || poll(member).into_iter().find(&is_wanted))
}

pub fn record(event: Event) -> Option<(u32, Delivery)> {
    match event {
        Event::Record { partition, delivery } => Some((partition, delivery)),
        _ => None,
    }
}

/// Polls until at least `count` records came.
pub fn records(member: &mut KafkaMember, count: usize) -> Vec<(u32, Delivery)> {
    let mut records = Vec::new();
    until("records come", || {
        records.extend(poll(member).into_iter().filter_map(record));
        records.len() >= count
    });
    records
}

/// Numbers of the marks among records.
pub fn seqs(records: &[(u32, Delivery)]) -> BTreeSet<u64> {
    records.iter().filter_map(|(_, delivery)| seq(delivery)).collect()
}

fn seq(delivery: &Delivery) -> Option<u64> {
    match &delivery.value {
        Value::Record(Record::Mark(mark)) => Some(mark.seq),
        _ => None,
    }
}

pub fn mark(seq: u64) -> Value {
    let status = MarkStatus::default();
    let (sensor, site) = ("s".into(), "lab".into());
    Value::Record(Record::Mark(Box::new(Mark { sensor, site, boot: 1, seq, t: 2, end: false, status })))
}

/// Publishes marks: partition and number of each.
pub fn publish(settings: &Settings, topics: &Topics, marks: &[(u32, u64)]) {
    let publisher = Publisher::open(settings, PATIENCE).unwrap();
    for (partition, seq) in marks {
        publisher.publish(&Message::new(topics.flows(), *partition, "s", mark(*seq))).unwrap();
    }
    publisher.flush(PATIENCE).unwrap();
    assert_eq!(publisher.counts().delivered, marks.len() as u64);
}

/// A state entry of a table's first slot.
pub fn entry(topic: &str, partition: u32, epoch: u64, table: &str) -> Message {
    let entry = StateEntry { v: 1, epoch, table: table.to_owned(), slot: 0, body: vec![1, 2, 3] };
    Message::new(topic, partition, entry.key(), Value::State(Box::new(entry)))
}

pub fn commit(partition: u32, offset: i64, metadata: &str) -> OffsetCommit {
    OffsetCommit { partition, offset, metadata: metadata.to_owned() }
}

/// All that is visible of a partition from `offset` on, in calls of one record each.
pub fn reads(member: &mut KafkaMember, topic: &str, partition: u32, offset: i64) -> Vec<Delivery> {
    let mut found: Vec<Delivery> = Vec::new();
    let mut next = offset;
    while !member.read(topic, partition, next, 1, &mut found).unwrap() {
        next = found.last().unwrap().offset + 1;
    }
    found
}

/// The same, as keys of state entries.
pub fn entries(member: &mut KafkaMember, topic: &str, partition: u32, offset: i64) -> Vec<String> {
    let key = |delivery: Delivery| match delivery.value {
        Value::State(entry) => entry.key(),
        other => panic!("{other:?} is no state"),
    };
    reads(member, topic, partition, offset).into_iter().map(key).collect()
}

/// Follows until `count` marks came: the partition of each.
pub fn follow(reader: &mut Reader, count: usize) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    until("marks come", || {
        if let Some((partition, delivery)) = reader.poll(LOOK).unwrap() {
            found.insert(seq(&delivery).unwrap(), partition);
        }
        found.len() == count
    });
    found
}

/// Lets retention take what is before an offset.
pub fn delete_before(settings: &Settings, topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let deleted = pollster::block_on(administrator(settings).delete_records(&list, &AdminOptions::new())).unwrap();
    assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
}

/// A topic as somebody creates it who has not read our documentation.
pub fn create_plain(settings: &Settings, name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let created = pollster::block_on(administrator(settings).create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok));
    let admin = Admin::open(settings, PATIENCE).unwrap();
    until("the topic is seen", || admin.partition_counts().unwrap().contains_key(name));
}

fn administrator(settings: &Settings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.bootstrap).create().unwrap()
}
