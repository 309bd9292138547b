//! Inputs: captures, tcpdump text and tables of flows, in event-time order, several merged by time.

mod bytes;
mod compression;
pub mod date;
mod error;
mod exports;
mod interruptible;
pub mod kind;
mod merge;
mod opening;
mod ordered;
pub mod pcap;
pub mod pcapng;
mod reader;
pub mod tcpdump;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use date::Date;
pub use error::InputError;
pub use kind::InputKind;

use weir_runtime::Shutdown;
use weir_schemas::Micros;

use crate::declared::DeclaredFlow;
use crate::packet::{InputCounters, InputWarning, Packet};

/// What an input brings: a packet, or a flow that somebody else measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A decoded packet.
    Packet(Packet),
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

impl From<Packet> for Observed {
    fn from(packet: Packet) -> Self {
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
            shutdown: Shutdown::new(),
        }
    }
}

/// Opens files as one input, merged by time. `-` is standard input.
pub fn open(paths: &[PathBuf], options: &InputOptions) -> Result<Box<dyn Input>, InputError> {
    let inputs = paths.iter().map(|path| opening::open_one(path, options)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(merge::MergedInput::new(inputs)))
}

/// Reads an input that lies in memory to its end: the entry point of fuzzing and of tests.
pub fn read_bytes(bytes: &[u8]) -> Result<ReadSummary, InputError> {
    let options = InputOptions { date: Some(Date::from_days(0)), ..InputOptions::default() };
    let input = opening::open_stream("bytes", Box::new(std::io::Cursor::new(bytes.to_vec())), None, &options)?;
    let mut input = merge::MergedInput::new(vec![input]);
    let mut packets = 0;
    while input.next().is_some() {
        packets += 1;
    }
    Ok(ReadSummary { packets, counters: input.counters().clone(), warnings: input.take_warnings() })
}

/// What [`read_bytes`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadSummary {
    /// Packets that came out.
    pub packets: u64,
    /// What the input counted.
    pub counters: InputCounters,
    /// What it warned of.
    pub warnings: Vec<InputWarning>,
}
