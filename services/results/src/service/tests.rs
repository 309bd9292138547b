use proptest::prelude::*;
use weir_bus::local::{LocalBus, Retention};
use weir_bus::{Batch, Bus, BusError, Delivery, GroupOffset, Message, Value};
use weir_schemas::{EpisodeState, Finding, Severity};

use super::*;
use crate::sample::{self, Sample};

/// A bus on which one call, counted from the start, fails: before it did anything, or after it did it all.
struct FaultyBus {
    bus: LocalBus,
    calls: usize,
    fail_at: Option<usize>,
    fail_after_effect: bool,
}

impl FaultyBus {
    fn failure() -> BusError {
        BusError::UnknownTopic("the broker went away".to_owned())
    }

    fn fails_now(&mut self) -> bool {
        self.calls += 1;
        self.fail_at == Some(self.calls)
    }
}

impl Bus for FaultyBus {
    fn partition_count(&self, topic: &str) -> Result<u32, BusError> {
        self.bus.partition_count(topic)
    }

    fn offsets(&self, topic: &str, partition: u32) -> Result<(i64, i64), BusError> {
        self.bus.offsets(topic, partition)
    }

    fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<(i64, String)>, BusError> {
        self.bus.committed(group, topic, partition)
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), BusError> {
        if self.fails_now() {
            return Err(Self::failure());
        }
        self.bus.read(topic, partition, offset, max, into)
    }

    fn append(&mut self, batch: Batch) -> Result<(), BusError> {
        if !self.fails_now() {
            return self.bus.append(batch);
        }
        if self.fail_after_effect {
            self.bus.append(batch)?;
        }
        Err(Self::failure())
    }
}

fn config() -> ResultsConfig {
    ResultsConfig { clock: || 42, dead: Some("weir.dead.v1".to_owned()), ..ResultsConfig::new("weir.") }
}

fn bus_with(findings: &[(u32, Finding)], partitions: u32) -> LocalBus {
    let mut bus = LocalBus::new();
    for (topic, count) in [
        ("weir.findings.v1", partitions),
        ("weir.state.results.v1", partitions),
        ("weir.anomalies.v1", 3),
        ("weir.dead.v1", 2),
    ] {
        bus.create(topic, count, Retention::All).unwrap();
    }
    let messages = findings.iter().map(|(partition, finding)| message(*partition, finding)).collect();
    bus.append(Batch { messages, offsets: Vec::new() }).unwrap();
    bus
}

fn message(partition: u32, finding: &Finding) -> Message {
    Message {
        topic: "weir.findings.v1".to_owned(),
        partition,
        key: finding.scope.key.clone(),
        value: Value::Finding(Box::new(finding.clone())),
        headers: weir_bus::Headers::new(),
    }
}

fn drain(bus: &mut dyn Bus, topic: &str) -> Vec<(u32, Delivery)> {
    let mut all = Vec::new();
    for partition in 0..bus.partition_count(topic).unwrap() {
        let mut read = Vec::new();
        let (start, end) = bus.offsets(topic, partition).unwrap();
        while start + (read.len() as i64) < end {
            bus.read(topic, partition, start + read.len() as i64, 1000, &mut read).unwrap();
        }
        all.extend(read.into_iter().map(|delivery| (partition, delivery)));
    }
    all
}

/// (id, revision, state, observed) of everything in the anomalies topic, in the order of each id.
fn published(bus: &mut dyn Bus) -> Vec<(String, u32, EpisodeState, u64)> {
    let mut found: Vec<_> = drain(bus, "weir.anomalies.v1")
        .into_iter()
        .map(|(_, delivery)| match delivery.value {
            Value::Anomaly(anomaly) => (anomaly.id.clone(), anomaly.revision, anomaly.state, anomaly.observed as u64),
            other => panic!("not an anomaly: {other:?}"),
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn run_to_end<B: Bus + ?Sized>(service: &mut ResultsService, bus: &mut B) -> Result<(), ResultsError> {
    while service.step(bus)?.read > 0 {}
    Ok(())
}

#[test]
fn an_anomaly_is_numbered_worded_stamped_and_keyed_by_its_id() {
    let mut bus = bus_with(&[(0, sample::port_scan())], 1);
    let mut service = ResultsService::restore(config(), &mut bus).unwrap();
    let step = service.step(&mut bus).unwrap();
    let anomaly = &step.published[0];
    assert_eq!((step.read, anomaly.revision, anomaly.provenance.emitted_at), (1, 1, Some(42)));
    assert!(anomaly.message.contains("192.0.2.7 tried 1,000 ports"));

    let stored = drain(&mut bus, "weir.anomalies.v1");
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].0, weir_bus::partition::partition_of(&anomaly.id, 3));
    assert_eq!(stored[0].1.key, anomaly.id);
    assert_eq!(stored[0].1.value, Value::Anomaly(Box::new(anomaly.clone())));
    assert_eq!(service.step(&mut bus).unwrap(), Step::default());
}

#[test]
fn what_is_no_finding_is_put_aside_and_the_rest_goes_on() {
    let mut bus = bus_with(&[], 1);
    let poison = Message { value: Value::Bytes(vec![0xc3, 0x01, 9]), ..message(0, &sample::port_scan()) };
    let messages = vec![poison.clone(), message(0, &sample::port_scan())];
    bus.append(Batch { messages, offsets: Vec::new() }).unwrap();
    let mut service = ResultsService::restore(config(), &mut bus).unwrap();
    run_to_end(&mut service, &mut bus).unwrap();
    let expected = ResultsCounters { read: 2, published: 1, dead: 1, ..ResultsCounters::default() };
    assert_eq!(service.counters(), expected);
    let dead = drain(&mut bus, "weir.dead.v1");
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0].1.key, &dead[0].1.value), (&poison.key, &poison.value));
}

