//! What is found does not depend on how records are spread over partitions, batches and turns, or on the wire format.
#![allow(clippy::unwrap_used)]

mod runs;
#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use runs::{Layout, Ran, published, run};
use support::{attempt, transfer};
use weir_bus::partition_of_host;
use weir_schemas::{EpisodeState, Flow, Host, Outcome, SECOND_US};

const MINUTES: i64 = 48;

/// A source in each of 12 partitions.
fn hosts() -> Vec<String> {
    let partition = |host: &String| partition_of_host(&Host::parse(host), 64, 12);
    let all: Vec<String> = (1..=200).map(|number| format!("10.0.0.{number}")).collect();
    (0..12).map(|wanted| all.iter().find(|host| partition(host) == wanted).unwrap().clone()).collect()
}

/// Forty-eight minutes in which every detector has something to say: sources in each of 12 partitions talk to a server, a
/// fast, a slow and a creeping scan, a sweep, a broken client, a flood, and at the end a spike.
fn flows() -> Vec<Flow> {
    let mut flows = Vec::new();
    let hosts = hosts();
    for pane in 0..MINUTES * 6 {
        for (index, host) in hosts.iter().enumerate() {
            if (pane + index as i64) % 3 == 0 {
                let at = pane * 10 * SECOND_US + index as i64 * 137_000;
                flows.push(attempt(at, host, "10.1.0.1", 443, Outcome::Completed));
                flows.push(transfer(at + 1_000, host, "10.1.0.1", 60_000 + 100 * ((pane as u64 * 7) % 50)));
            }
        }
    }
    let mut scan = |source: &str, target: &str, start: i64, ports: u16, step_ms: i64| {
        for port in 0..ports {
            let at = start * SECOND_US + i64::from(port) * step_ms * 1_000;
            flows.push(attempt(at, source, target, 1_000 + port, Outcome::Refused));
        }
    };
    scan("10.9.0.1", "10.1.0.2", 601, 130, 20);
    scan("10.9.0.2", "10.1.0.2", 605, 30, 9_000);
    scan("10.9.0.3", "10.1.0.2", 3, 50, 50_000);
    for target in 0..60 {
        let at = 900 * SECOND_US + target * 250_000;
        flows.push(attempt(at, "10.9.0.4", &format!("10.2.0.{target}"), 22, Outcome::Unanswered));
    }
    for step in 0..90 {
        let at = 1_200 * SECOND_US + step * 400_000;
        let outcome = if step % 3 == 0 { Outcome::Completed } else { Outcome::HalfOpen };
        flows.push(attempt(at, "10.9.0.5", &format!("10.3.0.{}", step % 5), 443, outcome));
    }
    for step in 0..2_400_i64 {
        let at = 1_500 * SECOND_US + step * 11_000;
        let source = format!("172.16.0.{}", step % 20);
        flows.push(attempt(at, &source, "10.1.0.3", 80, Outcome::Unanswered));
    }
    for step in 0..40 {
        let at = (MINUTES * 60 - 90) * SECOND_US + step * 1_500_000;
        flows.push(transfer(at, &hosts[step as usize % hosts.len()], "10.1.0.1", 9_000_000));
    }
    flows
}

fn detectors(ran: &Ran) -> BTreeSet<String> {
    ran.raw.iter().map(|finding| finding.detector.clone()).collect()
}

fn assert_in_budget(ran: &Ran) {
    for (stage, counters) in [("source", &ran.source), ("site", &ran.site)] {
        assert_eq!(
            (counters.evicted, counters.late, counters.panes_forced, counters.deferred),
            (0, 0, 0, 0),
            "{stage}: {counters:?}"
        );
    }
    let opened = ran.raw.iter().filter(|finding| finding.state == EpisodeState::Opened).count();
    let closed = ran.raw.iter().filter(|finding| finding.state == EpisodeState::Closed).count();
    assert_eq!(opened, closed);
}

fn assert_same(left: &Ran, right: &Ran, what: &str) {
    let (one, other): (BTreeSet<_>, BTreeSet<_>) = (left.findings.iter().collect(), right.findings.iter().collect());
    let differ: Vec<_> = one.symmetric_difference(&other).collect();
    assert!(differ.is_empty(), "{what}: {} of {} differ, first {:#?}", differ.len(), one.len(), differ.first());
    assert_eq!(left.findings.len(), right.findings.len(), "{what}: one was published twice");
}

#[test]
fn findings_do_not_depend_on_partitions() {
    let one = run(&Layout::of(1, 1), published(flows(), 1));
    assert_in_budget(&one);
    let all = ["host_sweep", "incomplete_handshakes", "port_scan", "syn_flood", "traffic_spike"];
    assert_eq!(detectors(&one), all.map(str::to_owned).into());
    let spikes: BTreeSet<&str> =
        one.raw.iter().filter(|f| f.detector == "traffic_spike").map(|f| f.scope.key.as_str()).collect();
    assert_eq!(spikes, ["10.1.0.1", "lab"].into(), "the site and the server");
    let scanners: BTreeSet<&str> =
        one.raw.iter().filter(|f| f.detector == "port_scan").map(|f| f.scope.key.as_str()).collect();
    assert_eq!(scanners, ["10.9.0.1>10.1.0.2", "10.9.0.2>10.1.0.2", "10.9.0.3>10.1.0.2"].into());
    for (partitions, partials) in [(1, 2), (4, 1), (4, 2), (12, 2)] {
        let many = run(&Layout::of(partitions, partials), published(flows(), partitions));
        assert_in_budget(&many);
        assert_same(&one, &many, &format!("{partitions} partitions, {partials} of partials"));
    }
}

#[test]
fn findings_of_the_classic_profile_do_not_depend_on_partitions() {
    let layout = |partitions, partials| Layout { profile: "classic", ..Layout::of(partitions, partials) };
    let one = run(&layout(1, 1), published(flows(), 1));
    assert_in_budget(&one);
    let named = ["host_sweep", "incomplete_handshakes", "port_scan", "syn_flood", "traffic_spike"];
    assert_eq!(detectors(&one), named.map(str::to_owned).into());
    let many = run(&layout(12, 2), published(flows(), 12));
    assert_same(&one, &many, "classic");
}

/// Was a bug: a turn that spans more panes than a site task holds gave it one partition's panes before the next one's, so it
/// closed them half full.
#[test]
fn findings_do_not_depend_on_turns_and_batches() {
    let one = run(&Layout::of(4, 2), published(flows(), 4));
    for (chunk, batch) in [(usize::MAX, 4_096), (usize::MAX, 64), (40_000, 1), (317, 1_000_000)] {
        let layout = Layout { chunk, batch, ..Layout::of(4, 2) };
        let other = run(&layout, published(flows(), 4));
        assert_in_budget(&other);
        assert_same(&one, &other, &format!("turns of {chunk}, batches of {batch}"));
    }
}

#[test]
fn findings_do_not_depend_on_the_wire_format() {
    let plain = run(&Layout::of(4, 2), published(flows(), 4));
    let encoded = run(&Layout { encode: true, ..Layout::of(4, 2) }, published(flows(), 4));
    assert_same(&plain, &encoded, "encoded");
    assert_eq!(plain.source, encoded.source);
    assert_eq!(plain.site, encoded.site);
}
