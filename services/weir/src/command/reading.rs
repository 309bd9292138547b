//! How inputs are to be read: the flags that every command over files takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use weir_runtime::Shutdown;
use weir_runtime::config::Config;
use weir_schemas::Micros;
use weir_sensor::input::{Date, InputKind, InputOptions, Mapping};

use super::value;
use crate::failure::Failure;

/// How inputs are to be read.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Day of the first packet where the input has times without dates (default: the file's day)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = value::date)]
    pub date: Option<Micros>,
    /// What the inputs are, where their content is not to tell: packets, or a table such as `zeek_conn` or suricata
    #[arg(long, value_name = "KIND", value_parser = str::parse::<InputKind>)]
    pub input: Option<InputKind>,
    /// What the columns of a table mean that Weir does not know: a mapping in TOML
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub mapping: Option<PathBuf>,
}

impl Reading {
    /// The options of an input under this configuration.
    pub fn options(&self, config: &Config, shutdown: &Shutdown) -> Result<InputOptions, Failure> {
        let mapping = self.mapping.as_deref().map(read_mapping).transpose()?;
        Ok(InputOptions {
            date: self.date.map(Date::of),
            kind: self.input.clone().unwrap_or_default(),
            mapping,
            spool: config.sensor.spool.0,
            shutdown: shutdown.clone(),
            ..InputOptions::default()
        })
    }
}

fn read_mapping(path: &Path) -> Result<Arc<Mapping>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}; check the path")))?;
    let mapping = Mapping::parse(&text).map_err(|error| {
        Failure::usage(format!("{name}: {error}; mappings are explained in deploy/docs/12-inputs.md"))
    })?;
    Ok(Arc::new(mapping))
}
