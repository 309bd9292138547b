//! What services do not start with: wrong topics, no brokers.

use weir_bus::topic::TOPICS;
use weir_tests::broker;
use weir_tests::services::Lane;

use crate::support::file;
use crate::weir::binary;

/// Settings of a topic as it must be.
fn settings_of(suffix: &str) -> Vec<(&'static str, &'static str)> {
    TOPICS.iter().find(|spec| spec.suffix == suffix).unwrap().settings.to_vec()
}

#[test]
fn wrong_topics_are_named_with_the_command_that_mends_them() {
    // Topic, partitions, settings, who notices, what mends it.
    let clock = vec![("cleanup.policy", "delete"), ("message.timestamp.type", "CreateTime")];
    let forgets = vec![("cleanup.policy", "delete")];
    let cases = [
        ("flows.v1", 4, clock, "detector", "kafka-configs"),
        ("state.source.v1", 4, forgets.clone(), "detector", "kafka-configs"),
        ("state.results.v1", 4, forgets, "results", "kafka-configs"),
        ("state.source.v1", 2, settings_of("state.source.v1"), "detector", "weir topics grow"),
        ("state.results.v1", 2, settings_of("state.results.v1"), "results", "weir topics grow"),
    ];
    std::thread::scope(|scope| {
        for (suffix, partitions, settings, service, remedy) in &cases {
            scope.spawn(move || {
                let lane = Lane::new(binary(), broker::shared().bootstrap(), broker::topics("wrong"));
                let topics: Vec<_> = TOPICS
                    .iter()
                    .map(|spec| {
                        let name = lane.topics.named(spec.suffix);
                        if spec.suffix == *suffix {
                            return (name, *partitions, settings.clone());
                        }
                        let is_flows = matches!(spec.suffix, "flows.v1" | "state.source.v1");
                        let count = if is_flows { 4 } else { spec.partitions_development };
                        (name, count, spec.settings.to_vec())
                    })
                    .collect();
                lane.operator().create(&topics);
                let refused = lane.run(&[service]);
                let told = refused.assert_failed(78, remedy);
                assert!(told.contains(&lane.topics.named(suffix)), "{told}");
            });
        }
    });
}

#[test]
fn without_topics_services_say_how_to_make_them() {
    let lane = Lane::new(binary(), broker::shared().bootstrap(), broker::topics("none"));
    for service in ["detector", "results"] {
        lane.run(&[service]).assert_failed(78, "weir topics create");
    }
}

#[test]
fn without_brokers_services_end_and_say_so() {
    // Port 1 of this machine: nobody listens there.
    let lane = Lane::new(binary(), "127.0.0.1:1", broker::topics("nobody"));
    let capture = file("scan_xmas.pcap.gz");
    let calls =
        [vec!["detector"], vec!["results"], vec!["sensor", capture.to_str().unwrap()], vec!["topics", "describe"]];
    std::thread::scope(|scope| {
        for call in &calls {
            scope.spawn(|| {
                let refused = lane.run(call);
                let told = refused.assert_failed(69, "127.0.0.1:1");
                assert!(told.contains("kafka.bootstrap"), "{told}");
            });
        }
    });
}
