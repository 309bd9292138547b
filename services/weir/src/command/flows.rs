//! `weir flows`: what the sensor saw, before any detection.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use weir_schemas::Micros;

use super::value;
use crate::arguments::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  weir flows capture.pcap                            a table of conversations
  weir flows --format csv --out flows.csv *.pcap     for a spreadsheet
  weir flows --format jsonl capture.pcap | jq .src   for a script
  weir flows --format avro --out flows.avro a.pcap   for anything that reads Avro";

/// Print the flow records that a sensor makes of captures
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flows {
    /// Captures; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Where to write them (default: standard output)
    #[arg(long, value_name = "FILE", required_if_eq("format", "avro"))]
    pub out: Option<PathBuf>,
    /// Day of the first packet where the input has times without dates (default: the file's day)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = value::date)]
    pub date: Option<Micros>,
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
}

/// Reads the files and prints their flow records.
pub fn run(_globals: &Globals, _arguments: &Flows) -> Result<ExitCode, Failure> {
    Err(Failure::usage("`weir flows` is not built yet"))
}
