//! Where the brokers are and how to speak to them, and the librdkafka configuration that each kind of client gets of it.
//!
//! An operator may set any librdkafka property but those that exactly-once rests on.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// Properties that Weir sets itself: correctness rests on them, or a setting of Weir's own stands for them.
const PROTECTED: [&str; 19] = [
    "acks",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Parts of a property's name that say that its value is a secret.
const SECRET: [&str; 4] = ["password", "secret", ".pem", "oauthbearer.config"];

/// For every client.
const COMMON: [(&str, &str); 4] = [
    // A topic's growth is seen within this time (the default is 5 min).
    ("topic.metadata.refresh.interval.ms", "10000"),
    // A broker that comes back is found again within this time (the default is 10 s).
    ("reconnect.backoff.max.ms", "2000"),
    // Brokers close idle connections as a matter of course.
    ("log.connection.close", "false"),
    ("socket.keepalive.enable", "true"),
];

/// For every consumer. Prefetching is bounded: librdkafka's default looks like a leak in a slow member.
const CONSUMER: [(&str, &str); 7] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "20000"),
    // A full local queue stops fetching for this long: 1 s by default, which costs three quarters of the throughput.
    ("fetch.queue.backoff.ms", "5"),
];

/// For a member of a group. The offset that it starts from is always given: no reset may guess one.
const MEMBER: [(&str, &str); 5] = [
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "15000"),
    ("max.poll.interval.ms", "300000"),
];

/// For every producer.
const PRODUCER: [(&str, &str); 5] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// Where the brokers are and how to speak to them.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `host:port`, comma-separated (`kafka.bootstrap`).
    pub bootstrap: String,
    /// Name of the client in the brokers' logs and quotas (`kafka.client_id`).
    pub client_id: String,
    /// librdkafka properties (`[kafka.properties]`); secrets among them.
    pub properties: BTreeMap<String, String>,
}

/// Input: a property that cannot be as the configuration has it. Its value is not shown: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The property is Weir's to set.
    #[error("kafka.properties: {0} is set by Weir and cannot be changed; remove it")]
    Protected(String),
    /// There is no such property, or it cannot have this value.
    #[error("kafka.properties: {property}: {reason}")]
    Property {
        /// Its name.
        property: String,
        /// Why not.
        reason: String,
    },
    /// Nowhere to connect to.
    #[error("kafka.bootstrap is empty; set it to the brokers' host:port, comma-separated")]
    NoBootstrap,
}

impl std::fmt::Debug for Settings {
    /// Names of properties only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Settings {
    /// Settings without properties: a plain-text listener without authentication.
    #[must_use]
    pub fn plain(bootstrap: &str, client_id: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), client_id: client_id.to_owned(), properties: BTreeMap::new() }
    }

    /// Whether clients can be made of these settings; nothing is connected to.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.bootstrap.trim().is_empty() {
            return Err(SettingsError::NoBootstrap);
        }
        for (name, value) in &self.properties {
            if PROTECTED.contains(&name.as_str()) {
                return Err(SettingsError::Protected(name.clone()));
            }
            let mut alone = ClientConfig::new();
            alone.set(name, value);
            if let Err(KafkaError::ClientConfig(_, reason, ..)) = alone.create_native_config() {
                return Err(SettingsError::Property { property: name.clone(), reason: without_secret(name, reason) });
            }
        }
        Ok(())
    }

    /// The mechanism that the client proves its identity with, for messages.
    pub(super) fn mechanism(&self) -> &str {
        let protocol = self.properties.get("security.protocol").map_or("plaintext", String::as_str);
        if !protocol.to_ascii_lowercase().starts_with("sasl") {
            return protocol;
        }
        ["sasl.mechanism", "sasl.mechanisms"]
            .into_iter()
            .find_map(|name| self.properties.get(name))
            .map_or("GSSAPI", String::as_str)
    }

    /// A member of `group`; `instance_id` makes its membership static.
    pub(super) fn member(&self, group: &str, instance_id: Option<&str>) -> ClientConfig {
        let mut config = self.config(&[&CONSUMER, &MEMBER]);
        config.set("group.id", group);
        if let Some(instance_id) = instance_id {
            config.set("group.instance.id", instance_id);
        }
        config
    }

    /// Reads partitions on its own account and learns where they end. librdkafka wants a group's name even so.
    pub(super) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.config(&[&CONSUMER]);
        config.set("group.id", group);
        config.set("auto.offset.reset", "earliest");
        config.set("enable.partition.eof", "true");
        // The broker answers at once where there is nothing more to read.
        config.set("fetch.wait.max.ms", "20");
        config
    }

    /// Follows a topic for somebody who looks on.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut config = self.reader(&self.client_id);
        config.set("fetch.wait.max.ms", "250");
        config
    }

    /// Sees records of unfinished transactions too: the true ends of logs, which a reader of committed records is not told.
    pub(super) fn watcher(&self) -> ClientConfig {
        let mut config = self.config(&[&CONSUMER]);
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// Writes in transactions under `transactional_id`.
    pub(super) fn transactional(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.config(&[&[("transaction.timeout.ms", "10000")], &PRODUCER]);
        config.set("transactional.id", transactional_id);
        config
    }

    /// Writes without transactions, each record once and in order.
    pub(super) fn publisher(&self) -> ClientConfig {
        self.config(&[&PRODUCER])
    }

    /// Makes and describes topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.config(&[])
    }

    /// The operator's properties over Weir's defaults; what is protected, [`Settings::check`] has refused.
    fn config(&self, defaults: &[&[(&str, &str)]]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in COMMON.iter().chain(defaults.iter().copied().flatten()) {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", &self.client_id);
        config
    }
}

