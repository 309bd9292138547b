//! Kafka's jars: fetched by Maven once, and run with Java.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::BrokerError;

/// The folder with this harness's scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka")
}

/// Where builds go, and with them what the harness fetches and writes.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

/// The folder that holds the jars, fetched if need be.
pub(crate) fn jars() -> Result<&'static Path, BrokerError> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match JARS.get_or_init(fetch) {
        Ok(jars) => Ok(jars),
        Err(detail) => Err(BrokerError::Environment(detail.clone())),
    }
}

fn fetch() -> Result<PathBuf, String> {
    require_java()?;
    let output = Command::new(scripts().join("fetch"))
        .arg("--to")
        .arg(target().join("kafka/jars"))
        .output()
        .map_err(|error| format!("tests/kafka/fetch does not run: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("Kafka's jars could not be fetched ({}):\n{}", output.status, words.trim_end()));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}

/// Kafka 4's broker needs Java 17.
fn require_java() -> Result<(), String> {
    const ADVICE: &str = "install the package openjdk-17-jre-headless, or name a broker by KAFKA_BOOTSTRAP";
    let output = Command::new("java")
        .arg("-version")
        .output()
        .map_err(|error| format!("java does not run: {error}; {ADVICE}"))?;
    // `openjdk version "17.0.15" 2025-04-15`, on standard error.
    let words = String::from_utf8_lossy(&output.stderr);
    let major =
        words.split('"').nth(1).and_then(|version| version.split('.').next()).and_then(|text| text.parse().ok());
    match major {
        Some(17_u32..) => Ok(()),
        _ => Err(format!("Kafka needs Java 17 or newer, and java here says {:?}; {ADVICE}", words.lines().next())),
    }
}

/// Runs one of Kafka's command-line tools, by its class, to its end; returns what it printed.
pub(crate) fn run_tool(class: &str, arguments: &[&str]) -> Result<String, BrokerError> {
    let output = Command::new("java")
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars()?.join("*"))
        .arg(class)
        .args(arguments)
        .output()
        .map_err(|error| BrokerError::Environment(format!("java does not run: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(BrokerError::Refused {
        what: format!("serve {class} {}", arguments.join(" ")),
        reason: format!("{}\n{said}{complaint}", output.status),
    })
}