#[test]
fn an_encoded_finding_means_the_same() {
    let mut bus = bus_with(&[], 1);
    let mut bytes = Vec::new();
    weir_schemas::codec::encode_finding(&sample::syn_flood(), &mut bytes);
    let encoded = Message { value: Value::Bytes(bytes), ..message(0, &sample::syn_flood()) };
    bus.append(Batch { messages: vec![encoded], offsets: Vec::new() }).unwrap();
    let mut service = ResultsService::restore(config(), &mut bus).unwrap();
    let decoded = service.step(&mut bus).unwrap().published.remove(0);
    let mut bus = bus_with(&[(0, sample::syn_flood())], 1);
    let direct = ResultsService::restore(config(), &mut bus).unwrap().step(&mut bus).unwrap().published.remove(0);
    assert_eq!(decoded, direct);
}

#[test]
fn an_operator_reset_repeats_nothing() {
    let findings: Vec<_> = (1..5).map(|n| (0, sample::port_scan().observed(f64::from(n)))).collect();
    let mut bus = bus_with(&findings, 1);
    run_to_end(&mut ResultsService::restore(config(), &mut bus).unwrap(), &mut bus).unwrap();
    let before = published(&mut bus);
    let reset = GroupOffset {
        group: GROUP.to_owned(),
        topic: "weir.findings.v1".to_owned(),
        partition: 0,
        offset: 0,
        metadata: String::new(),
    };
    bus.append(Batch { messages: Vec::new(), offsets: vec![reset] }).unwrap();
    let mut service = ResultsService::restore(config(), &mut bus).unwrap();
    run_to_end(&mut service, &mut bus).unwrap();
    assert_eq!(service.counters().repeated, 4);
    assert_eq!(published(&mut bus), before);
}

#[test]
fn an_expired_group_resumes_from_the_state_topic() {
    let mut bus = bus_with(&[(0, sample::port_scan())], 1);
    run_to_end(&mut ResultsService::restore(config(), &mut bus).unwrap(), &mut bus).unwrap();
    bus.append(Batch { messages: vec![message(0, &sample::host_sweep().id("other"))], offsets: Vec::new() }).unwrap();
    let mut service =
        ResultsService::restore(ResultsConfig { group: "never committed".to_owned(), ..config() }, &mut bus).unwrap();
    run_to_end(&mut service, &mut bus).unwrap();
    assert_eq!(service.counters().read, 1);
}

#[test]
fn too_few_state_partitions_are_refused() {
    let mut bus = LocalBus::new();
    for (topic, count) in [("weir.findings.v1", 4), ("weir.state.results.v1", 3), ("weir.anomalies.v1", 1)] {
        bus.create(topic, count, Retention::All).unwrap();
    }
    let error = ResultsService::restore(config(), &mut bus).unwrap_err();
    assert!(matches!(error, ResultsError::TooFewStatePartitions { have: 3, need: 4, .. }), "{error}");
}

#[test]
fn state_of_another_version_is_refused_by_name() {
    let mut bus = bus_with(&[(0, sample::port_scan())], 1);
    run_to_end(&mut ResultsService::restore(config(), &mut bus).unwrap(), &mut bus).unwrap();
    let foreign = weir_schemas::StateEntry { v: 99, epoch: 2, table: "head".to_owned(), slot: 0, body: vec![1] };
    let message = Message {
        topic: "weir.state.results.v1".to_owned(),
        partition: 0,
        key: foreign.key(),
        value: Value::State(Box::new(foreign)),
        headers: weir_bus::Headers::new(),
    };
    bus.append(Batch { messages: vec![message], offsets: Vec::new() }).unwrap();
    let error = ResultsService::restore(config(), &mut bus).unwrap_err().to_string();
    assert!(error.starts_with("weir.state.results.v1/0: state entry head/0 is not one"), "{error}");
}

