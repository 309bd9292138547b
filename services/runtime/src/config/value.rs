//! From what was written to a typed value: the one trait that every type of a configuration key has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use super::units::{self, ByteSize};

/// A value as it was written, before its key's type is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Text of an environment variable, a flag, or a file: the key's type says how to read it.
    Text(String),
    /// The path of a file whose content is the value.
    TextFile(String),
    /// What such a file holds: read like [`Raw::Text`], but never shown, since that is how secrets are passed.
    FromFile(String),
    /// A TOML string.
    String(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// A TOML table.
    Table(BTreeMap<String, Raw>),
}

impl Raw {
    /// The text, if it is text of any kind.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::FromFile(text) | Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text, if the key's type must say how to read it.
    pub(super) fn untyped(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::FromFile(text) => Some(text),
            _ => None,
        }
    }

    /// The value as one would write it in TOML; in words where it must not be shown.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match self {
            Self::Text(text) | Self::TextFile(text) | Self::String(text) => quote(text),
            Self::FromFile(_) => "what the file holds".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Boolean(value) => value.to_string(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::to_toml).collect::<Vec<_>>().join(", "))
            }
            Self::Table(entries) => {
                let entry = |(key, value): (&String, &Self)| format!("{} = {}", quote(key), value.to_toml());
                format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A TOML basic string. Source: TOML v1.0.0, "String".
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// What kind of value a key takes, for the JSON Schema and the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A whole number within bounds.
    Integer {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// True or false.
    Boolean,
    /// A number with a unit of time.
    Duration,
    /// A number of bytes with a unit.
    Size,
    /// A network in CIDR notation.
    Network,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several of one kind.
    List(&'static Kind),
    /// Free keys with text values.
    TextTable,
    /// Tables of tables of numbers: profile, detector, key.
    Profiles,
    /// A sink: `kind`, `id` and keys of its own.
    Sink,
}

/// A type that a configuration key can have.
pub trait ConfigValue: Sized {
    /// What is accepted.
    const KIND: Kind;

    /// The value of `raw`, or what is wrong with it and what would be right.
    fn from_raw(raw: &Raw) -> Result<Self, String>;

    /// The value in TOML; `None` where there is none, or it must not be shown.
    fn to_toml(&self) -> Option<String>;
}

/// "… is no …; write …", the form of every such message.
pub fn wrong(raw: &Raw, what: &str, example: &str) -> String {
    format!("{} is no {what}; write {example}", raw.to_toml())
}

impl ConfigValue for String {
    const KIND: Kind = Kind::Text;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().map(str::to_owned).ok_or_else(|| wrong(raw, "text", "it in quotes"))
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(self))
    }
}

impl ConfigValue for bool {
    const KIND: Kind = Kind::Boolean;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match (raw, raw.untyped()) {
            (Raw::Boolean(value), _) => Ok(*value),
            (_, Some("true")) => Ok(true),
            (_, Some("false")) => Ok(false),
            _ => Err(wrong(raw, "boolean", "true or false")),
        }
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A whole number from `min` to `max`.
pub fn integer(raw: &Raw, min: u64, max: u64) -> Result<u64, String> {
    let number = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        other => other.untyped().and_then(|text| text.parse().ok()),
    };
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| wrong(raw, "whole number in range", &format!("one from {min} to {max}")))
}

impl ConfigValue for NonZeroU32 {
    const KIND: Kind = Kind::Integer { min: 1, max: u32::MAX as u64 };

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let number = integer(raw, 1, u64::from(u32::MAX))?;
        u32::try_from(number).ok().and_then(Self::new).ok_or_else(|| wrong(raw, "whole number", "one above 0"))
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl ConfigValue for Duration {
    const KIND: Kind = Kind::Duration;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().and_then(units::parse_duration).ok_or_else(|| {
            wrong(raw, "duration", "a whole number and a unit (us, ms, s, m, h, d) in quotes, as in \"60s\"")
        })
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&units::format_duration(*self)))
    }
}

impl ConfigValue for ByteSize {
    const KIND: Kind = Kind::Size;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().and_then(units::parse_size).ok_or_else(|| {
            wrong(raw, "size", "a whole number and a unit (B, kB, MB, GB, KiB, MiB, GiB) in quotes, as in \"64MiB\"")
        })
    }

    fn to_toml(&self) -> Option<String> {
        Some(quote(&units::format_size(*self)))
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: Kind = T::KIND;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        T::from_raw(raw).map(Some)
    }

    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl<T: ConfigValue> ConfigValue for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    /// Text lists its items with commas between them.
    fn from_raw(raw: &Raw) -> Result<Self, String> {
        if let Raw::List(items) = raw {
            return items.iter().map(T::from_raw).collect();
        }
        let Some(text) = raw.untyped() else {
            return Err(wrong(raw, "list", "it in brackets, as in [\"a\", \"b\"]"));
        };
        let like_whole = |item: &str| match raw {
            Raw::FromFile(_) => Raw::FromFile(item.to_owned()),
            _ => Raw::Text(item.to_owned()),
        };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| T::from_raw(&like_whole(item))).collect()
    }

    fn to_toml(&self) -> Option<String> {
        Some(format!("[{}]", self.iter().filter_map(T::to_toml).collect::<Vec<_>>().join(", ")))
    }
}
