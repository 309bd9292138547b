//! Sink `envelope`: one line of JSON per window, with all anomalies of the window and their counts, for readers of that
//! older form. Keys and their meaning are described in the documentation.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use weir_schemas::finding::Window;
use weir_schemas::time::SECOND_US;
use weir_schemas::{Anomaly, EpisodeState, Micros, Severity, rfc3339};

use super::file::{self, Rotation};
use super::options::Options;
use super::stdout::write_out;
use super::{DeliveryError, Sink};
use crate::task::wall_clock;
use crate::text;

/// How long a window's anomalies are waited for, unless configured: findings of one pane close are a commit apart.
const DEFAULT_GATHER: Duration = Duration::from_secs(2);

/// What goes into an envelope beside what always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeOptions {
    /// Each anomaly's `id` and `revision`, to tell a repetition by.
    pub ids: bool,
}

/// The envelope of one window, made at `now` (µs).
#[must_use]
pub fn envelope(window: Window, anomalies: &[&Anomaly], now: Micros, options: EnvelopeOptions) -> Value {
    let mut by_type: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut by_severity = Counts::default();
    for anomaly in anomalies {
        by_type.entry(&anomaly.detector).or_default().add(anomaly.severity);
        by_severity.add(anomaly.severity);
    }
    let by_type: Map<String, Value> =
        by_type.iter().map(|(name, counts)| ((*name).to_owned(), counts.json())).collect();
    json!({
        "window_start": seconds(window.start),
        "window_end": seconds(window.end),
        "timestamp": rfc3339::format(now),
        "anomaly_count": anomalies.len(),
        "anomalies": anomalies.iter().map(|anomaly| entry(anomaly, options)).collect::<Vec<_>>(),
        "summary": { "by_type": by_type, "by_severity": by_severity.json() },
    })
}

fn entry(anomaly: &Anomaly, options: EnvelopeOptions) -> Value {
    let mut entry = json!({
        "type": anomaly.detector,
        "severity": anomaly.severity.name(),
        "metric": anomaly.metric,
        "threshold": anomaly.threshold,
        "current_value": anomaly.observed,
        "deviation": deviation(anomaly),
        "message": anomaly.message,
        "baseline_mean": anomaly.baseline.mean,
        "sample_count": anomaly.baseline.n,
    });
    if options.ids {
        entry["id"] = anomaly.id.as_str().into();
        entry["revision"] = anomaly.revision.into();
    }
    entry
}

/// `233.0% above baseline`; where there is no baseline, of the threshold.
fn deviation(anomaly: &Anomaly) -> String {
    let (normal, name) = match anomaly.baseline.mean {
        Some(mean) => (mean, "baseline"),
        None => (anomaly.threshold, "threshold"),
    };
    let percent = (anomaly.observed - normal) / normal * 100.0;
    if normal <= 0.0 || !percent.is_finite() {
        return format!("{name} is {normal}");
    }
    let side = if percent < 0.0 { "below" } else { "above" };
    format!("{:.1}% {side} {name}", percent.abs())
}

fn seconds(time: Micros) -> f64 {
    time as f64 / SECOND_US as f64
}

const SEVERITIES: [Severity; 5] = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// Anomalies by severity.
#[derive(Clone, Copy, Debug, Default)]
struct Counts([u64; SEVERITIES.len()]);

impl Counts {
    fn add(&mut self, severity: Severity) {
        for (known, count) in SEVERITIES.into_iter().zip(&mut self.0) {
            *count += u64::from(known == severity);
        }
    }

    /// Every severity, those without an anomaly too.
    fn json(self) -> Value {
        SEVERITIES
            .into_iter()
            .zip(self.0)
            .map(|(severity, count)| (severity.name().to_owned(), Value::from(count)))
            .collect()
    }
}

/// Where envelopes go.
enum Target {
    File(Rotation),
    Out(Box<dyn Write + Send>),
}

pub(super) struct EnvelopeSink {
    target: Target,
    options: EnvelopeOptions,
    gather: Duration,
    clock: fn() -> Micros,
}

/// Keys `path` and those of rotation (standard output without a path), `gather`, `ids`.
pub(super) fn configured(options: &mut Options) -> Result<Box<dyn Sink>, String> {
    let target =
        if options.has("path") { Target::File(options.rotation()?) } else { Target::Out(Box::new(std::io::stdout())) };
    let gather = options.get("gather")?.unwrap_or(DEFAULT_GATHER);
    let ids = options.get("ids")?.unwrap_or(false);
    Ok(Box::new(EnvelopeSink { target, options: EnvelopeOptions { ids }, gather, clock: wall_clock }))
}

