//! `weir detectors`: the catalogue, from the code itself.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  weir detectors list                          all of them, a line each
  weir detectors show port_scan                rule, defaults, evidence, known false positives
  weir detectors list --format json            for a script
  weir detectors show port_scan --profile classic";

const LIST_EXAMPLES: &str = "\
Examples:
  weir detectors list
  weir detectors list --format json | jq -r '.[].id'";

const SHOW_EXAMPLES: &str = "\
Examples:
  weir detectors show syn_flood
  weir detectors show syn_flood --profile classic";

/// Show which detectors there are, and what each looks for
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Detectors {
    /// What to show.
    #[command(subcommand)]
    pub action: Action,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// Whose thresholds to print (default: engine.profile)
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
}

/// What to show of the catalogue.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// All detectors, a line each
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// One detector: rule, thresholds, evidence, known false positives, ATT&CK technique
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Id of the detector, as `weir detectors list` prints it
        id: String,
    },
}

/// How to print the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// Prints the catalogue or one entry of it.
pub fn run(_globals: &Globals, _arguments: &Detectors) -> Result<ExitCode, Failure> {
    Err(Failure::usage("`weir detectors` is not built yet"))
}
