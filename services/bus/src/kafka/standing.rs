//! How a topic stands, and how that differs from what Weir needs: told apart without a broker.

use std::collections::{BTreeMap, BTreeSet};

use crate::topic::TopicSpec;

/// Settings that verdicts or exactly-once rest on: another value is a fault. The others cost disk or time.
const REQUIRED: [&str; 2] = ["cleanup.policy", "message.timestamp.type"];

/// What a broker says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Partitions.
    pub partitions: u32,
    /// Replicas of each partition.
    pub replication: u32,
    /// Settings by name; none where the user may not read them.
    pub settings: Option<BTreeMap<String, String>>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// No service may start on it. Otherwise it is worth a warning.
    pub is_fault: bool,
    /// One line, with the command that mends it.
    pub text: String,
}

/// A topic beside its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub topic: String,
    /// How it should be.
    pub spec: TopicSpec,
    /// How it is; none where it does not exist, or may not be seen.
    pub found: Option<Found>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// What differs between a topic and its specification. `input` is the topic whose state this one holds, with its partitions.
pub(super) fn differences(
    spec: &TopicSpec,
    topic: &str,
    found: Option<&Found>,
    input: Option<(&str, u32)>,
) -> Vec<Difference> {
    let Some(found) = found else {
        return vec![fault(format!("topic {topic} does not exist; run `weir topics create`"))];
    };
    let mut differences = Vec::new();
    if let Some((input, need)) = input.filter(|(_, need)| *need > found.partitions) {
        let have = found.partitions;
        differences.push(fault(format!(
            "topic {topic} has {have} partitions, {input} has {need}, each of which needs its own; \
             run `weir topics grow {topic} {need}`"
        )));
    }
    let Some(settings) = &found.settings else {
        differences.push(fault(format!(
            "settings of topic {topic} may not be read; allow this user DescribeConfigs on it with `kafka-acls`"
        )));
        return differences;
    };
    for (name, wanted) in spec.settings {
        let present = settings.get(*name).map_or("", String::as_str);
        if !is_same(name, present, wanted) {
            differences.push(wrong_setting(topic, name, present, wanted));
        }
    }
    differences
}

fn wrong_setting(topic: &str, name: &str, present: &str, wanted: &str) -> Difference {
    let is_fault = REQUIRED.contains(&name);
    let verb = if is_fault { "must be" } else { "is meant to be" };
    // The tool takes a comma for the next setting.
    let value = if wanted.contains(',') { format!("[{wanted}]") } else { wanted.to_owned() };
    Difference {
        is_fault,
        text: format!(
            "topic {topic} has {name}={present}, which {verb} {wanted}; \
             run `kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {name}={value}`"
        ),
    }
}

fn is_same(name: &str, present: &str, wanted: &str) -> bool {
    if name == "cleanup.policy" {
        let policies = |text: &str| text.split(',').map(|policy| policy.trim().to_owned()).collect::<BTreeSet<_>>();
        return policies(present) == policies(wanted);
    }
    match (present.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(present), Ok(wanted)) => (present - wanted).abs() < f64::EPSILON,
        _ => present == wanted,
    }
}

fn fault(text: String) -> Difference {
    Difference { is_fault: true, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TOPICS;

    fn spec(suffix: &str) -> TopicSpec {
        *TOPICS.iter().find(|spec| spec.suffix == suffix).unwrap()
    }

    fn as_specified(spec: &TopicSpec) -> Found {
        let settings = spec.settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Found { partitions: spec.partitions_production, replication: 3, settings: Some(settings.collect()) }
    }

    fn with(spec: &TopicSpec, name: &str, value: &str) -> Found {
        let mut found = as_specified(spec);
        found.settings.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
        found
    }

    #[test]
    fn what_is_as_specified_differs_in_nothing() {
        for spec in &TOPICS {
            assert_eq!(differences(spec, spec.suffix, Some(&as_specified(spec)), None), []);
        }
    }

    #[test]
    fn each_fault_names_the_command_that_mends_it() {
        let flows = spec("flows.v1");
        let state = spec("state.source.v1");
        let sensors = spec("sensors.v1");
        let unreadable = Found { settings: None, ..as_specified(&flows) };
        let table = [
            (flows, None, None, "topic flows.v1 does not exist; run `weir topics create`"),
            (
                flows,
                Some(with(&flows, "message.timestamp.type", "CreateTime")),
                None,
                "topic flows.v1 has message.timestamp.type=CreateTime, which must be LogAppendTime; run `kafka-configs --alter \
                 --entity-type topics --entity-name flows.v1 --add-config message.timestamp.type=LogAppendTime`",
            ),
            (
                state,
                Some(with(&state, "cleanup.policy", "delete")),
                None,
                "topic state.source.v1 has cleanup.policy=delete, which must be compact; run `kafka-configs --alter \
                 --entity-type topics --entity-name state.source.v1 --add-config cleanup.policy=compact`",
            ),
            (
                sensors,
                Some(with(&sensors, "cleanup.policy", "compact")),
                None,
                "topic sensors.v1 has cleanup.policy=compact, which must be compact,delete; run `kafka-configs --alter \
                 --entity-type topics --entity-name sensors.v1 --add-config cleanup.policy=[compact,delete]`",
            ),
            (
                state,
                Some(as_specified(&state)),
                Some(("flows.v1", 96)),
                "topic state.source.v1 has 48 partitions, flows.v1 has 96, each of which needs its own; \
                 run `weir topics grow state.source.v1 96`",
            ),
            (
                flows,
                Some(unreadable),
                None,
                "settings of topic flows.v1 may not be read; allow this user DescribeConfigs on it with `kafka-acls`",
            ),
        ];
        for (spec, found, input, text) in table {
            assert_eq!(differences(&spec, spec.suffix, found.as_ref(), input), [fault(text.to_owned())]);
        }
    }

    #[test]
    fn another_retention_is_worth_a_warning_only() {
        let flows = spec("flows.v1");
        let found = with(&flows, "retention.ms", "3600000");
        let [difference] = &differences(&flows, "flows.v1", Some(&found), None)[..] else { panic!("one difference") };
        assert!(!difference.is_fault);
        assert!(
            difference.text.contains("retention.ms=3600000, which is meant to be 259200000"),
            "{}",
            difference.text
        );
    }

    #[test]
    fn order_and_notation_do_not_matter() {
        assert!(is_same("cleanup.policy", "delete, compact", "compact,delete"));
        assert!(is_same("min.cleanable.dirty.ratio", "0.10", "0.1"));
        assert!(!is_same("cleanup.policy", "delete", "compact,delete"));
        assert!(!is_same("retention.ms", "", "1"));
    }
}
