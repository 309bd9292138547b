//! What an input is read as.

use std::str::FromStr;

/// What an input is read as, where it is not for its content to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InputKind {
    /// What its content says it is.
    #[default]
    ByContent,
    /// A capture as packets, whatever they carry.
    Packets,
    /// The flow exports in a capture and nothing else of it, or a file of raw ones.
    Exports,
    /// A table that the built-in mapping of this name reads.
    Table(String),
}

impl InputKind {
    /// The table that is asked for.
    pub(super) fn table(&self) -> Option<&str> {
        match self {
            Self::Table(name) => Some(name),
            _ => None,
        }
    }
}

impl FromStr for InputKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "packets" => Ok(Self::Packets),
            "exports" => Ok(Self::Exports),
            _ if super::tables().contains(&text) => Ok(Self::Table(text.to_owned())),
            _ => Err(format!("there are packets, exports and the tables {}", super::tables().join(", "))),
        }
    }
}