/// Episodes spread over partitions (an id always in the same one), with growth, closings, duplicates and replays.
fn arbitrary_findings() -> impl Strategy<Value = Vec<(u32, Finding)>> {
    let one = (0_u32..6, 1_u32..5, 0_u8..3, prop::bool::weighted(0.15), 0_i64..200);
    prop::collection::vec(one, 0..60).prop_map(|findings| {
        findings
            .into_iter()
            .map(|(id, observed, state, replayed, hours)| {
                let state = [EpisodeState::Opened, EpisodeState::Updated, EpisodeState::Closed][usize::from(state)];
                let finding = sample::port_scan()
                    .id(&format!("episode {id}"))
                    .observed(f64::from(observed))
                    .state(state)
                    .severity(Severity::High)
                    .later(hours * 3_600_000_000);
                (id % 3, if replayed { finding.degraded("replayed") } else { finding })
            })
            .collect()
    })
}

proptest! {
    // Each case fails at every call in turn, so few cases are many runs.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn revisions_run_without_a_gap_and_nothing_is_repeated(findings in arbitrary_findings(), batch in 1_usize..8) {
        // Without expiry in play: 200 h of event time would let an id begin anew.
        let findings: Vec<_> = findings.into_iter().map(|(partition, mut finding)| {
            finding.window = sample::port_scan().window;
            (partition, finding)
        }).collect();
        let mut bus = bus_with(&findings, 3);
        let mut service = ResultsService::restore(ResultsConfig { batch, ..config() }, &mut bus).unwrap();
        run_to_end(&mut service, &mut bus).unwrap();

        let mut last = std::collections::BTreeMap::new();
        for (id, revision, _, _) in published(&mut bus) {
            let previous = last.insert(id.clone(), revision).unwrap_or(0);
            prop_assert_eq!(revision, previous + 1, "{}", id);
        }
        let distinct: std::collections::BTreeSet<_> = findings.iter().map(|(_, finding)| finding.id.clone()).collect();
        prop_assert_eq!(last.len(), distinct.len(), "every episode is told");
        let counters = service.counters();
        prop_assert_eq!(counters.read, findings.len() as u64);
        prop_assert_eq!(counters.read, counters.published + counters.repeated + counters.replayed + counters.dead);
    }

    #[test]
    fn a_failure_at_any_call_changes_nothing_that_is_published(
        findings in arbitrary_findings(),
        batch in 1_usize..8,
        fail_after_effect in any::<bool>(),
        restart in any::<bool>(),
    ) {
        let mut undisturbed = bus_with(&findings, 3);
        let config = ResultsConfig { batch, ..config() };
        run_to_end(&mut ResultsService::restore(config.clone(), &mut undisturbed).unwrap(), &mut undisturbed).unwrap();
        let expected = published(&mut undisturbed);

        let mut fail_at = 1;
        loop {
            let mut bus = FaultyBus { bus: bus_with(&findings, 3), calls: 0, fail_at: Some(fail_at), fail_after_effect };
            let mut service = loop {
                if let Ok(service) = ResultsService::restore(config.clone(), &mut bus) {
                    break service;
                }
            };
            if run_to_end(&mut service, &mut bus).is_err() {
                if restart {
                    service = ResultsService::restore(config.clone(), &mut bus).unwrap();
                }
                run_to_end(&mut service, &mut bus).unwrap();
            }
            prop_assert_eq!(&published(&mut bus.bus), &expected, "failure at call {}", fail_at);
            if bus.calls < fail_at {
                break;
            }
            fail_at += 1;
        }
    }

    #[test]
    fn a_restart_after_every_step_publishes_the_same(findings in arbitrary_findings(), batch in 1_usize..8) {
        let config = ResultsConfig { batch, ..config() };
        let mut undisturbed = bus_with(&findings, 3);
        run_to_end(&mut ResultsService::restore(config.clone(), &mut undisturbed).unwrap(), &mut undisturbed).unwrap();

        let mut bus = bus_with(&findings, 3);
        while ResultsService::restore(config.clone(), &mut bus).unwrap().step(&mut bus).unwrap().read > 0 {}
        prop_assert_eq!(published(&mut bus), published(&mut undisturbed));
    }
}
