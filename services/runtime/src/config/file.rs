//! The configuration file: TOML, every value with its line and column.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::resolve::Setting;
use super::sections::SECTIONS;
use super::value::Raw;

/// Reads a file into settings with dotted keys.
pub fn read(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        unreadable(format!("byte {} is not UTF-8; save it as UTF-8", error.utf8_error().valid_up_to()))
    })?;
    parse(path, &text)
}

/// Parses a file's text.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Setting>, ConfigError> {
    let file = File { path, text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        origin: file.origin(&error.span().unwrap_or(0..0)),
        reason: error.message().lines().collect::<Vec<_>>().join("; "),
    })?;

    let mut settings = Vec::new();
    for (name, value) in table.get_ref() {
        let is_section = is_section(name.get_ref());
        if matches!(value.get_ref(), DeValue::Table(_)) && !is_section {
            let valid = SECTIONS.iter().map(|section| section.name).chain(["profile"]);
            return Err(ConfigError::unknown(file.origin(&name.span()), "section", name.get_ref(), valid));
        }
        if is_section && !matches!(value.get_ref(), DeValue::Table(_)) {
            return Err(ConfigError::Value {
                origin: file.origin(&value.span()),
                key: name.get_ref().to_string(),
                reason: format!("is a section; write [{}] and its keys below it", name.get_ref()),
            });
        }
        file.collect(name.get_ref(), &name.span(), value, &mut settings)?;
    }
    Ok(settings)
}

fn is_section(name: &str) -> bool {
    name == "profile" || SECTIONS.iter().any(|section| section.name == name)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Tables become dotted keys; everything else is a setting at the place of its key.
    fn collect(
        &self,
        key: &str,
        key_span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        settings: &mut Vec<Setting>,
    ) -> Result<(), ConfigError> {
        if let DeValue::Table(table) = value.get_ref() {
            for (name, value) in table {
                self.collect(&format!("{key}.{}", name.get_ref()), &name.span(), value, settings)?;
            }
            return Ok(());
        }
        let origin = self.origin(key_span);
        let raw = raw(value.get_ref()).map_err(|reason| ConfigError::Value {
            origin: self.origin(&value.span()),
            key: key.to_owned(),
            reason,
        })?;
        settings.push(Setting { key: key.to_owned(), raw, origin, value_origin: Some(self.origin(&value.span())) });
        Ok(())
    }
}

fn raw(value: &DeValue<'_>) -> Result<Raw, String> {
    Ok(match value {
        DeValue::String(text) => Raw::String(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let parsed = i64::from_str_radix(&digits, number.radix());
            Raw::Integer(parsed.map_err(|_| format!("{} is too large a number", number.as_str()))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().replace('_', "").parse();
            Raw::Float(parsed.map_err(|_| format!("{} is no number", number.as_str()))?)
        }
        DeValue::Boolean(value) => Raw::Boolean(*value),
        DeValue::Datetime(time) => return Err(format!("{time} is a date; no key takes one: write text in quotes")),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| -> Result<(String, Raw), String> {
                let name: &toml::de::DeString<'_> = name.get_ref();
                Ok((name.to_string(), raw(value.get_ref())?))
            };
            Raw::Table(table.iter().map(entry).collect::<Result<BTreeMap<_, _>, _>>()?)
        }
    })
}
