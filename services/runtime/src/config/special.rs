//! Types of keys that are more than a scalar: free tables, sinks, secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use super::value::{ConfigValue, Kind, Raw, integer, quote, wrong};

/// librdkafka properties that exactly-once delivery and the commit protocol rest on, or that keys of Weir's own stand for.
const PROTECTED_PROPERTIES: [&str; 19] = [
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

/// Leading bits of an IPv6 address, 0–128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLength(pub u8);

impl ConfigValue for PrefixLength {
    const KIND: Kind = Kind::Integer { min: 0, max: 128 };

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let number = integer(raw, 0, 128)?;
        u8::try_from(number).map(Self).map_err(|_| wrong(raw, "prefix length", "one from 0 to 128"))
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl ConfigValue for SocketAddr {
    const KIND: Kind = Kind::Text;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| wrong(raw, "address and port", "both in quotes, as in \"127.0.0.1:9464\" or \"[::1]:9464\""))
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

/// A secret seed of 16 octets, written as 32 hexadecimal digits. It is printed nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretSeed(pub [u8; 16]);

impl fmt::Debug for SecretSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl ConfigValue for SecretSeed {
    const KIND: Kind = Kind::Secret;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        // The message must not hold the value, unlike `wrong`.
        raw.text().and_then(octets_of_hex).map(Self).ok_or_else(|| {
            "must be 32 hexadecimal digits in quotes (16 bytes); make them with `openssl rand -hex 16`".to_owned()
        })
    }

    fn to_toml(&self) -> Option<String> {
        None
    }
}

fn octets_of_hex(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(number.to_be_bytes())
}

/// librdkafka properties by name; beside them, the names of those whose values came from files and are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties(pub BTreeMap<String, String>, BTreeSet<String>);

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_secret_name(name: &str) -> bool {
    ["password", "secret", "token", "credentials", ".pem", "oauthbearer.config", "jaas"]
        .iter()
        .any(|part| name.contains(part))
}

impl ConfigValue for KafkaProperties {
    const KIND: Kind = Kind::TextTable;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let Raw::Table(entries) = raw else {
            return Err("is a table; write its keys below [kafka.properties]".to_owned());
        };
        let mut properties = Self::default();
        for (name, value) in entries {
            if PROTECTED_PROPERTIES.contains(&name.as_str()) {
                return Err(format!("`{name}` is set by Weir itself; remove it"));
            }
            let text = match value {
                Raw::Integer(number) => number.to_string(),
                Raw::Boolean(value) => value.to_string(),
                other => other.text().ok_or_else(|| format!("`{name}` must be text; write it in quotes"))?.to_owned(),
            };
            if matches!(value, Raw::FromFile(_)) {
                properties.1.insert(name.clone());
            }
            properties.0.insert(name.clone(), text);
        }
        Ok(properties)
    }

    fn to_toml(&self) -> Option<String> {
        let shown = |(name, value): (&String, &String)| {
            let is_shown = !is_secret_name(name) && !self.1.contains(name);
            is_shown.then(|| format!("{} = {}", quote(name), quote(value)))
        };
        let entries: Vec<String> = self.0.iter().filter_map(shown).collect();
        Some(if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) })
    }
}

/// Numbers by profile, detector and key, that replace a profile's own thresholds. The engine checks the names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profiles(pub BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>);

impl ConfigValue for Profiles {
    const KIND: Kind = Kind::Profiles;

    /// A flat table with names `profile.detector.key`.
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let Raw::Table(entries) = raw else {
            return Err("is a table; write [profile.default.port_scan] and thresholds below it".to_owned());
        };
        let mut profiles = Self::default();
        for (name, value) in entries {
            let parts: Vec<&str> = name.split('.').collect();
            let [profile, detector, key] = parts[..] else {
                return Err(format!("`{name}` is no threshold; write profile.<name>.<detector>.<key>"));
            };
            let number = match value {
                Raw::Integer(number) => Some(*number as f64),
                Raw::Float(number) => Some(*number),
                other => other.untyped().and_then(|text| text.parse().ok()),
            };
            let number = number.filter(|number| number.is_finite()).ok_or_else(|| wrong(value, "number", "one"))?;
            let detectors = profiles.0.entry(profile.to_owned()).or_default();
            detectors.entry(detector.to_owned()).or_default().insert(key.to_owned(), number);
        }
        Ok(profiles)
    }

    /// Tables of their own, which `config show` prints with their origins: nothing that stands behind a `=`.
    fn to_toml(&self) -> Option<String> {
        None
    }
}

/// Where anomalies go.
#[derive(Clone, PartialEq)]
pub struct Sink {
    /// What it is: `file`, `syslog`, …
    pub kind: String,
    /// Name of its own, in metrics and logs.
    pub id: String,
    /// Whether an outage of it holds everything up.
    pub required: bool,
    /// Which anomalies it gets; all of them without one.
    pub filter: Option<String>,
    /// Keys of its kind, checked by it.
    pub options: BTreeMap<String, Raw>,
}

impl fmt::Debug for Sink {
    /// Options may hold secrets: their names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&String> = self.options.keys().collect();
        let mut sink = f.debug_struct("Sink");
        sink.field("kind", &self.kind).field("id", &self.id).field("required", &self.required);
        sink.field("filter", &self.filter).field("options", &options).finish()
    }
}

impl ConfigValue for Sink {
    const KIND: Kind = Kind::Sink;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let Raw::Table(entries) = raw else {
            return Err("a sink is a table; write [[results.sinks]] and its keys below it, in the file".to_owned());
        };
        let text =
            |name: &str| entries.get(name).map(|value| String::from_raw(value).map_err(|why| format!("{name}: {why}")));
        let needed = |name: &str| text(name).unwrap_or_else(|| Err(format!("a sink needs `{name}`; add it")));
        let mut options = entries.clone();
        options.retain(|name, _| !["kind", "id", "required", "filter"].contains(&name.as_str()));
        Ok(Self {
            kind: needed("kind")?,
            id: needed("id")?,
            required: entries.get("required").map_or(Ok(false), bool::from_raw)?,
            filter: text("filter").transpose()?,
            options,
        })
    }

    fn to_toml(&self) -> Option<String> {
        let mut entries = vec![
            format!("kind = {}", quote(&self.kind)),
            format!("id = {}", quote(&self.id)),
            format!("required = {}", self.required),
        ];
        entries.extend(self.filter.as_ref().map(|filter| format!("filter = {}", quote(filter))));
        let is_shown = |name: &str, value: &Raw| !is_secret_name(name) && !matches!(value, Raw::FromFile(_));
        let shown = self.options.iter().filter(|(name, value)| is_shown(name, value));
        entries.extend(shown.map(|(name, value)| format!("{} = {}", quote(name), value.to_toml())));
        Some(format!("{{ {} }}", entries.join(", ")))
    }
}
