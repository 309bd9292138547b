//! Where flow records go: a format, and a file or standard output behind it.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_results::{TableOptions, format};
use weir_schemas::{Flow, Record};

use super::container::ContainerWriter;
use super::table::FlowTable;
use super::{Format, Totals, csv, jsonl};
use crate::failure::Failure;
use crate::output;

/// Written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes flow records in one format.
pub struct Sink {
    out: BufWriter<Box<dyn Write>>,
    path: Option<PathBuf>,
    form: Form,
}

/// What a format remembers between records.
enum Form {
    Table(FlowTable),
    Jsonl,
    Csv,
    Avro(ContainerWriter),
    Null,
}

impl Sink {
    /// Opens `path`, or standard output, and writes what stands before the first record.
    pub fn open(format: Format, path: Option<&Path>) -> Result<Self, Failure> {
        let out: Box<dyn Write> = match path {
            Some(path) => Box::new(File::create(path).map_err(|error| unwritable(path, &error))?),
            None => Box::new(io::stdout()),
        };
        let form = match format {
            Format::Table => {
                // A file has no width: it gets the one for no terminal.
                let options = if path.is_some() { TableOptions::default() } else { TableOptions::for_stdout() };
                Form::Table(FlowTable::new(options.width))
            }
            Format::Jsonl => Form::Jsonl,
            Format::Csv => Form::Csv,
            Format::Avro => Form::Avro(ContainerWriter::default()),
            Format::Null => Form::Null,
        };
        let mut sink = Self { out: BufWriter::with_capacity(BUFFER_BYTES, out), path: path.map(Path::to_owned), form };
        let began = match &sink.form {
            Form::Table(table) => sink.out.write_all(table.heading().as_bytes()),
            Form::Csv => sink.out.write_all(csv::header().as_bytes()),
            Form::Avro(_) => ContainerWriter::begin(&mut sink.out),
            Form::Jsonl | Form::Null => Ok(()),
        };
        sink.checked(began)?;
        Ok(sink)
    }

    /// Whether records scroll by on the terminal, where a progress line would be in their way.
    pub fn is_on_terminal(&self) -> bool {
        self.path.is_none() && !matches!(self.form, Form::Null) && io::stdout().is_terminal()
    }

    /// Writes one record.
    pub fn write(&mut self, flow: &Flow, record: &Record) -> Result<(), Failure> {
        let written = match &mut self.form {
            Form::Table(table) => self.out.write_all(table.line(flow).as_bytes()),
            Form::Jsonl => self.out.write_all(jsonl::line(flow).as_bytes()),
            Form::Csv => self.out.write_all(csv::line(flow).as_bytes()),
            Form::Avro(container) => container.write(record, &mut self.out),
            Form::Null => Ok(()),
        };
        self.checked(written)
    }

    /// Writes out what lies in the buffer: nothing more may come for long.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        self.checked(flushed)
    }

    /// Writes what stands behind the last record, and everything out.
    pub fn finish(mut self, totals: Totals, elapsed: Duration) -> Result<(), Failure> {
        let written = match &mut self.form {
            Form::Avro(container) => container.finish(&mut self.out),
            Form::Null => self.out.write_all(speed(totals, elapsed).as_bytes()),
            Form::Table(_) | Form::Jsonl | Form::Csv => Ok(()),
        };
        self.checked(written)?;
        self.flush()
    }

    fn checked(&self, result: io::Result<()>) -> Result<(), Failure> {
        result.map_err(|error| match &self.path {
            Some(path) => unwritable(path, &error),
            None => output::failure(&error),
        })
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}; check the folder and its free space", path.display()))
}

fn speed(totals: Totals, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    format!(
        "{} in {} of {} in {seconds:.3} s: {} packets/s\n",
        format::count_of(totals.packets, "packet"),
        format::count_of(totals.records, "record"),
        format::count_of(totals.flows, "flow"),
        format::number((totals.packets as f64 / seconds.max(1e-9)).round()),
    )
}
