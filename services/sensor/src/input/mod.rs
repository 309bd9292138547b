//! Inputs: captures, tcpdump text and tables of flows, in event-time order, several merged by time.

mod bytes;
mod compression;
pub mod date;
mod directory;
mod error;
mod exports;
mod follow;
mod interruptible;
pub mod kind;
mod merge;
mod opening;
mod ordered;
pub mod pcap;
pub mod pcapng;
mod reader;
mod table;
pub mod tcpdump;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use date::Date;
pub use error::InputError;
pub use follow::open as follow;
pub use kind::InputKind;
pub use table::{Mapping, tables};

use weir_runtime::Shutdown;
use weir_schemas::Micros;

use crate::declared::DeclaredFlow;
use crate::export::RememberedTemplates;
use crate::packet::{InputCounters, InputWarning, Packet};

/// What an input brings: a packet, or a flow that somebody else measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A decoded packet.
    Packet(Box<Packet>),
    /// A declared flow.
    Flow(Box<DeclaredFlow>),
}

impl Observed {
    /// Time of the packet, or of the flow's first one.
    #[must_use]
    pub fn time(&self) -> Micros {
        match self {
            Self::Packet(packet) => packet.time,
            Self::Flow(flow) => flow.start,
        }
    }

    /// Time of the packet, or of the flow's last one.
    #[must_use]
    pub fn end(&self) -> Micros {
        match self {
            Self::Packet(packet) => packet.time,
            Self::Flow(flow) => flow.end.max(flow.start),
        }
    }

    /// Moves it to `time`; a flow keeps its duration.
    pub fn set_time(&mut self, time: Micros) {
        match self {
            Self::Packet(packet) => packet.time = time,
            Self::Flow(flow) => {
                flow.end = time.saturating_add(flow.end.saturating_sub(flow.start));
                flow.start = time;
            }
        }
    }
}

impl From<Box<Packet>> for Observed {
    fn from(packet: Box<Packet>) -> Self {
        Self::Packet(packet)
    }
}

/// A source of packets and flows, in event-time order except where a warning says otherwise.
pub trait Input {
    /// What comes next, or `None` at the end of the input.
    fn next(&mut self) -> Option<Observed>;

    /// What has been counted up to now.
    fn counters(&self) -> &InputCounters;

    /// The warnings since the last call; to be asked for once more after the end.
    fn take_warnings(&mut self) -> Vec<InputWarning>;

    /// `pcap`, `pcapng`, `tcpdump` or the name of a table; `mixed` where files of several kinds are merged.
    fn kind(&self) -> &str;

    /// Reads no more. What has been read and still waits for its turn comes out, and then the end.
    fn stop(&mut self) {}

    /// Whether there may be more although [`Self::next`] gave nothing: a writer is waited for.
    fn awaits_more(&self) -> bool {
        false
    }

    /// Waits until there may be more, and not longer than `at_most`.
    fn await_more(&mut self, _at_most: Duration) {}
}

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// The day of tcpdump text without dates; by default the day (UTC) on which the file was last changed.
    pub date: Option<Date>,
    /// How many bytes of a compressed file or of standard input may be put into a temporary file, to sort them by time.
    /// Beyond it packets pass the reorder buffer only, and a warning says so.
    pub spool: u64,
    /// How many packets the reorder buffer holds.
    pub reorder: usize,
    /// Where the temporary file goes; by default where the system wants it.
    pub spool_directory: Option<PathBuf>,
    /// What the inputs are read as.
    pub kind: InputKind,
    /// How tables are read that no built-in mapping knows; then all inputs are such tables.
    pub mapping: Option<Arc<Mapping>>,
    /// Templates of flow exports, shared by all files that are opened with clones of these options.
    pub templates: RememberedTemplates,
    /// Once raised, standard input and pipes end where they are; what was received is an input like any other.
    pub shutdown: Shutdown,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self {
            date: None,
            spool: 1 << 30,
            reorder: 1024,
            spool_directory: None,
            kind: InputKind::default(),
            mapping: None,
            templates: RememberedTemplates::default(),
            shutdown: Shutdown::new(),
        }
    }
}

/// Opens files as one input, merged by time. `-` is standard input; of a directory all files are read that are inputs.
pub fn open(paths: &[PathBuf], options: &InputOptions) -> Result<Box<dyn Input>, InputError> {
    let mut inputs: Vec<(ordered::OrderedInput, merge::Reopen)> = Vec::new();
    let mut left_out = Vec::new();
    for directory::Listed { path, is_found } in directory::files(paths)? {
        match opening::open_one(&path, options) {
            // Read beside the table that has the flows.
            Ok(input) if is_found && table::tells_facts_only(input.kind()) => {}
            Ok(input) => {
                let options = options.clone();
                inputs.push((input, Box::new(move || opening::open_one(&path, &options))));
            }
            Err(error) if is_found && error.is_of_content() => left_out.push((path, error)),
            Err(error) => return Err(error),
        }
    }
    if inputs.is_empty()
        && let Some((_, error)) = left_out.pop()
    {
        return Err(error);
    }
    let is_rereadable = !paths.iter().any(|path| path.as_os_str() == "-" || !(path.is_file() || path.is_dir()));
    let mut merged = if is_rereadable {
        merge::MergedInput::of_files(inputs)
    } else {
        merge::MergedInput::new(inputs.into_iter().map(|(input, _)| input).collect())
    };
    if let Some((first, error)) = left_out.first() {
        let message = format!("{} files of directories are no inputs and left out, the first: {error}", left_out.len());
        merged.warn(InputWarning { file: first.display().to_string().into(), offset: None, message });
    }
    Ok(Box::new(merged))
}

/// Reads an input that lies in memory to its end: the entry point of fuzzing and of tests.
pub fn read_bytes(bytes: &[u8]) -> Result<ReadSummary, InputError> {
    let options = InputOptions { date: Some(Date::from_days(0)), ..InputOptions::default() };
    let input = opening::open_stream("bytes", Box::new(std::io::Cursor::new(bytes.to_vec())), None, &options)?;
    let mut input = merge::MergedInput::new(vec![input]);
    let (mut packets, mut flows, mut is_ordered, mut newest) = (0, 0, true, Micros::MIN);
    while let Some(observed) = input.next() {
        is_ordered &= observed.time() >= newest;
        newest = newest.max(observed.time());
        match observed {
            Observed::Packet(_) => packets += 1,
            Observed::Flow(_) => flows += 1,
        }
    }
    let (counters, warnings) = (input.counters().clone(), input.take_warnings());
    Ok(ReadSummary { packets, flows, is_ordered, counters, warnings })
}

/// What [`read_bytes`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadSummary {
    /// Packets that came out.
    pub packets: u64,
    /// Flows that came out.
    pub flows: u64,
    /// They came in order of time.
    pub is_ordered: bool,
    /// What the input counted.
    pub counters: InputCounters,
    /// What it warned of.
    pub warnings: Vec<InputWarning>,
}
