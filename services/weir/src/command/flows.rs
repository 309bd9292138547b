//! `weir flows`: what the sensor saw, before any detection.

mod container;
mod csv;
mod jsonl;
mod sink;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use weir_bus::Value;
use weir_runtime::Shutdown;
use weir_schemas::Record;
use weir_sensor::input;
use weir_sensor::sensor::FileSensor;

use super::reading::Reading;
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::pipeline::{geography, sensor_config, warning_line};
use crate::progress::Progress;
use sink::Sink;

const EXAMPLES: &str = "\
Examples:
  weir flows capture.pcap                            a table of flow records
  weir flows --format csv --out flows.csv *.pcap     for a spreadsheet
  weir flows --format jsonl capture.pcap | jq .src   for a script
  weir flows --format avro --out flows.avro a.pcap   for anything that reads Avro
  weir flows --follow --format jsonl conn.log        as a log grows, over its rotations
  weir flows --format null capture.pcap              how fast this machine reads it

A conversation has one record per 10 s of its life; records of one conversation share their flow_id.
Exit status: 0 the input was read, 2 error.";

/// Packets that the sensor reads before what they brought is printed.
const PACKETS_PER_STEP: usize = 8_192;

/// How long a request to stop may go unseen while a followed file does not grow.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Print the flow records that a sensor makes of captures
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flows {
    /// Captures, tables of flows, directories of them; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Wait for more where the files end, and read the files that their writers go on to, until stopped
    #[arg(long)]
    pub follow: bool,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Where to write them; `-` is standard output (default)
    #[arg(long, value_name = "FILE", required_if_eq("format", "avro"))]
    pub out: Option<PathBuf>,
    /// How the inputs are to be read
    #[command(flatten)]
    pub reading: Reading,
    /// Name of the site the captures are from (default: site.name, `local`)
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Name of the sensor that made the captures (default: sensor.id, `file`)
    #[arg(long, value_name = "ID")]
    pub sensor_id: Option<String>,
}

/// How to print flow records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
    /// An Avro object container file (needs --out)
    Avro,
    /// Nothing but totals and the speed: what the sensor alone can do
    Null,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    packets: u64,
    records: u64,
    flows: u64,
    evicted: u64,
    late: u64,
    is_interrupted: bool,
}

/// Reads the files and prints their flow records as they are made.
pub fn run(globals: &Globals, arguments: &Flows) -> Result<ExitCode, Failure> {
    let config = globals.start()?.config;
    let site = arguments.site.as_ref().unwrap_or(&config.site.name);
    let sensor_id = arguments.sensor_id.as_deref().or(config.sensor.id.as_deref()).unwrap_or("file");
    let shutdown = interrupt::watch()?;
    let options = arguments.reading.options(&config, &shutdown)?;
    let open = if arguments.follow { input::follow } else { input::open };
    let input = open(&arguments.files, &options).map_err(Failure::usage)?;
    let sensor = FileSensor::new(input, sensor_config(&config, site, sensor_id, 1)).with_geography(geography(&config)?);
    let out = arguments.out.as_deref().filter(|out| *out != Path::new("-"));
    if let Some(out) = out {
        output::refuse_input_as_output(&arguments.files, out)?;
    }
    let mut sink = Sink::open(arguments.format, out)?;
    let began = Instant::now();
    let totals = pump(sensor, &mut sink, &shutdown)?;
    sink.finish(totals, began.elapsed())?;
    let Totals { packets, records, flows, evicted, late, is_interrupted } = totals;
    if is_interrupted {
        interrupt::tell(packets);
    }
    eprintln!("weir: {packets} packets; {records} records of {flows} flows; evicted={evicted} late packets={late}");
    Ok(ExitCode::SUCCESS)
}

fn pump(mut sensor: FileSensor, sink: &mut Sink, shutdown: &Shutdown) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    let mut progress = Progress::new(!sink.is_on_terminal());
    let mut latest = None;
    loop {
        if shutdown.is_requested() {
            sensor.stop();
        }
        let outcome = sensor.step(PACKETS_PER_STEP);
        totals.is_interrupted = shutdown.is_requested();
        for message in &outcome.messages {
            let Value::Record(record @ Record::Flow(flow)) = &message.value else {
                continue;
            };
            totals.records += 1;
            totals.flows += u64::from(flow.export_index == 0);
            latest = Some(flow.event_time);
            sink.write(flow, record)?;
        }
        for warning in sensor.take_warnings() {
            progress.warn(&warning_line(&warning));
        }
        totals.packets = sensor.input_counters().all_packets();
        progress.show(totals.packets, latest);
        if outcome.ended {
            break;
        }
        if outcome.waits {
            sink.flush()?;
            sensor.await_more(LONGEST_WAIT);
        }
    }
    progress.finish();
    totals.evicted = sensor.flow_counters().evicted;
    totals.late = sensor.late_packets();
    Ok(totals)
}
