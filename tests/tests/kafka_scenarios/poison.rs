//! Messages that nobody can use, in every topic that is read: each is put aside with where it came from and why, and what can
//! be used is.

use std::collections::BTreeMap;

use tempfile::TempDir;
use weir_bus::dead::{REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use weir_bus::{Delivery, Value};
use weir_schemas::codec::MARKER;
use weir_schemas::schema;
use weir_tests::services::{Stage, until};

use crate::support::{judge_more, lane, stop};

/// Chance, nothing, an unknown schema, a known mark without what it announces, a registry's framing, text.
const POISON: [&[u8]; 6] = [
    &[0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15],
    b"",
    &[0xc3, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    &[0xc3, 0x01],
    &[0x00, 0, 0, 0, 1, 2, 3],
    b"{\"not\": \"avro\"}",
];

fn header(delivery: &Delivery, name: &str) -> String {
    let found = delivery.headers.iter().find(|(found, _)| found == name);
    String::from_utf8(found.unwrap_or_else(|| panic!("no {name} in {delivery:?}")).1.clone()).unwrap()
}

#[test]
fn poison_is_put_aside_everywhere_and_kills_nobody() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("weir.toml");
    let sink = folder.path().join("sink.jsonl");
    let text = format!("[[results.sinks]]\nkind = \"file\"\nid = \"file\"\npath = \"{}\"\n", sink.display());
    std::fs::write(&config, text).unwrap();
    let lane = lane("poison", 4).configured(&config);
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    judge_more(&lane, 0, "sweep_tcp.pcap.gz");

    // A flow record of ours that ends after its kind: it is opened when its turn comes, not when it arrives.
    let cut = [&MARKER[..], &schema::FLOW.fingerprint.to_le_bytes(), &[0]].concat();
    let poison: Vec<Option<&[u8]>> = POISON.iter().copied().map(Some).chain([Some(&cut[..]), None]).collect();
    let read = [lane.topics.flows(), lane.topics.partials(), lane.topics.findings(), lane.topics.anomalies()];
    for topic in &read {
        lane.operator().publish_raw(topic, 1, &poison);
    }
    for stage in [Stage::Source, Stage::Site, Stage::Results] {
        lane.await_drained(stage);
    }

    // Each once, with its key, from where it was, with a reason; a tombstone is dead with nothing in it.
    let letters = || {
        let mut letters = BTreeMap::<String, Vec<(i64, Vec<u8>)>>::new();
        for (_, letter) in lane.read(&lane.topics.dead()) {
            assert_eq!((header(&letter, SOURCE_PARTITION).as_str(), letter.key.as_str()), ("1", "poison"));
            assert!(!header(&letter, REASON).is_empty());
            let Value::Bytes(bytes) = &letter.value else { panic!("{letter:?}") };
            let of_topic = letters.entry(header(&letter, SOURCE_TOPIC)).or_default();
            of_topic.push((header(&letter, SOURCE_OFFSET).parse().unwrap(), bytes.clone()));
        }
        letters
    };
    let wanted: Vec<Vec<u8>> = poison.iter().map(|value| value.unwrap_or_default().to_vec()).collect();
    until("every letter is there", || letters().values().map(Vec::len).sum::<usize>() >= wanted.len() * read.len());
    let mut found = letters();
    for topic in &read {
        let mut of_topic = found.remove(topic).unwrap_or_else(|| panic!("no letter from {topic}"));
        of_topic.sort();
        let offsets: Vec<i64> = of_topic.iter().map(|(offset, _)| *offset).collect();
        let first = offsets[0];
        assert_eq!(offsets, (first..).take(wanted.len()).collect::<Vec<_>>(), "{topic}");
        assert_eq!(of_topic.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), wanted, "{topic}");
    }
    assert_eq!(found.len(), 0, "{found:?}");

    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}

#[test]
fn poison_in_state_is_left_out_and_told() {
    let lane = lane("poisoned-state", 4);
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    judge_more(&lane, 0, "sweep_tcp.pcap.gz");
    stop(detector);
    stop(results);

    let poison: Vec<Option<&[u8]>> = POISON.iter().copied().map(Some).collect();
    for topic in [lane.topics.state_source(), lane.topics.state_site(), lane.topics.state_results()] {
        lane.operator().publish_raw(&topic, 1, &poison);
    }
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    for service in [&detector, &results] {
        let told = service.await_line("messages of the state topic are no state entries");
        assert!(told.contains("ERROR") && told.contains(&format!("{} messages", POISON.len())), "{told}");
    }
    assert_eq!(detector.lines_with("restored (normal)").len(), 4 + 2, "{:#?}", detector.lines());
    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}
