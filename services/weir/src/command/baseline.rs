//! `weir baseline`: what is normal, learnt from captures, kept as JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use weir_schemas::Micros;

use super::value;
use crate::arguments::Globals;
use crate::failure::Failure;

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
    /// Day of the first packet where the input has times without dates (default: the file's day)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = value::date)]
    pub date: Option<Micros>,
}

/// Arguments of `weir baseline import`.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub struct Import {
    /// A file that `weir baseline export` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Exports or checks baselines.
pub fn run(_globals: &Globals, _arguments: &Baseline) -> Result<ExitCode, Failure> {
    Err(Failure::usage("`weir baseline` is not built yet"))
}
