//! Sinks: where anomalies go beside their topic. One file per kind.
//!
//! Each sink has a group, and so a position, of its own, and [`SinkRunner`] moves it: at least once, with the anomaly's id and
//! revision to tell a repetition by. What becomes of one sink touches neither the topic nor another sink.

mod envelope;
mod file;
mod held;
mod options;
mod runner;
mod stdout;

use std::time::Duration;

use weir_runtime::config;
use weir_schemas::Anomaly;

use crate::filter::Filter;
use options::Options;

pub use envelope::{EnvelopeOptions, envelope};
pub use runner::{Health, RunnerSettings, SinkRunner, SinkStep, group_of};

/// Where a sink begins when it has no position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With all that the topic still holds.
    Earliest,
    /// With what comes from now on.
    Latest,
}

/// Environment: a sink did not take what it was given. The same call again may help: nothing of it counts as delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryError(pub String);

/// Input: a sink's configuration is wrong; one line that says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sink \"{id}\": {detail}")]
pub struct SinkConfigError {
    /// The sink's id.
    pub id: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// Somewhere to put anomalies.
pub trait Sink: Send {
    /// Puts them there, in order. When it returns they are safe, and the sink's position may move past them; after an error
    /// all of them are given again.
    fn deliver(&mut self, anomalies: &[&Anomaly]) -> Result<(), DeliveryError>;

    /// How long the anomalies of one window are waited for, from its last one on, so that they are delivered together.
    fn gathers_for(&self) -> Duration {
        Duration::ZERO
    }
}

/// A sink as configured, ready to be run.
pub struct ConfiguredSink {
    /// Name of its own: part of its group's name, of metrics and of logs.
    pub id: String,
    /// Whether the service is unready while it fails.
    pub required: bool,
    /// Which anomalies it gets.
    pub filter: Filter,
    /// Where it begins without a position.
    pub from: Begin,
    /// The sink itself.
    pub sink: Box<dyn Sink>,
}

/// Longest id, bytes: it is part of a group's name.
const LONGEST_ID: usize = 64;

/// Checks a sink's keys and makes it. Nothing is opened yet.
pub fn configure(sink: &config::Sink) -> Result<ConfiguredSink, SinkConfigError> {
    build(sink).map_err(|detail| SinkConfigError { id: sink.id.escape_debug().to_string(), detail })
}

/// Checks and makes all sinks; ids must differ.
pub fn configure_all(sinks: &[config::Sink]) -> Result<Vec<ConfiguredSink>, SinkConfigError> {
    for (index, sink) in sinks.iter().enumerate() {
        if sinks[..index].iter().any(|earlier| earlier.id == sink.id) {
            let detail = "another sink has this id, and so its position; give each one of its own".to_owned();
            return Err(SinkConfigError { id: sink.id.escape_debug().to_string(), detail });
        }
    }
    sinks.iter().map(configure).collect()
}

fn build(sink: &config::Sink) -> Result<ConfiguredSink, String> {
    check_id(&sink.id)?;
    let filter = match &sink.filter {
        Some(text) => text.parse::<Filter>().map_err(|error| format!("filter: {error}"))?,
        None => Filter::default(),
    };
    let mut options = Options::new(&sink.options);
    let from = options.choice("from", &[("latest", Begin::Latest), ("earliest", Begin::Earliest)])?;
    let made: Box<dyn Sink> = match sink.kind.as_str() {
        "file" => {
            let format = options.format()?;
            Box::new(file::FileSink::new(options.rotation()?, move |anomaly| format.line(anomaly)))
        }
        "stdout" => Box::new(stdout::StdoutSink::new(options.format()?, std::io::stdout())),
        "envelope" => envelope::configured(&mut options)?,
        other => {
            let known = "file, stdout or envelope";
            return Err(format!("kind \"{}\" is unknown; write {known}", other.escape_debug()));
        }
    };
    options.finish(&sink.kind)?;
    Ok(ConfiguredSink { id: sink.id.clone(), required: sink.required, filter, from, sink: made })
}

fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_plain) {
        return Err(format!("an id has 1 to {LONGEST_ID} letters, digits, `-`, `_` or `.`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
