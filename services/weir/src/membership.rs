//! Who a service is to the brokers: its groups, its names in them, and the names of its transactions.
//!
//! The access rules of `deploy/kafka/acls.tsv` grant these by prefix. A transactional id is `<group>-<number>/<instance>`: it
//! begins with its group, so that the rules hold whatever the instance is called, and no other name holds a stroke, so that no
//! two members come to one id.

use weir_bus::Topics;
use weir_bus::kafka::Membership;
use weir_detector::DetectorConfig;
use weir_results::sink;
use weir_runtime::config::{self, Config, Stage};

use crate::service::{host_name, lane};

/// The detector's name among its likes.
pub fn detector_instance(config: &Config) -> String {
    config.detector.instance.clone().unwrap_or_else(host_name)
}

/// The results service's name among its likes.
pub fn results_instance(config: &Config) -> String {
    config.results.instance.clone().unwrap_or_else(host_name)
}

/// A shard of one of the detector's stages.
pub fn of_detector(config: &Config, detector: &DetectorConfig, stage: Stage, shard: u32) -> Membership {
    let (group, topic, role) = match stage {
        Stage::Source => (detector.source_group(), detector.source_input(), "source"),
        Stage::Site => (detector.site_group(), detector.topics.partials(), "site"),
    };
    let membership = membership(config, group, topic, &detector_instance(config), (role, shard));
    let is_static = config.detector.membership == config::Membership::Static;
    Membership { instance_id: membership.instance_id.filter(|_| is_static), ..membership }
}

/// Results.
pub fn of_results(config: &Config) -> Membership {
    let group = format!("{}-results", lane(&config.topics.prefix));
    let topic = Topics::new(&config.topics.prefix).findings();
    membership(config, group, topic, &results_instance(config), ("results", 0))
}

/// A sink of results, by its id.
pub fn of_sink(config: &Config, sink: &str) -> Membership {
    let group = sink::group_of(&lane(&config.topics.prefix), sink);
    let topic = Topics::new(&config.topics.prefix).anomalies();
    membership(config, group, topic, &results_instance(config), (&format!("results-sink-{sink}"), 0))
}

fn membership(
    config: &Config,
    group: String,
    topic: String,
    instance: &str,
    (role, number): (&str, u32),
) -> Membership {
    Membership {
        transactional_id: format!("{group}-{number}/{instance}"),
        instance_id: Some(format!("{instance}-{role}-{number}")),
        schemas: Topics::new(&config.topics.prefix).schemas(),
        group,
        topic,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline;

    /// What `deploy/kafka/acls.tsv` grants, of these kinds: principal, operation, kind, name, pattern.
    fn rules() -> Vec<[String; 5]> {
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka/acls.tsv");
        let text = std::fs::read_to_string(table).unwrap();
        let rule = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            std::array::from_fn(|_| fields.next().unwrap())
        };
        text.lines().skip(1).map(rule).collect()
    }

    fn is_granted(user: &str, operation: &str, kind: &str, name: &str) -> bool {
        rules().iter().any(|[principal, granted, of, pattern, how]| {
            let fits = if how == "prefixed" { name.starts_with(pattern) } else { name == pattern };
            *principal == format!("User:{user}") && granted == operation && of == kind && fits
        })
    }

    fn config(instance: &str) -> Config {
        let mut config = Config::default();
        config.detector.instance = Some(instance.to_owned());
        config.results.instance = Some(instance.to_owned());
        config
    }

    /// All that a process of each service takes part in.
    fn memberships(config: &Config) -> Vec<(&'static str, Membership)> {
        let detector = DetectorConfig {
            lane: lane(&config.topics.prefix),
            ..DetectorConfig::new(Topics::new(&config.topics.prefix), pipeline::profile(config, None).unwrap())
        };
        vec![
            ("weir-detector", of_detector(config, &detector, Stage::Source, 0)),
            ("weir-detector", of_detector(config, &detector, Stage::Source, 1)),
            ("weir-detector", of_detector(config, &detector, Stage::Site, 0)),
            ("weir-results", of_results(config)),
            ("weir-results", of_sink(config, "file")),
            ("weir-results", of_sink(config, "file-2")),
        ]
    }

    #[test]
    fn the_access_rules_grant_each_service_its_groups_and_transactions_and_nobody_elses() {
        for instance in ["d1", "weir-detector-0", "weir-results-0", "pod.example"] {
            for (user, membership) in memberships(&config(instance)) {
                let Membership { group, topic, schemas, transactional_id, .. } = &membership;
                for (operation, kind, name) in [
                    ("Read", "group", group),
                    ("Write", "transactional_id", transactional_id),
                    ("Read", "topic", topic),
                    ("Read", "topic", schemas),
                ] {
                    assert!(is_granted(user, operation, kind, name), "{user}: {operation} {kind} {name}");
                }
                let other = if user == "weir-results" { "weir-detector" } else { "weir-results" };
                assert!(
                    !is_granted(other, "Write", "transactional_id", transactional_id),
                    "{other}: {transactional_id}"
                );
                assert!(!is_granted(other, "Read", "group", group), "{other}: {group}");
            }
        }
    }

    #[test]
    fn no_two_members_fence_each_other() {
        let mut taken = std::collections::BTreeSet::new();
        for prefix in ["weir.", "weir.late."] {
            for instance in ["a", "a-results", "2", "sink-file-a"] {
                let mut config = config(instance);
                prefix.clone_into(&mut config.topics.prefix);
                for (_, membership) in memberships(&config) {
                    assert!(taken.insert(membership.transactional_id.clone()), "{membership:?}");
                }
            }
        }
    }

    #[test]
    fn dynamic_members_have_no_name_in_their_group() {
        let mut config = config("a");
        config.detector.membership = config::Membership::Dynamic;
        let names: Vec<Option<String>> =
            memberships(&config).into_iter().map(|(_, membership)| membership.instance_id).collect();
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(names[..3], [None, None, None]);
        assert_eq!(names[3..], [some("a-results-0"), some("a-results-sink-file-0"), some("a-results-sink-file-2-0")]);
    }
}
