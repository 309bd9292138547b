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
}

impl FromStr for InputKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "packets" => Ok(Self::Packets),
            "exports" => Ok(Self::Exports),
            _ => Err("there are packets and exports".to_owned()),
        }
    }
}
