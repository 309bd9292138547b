//! From layers of settings to one value per key.

use std::collections::BTreeMap;
use std::path::Path;

use super::Flag;
use super::error::{ConfigError, Origin};
use super::key::Key;
use super::sections::SECTIONS;
use super::value::{ConfigValue, Raw};

/// Greatest size of a file that a value is read from, bytes: a value, not a capture named by mistake.
const MAX_VALUE_FILE_BYTES: u64 = 64 * 1024;
const FILE_SUFFIX: &str = "_file";

/// Tables with free keys: their settings are gathered into one value.
const FREE_TABLES: [&str; 2] = ["kafka.properties", "profile"];

/// One value of one source.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Dotted key as it was written.
    pub key: String,
    /// Value.
    pub raw: Raw,
    /// Where the key stands.
    pub origin: Origin,
    /// Where the value stands, if that is another place.
    pub value_origin: Option<Origin>,
}

/// The settings that hold, by key.
#[derive(Debug, Default)]
pub struct Settings {
    by_key: BTreeMap<String, Setting>,
}

/// Settings of flags; of several for one key the last wins.
pub fn flags(flags: &[Flag]) -> Vec<Setting> {
    let setting = |Flag { name, key, value }: &Flag| Setting {
        key: key.clone(),
        raw: Raw::Text(value.clone()),
        origin: Origin::Flag(name.clone()),
        value_origin: None,
    };
    let last_by_key: BTreeMap<&String, Setting> = flags.iter().map(|flag| (&flag.key, setting(flag))).collect();
    last_by_key.into_values().collect()
}

fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    SECTIONS.iter().flat_map(|section| section.keys)
}

fn is_known(key: &str) -> bool {
    let free = FREE_TABLES.iter().any(|table| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')));
    free || keys().any(|known| known.name == key)
}

impl Settings {
    /// Puts the settings of one source over those of weaker ones.
    pub fn layer(&mut self, settings: Vec<Setting>) -> Result<(), ConfigError> {
        let mut here: BTreeMap<String, String> = BTreeMap::new();
        for mut setting in settings {
            let written = setting.key.clone();
            // A free table knows no names, so there the suffix alone tells.
            let base = written.strip_suffix(FILE_SUFFIX).filter(|base| is_known(base));
            if let Some(base) = base {
                let Some(path) = setting.raw.text() else {
                    return Err(setting.error("must be the path of a file; write it in quotes".to_owned()));
                };
                setting.raw = Raw::TextFile(path.to_owned());
                base.clone_into(&mut setting.key);
            } else if !is_known(&written) {
                let names = keys().map(|key| key.name);
                return Err(ConfigError::unknown(setting.origin, "key", &written, names));
            }
            if let Some(other) = here.insert(setting.key.clone(), written) {
                let reason = format!("is given twice, here and as `{other}`; keep one of them");
                return Err(setting.error(reason));
            }
            self.by_key.insert(setting.key.clone(), setting);
        }
        Ok(())
    }

    /// Replaces the paths of `x_file` keys by what the files hold, white space around it cut off.
    pub fn read_value_files(&mut self) -> Result<(), ConfigError> {
        for setting in self.by_key.values_mut() {
            setting.raw = read_files_in(&setting.raw).map_err(|reason| setting.error(reason))?;
        }
        Ok(())
    }

    /// The value of a key.
    pub fn value<T: ConfigValue>(&self, key: &str, default: impl FnOnce() -> T) -> Result<T, ConfigError> {
        if FREE_TABLES.contains(&key) {
            return self.free_table(key);
        }
        match self.by_key.get(key) {
            Some(setting) => T::from_raw(&setting.raw).map_err(|reason| setting.error(reason)),
            None => Ok(default()),
        }
    }

    /// Gathers a free table from its settings. Each is checked alone first, so that an error has its place.
    fn free_table<T: ConfigValue>(&self, table: &str) -> Result<T, ConfigError> {
        let prefix = format!("{table}.");
        let mut entries = BTreeMap::new();
        for (key, setting) in self.by_key.range(prefix.clone()..) {
            let Some(name) = key.strip_prefix(&prefix) else {
                break;
            };
            let entry = BTreeMap::from([(name.to_owned(), setting.raw.clone())]);
            T::from_raw(&Raw::Table(entry)).map_err(|reason| setting.error(reason))?;
            entries.insert(name.to_owned(), setting.raw.clone());
        }
        let origin = self.origin(table);
        let key = table.to_owned();
        T::from_raw(&Raw::Table(entries)).map_err(|reason| ConfigError::Value { origin, key, reason })
    }

    /// Where a key's value comes from; of a free table, its first setting.
    pub fn origin(&self, key: &str) -> Origin {
        let mut of_table = self.by_key.range(format!("{key}.")..).take_while(|(name, _)| {
            FREE_TABLES.contains(&key) && name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
        });
        let setting = self.by_key.get(key).or_else(|| of_table.next().map(|(_, setting)| setting));
        setting.map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// Whether a key's value was read from a file of its own.
    pub fn is_from_file(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|setting| matches!(setting.raw, Raw::FromFile(_)))
    }

    /// The error that a key's value is bad.
    pub fn error(&self, key: &str, reason: String) -> ConfigError {
        match self.by_key.get(key) {
            Some(setting) => setting.error(reason),
            None => ConfigError::Value { origin: Origin::Default, key: key.to_owned(), reason },
        }
    }

    /// How many keys are set.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }
}

impl Setting {
    fn error(&self, reason: String) -> ConfigError {
        let origin = self.value_origin.clone().unwrap_or_else(|| self.origin.clone());
        ConfigError::Value { origin, key: self.key.clone(), reason }
    }
}

/// Replaces paths by contents, inside tables too: there a key `x_file` becomes `x`.
fn read_files_in(raw: &Raw) -> Result<Raw, String> {
    match raw {
        Raw::TextFile(path) => read_value_file(path).map(Raw::FromFile),
        Raw::List(items) => items.iter().map(read_files_in).collect::<Result<_, _>>().map(Raw::List),
        Raw::Table(entries) => {
            let mut read = BTreeMap::new();
            for (key, value) in entries {
                let (key, value) = match (key.strip_suffix(FILE_SUFFIX), value.text()) {
                    (Some(base), Some(path)) => (base, Raw::FromFile(read_value_file(path)?)),
                    _ => (key.as_str(), read_files_in(value)?),
                };
                if read.insert(key.to_owned(), value).is_some() {
                    return Err(format!("`{key}` is given twice, also as `{key}{FILE_SUFFIX}`; keep one of them"));
                }
            }
            Ok(Raw::Table(read))
        }
        other => Ok(other.clone()),
    }
}

fn read_value_file(path: &str) -> Result<String, String> {
    let unreadable = |reason: String| format!("cannot read the value from {path}: {reason}");
    let metadata = std::fs::metadata(Path::new(path)).map_err(|error| unreadable(error.to_string()))?;
    if metadata.len() > MAX_VALUE_FILE_BYTES {
        return Err(unreadable(format!("it is larger than {MAX_VALUE_FILE_BYTES} bytes; name the right file")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok(text.trim().to_owned())
}
