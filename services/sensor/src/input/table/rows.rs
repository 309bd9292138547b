//! The rows of a table, one after another: separated values with or without a header, Zeek's tab-separated logs, JSON objects.

use serde_json::Value;

use super::super::bytes::ByteStream;
use super::mapping::is_same;

/// The longest row that is believed.
const LONGEST_ROW: usize = 1 << 20;

/// Why a row cannot be read.
pub(super) type Defect = &'static str;

/// How rows are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layout {
    /// Separated values.
    Separated {
        /// What stands between values.
        delimiter: u8,
        /// The columns' names.
        columns: Vec<String>,
        /// The header line, where there is one: it may come again in joined files.
        header: Option<Vec<u8>>,
    },
    /// Lines that begin with `#` say what the columns are.
    Zeek {
        /// What stands between values.
        delimiter: u8,
        /// The columns' names.
        columns: Vec<String>,
    },
    /// One object after another, on lines of their own or not, in an array or not.
    Json,
}

/// One row.
#[derive(Debug)]
pub(super) enum Row {
    /// The values, in the order of the columns.
    Values(Vec<String>),
    /// An object.
    Object(Value),
}

/// Reads rows in file order.
pub(super) struct Rows {
    stream: ByteStream,
    layout: Layout,
    splitter: csv_core::Reader,
    /// The line after which a summary comes.
    ends_with: Option<String>,
    /// A row longer than any: reading ends there.
    pub(super) overlong: Option<u64>,
}

impl Rows {
    pub(super) fn new(stream: ByteStream, layout: Layout) -> Self {
        let delimiter = match &layout {
            Layout::Separated { delimiter, .. } => *delimiter,
            _ => b',',
        };
        let splitter = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { stream, layout, splitter, ends_with: None, overlong: None }
    }

