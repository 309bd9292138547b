//! The argument tree's root, and errors of usage in one line each.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use weir_runtime::config::{self, Flag, Loaded, Sources};
use weir_runtime::logging;

use crate::command::Command;
use crate::failure::{EXIT_USAGE, Failure};

const EXAMPLES: &str = "\
Examples:
  weir demo                                   see it work, no network needed
  weir analyze capture.pcap                   what happened in a capture
  tcpdump -w - | weir analyze -               likewise, from standard input
  weir analyze --format markdown a.pcap b.pcap > report.md
  weir detectors show port_scan               what a detector looks for, and why

Exit status of analyze: 0 nothing found, 1 found, 2 error.";

/// Watches network traffic and says which host is doing what, why we think so, and how to check it.
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 120)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Globals {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "WEIR_CONFIG", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Sets one configuration key, over file and environment; may be repeated
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = parse_setting,
          help_heading = "Global options")]
    pub set: Vec<(String, String)>,
    /// Least level of the log on standard error: error, warn, info, debug or trace (as --set log.level=…)
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Global options")]
    pub log_level: Option<String>,
}

impl Globals {
    /// The configuration from file, environment and flags, with the origin of each value.
    pub fn load_config(&self) -> Result<Loaded, Failure> {
        self.load_config_with(&[])
    }

    /// Likewise, and starts the log at its level. Once per process.
    pub fn start(&self) -> Result<Loaded, Failure> {
        let loaded = self.load_config()?;
        logging::start(&loaded.config.log).map_err(Failure::internal)?;
        let file = self.config.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        tracing::debug!(file, keys_set = loaded.set_count(), "configuration loaded");
        Ok(loaded)
    }

    /// Likewise, where a command has flags of its own that set keys: `(flag, key, value)`. They win over `--set`.
    pub fn load_config_with(&self, of_command: &[(&str, &str, Option<&String>)]) -> Result<Loaded, Failure> {
        let mut flags: Vec<Flag> = self.set.iter().map(|(key, value)| Flag::set(key, value)).collect();
        for (name, key, value) in [("--log-level", "log.level", self.log_level.as_ref())].iter().chain(of_command) {
            let flag = |value: &String| Flag { name: (*name).to_owned(), key: (*key).to_owned(), value: value.clone() };
            flags.extend(value.map(flag));
        }
        let sources = Sources { file: self.config.clone(), environment: std::env::vars_os().collect(), flags };
        config::load(&sources).map_err(Failure::usage)
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// Run a command.
    Run(Box<Arguments>),
    /// Print help or the version.
    Print(String),
}

/// Parses a command line, the program's name first.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let error = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => return Ok(Parsed::Run(Box::new(arguments))),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Print(error.render().to_string())),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure { exit_status: EXIT_USAGE, message: format!("say what to do\n\n{}", error.render()) })
        }
        _ => Err(Failure::usage(in_one_line(&error.render().to_string()))),
    }
}

/// clap's message in one line: its parts (what is wrong, tips) joined, its usage replaced by where to find it.
fn in_one_line(rendered: &str) -> String {
    let (what, rest) = rendered.split_once("Usage:").unwrap_or((rendered, ""));
    let what = what.split("For more information").next().unwrap_or(what).trim();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let parts: Vec<String> =
        what.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let command: Vec<&str> =
        rest.split_whitespace().take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).collect();
    let command = if command.is_empty() { "weir".to_owned() } else { command.join(" ") };
    format!("{}; see `{command} --help`", parts.join("; "))
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("write SECTION.KEY=VALUE, as in log.level=debug".to_owned());
    };
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse_line(line: &str) -> Result<Parsed, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn errors_of_usage_are_one_line_that_says_what_and_how_to_mend_it() {
        let cases = [
            (
                "weir analyze --fromat table x",
                "unexpected argument '--fromat' found; tip: a similar argument exists: '--format'; \
                 see `weir analyze --help`",
            ),
            (
                "weir analyze",
                "the following required arguments were not provided: <FILE>...; see `weir analyze --help`",
            ),
            (
                "weir analize x",
                "unrecognized subcommand 'analize'; tip: a similar subcommand exists: 'analyze'; see `weir --help`",
            ),
            (
                "weir analyze --format xml x",
                "invalid value 'xml' for '--format <FORMAT>' [possible values: table, jsonl, markdown]; \
                 see `weir --help`",
            ),
            (
                "weir --set log.level config check",
                "invalid value 'log.level' for '--set <SECTION.KEY=VALUE>': write SECTION.KEY=VALUE, \
                 as in log.level=debug; see `weir --help`",
            ),
            (
                "weir analyze --partitions 0 x",
                "invalid value '0' for '--partitions <N>': 0 is not in 1..=1024; see `weir --help`",
            ),
        ];
        for (line, expected) in cases {
            let failure = parse_line(line).unwrap_err();
            assert_eq!((failure.exit_status, failure.message.as_str()), (EXIT_USAGE, expected), "{line}");
        }
    }

    #[test]
    fn every_command_has_help_with_examples() {
        fn check(command: &clap::Command, path: &str) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains(&format!("\n  {path}")), "{path}: {help}");
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                check(below, &format!("{path} {}", below.get_name()));
            }
        }
        check(&Arguments::command(), "weir");
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in ["weir --help", "weir analyze --help", "weir --version"] {
            assert!(matches!(parse_line(line), Ok(Parsed::Print(_))), "{line}");
        }
        let failure = parse_line("weir").unwrap_err();
        assert_eq!(failure.exit_status, EXIT_USAGE);
        assert!(failure.message.contains("Examples:"));
    }
}
