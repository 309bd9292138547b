//! Topic names and what each topic is created with. Lanes are the same topics under another prefix.

/// Prefix of the main lane's topics (`topics.prefix`).
pub const DEFAULT_PREFIX: &str = "weir.";

/// How a topic is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name without the prefix.
    pub suffix: &'static str,
    /// Partitions in production.
    pub partitions_production: u32,
    /// Partitions in development.
    pub partitions_development: u32,
    /// Topic settings, in Kafka's words.
    pub settings: &'static [(&'static str, &'static str)],
}

const HOUR_6: (&str, &str) = ("retention.ms", "21600000");
const HOUR_72: (&str, &str) = ("retention.ms", "259200000");
const DAY_7: (&str, &str) = ("retention.ms", "604800000");
const DAY_30: (&str, &str) = ("retention.ms", "2592000000");
const DELETE: (&str, &str) = ("cleanup.policy", "delete");
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
const LOG_APPEND_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");
const STATE: &[(&str, &str)] = &[
    COMPACT,
    ("segment.bytes", "67108864"),
    ("max.compaction.lag.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

const FLOWS: &str = "flows.v1";
const PACKETS: &str = "packets.v1";
const PARTIALS: &str = "partials.v1";
const STATE_SOURCE: &str = "state.source.v1";
const STATE_SITE: &str = "state.site.v1";
const STATE_RESULTS: &str = "state.results.v1";
const FINDINGS: &str = "findings.v1";
const WINDOWS: &str = "windows.v1";
const ANOMALIES: &str = "anomalies.v1";
const ANOMALIES_ECS: &str = "anomalies.ecs.v1";
const ANOMALIES_OCSF: &str = "anomalies.ocsf.v1";
const INCIDENTS: &str = "incidents.v1";
const POLICY: &str = "policy.v1";
const MODELS: &str = "models.v1";
const SCHEMAS: &str = "schemas.v1";
const SENSORS: &str = "sensors.v1";
const DEAD: &str = "dead.v1";

const fn spec(
    suffix: &'static str,
    partitions_production: u32,
    partitions_development: u32,
    settings: &'static [(&'static str, &'static str)],
) -> TopicSpec {
    TopicSpec { suffix, partitions_production, partitions_development, settings }
}

/// Every topic of a lane. A state topic has as many partitions as the input whose state it holds.
pub const TOPICS: [TopicSpec; 17] = [
    spec(FLOWS, 48, 12, &[DELETE, HOUR_72, LOG_APPEND_TIME]),
    spec(PACKETS, 48, 12, &[DELETE, HOUR_6, LOG_APPEND_TIME]),
    spec(PARTIALS, 6, 2, &[DELETE, HOUR_6, LOG_APPEND_TIME]),
    spec(STATE_SOURCE, 48, 12, STATE),
    spec(STATE_SITE, 6, 2, STATE),
    spec(STATE_RESULTS, 12, 4, STATE),
    spec(FINDINGS, 12, 4, &[DELETE, DAY_30]),
    spec(WINDOWS, 6, 2, &[DELETE, DAY_30]),
    spec(ANOMALIES, 12, 4, &[DELETE, DAY_30]),
    spec(ANOMALIES_ECS, 12, 4, &[DELETE, DAY_30]),
    spec(ANOMALIES_OCSF, 12, 4, &[DELETE, DAY_30]),
    spec(INCIDENTS, 6, 1, &[COMPACT]),
    spec(POLICY, 1, 1, &[COMPACT]),
    spec(MODELS, 1, 1, &[COMPACT]),
    spec(SCHEMAS, 1, 1, &[COMPACT]),
    spec(SENSORS, 1, 1, &[("cleanup.policy", "compact,delete"), DAY_7]),
    spec(DEAD, 4, 4, &[DELETE, DAY_7]),
];

/// The topic that holds the state of those who read the topic with this suffix, if they keep any: both by suffix.
#[must_use]
pub fn state_of(suffix: &str) -> Option<&'static str> {
    match suffix {
        FLOWS => Some(STATE_SOURCE),
        PARTIALS => Some(STATE_SITE),
        FINDINGS => Some(STATE_RESULTS),
        _ => None,
    }
}

/// The names of one lane's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// What every name begins with, dot included.
    pub prefix: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX)
    }
}

