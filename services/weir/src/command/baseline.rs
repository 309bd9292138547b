//! `weir baseline`: what is normal, learnt from captures, kept as JSON.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use weir_engine::baseline::ExportedBaseline;
use weir_runtime::Shutdown;

use super::reading::Reading;
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::output;
use crate::pipeline::{self, Pipeline, Plan};

const EXAMPLES: &str = "\
Examples:
  weir baseline export --out normal.json monday.pcap tuesday.pcap
  weir baseline import normal.json                     check it, and say what it holds
  weir analyze --baseline normal.json wednesday.pcap   judge by it";

const EXPORT_EXAMPLES: &str = "\
Examples:
  weir baseline export --out normal.json monday.pcap tuesday.pcap";

const IMPORT_EXAMPLES: &str = "\
Examples:
  weir baseline import normal.json";

/// Learn what is normal from captures, and check what was learnt
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Baseline {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with baselines.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Learn from captures and write a baseline file
    Export(Export),
    /// Check a baseline file and say what it holds
    Import(Import),
}

/// Arguments of `weir baseline export`.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct Export {
    /// Captures of ordinary traffic; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where to write the baselines (JSON)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Name of the site the captures are from (default: site.name, `local`)
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// How the inputs are to be read
    #[command(flatten)]
    pub reading: Reading,
}

/// Arguments of `weir baseline import`.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub struct Import {
    /// A file that `weir baseline export` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Version of the file's shape.
const FILE_VERSION: u32 = 1;

/// A baseline file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineFile {
    /// Version of this shape.
    v: u32,
    /// What is normal.
    baselines: Vec<ExportedBaseline>,
}

/// Exports or checks baselines.
pub fn run(globals: &Globals, arguments: &Baseline) -> Result<ExitCode, Failure> {
    match &arguments.action {
        Action::Export(export) => run_export(globals, export),
        Action::Import(import) => {
            let rows = read(&import.file)?;
            output::print(&summary(&rows))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_export(globals: &Globals, export: &Export) -> Result<ExitCode, Failure> {
    output::refuse_input_as_output(&export.files, &export.out)?;
    let config = globals.start()?.config;
    let plan = Plan {
        files: export.files.clone(),
        reading: export.reading.clone(),
        partitions: 1,
        encode: false,
        profile: pipeline::profile(&config, None)?,
        site: export.site.clone().unwrap_or_else(|| config.site.name.clone()),
        sensor: config.sensor.id.clone().unwrap_or_else(|| "file".to_owned()),
        summarise: false,
        baselines: Vec::new(),
    };
    // A signal ends it at once: half of what is normal is not worth writing.
    let mut pipeline = Pipeline::start(&config, plan, &Shutdown::new())?;
    while pipeline.turn()?.is_some() {}
    let ended = pipeline.end(Vec::new());
    for warning in &ended.facts.warnings {
        eprintln!("weir: warning: {warning}");
    }
    let file = BaselineFile { v: FILE_VERSION, baselines: ended.baselines };
    let text = serde_json::to_string_pretty(&file).map_err(Failure::internal)?;
    std::fs::write(&export.out, text + "\n").map_err(|error| {
        Failure::usage(format!("cannot write {}: {error}; check the folder and its free space", export.out.display()))
    })?;
    output::print(&summary(&file.baselines))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a baseline file and checks every row.
pub fn read(path: &Path) -> Result<Vec<ExportedBaseline>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read {name}: {error}; name a file that `weir baseline export` wrote"))
    })?;
    let file: BaselineFile = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{name}: {error}; name a file that `weir baseline export` wrote")))?;
    if file.v != FILE_VERSION {
        return Err(Failure::usage(format!(
            "{name}: version {} of the file is not known here; export it anew",
            file.v
        )));
    }
    for row in &file.baselines {
        let is_number = row.mean.is_finite() && row.mean >= 0.0 && row.spread.is_finite() && row.spread >= 0.0;
        if !is_number || !matches!(row.scope.as_str(), "site" | "target") {
            let what = format!("{name}: baseline of {} {:?}", row.scope, row.key);
            return Err(Failure::usage(format!(
                "{what} needs scope site or target, and mean and spread of at least 0"
            )));
        }
    }
    Ok(file.baselines)
}

fn summary(rows: &[ExportedBaseline]) -> String {
    let (sites, targets): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.scope == "site");
    let mut text = format!("{} baselines: {} sites, {} targets\n", rows.len(), sites.len(), targets.len());
    for row in sites {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  site {}: {:.0} bytes/s, spread {:.0} bytes/s, from {} panes of 10 s",
            row.key, row.mean, row.spread, row.n
        );
    }
    text
}
