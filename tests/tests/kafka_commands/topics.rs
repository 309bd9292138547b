//! `weir topics`: what is made is as it must be, and what is not is named with what mends it.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use weir_bus::topic::TOPICS;

use crate::support::Lane;
use crate::weir::capture;

/// Creates a topic as somebody else would.
fn create(lane: &Lane, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &lane.settings.bootstrap).create().unwrap();
    let bare = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let topic = settings.iter().fold(bare, |topic, (name, value)| topic.set(name, value));
    let results = pollster::block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn topics_are_created_once_described_and_grown() {
    let lane = Lane::empty("topics");
    let create = ["topics", "create", "--dev", "--replication", "1", "--records-per-second", "1000"];
    let created = lane.weir(&create);
    assert_eq!(created.status, Some(0), "{created:?}");
    assert_eq!(created.output.lines().filter(|line| line.ends_with("  created")).count(), TOPICS.len(), "{created:?}");
    assert!(created.output.contains("Disk at 1000 records/s of"), "{created:?}");

    let again = lane.weir(&create);
    assert_eq!(again.status, Some(0), "{again:?}");
    assert_eq!(again.output.lines().filter(|line| line.ends_with("  exists, left as it is")).count(), TOPICS.len());

    let described = lane.weir(&["topics", "describe"]);
    assert_eq!(described.status, Some(0), "{described:?}");
    let flows = described.output.lines().find(|line| line.starts_with(&lane.topics.flows())).unwrap();
    let words: Vec<&str> = flows.split_whitespace().collect();
    assert_eq!(words[1..3], ["12", "1"], "{flows}");
    assert!(flows.contains("message.timestamp.type=LogAppendTime"), "{flows}");

    let grown = lane.weir(&["topics", "grow", "flows.v1", "24"]);
    assert_eq!(grown.status, Some(0), "{grown:?}");
    let (state, flows) = (lane.topics.state_source(), lane.topics.flows());
    assert_eq!(grown.output, format!("{state}: 12 → 24 partitions\n{flows}: 12 → 24 partitions\n"));
    let shrunk = lane.weir(&["topics", "grow", &flows, "6"]);
    assert_eq!((shrunk.status, shrunk.output.contains("24 partitions already")), (Some(0), true), "{shrunk:?}");
    assert_eq!(lane.weir(&["topics", "describe"]).status, Some(0));

    let unknown = lane.weir(&["topics", "grow", "nonesuch.v1", "6"]);
    assert_eq!((unknown.status, unknown.output.as_str()), (Some(78), ""), "{unknown:?}");
    assert!(unknown.complaint.contains("weir topics describe"), "{unknown:?}");
}

#[test]
fn faults_are_named_with_what_mends_them_and_nothing_is_altered() {
    let lane = Lane::empty("faults");
    let (flows, state) = (lane.topics.flows(), lane.topics.state_source());
    create(&lane, &flows, 24, &[("cleanup.policy", "delete"), ("message.timestamp.type", "CreateTime")]);
    let created = lane.weir(&["topics", "create", "--dev", "--replication", "1"]);
    let described = lane.weir(&["topics", "describe"]);
    for run in [&created, &described] {
        assert_eq!(run.status, Some(78), "{run:?}");
        assert_eq!(run.complaint.lines().count(), 1, "{run:?}");
        let faults: Vec<&str> = run.output.lines().filter(|line| line.starts_with("fault: ")).collect();
        let [timestamp, partitions] = faults[..] else { panic!("{run:?}") };
        assert!(timestamp.contains(&flows) && timestamp.contains("kafka-configs"), "{timestamp}");
        assert!(partitions.contains(&format!("weir topics grow {state} 24")), "{partitions}");
    }
    assert!(described.output.contains("message.timestamp.type=CreateTime"), "{described:?}");

    let grown = lane.weir(&["topics", "grow", &state, "24"]);
    assert_eq!(grown.status, Some(0), "{grown:?}");
    let described = lane.weir(&["topics", "describe"]);
    assert_eq!(described.output.lines().filter(|line| line.starts_with("fault: ")).count(), 1, "{described:?}");

    // Records whose append time the sensor's clock would set are refused before the first of them.
    let capture = capture("scan_xmas.pcap.gz");
    let refused = lane.weir(&["sensor", "--admin", "127.0.0.1:0", capture.to_str().unwrap()]);
    assert_eq!(refused.status, Some(78), "{refused:?}");
    let last = refused.complaint.lines().last().unwrap();
    assert!(last.contains("LogAppendTime") && last.contains("kafka-configs"), "{refused:?}");
    assert_eq!(lane.read(&flows), []);
}

#[test]
fn missing_topics_are_to_be_created() {
    let lane = Lane::empty("missing");
    let capture = capture("scan_xmas.pcap.gz");
    for arguments in
        [&["sensor", "--admin", "127.0.0.1:0", capture.to_str().unwrap()][..], &["tail"], &["topics", "describe"]]
    {
        let run = lane.weir(arguments);
        assert_eq!(run.status, Some(78), "{run:?}");
        assert!(run.complaint.lines().last().unwrap().contains("weir topics create"), "{run:?}");
    }
}
