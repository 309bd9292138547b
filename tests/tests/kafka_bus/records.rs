//! What a member reads and what it commits: visible together or not at all.

use std::collections::BTreeSet;

use weir_bus::kafka::Publisher;
use weir_bus::member::{Committed, Event, Member};
use weir_bus::transaction::{Outcome, transact};
use weir_bus::wire::AvroCodec;
use weir_bus::{Codec as _, Message, Value};
use weir_schemas::schema;

use crate::support::{
    LOOK, PATIENCE, assignment, commit, delete_before, entries, entry, event, join, lane, mark, membership, poll,
    publish, reads, record, records, seqs, until,
};

#[test]
fn outputs_offsets_and_metadata_are_there_together_or_not_at_all() {
    let (settings, topics) = lane("together");
    publish(&settings, &topics, &[(0, 1), (0, 2), (7, 3)]);
    let mut member = join(&settings, &membership(&topics, "only"));
    let assigned = assignment(&mut member, 12);
    assert_eq!(member.committed(&assigned).unwrap(), vec![None; 12]);
    for partition in &assigned {
        member.start(*partition, 0).unwrap();
    }
    let records = records(&mut member, 3);
    assert_eq!(seqs(&records), BTreeSet::from([1, 2, 3]));
    assert!(records.iter().all(|(_, delivery)| delivery.append_time > 1_700_000_000_000_000));

    let state = topics.state_source();
    let messages = [entry(&state, 0, 1, "episode"), entry(&state, 0, 1, "head")];
    let offsets = [commit(0, 2, "v1;1;0;0;"), commit(7, 1, "v1;9;0;0;77")];
    assert_eq!(transact(&mut member, messages.iter(), &offsets, PATIENCE).unwrap(), Outcome::Committed);

    let expected = |offset, metadata: &str| Some(Committed { offset, metadata: metadata.to_owned() });
    let committed = member.committed(&[7, 3, 0]).unwrap();
    assert_eq!(committed, [expected(1, "v1;9;0;0;77"), None, expected(2, "v1;1;0;0;")]);
    // Commit markers reach partitions after the commit is decided.
    until("the commit is visible", || entries(&mut member, &state, 0, 0) == ["episode/0", "head/0"]);

    member.begin().unwrap();
    member.send(&entry(&state, 0, 2, "lost")).unwrap();
    member.send_offsets(&[commit(0, 1, "lost")]).unwrap();
    member.abort().unwrap();
    assert_eq!(member.committed(&[0]).unwrap(), [expected(2, "v1;1;0;0;")]);
    assert_eq!(entries(&mut member, &state, 0, 0), ["episode/0", "head/0"]);
}

#[test]
fn a_read_ends_before_an_open_transaction_and_the_bounds_do_not() {
    let (settings, topics) = lane("open");
    let state = topics.state_source();
    let mut member = join(&settings, &membership(&topics, "writer"));
    assignment(&mut member, 12);
    transact(&mut member, [entry(&state, 3, 1, "head")].iter(), &[commit(3, 0, "")], PATIENCE).unwrap();
    // Commit markers reach partitions after the commit is decided.
    until("the commit is visible", || entries(&mut member, &state, 3, 0) == ["head/0"]);
    let (start, end) = member.bounds(&state, 3).unwrap();
    assert_eq!(start, 0);

    member.begin().unwrap();
    member.send(&entry(&state, 3, 2, "pending")).unwrap();
    member.send_offsets(&[commit(3, 0, "")]).unwrap();
    until("the message stands in the log", || member.bounds(&state, 3).unwrap().1 > end);
    assert_eq!(entries(&mut member, &state, 3, 0), ["head/0"]);
    assert_eq!(entries(&mut member, &state, 3, 1), [""; 0], "from within the open transaction");

    member.commit().unwrap();
    until("the commit is visible", || entries(&mut member, &state, 3, 0) == ["head/0", "pending/0"]);
    let (_, end) = member.bounds(&state, 3).unwrap();
    assert_eq!(entries(&mut member, &state, 3, end), [""; 0]);
    assert_eq!(entries(&mut member, &state, 3, end + 1_000), [""; 0], "from beyond the log");
}

