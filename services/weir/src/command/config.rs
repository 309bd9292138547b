//! `weir config`: what is configured, where it comes from, what could be.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use weir_runtime::config;

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  weir config check --config weir.toml               is it sound?
  weir config show --origin                          what holds, and where it comes from
  weir config show --set engine.profile=classic      what would hold
  WEIR__LOG__LEVEL=debug weir config show            any key by environment
  weir config schema > weir.schema.json              for an editor";

const CHECK_EXAMPLES: &str = "\
Examples:
  weir config check --config weir.toml
  weir config check --set sensor.idle_timeout=90s";

const SHOW_EXAMPLES: &str = "\
Examples:
  weir config show
  weir config show --origin --config weir.toml";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  weir config schema > weir.schema.json
  weir config schema --format markdown       every key, for people";

/// Check and show the configuration
///
/// A flag wins over the environment, the environment over the file, the file over the default. Any key `x` may be given
/// as `x_file`: the value is then read from that file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Say whether the configuration is sound
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Print every key with the value that holds
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Say of each value where it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print what a configuration file may hold: as JSON Schema, or as a reference
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema {
        /// How to print it
        #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
        format: SchemaFormat,
    },
}

/// How to print what a configuration file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, for editors and validators
    Json,
    /// Tables for people
    Markdown,
}

/// Checks or prints the configuration.
pub fn run(globals: &Globals, arguments: &Config) -> Result<ExitCode, Failure> {
    let text = match arguments.action {
        Action::Check => {
            let set = globals.start()?.set_count();
            format!("the configuration is sound: {set} keys set, the others at their defaults\n")
        }
        Action::Show { origin } => globals.start()?.show(origin),
        Action::Schema { format: SchemaFormat::Json } => config::json_schema(),
        Action::Schema { format: SchemaFormat::Markdown } => config::reference(),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
