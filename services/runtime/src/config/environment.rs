//! Settings of the environment: `WEIR__SECTION__KEY`, in capitals as is the custom.

use std::ffi::OsString;

use super::error::{ConfigError, Origin};
use super::resolve::Setting;
use super::value::Raw;

const PREFIX: &str = "WEIR__";

/// The settings among the variables of the environment.
pub fn read(variables: &[(OsString, OsString)]) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else {
            continue;
        };
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let key = key_of(path);
        let origin = Origin::Environment(name.to_owned());
        let Some(value) = value.to_str() else {
            return Err(ConfigError::Value { origin, key, reason: "the value is not UTF-8; write it so".to_owned() });
        };
        settings.push(Setting { key, raw: Raw::Text(value.to_owned()), origin, value_origin: None });
    }
    // The system's order is arbitrary: errors should not be.
    settings.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(settings)
}

/// `KAFKA__CLIENT_ID` is `kafka.client_id`. Names of librdkafka have dots for which variables have no letter:
/// `KAFKA__PROPERTIES__SSL_CA_LOCATION` is `kafka.properties.ssl.ca.location`.
fn key_of(path: &str) -> String {
    let key = path.to_lowercase().replace("__", ".");
    let Some(property) = key.strip_prefix("kafka.properties.") else {
        return key;
    };
    match property.strip_suffix("_file") {
        Some(property) => format!("kafka.properties.{}_file", property.replace('_', ".")),
        None => format!("kafka.properties.{}", property.replace('_', ".")),
    }
}
