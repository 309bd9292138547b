//! Which table a file holds, told by its beginning: how its rows are written, and which mapping knows its columns.

use std::sync::Arc;

use serde_json::Value;

use super::builtin;
use super::convert::Columns;
use super::mapping::Mapping;
use super::rows::{Layout, Row, Rows, lookup, names, place, trim_line};
use crate::input::bytes::{ByteStream, Source};

/// What stands between values, the likeliest first.
const DELIMITERS: [u8; 5] = [b',', b'\t', b';', b'|', b' '];

/// Columns that an error lists at most.
const MOST_LISTED: usize = 100;

/// A table that can be read.
#[derive(Clone, Debug)]
pub(super) struct Recognised {
    pub(super) layout: Layout,
    pub(super) mapping: Arc<Mapping>,
}

/// What a file's beginning is.
#[derive(Clone, Debug)]
pub(super) enum Finding {
    /// A table with its mapping.
    Table(Recognised),
    /// A table, but no mapping fits: what its columns are, and what is missing where a mapping was asked for.
    Unknown(String),
    /// No table.
    NoTable,
}

/// Looks at the beginning of a file. With `asked` only that mapping is tried.
pub(super) fn recognise(head: &[u8], asked: Option<&Arc<Mapping>>) -> Finding {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head.contains(&0) {
        return Finding::NoTable;
    }
    if head.starts_with(b"#") && lines(head).any(|line| line.starts_with(b"#fields")) {
        return zeek(head, asked);
    }
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => json(head, asked),
        Some(b'[') if is_array_of_objects(head) => json(head, asked),
        Some(_) => separated(head, asked),
        None => Finding::NoTable,
    }
}

fn is_array_of_objects(head: &[u8]) -> bool {
    head.iter().filter(|byte| !byte.is_ascii_whitespace()).nth(1).is_none_or(|byte| *byte == b'{')
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').map(trim_line)
}

fn zeek(head: &[u8], asked: Option<&Arc<Mapping>>) -> Finding {
    let mut delimiter = b'\t';
    let mut columns = Vec::new();
    for line in lines(head) {
        if let Some(code) = line.strip_prefix(b"#separator \\x") {
            let code = std::str::from_utf8(code).ok().and_then(|code| u8::from_str_radix(code.trim(), 16).ok());
            delimiter = code.unwrap_or(delimiter);
        } else if let Some(fields) = line.strip_prefix(b"#fields") {
            let names = fields.split(|byte| *byte == delimiter).filter(|name| !name.is_empty());
            columns = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            break;
        }
    }
    match by_columns(&columns, asked) {
        Ok(mapping) => Finding::Table(Recognised { layout: Layout::Zeek { delimiter, columns }, mapping }),
        Err(what) => Finding::Unknown(what),
    }
}

fn json(head: &[u8], asked: Option<&Arc<Mapping>>) -> Finding {
    let stream = ByteStream::new(Source::Stream(Box::new(std::io::Cursor::new(head.to_vec()))));
    let mut rows = Rows::new(stream, Layout::Json);
    let mut first = None;
    // The first rows may be of a kind that tells no flows.
    while let Some((_, row)) = rows.next() {
        let Ok(Row::Object(object)) = row else { continue };
        let found = by_columns(&names(&object, 10_000), asked);
        let by_keys = builtin::all().find(|mapping| fits_object(mapping, &object));
        if let Some(mapping) = found.as_ref().ok().or(by_keys.filter(|_| asked.is_none())) {
            return Finding::Table(Recognised { layout: Layout::Json, mapping: mapping.clone() });
        }
        first = first.or(found.err());
    }
    match (first, asked) {
        (Some(what), _) => Finding::Unknown(what),
        // Cut inside the first object: who asks knows.
        (None, Some(mapping)) => Finding::Table(Recognised { layout: Layout::Json, mapping: mapping.clone() }),
        (None, None) => Finding::NoTable,
    }
}

fn fits_object(mapping: &Mapping, object: &Value) -> bool {
    !mapping.recognise.is_empty() && mapping.recognise.iter().all(|name| lookup(object, name).is_some())
}

