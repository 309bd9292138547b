//! `weir analyze`: from captures to verdicts, in one process.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use weir_results::{Episodes, TableOptions, capture_report, json_line, render_table};
use weir_schemas::Severity;

use super::reading::Reading;
use super::{baseline, value};
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::pipeline::{self, Ended, Pipeline, Plan};
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  weir analyze capture.pcap                           a table on one screen
  weir analyze --severity high *.pcapng               several files, merged by time
  ssh gate tcpdump -U -w - | weir analyze -           standard input
  weir analyze --format jsonl capture.pcap.zst        one finding per line, as it becomes known
  weir analyze --format markdown capture.pcap > report.md
  weir analyze --date 2026-03-31 tcpdump-output.txt   tcpdump's text, whose times have no date
  weir analyze --baseline normal.json today.pcap      against what is normal here
  weir analyze zeek-logs/conn.log                     flows that somebody else measured
  weir analyze --mapping firewall.toml firewall.csv   a table whose columns you explain

Exit status: 0 nothing found, 1 found (of that severity or above), 2 error.";

/// Find out what happened in captures
///
/// Reads pcap, pcapng, tcpdump's text and tables of flows (Zeek, Suricata, VPC flow logs, nfdump, …), compressed or not; what a
/// file is, its content tells. A directory stands for its files.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Analyze {
    /// Captures, tables of flows, directories of them; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Thresholds to judge by: default, classic, or one of the configuration (as --set engine.profile=…)
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// What is normal: a file that `weir baseline export` wrote
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Partitions to spread sources over; the verdicts are the same while nothing is evicted
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: u32,
    /// Least severity to print, and to exit 1 for: info, low, medium, high or critical
    #[arg(long, value_name = "SEVERITY", default_value = "low", value_parser = value::severity)]
    pub severity: Severity,
    /// Send every value through the wire format, as between services; the verdicts are the same
    #[arg(long)]
    pub encode: bool,
    /// How the inputs are to be read
    #[command(flatten)]
    pub reading: Reading,
    /// Name of the site the captures are from (default: site.name, `local`)
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Name of the sensor that made the captures (default: sensor.id, `file`)
    #[arg(long, value_name = "ID")]
    pub sensor_id: Option<String>,
    /// No progress bar (there is none where standard error is no terminal)
    #[arg(long)]
    pub no_progress: bool,
}

/// How to print what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Each episode once, in its last state, on one screen
    Table,
    /// Every revision of every episode as it becomes known, one JSON object per line
    Jsonl,
    /// A report of the capture: totals, tables, alerts, caveats
    Markdown,
}

/// Runs the whole path over the files.
pub fn run(globals: &Globals, arguments: &Analyze) -> Result<ExitCode, Failure> {
    let config = globals.start()?.config;
    let baselines = arguments.baseline.as_deref().map(baseline::read).transpose()?.unwrap_or_default();
    let plan = Plan {
        files: arguments.files.clone(),
        reading: arguments.reading.clone(),
        partitions: arguments.partitions,
        encode: arguments.encode,
        profile: pipeline::profile(&config, arguments.profile.as_deref())?,
        site: arguments.site.clone().unwrap_or_else(|| config.site.name.clone()),
        sensor: arguments.sensor_id.clone().or_else(|| config.sensor.id.clone()).unwrap_or_else(|| "file".to_owned()),
        summarise: arguments.format == Format::Markdown,
        baselines,
    };
    let mut pipeline = Pipeline::start(&config, plan, &interrupt::watch()?)?;
    let mut progress = Progress::new(!arguments.no_progress);
    let mut episodes = Episodes::new(arguments.severity);
    let mut warnings = Vec::new();
    while let Some(known) = pipeline.turn()? {
        for warning in pipeline.take_warnings() {
            progress.warn(&warning);
            warnings.push(warning);
        }
        for anomaly in &known {
            let is_shown = episodes.add(anomaly);
            if is_shown && arguments.format == Format::Jsonl {
                progress.clear();
                output::print(&format!("{}\n", json_line(anomaly)))?;
            }
        }
        progress.show(pipeline.packets(), pipeline.event_time());
    }
    let told = warnings.len();
    let is_interrupted = pipeline.is_interrupted();
    let ended = pipeline.end(warnings);
    progress.finish();
    for warning in &ended.facts.warnings[told..] {
        progress.warn(warning);
    }
    if is_interrupted {
        interrupt::tell(ended.facts.packets);
    }
    print_end(arguments.format, &episodes, &ended)?;
    Ok(ExitCode::from(episodes.exit_status()))
}

fn print_end(format: Format, episodes: &Episodes, ended: &Ended) -> Result<(), Failure> {
    match (format, &ended.summary) {
        (Format::Table, _) => output::print(&render_table(episodes, &ended.facts, &TableOptions::for_stdout())),
        (Format::Markdown, Some(summary)) => output::print(&capture_report(summary, episodes, &ended.facts)),
        _ => Ok(()),
    }?;
    let (source, site) = (&ended.source_counters, &ended.site_counters);
    let accounts = format!(
        "records read={} counted={} overlap={} late={} clock_fault={} duplicate={} dead={} mark={}; evicted={} deferred={}",
        source.read(),
        source.counted,
        source.overlap,
        source.late,
        source.clock_fault,
        source.duplicate,
        source.dead,
        source.mark,
        ended.facts.evicted.values().sum::<u64>() - source.deferred - site.deferred,
        source.deferred + site.deferred,
    );
    eprintln!("weir: {} packets; {accounts}", ended.facts.packets);
    eprintln!("weir: budget {}", ended.budget);
    Ok(())
}
