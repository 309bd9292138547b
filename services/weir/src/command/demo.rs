//! `weir demo`: a bundled, labelled capture through all services at speed.

use std::process::ExitCode;

use clap::Args;

use crate::arguments::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  weir demo             a few minutes of traffic, replayed in seconds
  weir demo --fast      without any pause";

/// See it work: replay a labelled capture of ours and watch the verdicts come
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Replay without pauses
    #[arg(long)]
    pub fast: bool,
    /// Plain text, no colours (there are none where standard output is no terminal)
    #[arg(long, visible_alias = "no-color")]
    pub no_colour: bool,
}

/// Replays the bundled capture.
pub fn run(_globals: &Globals, _arguments: &Demo) -> Result<ExitCode, Failure> {
    Err(Failure::usage("`weir demo` is not built yet"))
}
