//! Bounds that a type alone does not set, each with the reason.

use std::time::Duration;

use super::error::ConfigError;
use super::resolve::Settings;
use super::sections::Config;
use crate::telemetry::endpoint;

/// Least memory in which the engine's tables still tell anything apart.
const LEAST_PARTITION_MEMORY: u64 = 4 << 20;

/// Kafka allows names of 249 characters; stage and shard are added to this one.
const MOST_INSTANCE_CHARACTERS: usize = 200;

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
    check_kafka(config, settings)?;
    if let Some(Err(reason)) = config.telemetry.otlp_endpoint.as_deref().map(endpoint::check) {
        return fail("telemetry.otlp_endpoint", &reason);
    }
    if config.detector.stages.is_empty() {
        return fail("detector.stages", "names no stage; write \"source\", \"site\" or both");
    }
    if config.site.name.is_empty() {
        return fail("site.name", "is empty; give the site a name");
    }
    if !config.topics.prefix.chars().all(is_legal) {
        return fail("topics.prefix", "may hold letters, digits, dot, underscore and hyphen only");
    }
    Ok(())
}

/// Source: Apache Kafka, `org.apache.kafka.common.internals.Topic` (legal characters of a topic's name, and of a member's:
/// `JoinGroupRequest.validateGroupInstanceId`).
fn is_legal(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

fn check_kafka(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    if config.kafka.bootstrap.is_empty() {
        return Err(settings.error("kafka.bootstrap", "names no broker; write [\"host:9092\"]".to_owned()));
    }
    if let Some(bad) = config.kafka.bootstrap.iter().position(|broker| !is_broker(broker)) {
        let reason = format!("entry {} is no broker; write its host and port, as in \"kafka-0:9092\"", bad + 1);
        return Err(settings.error("kafka.bootstrap", reason));
    }
    for (key, instance) in
        [("detector.instance", &config.detector.instance), ("results.instance", &config.results.instance)]
    {
        let is_name =
            |name: &String| (1..=MOST_INSTANCE_CHARACTERS).contains(&name.len()) && name.chars().all(is_legal);
        if instance.as_ref().is_some_and(|instance| !is_name(instance)) {
            let reason = format!(
                "may hold letters, digits, dot, underscore and hyphen only, {MOST_INSTANCE_CHARACTERS} of them at most"
            );
            return Err(settings.error(key, reason));
        }
    }
    Ok(())
}

/// `host:port`, or `[address]:port` for IPv6.
fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_legal),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}
