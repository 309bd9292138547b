//! The configuration and its keys, printed: as TOML, as JSON Schema, as a reference for operators.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::error::Origin;
use super::key::Key;
use super::sections::SECTIONS;
use super::value::{Kind, quote};
use super::{Config, Loaded};

const PROFILE_DOCUMENTATION: &str = "Thresholds that replace a profile's own: `[profile.<name>.<detector>]`, then `key = number`. \
     `weir detectors show` prints the keys.";

/// See [`Loaded::show`].
pub fn show(loaded: &Loaded, with_origin: bool) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _ = writeln!(text, "[{}]", section.name);
        for key in section.keys {
            let name = short_name(key);
            let origin = loaded.origin(key.name);
            let note = if with_origin { format!("  # {origin}") } else { String::new() };
            let value = (key.current)(&loaded.config).filter(|_| !loaded.settings.is_from_file(key.name));
            let _ = match (value, &origin) {
                (Some(value), _) => writeln!(text, "{name} = {value}{note}"),
                (None, Origin::Default) => writeln!(text, "# {name} is not set{note}"),
                (None, _) => writeln!(text, "# {name} is set, and not shown{note}"),
            };
        }
        text.push('\n');
    }
    for (profile, detectors) in &loaded.config.profile.0 {
        for (detector, thresholds) in detectors {
            let _ = writeln!(text, "[profile.{}.{}]", quote(profile), quote(detector));
            for (key, number) in thresholds {
                let origin = loaded.origin(&format!("profile.{profile}.{detector}.{key}"));
                let note = if with_origin { format!("  # {origin}") } else { String::new() };
                let _ = writeln!(text, "{} = {number:?}{note}", quote(key));
            }
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn short_name(key: &Key) -> &'static str {
    key.name.split_once('.').map_or(key.name, |(_, name)| name)
}

/// Lines of a doc comment as one paragraph.
fn paragraph(documentation: &str) -> String {
    documentation.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn json_schema() -> String {
    let mut sections = Map::new();
    for section in SECTIONS {
        let mut properties = Map::new();
        for key in section.keys {
            let mut schema = kind_schema(&key.kind);
            schema["description"] = json!(describe(key));
            properties.insert(short_name(key).to_owned(), schema);
            if !matches!(key.kind, Kind::TextTable | Kind::List(Kind::Sink)) {
                let description = format!("Path of a file that holds `{}`.", short_name(key));
                properties.insert(
                    format!("{}_file", short_name(key)),
                    json!({ "type": "string", "description": description }),
                );
            }
        }
        sections.insert(
            section.name.to_owned(),
            json!({
                "type": "object",
                "description": paragraph(section.documentation),
                "properties": properties,
                "additionalProperties": false,
            }),
        );
    }
    let mut profile = kind_schema(&Kind::Profiles);
    profile["description"] = json!(PROFILE_DOCUMENTATION);
    sections.insert("profile".to_owned(), profile);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weir configuration",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

fn kind_schema(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Secret => json!({ "type": "string" }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Duration => json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(us|ms|s|m|h|d)\\s*$" }),
        Kind::Size => json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(B|kB|MB|GB|KiB|MiB|GiB)\\s*$" }),
        Kind::Network => json!({ "type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::List(item) => json!({ "type": "array", "items": kind_schema(item) }),
        Kind::TextTable => json!({ "type": "object" }),
        Kind::Profiles => {
            let detectors = json!({ "type": "object", "additionalProperties": { "type": "number" } });
            json!({
                "type": "object",
                "additionalProperties": { "type": "object", "additionalProperties": detectors },
            })
        }
        Kind::Sink => json!({
            "type": "object",
            "properties": {
                "kind": { "type": "string", "description": "What it is." },
                "id": { "type": "string", "description": "Name of its own, in metrics and logs." },
                "required": { "type": "boolean", "description": "Whether an outage of it holds everything up." },
                "filter": { "type": "string", "description": "Which anomalies it gets." },
            },
            "required": ["kind", "id"],
        }),
    }
}

fn describe(key: &Key) -> String {
    let text = paragraph(key.documentation);
    match (key.default)() {
        Some(default) => format!("{text} Default: {default}."),
        None => text,
    }
}

/// Every key with type, default and documentation, as Markdown for operators.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _ = write!(text, "## `[{}]`\n\n{}\n\n", section.name, paragraph(section.documentation));
        text.push_str("| key | takes | default | |\n|---|---|---|---|\n");
        for key in section.keys {
            let default = (key.default)().map_or_else(String::new, |default| format!("`{default}`"));
            let (name, takes) = (short_name(key), takes(&key.kind));
            let _ = writeln!(text, "| `{name}` | {takes} | {default} | {} |", paragraph(key.documentation));
        }
        text.push('\n');
    }
    let _ = write!(text, "## `[profile.<name>.<detector>]`\n\n{PROFILE_DOCUMENTATION}\n");
    text
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Secret => "secret text".to_owned(),
        Kind::Integer { min, max } => format!("{min}–{max}"),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::List(item) => format!("list: {}", takes(item)),
        Kind::TextTable | Kind::Profiles => "table".to_owned(),
        Kind::Sink => "sink".to_owned(),
    }
}

impl Config {
    /// Names of all keys, `section.key`, in the order of their declaration.
    pub fn key_names() -> impl Iterator<Item = &'static str> {
        SECTIONS.iter().flat_map(|section| section.keys).map(|key| key.name)
    }
}