fn separated(head: &[u8], asked: Option<&Arc<Mapping>>) -> Finding {
    let Some(line) = lines(head).find(|line| !line.is_empty() && !line.starts_with(b"#")) else {
        return Finding::NoTable;
    };
    let mut unknown = None;
    for delimiter in DELIMITERS {
        let Some(columns) = split(line, delimiter).filter(|columns| columns.len() > 3) else { continue };
        match by_columns(&columns, asked) {
            Ok(mapping) => {
                let layout = Layout::Separated { delimiter, columns, header: Some(line.to_vec()) };
                return Finding::Table(Recognised { layout, mapping });
            }
            // Words with blanks between them are no header of a table that nobody asked for.
            Err(what) if asked.is_some() || (delimiter != b' ' && is_header(&columns)) => {
                unknown = unknown.or(Some(what));
            }
            Err(_) => {}
        }
        if let Some(recognised) = without_header(line, &columns, delimiter, asked) {
            return Finding::Table(recognised);
        }
    }
    unknown.map_or(Finding::NoTable, Finding::Unknown)
}

/// Whether these look like names of columns rather than like text or values.
fn is_header(columns: &[String]) -> bool {
    let is_name = |column: &String| {
        let name = column.trim();
        name.len() < 64 && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
    };
    columns.len() > 5 && columns.iter().all(is_name)
}

/// The mapping whose header has as many columns, if the first row makes sense with it.
fn without_header(line: &[u8], values: &[String], delimiter: u8, asked: Option<&Arc<Mapping>>) -> Option<Recognised> {
    let fits = |mapping: &&Arc<Mapping>| {
        // Some print a few columns less, or one more, than their manual names.
        mapping.header.len() == values.len() && makes_sense(mapping, line, delimiter)
    };
    let mapping = match asked {
        Some(mapping) => Some(mapping).filter(fits),
        None => builtin::all().find(fits),
    }?;
    let layout = Layout::Separated { delimiter, columns: mapping.header.clone(), header: None };
    Some(Recognised { layout, mapping: mapping.clone() })
}

fn makes_sense(mapping: &Arc<Mapping>, line: &[u8], delimiter: u8) -> bool {
    let layout = Layout::Separated { delimiter, columns: mapping.header.clone(), header: None };
    let stream = ByteStream::new(Source::Stream(Box::new(std::io::Cursor::new(line.to_vec()))));
    let columns = Columns::new(mapping.clone(), &layout);
    match Rows::new(stream, layout).next() {
        Some((_, Ok(row))) => columns.has_ends_and_time(&row),
        _ => false,
    }
}

fn split(line: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let layout = Layout::Separated { delimiter, columns: Vec::new(), header: None };
    let stream = ByteStream::new(Source::Stream(Box::new(std::io::Cursor::new(line.to_vec()))));
    Rows::new(stream, layout).split_first()
}

/// The mapping that knows these columns; the error says what there is and what is missing.
fn by_columns(columns: &[String], asked: Option<&Arc<Mapping>>) -> Result<Arc<Mapping>, String> {
    let has = |name: &String| place(columns, name).is_some();
    let listed = || {
        let mut names: Vec<&str> = columns.iter().map(|column| column.trim()).take(MOST_LISTED).collect();
        if columns.len() > MOST_LISTED {
            names.push("…");
        }
        names.join(", ")
    };
    if let Some(mapping) = asked {
        return match missing(mapping, columns) {
            None => Ok(mapping.clone()),
            Some(missing) => Err(format!("columns without {missing}, found are {}", listed())),
        };
    }
    let fits = |mapping: &&Arc<Mapping>| {
        let has_any = mapping.recognise_any.is_empty() || mapping.recognise_any.iter().any(has);
        let is_told = !mapping.recognise.is_empty() || !mapping.recognise_any.is_empty();
        is_told && has_any && mapping.recognise.iter().all(has)
    };
    let Some(mapping) = builtin::all().find(fits) else {
        return Err(format!("a table with columns that no built-in mapping knows: {}", listed()));
    };
    match missing(mapping, columns) {
        None => Ok(mapping.clone()),
        Some(missing) => Err(format!("a table of {} without {missing}, found are {}", mapping.name(), listed())),
    }
}

/// The first required field of which no column is there.
fn missing(mapping: &Mapping, columns: &[String]) -> Option<String> {
    let is_there = |source: &super::mapping::Source| {
        source.constant.is_some() || source.columns.iter().all(|name| place(columns, name).is_some())
    };
    let field = mapping.required().iter().find(|field| !mapping.sources(**field).iter().any(is_there))?;
    let names: Vec<String> = mapping.sources(*field).iter().map(|source| source.columns.join(" ")).collect();
    Some(format!("a column for {} ({})", super::mapping::FIELDS[*field as usize], names.join(" or ")))
}