    /// The rows up to such a line.
    pub(super) fn up_to(self, ends_with: Option<String>) -> Self {
        Self { ends_with, ..self }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn stream(&mut self) -> &mut ByteStream {
        &mut self.stream
    }

    /// The next row and its offset; `None` at the end.
    pub(super) fn next(&mut self) -> Option<(u64, Result<Row, Defect>)> {
        match self.layout {
            Layout::Json => self.next_object(),
            _ => self.next_line_row(),
        }
    }

    fn next_line_row(&mut self) -> Option<(u64, Result<Row, Defect>)> {
        loop {
            let offset = self.stream.offset();
            let length = self.line_length(0)?;
            let line = trim_line(&self.stream.fill(length)[..length]).to_vec();
            if self.ends_with.as_ref().is_some_and(|end| end.as_bytes() == line) {
                return None;
            }
            let is_header = matches!(&self.layout, Layout::Separated { header: Some(header), .. } if *header == line);
            if line.is_empty() || is_header || line.starts_with(b"#") {
                self.note_directive(&line);
                self.stream.consume(length);
                continue;
            }
            let values = match &self.layout {
                Layout::Zeek { delimiter, .. } => {
                    self.stream.consume(length);
                    line.split(|byte| byte == delimiter).map(text).collect()
                }
                _ => self.split(length)?,
            };
            return Some((offset, self.checked(values)));
        }
    }

    /// The values of the first row, however many.
    pub(super) fn split_first(mut self) -> Option<Vec<String>> {
        let length = self.line_length(0)?;
        self.split(length)
    }

    fn checked(&self, values: Vec<String>) -> Result<Row, Defect> {
        let (Layout::Separated { columns, .. } | Layout::Zeek { columns, .. }) = &self.layout else {
            return Ok(Row::Values(values));
        };
        if values.len() < columns.len() {
            return Err("too few columns");
        }
        // A delimiter at the end makes one more, empty.
        let is_excess = values.len() > columns.len() && values[columns.len()..].iter().any(|value| !value.is_empty());
        if is_excess { Err("too many columns") } else { Ok(Row::Values(values)) }
    }

    /// Zeek's own lines: columns may change where files were joined.
    fn note_directive(&mut self, line: &[u8]) {
        if let Layout::Zeek { delimiter, columns } = &mut self.layout
            && let Some(fields) = line.strip_prefix(b"#fields")
        {
            *columns = fields.split(|byte| byte == delimiter).filter(|name| !name.is_empty()).map(text).collect();
        }
    }

    /// Splits the row that begins here; with quotes it may go over several lines.
    fn split(&mut self, mut length: usize) -> Option<Vec<String>> {
        let Layout::Separated { delimiter, .. } = self.layout else { return None };
        let is_blank = delimiter == b' ';
        loop {
            let row = &self.stream.fill(length)[..length];
            if is_blank {
                let values = text(row).split_whitespace().map(str::to_owned).collect();
                self.stream.consume(length);
                return Some(values);
            }
            let mut output = vec![0; row.len() + 8];
            let mut ends = vec![0; row.len() + 8];
            self.splitter.reset();
            let (result, _, written, count) = self.splitter.read_record(row, &mut output, &mut ends);
            let is_whole = matches!(result, csv_core::ReadRecordResult::Record);
            if !is_whole && self.stream.fill(length + 1).len() > length && length < LONGEST_ROW {
                // A quoted line break: the row goes on.
                length = self.line_length(length)?;
                continue;
            }
            let (written, count) = if is_whole {
                (written, count)
            } else {
                // The end of the input ends the row.
                let (_, _, more, ended) = self.splitter.read_record(b"", &mut output[written..], &mut ends[count..]);
                (written + more, count + ended)
            };
            let output = &output[..written];
            let mut start = 0;
            let values = ends[..count]
                .iter()
                .map(|end| {
                    let value = text(output.get(start..*end).unwrap_or_default());
                    start = *end;
                    value
                })
                .collect();
            self.stream.consume(length);
            return Some(values);
        }
    }

    /// How long the lines are that end with the first line break at or after `from`; `None` at the end of the input.
    fn line_length(&mut self, from: usize) -> Option<usize> {
        // A byte more than there is: a file that is being written has no more to give than whole rows, at times.
        let mut wanted = from + 1;
        loop {
            let ready = self.stream.fill(wanted);
            if ready.len() <= from {
                return None;
            }
            if let Some(at) = ready[from..].iter().position(|byte| *byte == b'\n') {
                return Some(from + at + 1);
            }
            if ready.len() < wanted {
                return Some(ready.len());
            }
            if ready.len() > LONGEST_ROW {
                self.overlong = Some(self.stream.offset());
                return None;
            }
            wanted = ready.len() + 1;
        }
    }

    fn next_object(&mut self) -> Option<(u64, Result<Row, Defect>)> {
        let skipped = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'[' | b']' | 0xef | 0xbb | 0xbf);
        loop {
            let ready = self.stream.fill(1);
            if ready.is_empty() {
                return None;
            }
            let blank = ready.iter().take_while(|byte| skipped(byte)).count();
            if blank == 0 {
                break;
            }
            self.stream.consume(blank);
        }
        let offset = self.stream.offset();
        let Some(length) = self.object_length() else {
            let is_cut = self.stream.fill(1).first() == Some(&b'{');
            let length = self.line_length(0)?;
            self.stream.consume(length);
            return Some((offset, Err(if is_cut { "a JSON object without its end" } else { "not a JSON object" })));
        };
        let row = serde_json::from_slice(&self.stream.fill(length)[..length]);
        self.stream.consume(length);
        Some((offset, row.map(Row::Object).map_err(|_| "not valid JSON")))
    }

    /// The length of the object that begins here, if it ends.
    fn object_length(&mut self) -> Option<usize> {
        let (mut depth, mut in_text, mut is_escaped) = (0_u32, false, false);
        let mut at = 0;
        let mut wanted = 1;
        loop {
            let ready = self.stream.fill(wanted);
            if ready.first() != Some(&b'{') {
                return None;
            }
            for byte in &ready[at..] {
                at += 1;
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if in_text => is_escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => depth += 1,
                    b'}' if !in_text => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at);
                        }
                    }
                    _ => {}
                }
            }
            if ready.len() < wanted || ready.len() > LONGEST_ROW {
                return None;
            }
            wanted = ready.len() + 1;
        }
    }
}

/// The place of a column of that name.
pub(super) fn place(columns: &[String], name: &str) -> Option<usize> {
    columns.iter().position(|column| is_same(column, name))
}

/// The value of a key, which may be nested: `flow.start`, `dns.queries.0.rrname`.
pub(super) fn lookup<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    name.split('.').try_fold(object, |value, key| match value {
        Value::Array(values) => values.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

/// The names of all values of an object, nested ones with dots; at most `most`.
pub(super) fn names(object: &Value, most: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![(String::new(), object, 0)];
    while let Some((prefix, value, depth)) = open.pop() {
        if let Value::Object(map) = value
            && depth < 4
        {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                open.push((name, value, depth + 1));
            }
        } else if names.len() < most {
            names.push(prefix);
        }
    }
    names.sort_unstable();
    names
}

pub(super) fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
