//! What the sensor is asked for, made of flags and configuration; what it cannot do is told in one line.

use std::path::PathBuf;

use weir_runtime::config::Config;
use weir_sensor::pace::Pace;
use weir_sensor::rebase;

use super::Sensor;
use crate::failure::Failure;

/// What to read, as whom, how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Captures, at least one.
    pub files: Vec<PathBuf>,
    /// Sensor id.
    pub sensor: String,
    /// Site name.
    pub site: String,
    /// How fast.
    pub pace: Pace,
    /// Whether to wait for more where files end.
    pub follow: bool,
}

impl Request {
    /// Flags win over the configuration.
    pub fn of(config: &Config, arguments: &Sensor) -> Result<Self, Failure> {
        let interface = arguments.interface.as_ref().or(config.sensor.interface.as_ref());
        if let Some(interface) = interface {
            return Err(Failure::usage(format!(
                "listening on an interface ({interface}) is not built yet; pipe a capture in: \
                 `tcpdump -i {interface} -w - | weir sensor -`"
            )));
        }
        let follow = arguments.follow || config.sensor.follow;
        if follow && (arguments.pace != Pace::Max || arguments.rebase.is_some()) {
            return Err(Failure::usage(
                "followed files are read as they grow and keep their times: leave out --pace and --rebase, or --follow \
                 (sensor.follow)",
            ));
        }
        let files = files(config, arguments);
        if let Some(topic) = files.iter().filter_map(|file| file.to_str()).find(|file| file.starts_with("kafka:")) {
            return Err(Failure::usage(format!(
                "reading packets from Kafka ({topic}) is not built yet; give capture files, or `-` for standard input"
            )));
        }
        if files.is_empty() {
            return Err(Failure::usage(
                "say what to read: capture files, or `-` for standard input (or set sensor.read); see `weir sensor --help`",
            ));
        }
        let stream = rebase::first_stream(&files).filter(|_| arguments.pace.is_faster_than_time());
        if let (Some(stream), Some(_)) = (stream, arguments.rebase) {
            return Err(Failure::usage(format!(
                "--rebase now has to know the last packet's time first, and {} cannot be looked through; \
                 save it to a file, or use --pace realtime",
                stream.display()
            )));
        }
        let sensor = arguments.sensor_id.clone().or_else(|| config.sensor.id.clone());
        Ok(Self {
            files,
            sensor: sensor.unwrap_or_else(|| "file".to_owned()),
            site: arguments.site.clone().unwrap_or_else(|| config.site.name.clone()),
            pace: arguments.pace,
            follow,
        })
    }
}

fn files(config: &Config, arguments: &Sensor) -> Vec<PathBuf> {
    let named: Vec<PathBuf> = arguments.files.iter().cloned().chain(arguments.read.iter().map(PathBuf::from)).collect();
    if named.is_empty() { config.sensor.read.iter().map(PathBuf::from).collect() } else { named }
}
