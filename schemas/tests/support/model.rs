//! Findings, partials and state slots as `apache-avro` values, written from the schemas and not from the codec.

use apache_avro::types::Value;
use weir_schemas::finding::{Contribution, EvidenceFlow, EvidenceSensor, Party};
use weir_schemas::partial::{
    DistinctSet, PartialCounts, PartialFlow, PartialSensor, ReceiverCounts, ResponderCounts, SiteCounts,
};
use weir_schemas::{Finding, Host, Partial, PartialBody, StateEntry};

pub fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub fn int(number: impl Into<i32>) -> Value {
    Value::Int(number.into())
}

pub fn long(number: impl Into<i64>) -> Value {
    Value::Long(number.into())
}

pub fn count(number: u64) -> Value {
    Value::Long(number as i64)
}

pub fn optional(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

pub fn array<T>(items: &[T], of: impl FnMut(&T) -> Value) -> Value {
    Value::Array(items.iter().map(of).collect())
}

pub fn fixed(octets: &[u8]) -> Value {
    Value::Fixed(octets.len(), octets.to_vec())
}

pub fn wide(number: u128) -> Value {
    Value::Bytes(number.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect())
}

pub fn address(host: &Host) -> Value {
    Value::Bytes(match host {
        Host::V4(address) => address.octets().to_vec(),
        Host::V6(address) => address.octets().to_vec(),
        Host::Name(_) => Vec::new(),
    })
}

pub fn host(host: &Host) -> Value {
    record([("ip", address(host)), ("name", optional(host.name().map(|name| text(name))))])
}

fn party(party: &Party) -> Value {
    record([
        ("ip", optional(party.ip.as_deref().map(text))),
        ("name", optional(party.name.as_deref().map(text))),
        ("port", optional(party.port.map(int))),
    ])
}

fn contribution(part: &Contribution) -> Value {
    record([
        ("feature", text(&part.feature)),
        ("value", Value::Double(part.value)),
        ("unit", text(&part.unit)),
        ("threshold", optional(part.threshold.map(Value::Double))),
    ])
}

fn evidence_flow(flow: &EvidenceFlow) -> Value {
    record([
        ("flow_id", text(&flow.flow_id)),
        ("community_id", text(&flow.community_id)),
        ("src", text(&flow.src)),
        ("dst", text(&flow.dst)),
        ("proto", int(flow.proto)),
        ("first_time", long(flow.first_time)),
        ("packets", count(flow.packets)),
        ("bytes", count(flow.bytes)),
        ("outcome", text(&flow.outcome)),
    ])
}

fn evidence_sensor(sensor: &EvidenceSensor) -> Value {
    record([("id", text(&sensor.id)), ("vantage", int(sensor.vantage)), ("loss", count(sensor.loss))])
}

pub fn finding(finding: &Finding) -> Value {
    let baseline = &finding.baseline;
    let provenance = &finding.provenance;
    record([
        ("v", long(finding.v)),
        ("id", text(&finding.id)),
        ("revision", long(finding.revision)),
        ("state", text(finding.state.name())),
        ("detector", text(&finding.detector)),
        ("rule_version", long(finding.rule_version)),
        ("profile", text(&finding.profile)),
        ("severity", text(finding.severity.name())),
        ("score", Value::Double(finding.score)),
        ("confidence", Value::Double(finding.confidence)),
        ("scope", record([("kind", text(finding.scope.kind.name())), ("key", text(&finding.scope.key))])),
        ("source", optional(finding.source.as_ref().map(party))),
        ("target", optional(finding.target.as_ref().map(party))),
        ("discriminator", text(&finding.discriminator)),
        ("episode_start", long(finding.episode_start)),
        ("window", record([("start", long(finding.window.start)), ("end", long(finding.window.end))])),
        ("metric", text(&finding.metric)),
        ("unit", text(&finding.unit)),
        ("observed", Value::Double(finding.observed)),
        ("threshold", Value::Double(finding.threshold)),
        (
            "baseline",
            record([
                ("kind", text(&baseline.kind)),
                ("mean", optional(baseline.mean.map(Value::Double))),
                ("spread", optional(baseline.spread.map(Value::Double))),
                ("n", count(baseline.n)),
                ("quantile", optional(baseline.quantile.map(Value::Double))),
            ]),
        ),
        ("deviation", Value::Double(finding.deviation)),
        ("counterfactual", Value::Double(finding.counterfactual)),
        ("contributions", array(&finding.contributions, contribution)),
        (
            "scores",
            Value::Map(finding.scores.iter().map(|(name, score)| (name.clone(), Value::Double(*score))).collect()),
        ),
        ("message", text(&finding.message)),
        ("reason", text(&finding.reason)),
        ("variant", text(&finding.variant)),
        (
            "technique",
            record([
                ("attack_version", text(&finding.technique.attack_version)),
                ("ids", array(&finding.technique.ids, |id| text(id))),
            ]),
        ),
        (
            "evidence",
            record([
                ("flows", array(&finding.evidence.flows, evidence_flow)),
                ("n_flows", count(finding.evidence.n_flows)),
                ("sensors", array(&finding.evidence.sensors, evidence_sensor)),
            ]),
        ),
        ("complete", Value::Boolean(finding.complete)),
        ("degraded", array(&finding.degraded, |word| text(word))),
        ("labels", Value::Map(finding.labels.iter().map(|(name, value)| (name.clone(), text(value))).collect())),
        (
            "provenance",
            record([
                ("topic", text(&provenance.topic)),
                ("partition", long(provenance.partition)),
                ("first_offset", long(provenance.first_offset)),
                ("last_offset", long(provenance.last_offset)),
                ("engine", text(&provenance.engine)),
                ("rules_hash", text(&provenance.rules_hash)),
                ("emitted_at", optional(provenance.emitted_at.map(long))),
            ]),
        ),
    ])
}

fn hash(hash: u64) -> Value {
    fixed(&hash.to_be_bytes())
}

fn partial_flow(flow: &PartialFlow) -> Value {
    record([
        ("flow_id", hash(flow.flow_id)),
        ("community_id", fixed(&flow.community_id)),
        ("src", host(&flow.src)),
        ("src_port", int(flow.src_port)),
        ("dst", host(&flow.dst)),
        ("dst_port", int(flow.dst_port)),
        ("proto", int(flow.proto)),
        ("first_time", long(flow.first_time)),
        ("packets", count(flow.packets)),
        ("bytes", count(flow.bytes)),
        ("outcome", int(flow.outcome)),
    ])
}

fn partial_sensors(sensors: &[PartialSensor]) -> Value {
    array(sensors, |sensor| {
        record([("id", text(&sensor.id)), ("vantage", int(sensor.vantage)), ("loss", count(sensor.loss))])
    })
}

fn distinct(set: &DistinctSet) -> Value {
    match set {
        DistinctSet::Exact(hashes) => {
            record([("hashes", array(hashes, |item| hash(*item))), ("registers", optional(None))])
        }
        DistinctSet::Registers(registers) => record([
            ("hashes", Value::Array(Vec::new())),
            ("registers", optional(Some(Value::Bytes(registers.clone())))),
        ]),
    }
}

fn receiver(counts: &ReceiverCounts) -> Value {
    record([
        ("host", host(&counts.host)),
        ("packets", count(counts.packets)),
        ("bytes", count(counts.bytes)),
        ("unsolicited_packets", count(counts.unsolicited_packets)),
        ("sensor_set", long(counts.sensor_set)),
    ])
}

fn responder(counts: &ResponderCounts) -> Value {
    record([
        ("host", host(&counts.host)),
        ("port", int(counts.port)),
        ("syn", count(counts.syn)),
        ("attempts", count(counts.attempts)),
        ("completed", count(counts.completed)),
        ("half_open", count(counts.half_open)),
        ("refused", count(counts.refused)),
        ("unanswered", count(counts.unanswered)),
        ("sources", distinct(&counts.sources)),
        ("flows", array(&counts.flows, partial_flow)),
        ("sensor_set", long(counts.sensor_set)),
    ])
}

fn site(counts: &SiteCounts) -> Value {
    record([
        ("site", text(&counts.site)),
        ("packets", count(counts.packets)),
        ("bytes", count(counts.bytes)),
        ("flows", count(counts.flows)),
        ("sensor_set", long(counts.sensor_set)),
    ])
}

fn partial_counts(counts: &PartialCounts) -> Value {
    record([
        ("sensor_sets", array(&counts.sensor_sets, |sensors| partial_sensors(sensors))),
        ("receivers_error", count(counts.receivers_error)),
        ("responders_error", count(counts.responders_error)),
        ("receivers", array(&counts.receivers, receiver)),
        ("responders", array(&counts.responders, responder)),
        ("sites", array(&counts.sites, site)),
    ])
}

fn body(body: &PartialBody) -> (&'static str, Value) {
    match body {
        PartialBody::Counts(counts) => ("counts", partial_counts(counts)),
        PartialBody::Marker { ended, complete, degraded, generation } => (
            "marker",
            record([
                ("ended", Value::Boolean(*ended)),
                ("complete", Value::Boolean(*complete)),
                ("degraded", array(degraded, |word| text(word))),
                ("generation", long(*generation)),
            ]),
        ),
    }
}

pub fn partial(partial: &Partial) -> Value {
    let (name, block) = body(&partial.body);
    let block_named = |wanted: &str| optional((wanted == name).then(|| block.clone()));
    record([
        ("v", long(partial.v)),
        ("partition", long(partial.partition)),
        ("partition_count", long(partial.partition_count)),
        ("pane", long(partial.pane)),
        ("rules_hash", hash(partial.rules_hash)),
        ("counts", block_named("counts")),
        ("marker", block_named("marker")),
    ])
}

pub fn state(entry: &StateEntry) -> Value {
    record([
        ("v", long(entry.v)),
        ("epoch", count(entry.epoch)),
        ("table", text(&entry.table)),
        ("slot", long(entry.slot)),
        ("body", Value::Bytes(entry.body.clone())),
    ])
}