#[test]
fn a_partition_is_delivered_from_wherever_it_is_started_until_it_is_paused() {
    let (settings, topics) = lane("start");
    let all: Vec<(u32, u64)> = (0..100).map(|seq| (5, seq)).collect();
    publish(&settings, &topics, &all);
    let mut member = join(&settings, &membership(&topics, "only"));
    assignment(&mut member, 12);

    for start in [90, 0, 50] {
        member.start(5, start).unwrap();
        let offsets: Vec<i64> = records(&mut member, 10).iter().map(|(_, delivery)| delivery.offset).collect();
        assert!(offsets.iter().copied().eq(start..start + offsets.len() as i64), "{start}: {offsets:?}");
    }
    member.start(5, 0).unwrap();
    let mut seen = records(&mut member, 1);
    member.pause(5).unwrap();
    let mut late = Vec::new();
    member.poll(LOOK, usize::MAX, &mut late).unwrap();
    seen.extend(late.into_iter().filter_map(record));
    member.resume(5).unwrap();
    seen.extend(records(&mut member, 100 - seen.len()));
    assert_eq!(seen.iter().map(|(_, delivery)| delivery.offset).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    let end = event(&mut member, |event| matches!(event, Event::End { .. }));
    assert_eq!(end, Event::End { partition: 5 });
}

#[test]
fn a_partition_that_retention_overtook_says_so_and_can_be_started_anew() {
    let (settings, topics) = lane("overtaken");
    let all: Vec<(u32, u64)> = (0..20).map(|seq| (2, seq)).collect();
    publish(&settings, &topics, &all);
    publish(&settings, &topics, &[(4, 100)]);
    delete_before(&settings, &topics.flows(), 2, 15);

    let mut member = join(&settings, &membership(&topics, "late"));
    assignment(&mut member, 12);
    member.start(2, 3).unwrap();
    member.start(4, 0).unwrap();
    let mut met = Vec::new();
    until("both partitions are told of", || {
        met.extend(poll(&mut member));
        let is_told = |event: &Event| matches!(event, Event::Record { partition: 4, .. });
        met.contains(&Event::OutOfRange { partition: 2 }) && met.iter().any(is_told)
    });
    assert!(!met.contains(&Event::OutOfRange { partition: 4 }));

    let (start, end) = member.bounds(&topics.flows(), 2).unwrap();
    assert_eq!((start, end), (15, 20));
    member.start(2, start).unwrap();
    assert_eq!(seqs(&records(&mut member, 5)), (15..20).collect());

    member.start(2, end + 7).unwrap();
    let event = event(&mut member, |event| matches!(event, Event::OutOfRange { .. }));
    assert_eq!(event, Event::OutOfRange { partition: 2 });
    assert_eq!(reads(&mut member, &topics.flows(), 2, 0).len(), 5, "a read from before the log's start begins there");
}

#[test]
fn what_cannot_be_decoded_is_delivered_as_it_is() {
    let (settings, topics) = lane("poison");
    let publisher = Publisher::open(&settings, PATIENCE).unwrap();
    let mut poison = Message::new(topics.flows(), 1, "10.0.0.1", Value::Bytes(b"\x00\xffpoison".to_vec()));
    poison.headers = vec![("traceparent".to_owned(), b"00-1-2-01".to_vec()), ("empty".to_owned(), Vec::new())];
    publisher.publish(&poison).unwrap();
    publisher.publish(&Message::new(topics.flows(), 1, "", Value::Bytes(Vec::new()))).unwrap();
    publisher.flush(PATIENCE).unwrap();

    let mut member = join(&settings, &membership(&topics, "only"));
    assignment(&mut member, 12);
    member.start(1, 0).unwrap();
    let delivered = records(&mut member, 2);
    let (_, first) = &delivered[0];
    assert_eq!((first.key.as_str(), &first.value, &first.headers), ("10.0.0.1", &poison.value, &poison.headers));
    assert_eq!(delivered[1].1.value, Value::Bytes(Vec::new()));
}

/// The schema of flow records as a later version may have it, with one field more; and its fingerprint.
fn later_schema() -> (u64, String) {
    let mut schema: serde_json::Value = serde_json::from_str(schema::FLOW.text).unwrap();
    let added = serde_json::json!({"name": "added_later", "type": ["null", "string"], "default": null});
    schema["fields"].as_array_mut().unwrap().push(added);
    let parsed = apache_avro::Schema::parse(&schema).unwrap();
    let fingerprint = parsed.fingerprint::<apache_avro::rabin::Rabin>().bytes;
    (u64::from_le_bytes(fingerprint.try_into().unwrap()), schema.to_string())
}

#[test]
fn what_a_later_version_wrote_is_read_and_what_nobody_wrote_stays_bytes() {
    let (settings, topics) = lane("later");
    let mut member = join(&settings, &membership(&topics, "only"));
    assignment(&mut member, 12);
    member.start(0, 0).unwrap();
    let publisher = Publisher::open(&settings, PATIENCE).unwrap();
    let send = |topic: String, key: &str, bytes: Vec<u8>| {
        publisher.publish(&Message::new(topic, 0, key, Value::Bytes(bytes))).unwrap();
        publisher.flush(PATIENCE).unwrap();
    };
    let (fingerprint, text) = later_schema();
    let ours = AvroCodec::default().encode(&mark(7));
    // The field more is the last one, and null: the first branch of its union.
    let written_with = |fingerprint: u64| [&ours[..2], &fingerprint.to_le_bytes(), &ours[10..], &[0]].concat();

    // As nobody's, before its schema is there, and as some version's after.
    let unknown = written_with(fingerprint ^ 1);
    send(topics.flows(), "s", unknown.clone());
    assert_eq!(records(&mut member, 1)[0].1.value, Value::Bytes(unknown.clone()));
    send(topics.schemas(), &format!("{fingerprint:016x}"), text.into_bytes());
    send(topics.schemas(), &format!("{:016x}", fingerprint ^ 2), b"{\"not\": \"a schema\"}".to_vec());
    send(topics.flows(), "s", written_with(fingerprint));
    send(topics.flows(), "s", written_with(fingerprint ^ 2));
    let read: Vec<Value> = records(&mut member, 2).into_iter().map(|(_, delivery)| delivery.value).collect();
    assert_eq!(read, [mark(7), Value::Bytes(written_with(fingerprint ^ 2))]);
    let warnings = member.take_warnings();
    assert!(warnings.iter().any(|warning| warning.text.contains("is of no use")), "{warnings:?}");
}