impl Topics {
    /// The lane under `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The full name of the topic with this suffix (see [`TOPICS`]).
    #[must_use]
    pub fn named(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix)
    }

    /// Flow records and marks, by source.
    #[must_use]
    pub fn flows(&self) -> String {
        self.named(FLOWS)
    }

    /// Packet records of thin sensors, by presumed source.
    #[must_use]
    pub fn packets(&self) -> String {
        self.named(PACKETS)
    }

    /// Partial aggregates, by receiver, responder, prefix or site.
    #[must_use]
    pub fn partials(&self) -> String {
        self.named(PARTIALS)
    }

    /// State of the source stage.
    #[must_use]
    pub fn state_source(&self) -> String {
        self.named(STATE_SOURCE)
    }

    /// State of the site stage.
    #[must_use]
    pub fn state_site(&self) -> String {
        self.named(STATE_SITE)
    }

    /// State of results.
    #[must_use]
    pub fn state_results(&self) -> String {
        self.named(STATE_RESULTS)
    }

    /// Findings, by scope key.
    #[must_use]
    pub fn findings(&self) -> String {
        self.named(FINDINGS)
    }

    /// Metric windows, by site.
    #[must_use]
    pub fn windows(&self) -> String {
        self.named(WINDOWS)
    }

    /// Anomalies, by id.
    #[must_use]
    pub fn anomalies(&self) -> String {
        self.named(ANOMALIES)
    }

    /// Anomalies in Elastic Common Schema, JSON.
    #[must_use]
    pub fn anomalies_ecs(&self) -> String {
        self.named(ANOMALIES_ECS)
    }

    /// Anomalies in OCSF, JSON.
    #[must_use]
    pub fn anomalies_ocsf(&self) -> String {
        self.named(ANOMALIES_OCSF)
    }

    /// Correlated anomalies.
    #[must_use]
    pub fn incidents(&self) -> String {
        self.named(INCIDENTS)
    }

    /// Suppressions, allow-lists, watch-lists.
    #[must_use]
    pub fn policy(&self) -> String {
        self.named(POLICY)
    }

    /// Models.
    #[must_use]
    pub fn models(&self) -> String {
        self.named(MODELS)
    }

    /// Writers' schemas, by fingerprint.
    #[must_use]
    pub fn schemas(&self) -> String {
        self.named(SCHEMAS)
    }

    /// Sensors and their health.
    #[must_use]
    pub fn sensors(&self) -> String {
        self.named(SENSORS)
    }

    /// What could not be decoded.
    #[must_use]
    pub fn dead(&self) -> String {
        self.named(DEAD)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_carry_the_prefix() {
        let late = Topics::new("late.");
        assert_eq!(Topics::default().flows(), "weir.flows.v1");
        assert_eq!(late.state_source(), "late.state.source.v1");
        assert_eq!(late.anomalies_ocsf(), "late.anomalies.ocsf.v1");
    }

    #[test]
    fn every_method_names_a_specified_topic_of_its_own() {
        let topics = Topics::new("");
        let names = [
            topics.flows(),
            topics.packets(),
            topics.partials(),
            topics.state_source(),
            topics.state_site(),
            topics.state_results(),
            topics.findings(),
            topics.windows(),
            topics.anomalies(),
            topics.anomalies_ecs(),
            topics.anomalies_ocsf(),
            topics.incidents(),
            topics.policy(),
            topics.models(),
            topics.schemas(),
            topics.sensors(),
            topics.dead(),
        ];
        let distinct: HashSet<&str> = names.iter().map(String::as_str).collect();
        let specified: HashSet<&str> = TOPICS.iter().map(|spec| spec.suffix).collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(distinct, specified);
    }

    #[test]
    fn a_state_topic_has_the_partitions_of_its_input() {
        let partitions = |suffix: &str| {
            let spec = TOPICS.iter().find(|spec| spec.suffix == suffix).unwrap();
            (spec.partitions_production, spec.partitions_development)
        };
        let with_state: Vec<(&str, &str)> =
            TOPICS.iter().filter_map(|spec| Some((spec.suffix, state_of(spec.suffix)?))).collect();
        assert_eq!(with_state, [(FLOWS, STATE_SOURCE), (PARTIALS, STATE_SITE), (FINDINGS, STATE_RESULTS)]);
        for (input, state) in with_state {
            assert_eq!(partitions(state), partitions(input));
        }
    }
}
