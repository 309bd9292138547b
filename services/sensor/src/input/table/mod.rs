//! Tables of flows that somebody else measured: logs and exports as text, read by mappings.

mod builtin;
mod convert;
mod facts;
mod mapping;
mod recognise;
mod rows;
#[cfg(test)]
mod tests;
mod value;

pub use mapping::Mapping;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_schemas::{Micros, SECOND_US};

use super::Observed;
use super::bytes::{ByteStream, Source};
use super::date::Date;
use super::reader::{Fault, RecordReader};
use crate::packet::InputCounters;
use convert::{Columns, Converted};
use facts::FactTable;
use recognise::{Finding, Recognised, recognise};
use rows::{Defect, Layout, Row, Rows};

pub(super) use super::reader::LATEST_TIME;

/// Unknown columns that are told at most.
const MOST_UNKNOWN: usize = 32;

/// Rows of objects whose keys are looked at for unknown ones.
const ROWS_LOOKED_AT: u64 = 1000;

/// The names of the built-in mappings, as `--input` takes them.
#[must_use]
pub fn tables() -> Vec<&'static str> {
    let mut names: Vec<&str> =
        builtin::all().filter(|mapping| !mapping.facts_only).map(|mapping| mapping.name()).collect();
    names.dedup();
    names
}

/// Whether tables of this kind only say more of flows that others tell.
pub(super) fn tells_facts_only(kind: &str) -> bool {
    builtin::all().any(|mapping| mapping.facts_only && mapping.name() == kind)
}

/// What the beginning of a file is to a table reader.
pub(super) enum Opened {
    /// A table.
    Reader(Box<TableReader>),
    /// A table that no mapping fits: what there is and what is missing. The source goes back.
    Unknown(String, Source),
    /// No table; the source goes back.
    NoTable(Source),
}

/// How a table is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    /// The name of a built-in mapping.
    pub(super) kind: Option<&'a str>,
    /// A mapping of the operator's.
    pub(super) mapping: Option<&'a Arc<Mapping>>,
}

/// Opens a table whose beginning is `head`. `path` is where its neighbours are looked for.
pub(super) fn open(path: Option<&Path>, head: &[u8], source: Source, asked: Asked<'_>, day: Date) -> Opened {
    let candidates: Vec<Option<&Arc<Mapping>>> = match (asked.mapping, asked.kind) {
        (Some(mapping), _) => vec![Some(mapping)],
        (None, Some(kind)) => builtin::all().filter(|mapping| mapping.name() == kind).map(Some).collect(),
        (None, None) => vec![None],
    };
    let mut unknown = None;
    for candidate in candidates {
        match recognise(head, candidate) {
            Finding::Table(table) => return Opened::Reader(Box::new(TableReader::new(path, source, table, day))),
            Finding::Unknown(what) => unknown = unknown.or(Some(what)),
            Finding::NoTable => {}
        }
    }
    match unknown {
        Some(what) => Opened::Unknown(what, source),
        None => Opened::NoTable(source),
    }
}

/// Reads one table.
pub(super) struct TableReader {
    rows: Rows,
    mapping: Arc<Mapping>,
    columns: Columns,
    facts: FactTable,
    /// Tables beside this one that could not be read, and why.
    remarks: Vec<String>,
    day: Date,
    /// Rows without a time so far.
    timeless: Micros,
    /// Rows met so far that could not be read; where and why the first of them.
    defects: u64,
    first_defect: Option<(u64, Defect)>,
    unknown: BTreeSet<String>,
    rows_read: u64,
    ended: bool,
}

impl TableReader {
    fn new(path: Option<&Path>, source: Source, table: Recognised, day: Date) -> Self {
        let Recognised { layout, mapping } = table;
        let is_rereadable = matches!(source, Source::File(_));
        let columns = Columns::new(mapping.clone(), &layout);
        let unknown = match &layout {
            Layout::Separated { columns, .. } | Layout::Zeek { columns, .. } => {
                columns.iter().filter(|name| !mapping.knows(name)).take(MOST_UNKNOWN).cloned().collect()
            }
            Layout::Json => BTreeSet::new(),
        };
        let mut reader = Self {
            rows: Rows::new(ByteStream::new(source), layout).up_to(mapping.ends_with.clone()),
            columns,
            facts: FactTable::default(),
            remarks: Vec::new(),
            day,
            timeless: 0,
            defects: 0,
            first_defect: None,
            unknown,
            rows_read: 0,
            ended: false,
            mapping,
        };
        if reader.mapping.facts_only {
            let name = reader.mapping.name();
            reader.remarks.push(format!("{name} tells no flows: it is read beside the table that does"));
        }
        reader.read_beside(path, is_rereadable);
        reader
    }

    /// Reads the tables beside this one, and the facts in it.
    fn read_beside(&mut self, path: Option<&Path>, is_rereadable: bool) {
        for beside in self.mapping.clone().beside.clone() {
            let Some(mapping) = builtin::by_file(&beside.mapping) else { continue };
            if beside.same_file {
                if is_rereadable {
                    let columns = Columns::new(mapping.clone(), self.rows.layout());
                    collect(&mut self.rows, &columns, &mut self.facts);
                    if self.seek(0).is_err() {
                        self.ended = true;
                    }
                }
                continue;
            }
            let Some(neighbour) = path.zip(beside.file).and_then(|(path, word)| neighbour(path, "conn", &word)) else {
                continue;
            };
            match super::opening::unpacked_head(&neighbour) {
                Ok(Some((head, source))) => {
                    let Finding::Table(table) = recognise(&head, Some(mapping)) else {
                        self.remarks.push(format!(
                            "{}: no table of {}, not joined",
                            neighbour.display(),
                            beside.mapping
                        ));
                        continue;
                    };
                    let columns = Columns::new(mapping.clone(), &table.layout);
                    let mut rows = Rows::new(ByteStream::new(source), table.layout);
                    collect(&mut rows, &columns, &mut self.facts);
                }
                Ok(None) => {}
                Err(error) => self.remarks.push(format!("{}: not joined ({error})", neighbour.display())),
            }
        }
        if self.facts.refused > 0 {
            let refused = self.facts.refused;
            self.remarks.push(format!("{refused} application facts beyond a million flows are left out"));
        }
    }

