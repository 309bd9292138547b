//! `weir tail`: follows anomalies as they are published, for a person at a terminal or a script.

mod since;

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use weir_bus::kafka::{Begin, Reader};
use weir_bus::member::Remedy;
use weir_bus::{Topics, Value};
use weir_results::filter::Filter;
use weir_results::{TableOptions, json_line, tail_line};
use weir_schemas::{Anomaly, Micros};

use super::topics::PATIENCE;
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::service::{TURN, kafka_settings};
use since::Since;

const EXAMPLES: &str = "\
Examples:
  weir tail                                         every anomaly from now on
  weir tail --severity high --since 1h              the bad ones of the last hour, and those to come
  weir tail --detector port_scan,host_sweep         these detectors only
  weir tail --source 10.0.0.0/8                     sources of this network only
  weir tail --format jsonl --limit 1 | jq .message  the next one, for a script

Exit status: 0 stopped, or --limit reached, 2 usage or configuration, 69 brokers unreachable, 78 topics or rights are wrong.";

/// How often what the brokers' client met by itself is told.
const WARNINGS_EVERY: Duration = Duration::from_secs(10);

/// Follow anomalies as they are published
///
/// Prints one line for each revision of each anomaly: opened, updated, closed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tail {
    /// Least severity to show: info, low, medium, high or critical
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    pub severity: String,
    /// Show these detectors only, by id, with commas between them; may be repeated
    #[arg(long, value_name = "ID")]
    pub detector: Vec<String>,
    /// Show these sources only, with commas between them: addresses, networks, names; may be repeated
    #[arg(long, value_name = "SOURCE")]
    pub source: Vec<String>,
    /// Begin with what was published so long ago (15m, 2h) or since a time (2026-03-31T08:00:00Z); default: now
    #[arg(long, value_name = "WHEN", value_parser = str::parse::<Since>)]
    pub since: Option<Since>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Stop after this many lines
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroU64>,
}

/// How to print anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for people
    Text,
    /// One JSON object per line
    Jsonl,
}

impl Tail {
    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::default().at_least(&self.severity).map_err(|error| wrong("--severity", &error))?;
        for list in &self.detector {
            filter = filter.detectors(list).map_err(|error| wrong("--detector", &error))?;
        }
        for list in &self.source {
            filter = filter.sources(list).map_err(|error| wrong("--source", &error))?;
        }
        Ok(filter)
    }

    fn begin(&self) -> Begin {
        self.since.map_or(Begin::End, |since| Begin::Time(since.at(now())))
    }
}

fn wrong(flag: &str, error: &dyn std::error::Error) -> Failure {
    Failure::usage(format!("{flag}: {error}"))
}

/// Prints anomalies until it is told to stop, or has printed as many as were asked for.
pub fn run(globals: &Globals, arguments: &Tail) -> Result<ExitCode, Failure> {
    let filter = arguments.filter()?;
    let config = globals.start()?.config;
    let shutdown = interrupt::watch()?;
    let topic = Topics::new(&config.topics.prefix).anomalies();
    let settings = kafka_settings(&config, "weir-tail")?;
    let mut reader = Reader::open(&settings, &topic, arguments.begin(), PATIENCE)?;
    let mut line = Line::new(arguments.format);
    let mut left = arguments.limit.map_or(u64::MAX, NonZeroU64::get);
    let mut warned = Instant::now();
    while left > 0 && !shutdown.is_requested() {
        if warned.elapsed() >= WARNINGS_EVERY {
            warned = Instant::now();
            for warning in reader.take_warnings() {
                tracing::warn!(times = warning.times, "{}", warning.text);
            }
        }
        let next = match reader.poll(TURN) {
            Ok(next) => next,
            Err(error) if error.remedy == Remedy::Retry => continue,
            Err(error) => return Err(Failure::environment(error)),
        };
        let Some((partition, delivery)) = next else { continue };
        match delivery.value {
            Value::Anomaly(anomaly) if filter.admits(&anomaly) => {
                output::print(&line.of(&anomaly))?;
                left -= 1;
            }
            Value::Anomaly(_) => {}
            _ => tracing::warn!(topic, partition, offset = delivery.offset, "this record is no anomaly: left out"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines as they are printed, one below the other.
struct Line {
    format: Format,
    options: TableOptions,
}

impl Line {
    fn new(format: Format) -> Self {
        Self { format, options: TableOptions::for_stdout() }
    }

    fn of(&mut self, anomaly: &Anomaly) -> String {
        match self.format {
            Format::Text => format!("{}\n", tail_line(anomaly, &self.options)),
            Format::Jsonl => format!("{}\n", json_line(anomaly)),
        }
    }
}

/// Time of day, µs since 1970 UTC.
fn now() -> Micros {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since_1970.as_micros()).unwrap_or(Micros::MAX)
}
