//! An anomaly as a document of the Elastic Common Schema (ECS): one JSON object per revision.
//!
//! What ECS has a field for stands there; the whole anomaly stands under `weir`, so nothing is lost. Field names, types and
//! allowed values are tested against ECS's own list (`schemas/ecs`). The mapping is described in the documentation.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use weir_schemas::finding::Party;
use weir_schemas::{Anomaly, Finding, Severity, finding_json, rfc3339};

use crate::attack;
use crate::explain;
use crate::text;

/// Version of ECS that the fields are from.
pub const ECS_VERSION: &str = "9.4.0";

/// Protocol of ARP flows, which have no IP protocol number.
const NO_IP_PROTOCOL: u8 = 0;

/// The document.
#[must_use]
pub fn document(anomaly: &Anomaly) -> Value {
    let mut document = Map::new();
    let emitted = anomaly.provenance.emitted_at.unwrap_or(anomaly.window.end);
    put(&mut document, "@timestamp", rfc3339::format(emitted));
    put(&mut document, "ecs", json!({ "version": ECS_VERSION }));
    put(&mut document, "message", anomaly.message.as_str());
    put(&mut document, "event", event(anomaly));
    put(&mut document, "rule", rule(anomaly));
    put_some(&mut document, "source", anomaly.source.as_ref().and_then(end));
    put_some(&mut document, "destination", anomaly.target.as_ref().and_then(end));
    put_some(&mut document, "network", network(anomaly));
    put_some(&mut document, "threat", threat(anomaly));
    put_some(&mut document, "related", related(anomaly));
    put(&mut document, "observer", observer(anomaly));
    put_some(&mut document, "labels", labels(anomaly));
    put(&mut document, "weir", own(anomaly));
    Value::Object(document)
}

/// The document as one line of JSON, without its line feed, every control character escaped.
#[must_use]
pub fn line(anomaly: &Anomaly) -> String {
    text::json_line(&document(anomaly).to_string())
}

/// `<anomaly id>-<revision>`: the same for the same revision however often it is delivered.
#[must_use]
pub fn event_id(anomaly: &Anomaly) -> String {
    format!("{}-{}", anomaly.id, anomaly.revision)
}

/// Severity as a number of 1–100: the risk scores that Elastic's detection rules give these words.
#[must_use]
pub fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

fn event(anomaly: &Anomaly) -> Value {
    let window = anomaly.window;
    let mut event = Map::new();
    put(&mut event, "kind", "alert");
    put(&mut event, "category", json!(["intrusion_detection", "network"]));
    put(&mut event, "type", json!(["info"]));
    put(&mut event, "id", event_id(anomaly));
    put(&mut event, "sequence", anomaly.revision);
    put(&mut event, "action", format!("anomaly-{}", anomaly.state.name()));
    put(&mut event, "module", "weir");
    put(&mut event, "dataset", "weir.anomaly");
    put(&mut event, "provider", "weir");
    put(&mut event, "code", anomaly.detector.as_str());
    put(&mut event, "severity", severity_number(anomaly.severity));
    if anomaly.score.is_finite() {
        put(&mut event, "risk_score", anomaly.score);
        put(&mut event, "risk_score_norm", (anomaly.score * 100.0).clamp(0.0, 100.0));
    }
    put(&mut event, "start", rfc3339::format(window.start));
    put(&mut event, "end", rfc3339::format(window.end));
    // ECS counts durations in nanoseconds.
    put(&mut event, "duration", window.end.saturating_sub(window.start).saturating_mul(1000));
    put_some(&mut event, "created", anomaly.provenance.emitted_at.map(|time| rfc3339::format(time).into()));
    Value::Object(event)
}

fn rule(anomaly: &Anomaly) -> Value {
    json!({
        "id": anomaly.detector,
        "name": explain::words(&anomaly.detector),
        "category": "anomaly",
        "ruleset": anomaly.profile,
        "version": anomaly.rule_version.to_string(),
    })
}

/// An end of the activity; none if nothing is known of it.
fn end(party: &Party) -> Option<Value> {
    let mut end = Map::new();
    let ip = party.ip.as_deref().filter(|ip| is_ip(ip));
    let name = party.name.as_deref().or(party.ip.as_deref().filter(|ip| !is_ip(ip)));
    put_some(&mut end, "address", ip.or(name).map(Value::from));
    put_some(&mut end, "ip", ip.map(Value::from));
    put_some(&mut end, "domain", name.map(Value::from));
    put_some(&mut end, "port", party.port.map(Value::from));
    (!end.is_empty()).then_some(Value::Object(end))
}

/// Protocol and addresses as far as all evidence flows agree; the Community ID where one flow is all there is.
fn network(anomaly: &Anomaly) -> Option<Value> {
    let mut network = Map::new();
    let flows = &anomaly.evidence.flows;
    let protocol = flows.first().map_or(NO_IP_PROTOCOL, |flow| flow.proto);
    if protocol != NO_IP_PROTOCOL && flows.iter().all(|flow| flow.proto == protocol) {
        put(&mut network, "iana_number", protocol.to_string());
        put_some(&mut network, "transport", transport(protocol).map(Value::from));
    }
    put_some(&mut network, "type", family(anomaly).map(Value::from));
    if let ([flow], 1) = (flows.as_slice(), anomaly.evidence.n_flows) {
        put(&mut network, "community_id", flow.community_id.as_str());
    }
    (!network.is_empty()).then_some(Value::Object(network))
}

