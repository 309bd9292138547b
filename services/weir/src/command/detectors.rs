//! `weir detectors`: the catalogue, from the code itself.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use weir_engine::Profile;
use weir_engine::detectors::{ATTACK_VERSION, CATALOGUE, Detector, Entry, Stage, find};

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::{output, pipeline};

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
pub fn run(globals: &Globals, arguments: &Detectors) -> Result<ExitCode, Failure> {
    let config = globals.start()?.config;
    let profile = pipeline::profile(&config, arguments.profile.as_deref())?;
    let text = match (&arguments.action, arguments.format) {
        (Action::List, Format::Text) => list(),
        (Action::List, Format::Json) => json(&CATALOGUE.iter().map(|known| value(*known, &profile)).collect()),
        (Action::Show { id }, format) => {
            let Some(detector) = find(id) else {
                let known: Vec<&str> = CATALOGUE.iter().map(|known| known.entry().id).collect();
                return Err(Failure::usage(format!("no detector is called {id:?}; there are {}", known.join(", "))));
            };
            match format {
                Format::Text => show(detector, &profile),
                Format::Json => json(&value(detector, &profile)),
            }
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list() -> String {
    let width = CATALOGUE.iter().map(|detector| detector.entry().id.len()).max().unwrap_or_default();
    let line = |entry: &Entry| format!("{:<width$}  {:<13}  {}\n", entry.id, scopes(entry), entry.finds);
    CATALOGUE.iter().map(|detector| line(detector.entry())).collect()
}

fn scopes(entry: &Entry) -> String {
    entry.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
}

fn windows(entry: &Entry) -> String {
    entry.windows.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ")
}

fn stage(entry: &Entry) -> &'static str {
    match entry.stage {
        Stage::Source => "source",
        Stage::Site => "site",
    }
}

fn show(detector: &dyn Detector, profile: &Profile) -> String {
    let entry = detector.entry();
    let rules = profile.rules_of(detector);
    let mut text = format!("{} (rule version {}): {}\n\n", entry.id, entry.rule_version, entry.finds);
    let facts = [
        ("Scope", scopes(entry)),
        ("Stage", stage(entry).to_owned()),
        ("Windows", windows(entry)),
        ("Rule", entry.formula.to_owned()),
        ("Evidence", entry.evidence.to_owned()),
        ("Discriminator", entry.discriminator.to_owned()),
        ("False positives", entry.false_positives.join("; ")),
        ("ATT&CK", format!("{} (version {ATTACK_VERSION})", entry.techniques.join(", "))),
    ];
    for (name, fact) in facts {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{name:<16} {fact}");
    }
    let _ = writeln!(
        text,
        "\nThresholds of profile {:?}; change one with [profile.{}.{}] in the configuration:",
        profile.name, profile.name, entry.id
    );
    let width = entry.parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or_default();
    for (index, parameter) in entry.parameters.iter().enumerate() {
        let value = format!("{} {}", rules.get(index), parameter.unit);
        let _ = writeln!(text, "  {:<width$}  {value:<16}  {}", parameter.name, parameter.doc);
    }
    text
}

fn value(detector: &dyn Detector, profile: &Profile) -> serde_json::Value {
    let entry = detector.entry();
    let rules = profile.rules_of(detector);
    let parameter = |(index, parameter): (usize, &weir_engine::profile::Parameter)| {
        serde_json::json!({
            "name": parameter.name, "unit": parameter.unit, "value": rules.get(index),
            "default": parameter.default, "classic": parameter.classic, "doc": parameter.doc,
        })
    };
    serde_json::json!({
        "id": entry.id,
        "rule_version": entry.rule_version,
        "stage": stage(entry),
        "scopes": entry.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
        "finds": entry.finds,
        "formula": entry.formula,
        "windows": entry.windows.iter().map(|level| level.name()).collect::<Vec<_>>(),
        "evidence": entry.evidence,
        "discriminator": entry.discriminator,
        "false_positives": entry.false_positives,
        "technique": { "attack_version": ATTACK_VERSION, "ids": entry.techniques },
        "profile": profile.name,
        "parameters": entry.parameters.iter().enumerate().map(parameter).collect::<Vec<_>>(),
    })
}

fn json(value: &serde_json::Value) -> String {
    // Built from strings and numbers just above: it has no way to fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
