//! Errors of configuration: always the operator's to mend, always one line, never worth a retry.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Its path.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, as it was written up to its value.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// What is wrong with a configuration. The fault is the operator's input; a retry without a change does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{path}: cannot read the configuration: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{origin}: {reason}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        reason: String,
    },
    /// There is no such key or section.
    #[error("{origin}: unknown {what} `{name}`; {hint}")]
    Unknown {
        /// Where.
        origin: Origin,
        /// `key` or `section`.
        what: &'static str,
        /// As it was written.
        name: String,
        /// The nearest valid name, or where to find them.
        hint: String,
    },
    /// The value does not fit the key.
    #[error("{origin}: {key}: {reason}")]
    Value {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl ConfigError {
    /// An unknown name, with the nearest of `valid` ones if one is near.
    pub(super) fn unknown<'a>(
        origin: Origin,
        what: &'static str,
        name: &str,
        valid: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let hint = match nearest(name, valid) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`weir config show` prints every key".to_owned(),
        };
        Self::Unknown { origin, what, name: name.to_owned(), hint }
    }
}

/// The valid name that was probably meant: the same key in another section, else the fewest edits away.
fn nearest<'a>(name: &str, valid: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let last_part = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let same_key = valid.clone().find(|other| other.contains('.') && last_part(other) == last_part(name));
    if same_key.is_some() {
        return same_key;
    }
    let most_edits = 1 + name.len() / 4;
    valid
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(edits, _)| *edits <= most_edits)
        .min()
        .map(|(_, other)| other)
}
