//! `weir sensor`: captures in, flow records and marks out to Kafka, as fast as asked and as if they were of today.

mod outlet;
mod replay;
mod request;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use weir_bus::Topics;
use weir_bus::kafka::Publisher;
use weir_runtime::metrics::SensorMetrics;
use weir_schemas::{Micros, schema};
use weir_sensor::input::{self, Input, InputOptions};
use weir_sensor::pace::Pace;
use weir_sensor::rebase::{self, Rebased};
use weir_sensor::sensor::FileSensor;

use super::reading::Reading;
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::interrupt;
use crate::pipeline::{geography, sensor_config, warning_line};
use crate::service::Host;
use outlet::{KafkaOutlet, PATIENCE};
use replay::Replay;
use request::Request;

const EXAMPLES: &str = "\
Examples:
  weir sensor capture.pcap                                     all of it, as fast as it goes
  weir sensor --pace realtime --rebase now capture.pcap        as if it happened now
  weir sensor --pace 10x --rebase now monday.pcap tuesday.pcap ten times as fast, ending now
  ssh gate tcpdump -w - -c 100000 | weir sensor -              standard input
  weir sensor --follow /var/captures                           files as tcpdump -G or dumpcap -b write them
  weir sensor --sensor-id gate-1 --site berlin gate.pcap       a name of its own: one per sensor and site

Exit status: 0 the input was published or the sensor stopped, 2 usage, configuration or input, 69 brokers unreachable,
78 topics or rights are wrong.";

/// What the sensor is called towards brokers and collectors.
const SERVICE: &str = "weir-sensor";

/// How long brokers may take to confirm what is still under way at the end.
const LAST_DELIVERIES: Duration = Duration::from_secs(30);

/// Publish the flow records of captures to Kafka, with marks that say how far the sensor is
///
/// Reads captures and tables of flows, compressed or not, and publishes to the topic flows.v1 of the lane.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_field_names, reason = "the flag is --sensor-id")]
pub struct Sensor {
    /// Captures, tables of flows or directories of them, in any order; `-` is standard input (default: sensor.read)
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Wait for more where the files end, and read the files that their writers go on to, until stopped (sensor.follow)
    #[arg(long)]
    pub follow: bool,
    /// How fast: realtime, max, or a multiple of real time such as 10x
    #[arg(long, value_name = "PACE", default_value = "max", value_parser = str::parse::<Pace>)]
    pub pace: Pace,
    /// Shift all times by one constant: the first packet is now with realtime and slower, else the last one is
    #[arg(long, value_enum, value_name = "WHEN")]
    pub rebase: Option<Rebase>,
    /// Name of the sensor, unique within its site (default: sensor.id, `file`)
    #[arg(long, value_name = "ID")]
    pub sensor_id: Option<String>,
    /// Name of the site the captures are from (default: site.name, `local`)
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// How the inputs are to be read
    #[command(flatten)]
    pub reading: Reading,
    /// Where to serve health and metrics; port 0 takes a free one (as --set admin.listen=…)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,
    /// Packets of thin sensors, as kafka:weir.packets.v1: not built yet
    #[arg(long, value_name = "SOURCE")]
    pub read: Option<String>,
    /// Network interface to listen on: not built yet
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// Which time packets get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rebase {
    /// The present
    Now,
}

/// Publishes until the input ends or the sensor is told to stop.
pub fn run(globals: &Globals, arguments: &Sensor) -> Result<ExitCode, Failure> {
    let mut globals = globals.clone();
    globals.set.extend(arguments.admin.map(|address| ("admin.listen".to_owned(), address.to_string())));
    // What is wrong with the call is told before anything is served or connected to.
    let request = Request::of(&globals.load_config()?.config, arguments)?;
    let host = Host::start(&globals, SERVICE, |_| request.sensor.clone())?;
    let config = &host.config;
    let ready = host.health.readiness("publishing");
    let options = arguments.reading.options(config, &host.shutdown)?;
    let geography = geography(config)?;
    let input = open(&request, &options, arguments.rebase)?;

    let topics = Topics::new(&config.topics.prefix);
    host.prepare(SERVICE, &[topics.flows(), topics.schemas()], &[schema::FLOW])?;
    let publisher = Publisher::open(&host.kafka(SERVICE)?, PATIENCE)?;
    let partitions = publisher.partition_count(&topics.flows()).map_err(Failure::unreachable)?;

    let metrics = SensorMetrics::new(&host.meter);
    let mut sensor_settings = sensor_config(config, &request.site, &request.sensor, partitions);
    sensor_settings.flow.boot = now();
    tracing::info!(
        sensor = request.sensor,
        site = request.site,
        topic = sensor_settings.topic,
        partitions,
        boot = sensor_settings.flow.boot,
        "sensor starts"
    );
    let topic = sensor_settings.topic.clone();
    let sensor = FileSensor::new(input, sensor_settings).with_geography(geography).with_metrics(metrics.clone());
    let outlet = KafkaOutlet::new(publisher, metrics);
    let mut replay = Replay::new(sensor, arguments.pace, outlet, host.tracer.clone());
    ready.pass();
    let ended = replay.run(&host.shutdown, |warning| tracing::warn!("{}", warning_line(warning)));
    let totals = replay.totals();
    // Brokers that were waited for in vain are not waited for again.
    let patience = if ended.is_ok() { LAST_DELIVERIES } else { Duration::ZERO };
    let outcome = replay.into_outlet().finish(patience);
    if host.shutdown.is_requested() {
        interrupt::tell(totals.packets);
    }
    eprintln!(
        "weir: {} packets; {} records and {} marks for {topic} ({partitions} partitions); {outcome}",
        totals.packets, totals.records, totals.marks
    );
    host.join()?;
    ended?;
    outcome.into_result().map(|()| ExitCode::SUCCESS)
}

/// Opens the input, in the time it is to have.
fn open(request: &Request, options: &InputOptions, rebase: Option<Rebase>) -> Result<Box<dyn Input>, Failure> {
    if request.follow {
        return input::follow(&request.files, options).map_err(Failure::usage);
    }
    let input = input::open(&request.files, options).map_err(Failure::usage)?;
    if rebase.is_none() {
        return Ok(input);
    }
    if !request.pace.is_faster_than_time() {
        return Ok(Box::new(Rebased::first_at(input, now)));
    }
    let last = rebase::last_time(&request.files, options).map_err(Failure::usage)?;
    // Without a packet, or with nobody waiting any more, there is nothing to shift.
    let shift = last.map_or(0, |last| now().saturating_sub(last));
    Ok(Box::new(Rebased::by(input, shift)))
}

/// Time of day, µs since 1970 UTC.
fn now() -> Micros {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since_1970.as_micros()).unwrap_or(Micros::MAX)
}
