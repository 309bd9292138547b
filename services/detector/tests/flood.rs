//! Far over its budget, a detector says nothing of the bystanders of a flood that it would not say without the flood.
#![allow(clippy::unwrap_used)]

mod runs;
#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use runs::{Layout, Ran, published, run};
use support::attempt;
use weir_engine::EngineConfig;
use weir_engine::config::Shares;
use weir_schemas::{Flow, Outcome, SECOND_US};

const FLOODED: &str = "10.1.0.9";

fn bystanders() -> Vec<Flow> {
    let mut flows = Vec::new();
    for step in 0..3_000_i64 {
        let source = format!("10.0.0.{}", step % 60);
        let outcome = if step % 29 == 0 { Outcome::Refused } else { Outcome::Completed };
        let target = format!("10.3.0.{}", step % 7);
        flows.push(attempt(step * 100_000, &source, &target, 443, outcome));
    }
    for port in 0..200 {
        let at = 60 * SECOND_US + i64::from(port) * 20_000;
        flows.push(attempt(at, "10.0.0.99", "10.3.0.1", 1_000 + port, Outcome::Refused));
    }
    flows
}

fn flood() -> Vec<Flow> {
    let syn = |step: i64| {
        let source = format!("172.{}.{}.{}", 16 + step / 62_500, step / 250 % 250, step % 250);
        attempt(30 * SECOND_US + step * 1_500, &source, FLOODED, 80, Outcome::Unanswered)
    };
    (0..60_000).map(syn).collect()
}

fn said(ran: &Ran) -> BTreeSet<(String, String, String)> {
    let key = |f: &weir_schemas::Finding| (f.detector.clone(), f.scope.key.clone(), f.discriminator.clone());
    ran.raw.iter().map(key).collect()
}

#[test]
fn a_flood_invents_nothing_about_bystanders_and_hides_no_scanner() {
    for partitions in [1, 4] {
        let calm = said(&run(&Layout::of(partitions, 1), published(bystanders(), partitions)));
        assert!(calm.iter().any(|(detector, scope, _)| detector == "port_scan" && scope.starts_with("10.0.0.99>")));
        let engine = EngineConfig { shares: Shares::of(1 << 20), ..EngineConfig::default() };
        let layout = Layout { engine, ..Layout::of(partitions, 1) };
        let flooded = run(&layout, published([bystanders(), flood()].concat(), partitions));
        assert!(flooded.source.evicted > 10_000, "{} evicted", flooded.source.evicted);
        let said = said(&flooded);
        let floods = said.iter().filter(|(detector, scope, _)| detector == "syn_flood" && scope == FLOODED).count();
        assert_eq!(floods, 1);
        let invented: Vec<_> =
            said.difference(&calm).filter(|(_, scope, _)| scope != FLOODED && !scope.ends_with(FLOODED)).collect();
        assert!(invented.is_empty(), "{partitions} partitions: {invented:?}");
        assert!(said.iter().any(|(detector, scope, _)| detector == "port_scan" && scope.starts_with("10.0.0.99>")));
    }
}
