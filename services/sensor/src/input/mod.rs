//! Packet inputs: capture files and tcpdump text, in event-time order, several merged by time.

mod bytes;
mod compression;
pub mod date;
mod error;
mod interruptible;
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

use weir_runtime::Shutdown;

use crate::packet::{InputCounters, InputWarning, Packet};

/// A source of decoded packets, in event-time order except where a warning says otherwise.
pub trait PacketInput {
    /// The next packet, or `None` at the end of the input.
    fn next_packet(&mut self) -> Option<Packet>;

    /// What has been counted up to now.
    fn counters(&self) -> &InputCounters;

    /// The warnings since the last call; to be asked for once more after the last packet.
    fn take_warnings(&mut self) -> Vec<InputWarning>;

    /// `pcap`, `pcapng` or `tcpdump`; `mixed` where files of several kinds are merged.
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
    /// Once raised, standard input and pipes end where they are; what was received is an input like any other.
    pub shutdown: Shutdown,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self { date: None, spool: 1 << 30, reorder: 1024, spool_directory: None, shutdown: Shutdown::new() }
    }
}

/// Opens files as one input, merged by time. `-` is standard input.
pub fn open(paths: &[PathBuf], options: &InputOptions) -> Result<Box<dyn PacketInput>, InputError> {
    let inputs = paths.iter().map(|path| opening::open_one(path, options)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(merge::MergedInput::new(inputs)))
}

/// Reads an input that lies in memory to its end: the entry point of fuzzing and of tests.
pub fn read_bytes(bytes: &[u8]) -> Result<ReadSummary, InputError> {
    let options = InputOptions { date: Some(Date::from_days(0)), ..InputOptions::default() };
    let input = opening::open_stream("bytes", Box::new(std::io::Cursor::new(bytes.to_vec())), None, &options)?;
    let mut input = merge::MergedInput::new(vec![input]);
    let mut packets = 0;
    while input.next_packet().is_some() {
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