    /// The next row that is a flow, and its offset. Defects are noted, and counted where `counters` are given.
    fn next_flow(&mut self, mut counters: Option<&mut InputCounters>) -> Option<(u64, Observed)> {
        while !self.ended {
            let Some((offset, row)) = self.rows.next() else {
                self.ended = true;
                break;
            };
            self.rows_read += 1;
            let converted = row.and_then(|row| {
                self.note_names(&row);
                let fallback = self.day.start().saturating_add(self.timeless * SECOND_US);
                self.columns.convert(&row, fallback).map(|converted| (converted, fallback))
            });
            match converted {
                Ok((Converted::Flow(mut flow, id), fallback)) => {
                    self.timeless += Micros::from(self.mapping.start_may_be_absent && flow.start == fallback);
                    if let Some(id) = id.filter(|_| !self.facts.is_empty()) {
                        self.facts.complete(&id, &mut flow.app);
                    }
                    return Some((offset, Observed::Flow(flow)));
                }
                Ok((Converted::OtherProtocol, _)) => {
                    if let Some(counters) = &mut counters {
                        counters.other += 1;
                    }
                }
                Ok((Converted::Facts(..) | Converted::Skipped, _)) => {}
                Err(defect) => {
                    if let Some(counters) = &mut counters {
                        *counters.decode_errors.entry(defect).or_default() += 1;
                    }
                    self.defects += 1;
                    self.first_defect.get_or_insert((offset, defect));
                }
            }
        }
        None
    }

    /// Notes the names of an object's values that the mapping does not know.
    fn note_names(&mut self, row: &Row) {
        let Row::Object(object) = row else { return };
        if self.rows_read > ROWS_LOOKED_AT || self.unknown.len() >= MOST_UNKNOWN || self.is_left_out(row) {
            return;
        }
        for name in rows::names(object, 1000) {
            if !self.mapping.knows(&name) && self.unknown.len() < MOST_UNKNOWN {
                self.unknown.insert(name);
            }
        }
    }

    /// Whether the row is of a kind that tells no flows.
    fn is_left_out(&self, row: &Row) -> bool {
        !self.mapping.keep.is_empty() && matches!(self.columns.convert(row, 0), Ok(Converted::Skipped))
    }
}

impl RecordReader for TableReader {
    fn kind(&self) -> &str {
        self.mapping.name()
    }

    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        self.next_flow(Some(counters)).map(|(_, flow)| flow)
    }

    fn next_time(&mut self) -> Option<(Micros, u64)> {
        self.next_flow(None).map(|(offset, flow)| (flow.time(), offset))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        if offset == 0 {
            self.timeless = 0;
            self.rows_read = 0;
            self.defects = 0;
            self.first_defect = None;
        }
        self.ended = false;
        self.rows.overlong = None;
        self.rows.stream().seek(offset)
    }

    fn take_fault(&mut self) -> Option<Fault> {
        if let Some(failure) = self.rows.stream().failure() {
            let message = format!("reading failed ({failure}); the rows before were read");
            return Some(Fault { offset: self.rows.stream().offset(), message });
        }
        if let Some(offset) = self.rows.overlong {
            let message = "a row over 1 MiB is none; the rows before were read".to_owned();
            return Some(Fault { offset, message });
        }
        let (offset, defect) = self.first_defect.take()?;
        let message = match std::mem::take(&mut self.defects) {
            1 => format!("a row that cannot be read ({defect}) is left out; all others were read"),
            defects => format!("{defects} rows that cannot be read are left out, this is the first ({defect})"),
        };
        Some(Fault { offset, message })
    }

    fn is_kept_in_memory(&self) -> bool {
        true
    }

    fn assumption(&self) -> Option<String> {
        let mut remarks = self.remarks.clone();
        if !self.unknown.is_empty() {
            let names: Vec<&str> = self.unknown.iter().map(String::as_str).collect();
            let more = if names.len() == MOST_UNKNOWN { " and perhaps more" } else { "" };
            remarks.push(format!("columns without a meaning to {}: {}{more}", self.mapping.name(), names.join(", ")));
        }
        if self.timeless > 0 {
            let (rows, day) = (self.timeless, self.day);
            remarks.push(format!(
                "{rows} rows without a time are taken one a second from {day} (UTC) on; --date sets the day; rates mean nothing"
            ));
        }
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

fn collect(rows: &mut Rows, columns: &Columns, facts: &mut FactTable) {
    while let Some((_, row)) = rows.next() {
        if let Ok(row) = row
            && let Ok(Converted::Facts(id, found)) = columns.convert(&row, 0)
        {
            facts.add(id, found);
        }
    }
}

/// The file beside `path` in whose name `other` stands for the last `word`.
fn neighbour(path: &Path, word: &str, other: &str) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let at = name.rfind(word)?;
    Some(path.with_file_name(format!("{}{other}{}", &name[..at], &name[at + word.len()..])))
}