impl Sink for EnvelopeSink {
    fn deliver(&mut self, anomalies: &[&Anomaly]) -> Result<(), DeliveryError> {
        let now = (self.clock)();
        let lines = by_window(anomalies)
            .into_iter()
            .map(|(window, anomalies)| text::json_line(&envelope(window, &anomalies, now, self.options).to_string()));
        match &mut self.target {
            Target::File(rotation) => file::append(rotation, lines, SystemTime::now()),
            Target::Out(out) => {
                let text: String = lines.map(|line| line + "\n").collect();
                write_out(out, &text)
            }
        }
    }

    fn gathers_for(&self) -> Duration {
        self.gather
    }
}

/// The anomalies of each window, windows in order of time, the most severe first. A closing revision repeats the peak of a
/// window that was told: it is no anomaly of a window.
fn by_window<'a>(anomalies: &[&'a Anomaly]) -> Vec<(Window, Vec<&'a Anomaly>)> {
    let mut windows: BTreeMap<(Micros, Micros), Vec<&Anomaly>> = BTreeMap::new();
    for anomaly in anomalies.iter().filter(|anomaly| anomaly.state != EpisodeState::Closed) {
        windows.entry((anomaly.window.end, anomaly.window.start)).or_default().push(anomaly);
    }
    windows
        .into_iter()
        .map(|((end, start), mut anomalies)| {
            anomalies.sort_by(|a, b| {
                b.severity.cmp(&a.severity).then_with(|| (&a.id, a.revision).cmp(&(&b.id, b.revision)))
            });
            (Window { start, end }, anomalies)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, NOON, Sample};

    #[test]
    fn an_envelope_has_exactly_its_keys() {
        let spike = Anomaly { message: "words".to_owned(), ..sample::traffic_spike() };
        let scan = sample::port_scan().id("scan");
        let window = spike.window;
        let made = envelope(window, &[&spike, &scan], NOON, EnvelopeOptions::default());
        let expected = json!({
            "window_start": 1_772_366_350.0,
            "window_end": 1_772_366_410.0,
            "timestamp": "2026-03-01T12:00:00.000000Z",
            "anomaly_count": 2,
            "anomalies": [
                {
                    "type": "traffic_spike",
                    "severity": "medium",
                    "metric": "byte_rate",
                    "threshold": 9_100_000.0,
                    "current_value": 48_200_000.0,
                    "deviation": "1828.0% above baseline",
                    "message": "words",
                    "baseline_mean": 2_500_000.0,
                    "sample_count": 412,
                },
                {
                    "type": "port_scan",
                    "severity": "high",
                    "metric": "failed_ports",
                    "threshold": 20.0,
                    "current_value": 1000.0,
                    "deviation": "4900.0% above threshold",
                    "message": "",
                    "baseline_mean": null,
                    "sample_count": 0,
                },
            ],
            "summary": {
                "by_type": {
                    "port_scan": { "info": 0, "low": 0, "medium": 0, "high": 1, "critical": 0 },
                    "traffic_spike": { "info": 0, "low": 0, "medium": 1, "high": 0, "critical": 0 },
                },
                "by_severity": { "info": 0, "low": 0, "medium": 1, "high": 1, "critical": 0 },
            },
        });
        assert_eq!(made, expected);
        let with_ids = envelope(window, &[&scan], NOON, EnvelopeOptions { ids: true });
        assert_eq!(with_ids["anomalies"][0]["id"], "scan");
        assert_eq!(with_ids["anomalies"][0]["revision"], 0);
    }

    #[test]
    fn a_deviation_is_told_for_any_numbers() {
        let with = |observed: f64, threshold: f64| deviation(&Anomaly { threshold, observed, ..sample::port_scan() });
        assert_eq!(with(5.0, 20.0), "75.0% below threshold");
        assert_eq!(with(5.0, 0.0), "threshold is 0");
        assert_eq!(with(f64::NAN, 20.0), "threshold is 20");
    }

    #[test]
    fn each_window_is_one_line_in_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.jsonl");
        let rotation = Rotation { path: path.clone(), max_bytes: 1 << 20, max_age: None, files: 1 };
        let mut sink = EnvelopeSink {
            target: Target::File(rotation),
            options: EnvelopeOptions { ids: true },
            gather: Duration::ZERO,
            clock: || NOON,
        };
        let later = sample::port_scan().id("later").later(10 * SECOND_US);
        let (first, worse) = (sample::host_sweep().id("first"), sample::port_scan().id("worse"));
        let closed = sample::port_scan().id("closed").state(EpisodeState::Closed).later(20 * SECOND_US);
        sink.deliver(&[&later, &first, &closed, &worse]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let ids: Vec<Vec<String>> = text
            .lines()
            .map(|line| {
                let envelope: Value = serde_json::from_str(line).unwrap();
                let anomalies = envelope["anomalies"].as_array().unwrap();
                anomalies.iter().map(|anomaly| anomaly["id"].as_str().unwrap().to_owned()).collect()
            })
            .collect();
        assert_eq!(ids, [vec!["worse", "first"], vec!["later"]]);
    }
}
