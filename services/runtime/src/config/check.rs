//! Bounds that a type alone does not set, each with the reason.

use std::time::Duration;

use super::error::ConfigError;
use super::resolve::Settings;
use super::sections::Config;

/// Least memory in which the engine's tables still tell anything apart.
const LEAST_PARTITION_MEMORY: u64 = 4 << 20;

/// Checks what the types of the keys cannot.
pub fn check(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    let sensor = &config.sensor;
    let fail = |key: &str, reason: &str| Err(settings.error(key, reason.to_owned()));

    for (key, timeout) in
        [("sensor.idle_timeout", sensor.idle_timeout), ("sensor.unanswered_timeout", sensor.unanswered_timeout)]
    {
        if timeout.is_zero() {
            return fail(key, "must be above 0s: every packet would be a flow of its own");
        }
    }
    // A pane closes on marks: seldomer than once per pane, verdicts come late.
    if sensor.mark_interval.is_zero() || sensor.mark_interval > Duration::from_secs(10) {
        return fail("sensor.mark_interval", "must be above 0s and at most 10s, the length of a pane");
    }
    if config.engine.partition_memory.0 < LEAST_PARTITION_MEMORY {
        return fail("engine.partition_memory", "is too little to detect anything in; give at least \"4MiB\"");
    }
    if config.detector.stages.is_empty() {
        return fail("detector.stages", "names no stage; write \"source\", \"site\" or both");
    }
    if config.site.name.is_empty() {
        return fail("site.name", "is empty; give the site a name");
    }
    let valid = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    // Source: Apache Kafka, org.apache.kafka.common.internals.Topic (legal characters of a topic name).
    if !config.topics.prefix.chars().all(valid) {
        return fail("topics.prefix", "may hold letters, digits, dot, underscore and hyphen only");
    }
    Ok(())
}