/// Keywords of the IANA's Assigned Internet Protocol Numbers, in lower case as ECS wants them.
fn transport(protocol: u8) -> Option<&'static str> {
    match protocol {
        1 => Some("icmp"),
        2 => Some("igmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        47 => Some("gre"),
        50 => Some("esp"),
        58 => Some("ipv6-icmp"),
        132 => Some("sctp"),
        _ => None,
    }
}

fn family(anomaly: &Anomaly) -> Option<&'static str> {
    let ends = [anomaly.source.as_ref(), anomaly.target.as_ref()];
    let address = ends.into_iter().flatten().find_map(|party| party.ip.as_deref()?.parse::<IpAddr>().ok())?;
    Some(if address.is_ipv4() { "ipv4" } else { "ipv6" })
}

fn threat(anomaly: &Anomaly) -> Option<Value> {
    let ids = &anomaly.technique.ids;
    if ids.is_empty() {
        return None;
    }
    let techniques: BTreeSet<&str> = ids.iter().map(|id| id.split('.').next().unwrap_or(id)).collect();
    let subtechniques: BTreeSet<&str> = ids.iter().filter(|id| id.contains('.')).map(String::as_str).collect();
    let mut technique = named(&techniques);
    if !subtechniques.is_empty() {
        technique.insert("subtechnique".to_owned(), Value::Object(named(&subtechniques)));
    }
    let mut threat = Map::new();
    put(&mut threat, "framework", "MITRE ATT&CK");
    put(&mut threat, "technique", Value::Object(technique));
    let tactics: Option<BTreeSet<&str>> = techniques.iter().map(|id| Some(attack::technique(id)?.tactic)).collect();
    if let Some(tactics) = tactics {
        let names: Vec<&str> = tactics.iter().filter_map(|id| attack::tactic_name(id)).collect();
        put(&mut threat, "tactic", json!({ "id": tactics, "name": names }));
    }
    Some(Value::Object(threat))
}

/// Ids, pages and, if all are known, names: arrays in the same order.
fn named(ids: &BTreeSet<&str>) -> Map<String, Value> {
    let mut arrays = Map::new();
    put(&mut arrays, "id", json!(ids));
    put(&mut arrays, "reference", ids.iter().map(|id| attack::reference(id)).collect::<Vec<_>>());
    let names: Option<Vec<&str>> = ids.iter().map(|id| Some(attack::technique(id)?.name)).collect();
    put_some(&mut arrays, "name", names.map(Value::from));
    arrays
}

/// Every address and name of the anomaly, so that one search finds it by any of them.
fn related(anomaly: &Finding) -> Option<Value> {
    let mut addresses = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    let mut add = |host: &str| {
        let list = if is_ip(host) { &mut addresses } else { &mut hosts };
        list.insert(host.to_owned());
    };
    for party in [&anomaly.source, &anomaly.target].into_iter().flatten() {
        [&party.ip, &party.name].into_iter().flatten().for_each(|host| add(host));
    }
    for flow in &anomaly.evidence.flows {
        [&flow.src, &flow.dst].into_iter().filter_map(|end| host_of(end)).for_each(&mut add);
    }
    let mut related = Map::new();
    put_some(&mut related, "ip", (!addresses.is_empty()).then(|| json!(addresses)));
    put_some(&mut related, "hosts", (!hosts.is_empty()).then(|| json!(hosts)));
    (!related.is_empty()).then_some(Value::Object(related))
}

/// The host of `host:port` or `[host]:port`.
fn host_of(end: &str) -> Option<&str> {
    let (host, _) = end.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

fn observer(anomaly: &Anomaly) -> Value {
    let mut observer = Map::new();
    put(&mut observer, "type", "ids");
    put(&mut observer, "vendor", "Weir");
    put(&mut observer, "product", "Weir");
    put(&mut observer, "version", anomaly.provenance.engine.as_str());
    // ECS has room for one name; where several sensors saw it, they stand below `weir`.
    if let [sensor] = anomaly.evidence.sensors.as_slice() {
        put(&mut observer, "name", &*sensor.id);
    }
    Value::Object(observer)
}

/// A flat map of words; a dot in a key would make an object of it.
fn labels(anomaly: &Anomaly) -> Option<Value> {
    let labels: Map<String, Value> =
        anomaly.labels.iter().map(|(key, value)| (key.replace('.', "_"), value.as_str().into())).collect();
    (!labels.is_empty()).then_some(Value::Object(labels))
}

/// The anomaly, without what stands elsewhere as it is.
fn own(anomaly: &Anomaly) -> Value {
    let mut own = finding_json(anomaly);
    if let Some(fields) = own.as_object_mut() {
        fields.remove("message");
        fields.remove("labels");
    }
    own
}

fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

fn put(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

fn put_some(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        put(object, name, value);
    }
}

#[cfg(test)]
mod tests;
