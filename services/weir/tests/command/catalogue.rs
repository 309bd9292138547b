//! `weir detectors`: the catalogue for people and for programs.

use serde_json::Value;

use crate::run::weir;

const IDS: [&str; 5] = ["port_scan", "host_sweep", "incomplete_handshakes", "syn_flood", "traffic_spike"];

fn json(arguments: &[&str]) -> Value {
    let run = weir(arguments);
    assert_eq!(run.status, Some(0), "{run:?}");
    serde_json::from_str(&run.output).unwrap()
}

#[test]
fn the_list_is_the_same_for_people_and_programs() {
    let list = json(&["detectors", "list", "--format", "json"]);
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids, IDS);
    let text = weir(&["detectors", "list"]).output;
    let first_words: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first_words, IDS);
}

#[test]
fn each_entry_says_what_an_operator_needs() {
    for id in IDS {
        let entry = json(&["detectors", "show", id, "--format", "json"]);
        for field in ["finds", "formula", "evidence", "discriminator"] {
            assert!(!entry[field].as_str().unwrap().is_empty(), "{id} {field}");
        }
        for field in ["scopes", "windows", "false_positives", "parameters"] {
            assert!(!entry[field].as_array().unwrap().is_empty(), "{id} {field}");
        }
        let techniques = entry["technique"]["ids"].as_array().unwrap();
        assert!(techniques.iter().all(|technique| technique.as_str().unwrap().starts_with('T')), "{id}");
        let text = weir(&["detectors", "show", id]).output;
        assert!(text.contains(entry["formula"].as_str().unwrap()), "{text}");
    }
}

#[test]
fn thresholds_are_those_of_the_profile_and_the_configuration() {
    let threshold = |more: &[&str]| {
        let entry = json(&[&["detectors", "show", "port_scan", "--format", "json"], more].concat());
        let parameters = entry["parameters"].as_array().unwrap().clone();
        let ports = parameters.into_iter().find(|parameter| parameter["name"] == "ports_60s").unwrap();
        ports["value"].as_f64().unwrap()
    };
    assert!((threshold(&[]) - 15.0).abs() < f64::EPSILON);
    // The plain rule of textbooks: more than 20 ports.
    let classic = threshold(&["--profile", "classic"]);
    assert!((20.0..=21.0).contains(&classic), "{classic}");
    assert!((threshold(&["--set", "profile.default.port_scan.ports_60s=40"]) - 40.0).abs() < f64::EPSILON);
}