fn without_secret(property: &str, reason: String) -> String {
    if SECRET.iter().any(|part| property.contains(part)) {
        return "its value is refused (not shown: it may be a secret)".to_owned();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(property: &str, value: &str) -> Settings {
        let mut settings = Settings::plain("broker:9092", "weir");
        settings.properties.insert(property.to_owned(), value.to_owned());
        settings
    }

    #[test]
    fn what_exactly_once_rests_on_cannot_be_changed() {
        for property in PROTECTED {
            let error = with(property, "1").check().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("kafka.properties: {property} is set by Weir and cannot be changed; remove it")
            );
        }
    }

    #[test]
    fn what_librdkafka_does_not_take_is_refused_by_name() {
        let table =
            [("no.such.property", "1", "No such configuration property"), ("linger.ms", "soon", "Invalid value")];
        for (property, value, part) in table {
            let text = with(property, value).check().unwrap_err().to_string();
            assert!(text.starts_with(&format!("kafka.properties: {property}: ")) && text.contains(part), "{text}");
        }
        assert_eq!(Settings::plain(" ", "weir").check(), Err(SettingsError::NoBootstrap));
    }

    #[test]
    fn secrets_are_in_no_message() {
        let error = with("ssl.key.pem", "hunter2").check();
        let shown = format!("{error:?} {:?}", with("sasl.password", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_operators_property_wins_over_a_default_and_never_over_weirs_own() {
        let mut settings = with("linger.ms", "50");
        settings.properties.insert("session.timeout.ms".to_owned(), "30000".to_owned());
        assert_eq!(settings.transactional("id").get("linger.ms"), Some("50"));
        assert_eq!(settings.member("group", None).get("session.timeout.ms"), Some("30000"));
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn librdkafka_takes_the_configuration_of_each_client() {
        let settings = Settings::plain("broker:9092", "weir");
        let member = settings.member("group", Some("pod-0"));
        let all = [
            ("member", member.clone()),
            ("reader", settings.reader("group")),
            ("follower", settings.follower()),
            ("watcher", settings.watcher()),
            ("transactional", settings.transactional("id")),
            ("publisher", settings.publisher()),
            ("admin", settings.admin()),
        ];
        for (name, config) in all {
            assert!(config.create_native_config().is_ok(), "{name}");
            assert_eq!(config.get("bootstrap.servers"), Some("broker:9092"), "{name}");
        }
        for (property, value) in [
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("group.instance.id", "pod-0"),
            ("isolation.level", "read_committed"),
            ("partition.assignment.strategy", "cooperative-sticky"),
        ] {
            assert_eq!(member.get(property), Some(value));
        }
        assert_eq!(settings.member("group", None).get("group.instance.id"), None);
        assert_eq!(settings.watcher().get("isolation.level"), Some("read_uncommitted"));
    }

    #[test]
    fn messages_name_the_mechanism() {
        let mut settings = with("security.protocol", "SASL_SSL");
        assert_eq!(settings.mechanism(), "GSSAPI");
        settings.properties.insert("sasl.mechanism".to_owned(), "SCRAM-SHA-512".to_owned());
        assert_eq!(settings.mechanism(), "SCRAM-SHA-512");
        assert_eq!(with("security.protocol", "ssl").mechanism(), "ssl");
    }
}
