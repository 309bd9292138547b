//! Configuration: flag over environment over file over default, every key documented where it is declared.
//!
//! The file `sections.rs` declares the keys; everything else here reads, checks or prints what it declares.

mod check;
mod choice;
mod environment;
mod error;
mod file;
mod key;
mod network;
mod render;
mod resolve;
mod sections;
mod special;
mod units;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

pub use error::{ConfigError, Origin};
pub use network::Network;
pub use render::{json_schema, reference};
pub use sections::{
    Admin, Config, Detector, Engine, Kafka, Log, LogFormat, LogLevel, Membership, Position, Results, Sensor, Site,
    Stage, Start, Telemetry, Topics,
};
pub use special::{KafkaProperties, PrefixLength, Profiles, SecretSeed, Sink};
pub use units::{ByteSize, parse_duration};
pub use value::{ConfigValue, Kind, Raw};

use resolve::Settings;

/// Where values may come from. All of them are passed in, so that tests need no real environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment; variables that do not begin with `WEIR__` are ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags; of several for one key the last wins.
    pub flags: Vec<Flag>,
}

/// A flag that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag as errors name it: `--set log.level`, `--log-level`.
    pub name: String,
    /// The key, `section.key`.
    pub key: String,
    /// The value's text.
    pub value: String,
}

impl Flag {
    /// The flag `--set key=value`.
    #[must_use]
    pub fn set(key: &str, value: &str) -> Self {
        Self { name: format!("--set {key}"), key: key.to_owned(), value: value.to_owned() }
    }
}

/// A configuration, and where each of its values comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    settings: Settings,
}

/// Reads and checks the configuration. An error is one line that names place, key, fault and remedy.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut settings = Settings::default();
    if let Some(path) = &sources.file {
        settings.layer(file::read(path)?)?;
    }
    settings.layer(environment::read(&sources.environment)?)?;
    settings.layer(resolve::flags(&sources.flags))?;
    settings.read_value_files()?;
    let config = Config::resolve(&settings)?;
    check::check(&config, &settings)?;
    Ok(Loaded { config, settings })
}

impl Loaded {
    /// Where the value of a key (`section.key`) comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.settings.origin(key)
    }

    /// How many keys have a value that is no default.
    #[must_use]
    pub fn set_count(&self) -> usize {
        self.settings.len()
    }

    /// Every key with its value, as TOML that loads back; with its origin as a comment, if asked. Secrets are not
    /// shown, nor is what was read from a file (`x_file`).
    #[must_use]
    pub fn show(&self, with_origin: bool) -> String {
        render::show(self, with_origin)
    }
}

#[cfg(test)]
mod tests;
