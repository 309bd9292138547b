//! Every document, held against ECS's own list of fields.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_schemas::EpisodeState;

use super::*;
use crate::sample::{self, Sample};

const FIELDS: &str = include_str!("../../../../schemas/ecs/fields.tsv");
const CATEGORIES: &str = include_str!("../../../../schemas/ecs/event-categories.tsv");

struct Field {
    kind: &'static str,
    is_array: bool,
    allowed: Vec<&'static str>,
}

/// Rows of a table, without its heading; every row has as many cells as the heading.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let columns = table.lines().next().unwrap().split('\t').count();
    table.lines().skip(1).map(move |line| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), columns, "{line}");
        cells
    })
}

fn fields() -> BTreeMap<&'static str, Field> {
    let field = |cells: Vec<&'static str>| {
        let allowed = cells[4].split_whitespace().collect();
        (cells[0], Field { kind: cells[1], is_array: cells[3] == "yes", allowed })
    };
    rows(FIELDS).map(field).collect()
}

/// What keeps a document from being valid ECS, one line each.
fn faults(document: &Value) -> Vec<String> {
    let fields = fields();
    let mut faults = Vec::new();
    check("", document, &fields, &mut faults);
    check_event_types(document, &mut faults);
    faults
}

fn check(name: &str, value: &Value, fields: &BTreeMap<&'static str, Field>, faults: &mut Vec<String>) {
    // Fields of one's own: ECS asks for a name that no field set has, and leaves labels' names free.
    if name == "weir" {
        return;
    }
    if name == "labels" {
        let flat = value.as_object().is_some_and(|labels| labels.values().all(Value::is_string));
        if !flat {
            faults.push("labels are a flat map of words".to_owned());
        }
        return;
    }
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            check(&name, value, fields, faults);
        }
        return;
    }
    let Some(field) = fields.get(name) else {
        faults.push(format!("{name} is no field of ECS"));
        return;
    };
    if field.is_array != value.is_array() {
        faults.push(format!("{name}: an array? {}; got {value}", field.is_array));
        return;
    }
    let single = std::slice::from_ref(value);
    for value in value.as_array().map_or(single, Vec::as_slice) {
        if !fits(field.kind, value) {
            faults.push(format!("{name}: {value} is no {}", field.kind));
        }
        let is_allowed = value.as_str().is_some_and(|word| field.allowed.contains(&word));
        if !field.allowed.is_empty() && !is_allowed {
            faults.push(format!("{name}: {value} is none of {:?}", field.allowed));
        }
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "keyword" | "match_only_text" => value.is_string(),
        "ip" => value.as_str().is_some_and(is_ip),
        "long" => value.is_i64(),
        "float" => value.is_f64(),
        "date" => value.as_str().is_some_and(|text| rfc3339::parse(text).is_ok()),
        other => panic!("no field of Weir's is of type {other}"),
    }
}

/// Each type must be expected with each of the categories.
fn check_event_types(document: &Value, faults: &mut Vec<String>) {
    let expected: BTreeMap<&str, Vec<&str>> =
        rows(CATEGORIES).map(|cells| (cells[0], cells[1].split_whitespace().collect())).collect();
    let words = |field: &str| {
        let words = document["event"][field].as_array().unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for category in words("category") {
        for kind in words("type") {
            if !expected[category.as_str()].contains(&kind.as_str()) {
                faults.push(format!("event.type {kind} does not go with event.category {category}"));
            }
        }
    }
}

fn samples() -> Vec<Anomaly> {
    let named = Party { ip: Some("printer.example".to_owned()), name: None, port: Some(9100) };
    let mut one_flow = sample::port_scan().id("one flow");
    one_flow.evidence.n_flows = 1;
    one_flow.labels.insert("attack.class".to_owned(), "scan".to_owned());
    let mut unknown = sample::port_scan();
    unknown.technique.ids.push("T9999.001".to_owned());
    unknown.score = f64::NAN;
    vec![
        sample::port_scan(),
        sample::host_sweep().state(EpisodeState::Closed),
        sample::incomplete_handshakes().degraded("forced"),
        sample::syn_flood(),
        sample::traffic_spike(),
        Anomaly { target: Some(named), ..sample::port_scan() },
        one_flow,
        unknown,
    ]
}

#[test]
fn every_document_is_valid() {
    for anomaly in samples() {
        assert_eq!(faults(&document(&anomaly)), Vec::<String>::new(), "{}", anomaly.detector);
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let valid = document(&sample::port_scan());
    let cases = [
        ("/event/kind", json!("alarm"), "event.kind: \"alarm\" is none of"),
        ("/event/category", json!("network"), "event.category: an array? true"),
        (
            "/event/type",
            json!(["denied", "start"]),
            "event.type start does not go with event.category intrusion_detection",
        ),
        ("/event/severity", json!("73"), "event.severity: \"73\" is no long"),
        ("/source/ip", json!("printer"), "source.ip: \"printer\" is no ip"),
        ("/@timestamp", json!("yesterday"), "@timestamp: \"yesterday\" is no date"),
        ("/rule", json!({ "weight": 1 }), "rule.weight is no field of ECS"),
    ];
    for (place, value, expected) in cases {
        let mut document = valid.clone();
        *document.pointer_mut(place).unwrap() = value;
        let mut found = Vec::new();
        check("", &document, &fields(), &mut found);
        if place == "/event/type" {
            check_event_types(&document, &mut found);
        }
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{place}: {found:?}");
    }
}

#[test]
fn the_whole_anomaly_is_in_it() {
    let mut anomaly = sample::port_scan();
    anomaly.message = "words".to_owned();
    anomaly.labels.insert("class".to_owned(), "scan".to_owned());
    let document = document(&anomaly);
    let mut own = document["weir"].clone();
    own["message"] = document["message"].clone();
    own["labels"] = document["labels"].clone();
    assert_eq!(serde_json::from_value::<Anomaly>(own).unwrap(), anomaly);
}

proptest! {
    #[test]
    fn hostile_names_and_odd_numbers_stay_valid(
        (host, name, label) in (any::<String>(), any::<String>(), any::<String>()),
        (start, end, score) in (any::<i64>(), any::<i64>(), any::<f64>()),
        techniques in prop::collection::vec("\\PC{0,8}", 0..3),
    ) {
        let mut anomaly = sample::port_scan();
        anomaly.source = Some(Party { ip: Some(host.clone()), name: Some(name.clone()), port: Some(0) });
        anomaly.evidence.flows[0].src = format!("{host}:80");
        anomaly.labels.insert(label, name.clone());
        anomaly.detector = name;
        anomaly.technique.ids = techniques;
        anomaly.window.start = start;
        anomaly.window.end = end;
        anomaly.score = score;
        anomaly.observed = score;
        prop_assert_eq!(faults(&document(&anomaly)), Vec::<String>::new());
        let line = line(&anomaly);
        prop_assert!(!line.contains(|character: char| text::is_unsafe(character)));
        let read: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&read["rule"]["id"], &document(&anomaly)["rule"]["id"]);
    }
}
