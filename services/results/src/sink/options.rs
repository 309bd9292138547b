//! The keys of a sink's own kind: each read by its type, and none left over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use weir_runtime::config::{ByteSize, ConfigValue, Raw};
use weir_schemas::Anomaly;

use super::file::Rotation;
use crate::{ecs, render};

/// Size at which a file is put aside, unless configured.
const DEFAULT_MAX_SIZE: ByteSize = ByteSize(64 << 20);
/// Files kept beside the one written, unless configured.
const DEFAULT_FILES: u64 = 5;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// An anomaly as Weir writes it.
    Json,
    /// A document of the Elastic Common Schema.
    Ecs,
}

impl Format {
    /// The line, without its line feed.
    pub(super) fn line(self, anomaly: &Anomaly) -> String {
        match self {
            Self::Json => render::json_line(anomaly),
            Self::Ecs => ecs::line(anomaly),
        }
    }
}

/// Keys not yet read.
pub(super) struct Options {
    rest: BTreeMap<String, Raw>,
    known: Vec<&'static str>,
}

impl Options {
    pub(super) fn new(options: &BTreeMap<String, Raw>) -> Self {
        Self { rest: options.clone(), known: Vec::new() }
    }

    /// Whether a key is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// The value of a key, if it is there.
    pub(super) fn get<T: ConfigValue>(&mut self, name: &'static str) -> Result<Option<T>, String> {
        self.known.push(name);
        let value = self.rest.remove(name).map(|raw| T::from_raw(&raw));
        value.transpose().map_err(|why| format!("{name}: {why}"))
    }

    /// One of some words, the first of which is the default.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<T, String> {
        let Some(written) = self.get::<String>(name)? else { return Ok(words[0].1) };
        let found = words.iter().find(|(word, _)| *word == written);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("{name}: \"{}\" is unknown; write {}", written.escape_debug(), known.join(" or "))
        })
    }

    /// `format = "json" | "ecs"`.
    pub(super) fn format(&mut self) -> Result<Format, String> {
        self.choice("format", &[("json", Format::Json), ("ecs", Format::Ecs)])
    }

    /// `path`, `max_size`, `max_age`, `files`.
    pub(super) fn rotation(&mut self) -> Result<Rotation, String> {
        let path = self.get::<String>("path")?.filter(|path| !path.is_empty());
        let path = path.ok_or("it needs `path`: the file to write, as in path = \"/var/log/weir/anomalies.jsonl\"")?;
        Ok(Rotation {
            path: PathBuf::from(path),
            max_bytes: self.get::<ByteSize>("max_size")?.unwrap_or(DEFAULT_MAX_SIZE).0.max(1),
            max_age: self.get::<Duration>("max_age")?,
            files: self.number("files", 0, 1000)?.unwrap_or(DEFAULT_FILES),
        })
    }

    fn number(&mut self, name: &'static str, min: i64, max: i64) -> Result<Option<u64>, String> {
        self.known.push(name);
        match self.rest.remove(name) {
            None => Ok(None),
            Some(Raw::Integer(number)) if (min..=max).contains(&number) => Ok(u64::try_from(number).ok()),
            Some(other) => {
                Err(format!("{name}: {} is no whole number in range; write one from {min} to {max}", other.to_toml()))
            }
        }
    }

    /// Refuses keys that nobody read: they are slips.
    pub(super) fn finish(self, kind: &str) -> Result<(), String> {
        let Some(name) = self.rest.keys().next() else { return Ok(()) };
        let known = self.known.join(", ");
        Err(format!("`{}` is no key of a sink of kind \"{kind}\"; its own keys are {known}", name.escape_debug()))
    }
}
