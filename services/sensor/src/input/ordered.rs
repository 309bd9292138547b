//! One input in event-time order: as it stands, through the reorder buffer, or by a time index, whichever suffices.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::io;

use weir_schemas::{Micros, Text};

use super::Observed;
use super::reader::{Fault, RecordReader};
use crate::packet::{InputCounters, InputWarning};

/// Whether an input can be read a second time, which sorting takes.
pub(super) enum Rereadable {
    /// A regular or a temporary file.
    Yes,
    /// A temporary file of a stream that failed at `offset`.
    Broken {
        /// Bytes that were read before.
        offset: u64,
        /// What failed.
        error: io::Error,
    },
    /// A stream beyond the spool.
    No {
        /// The spool's limit in bytes.
        spool: u64,
    },
}

/// About what a flow in memory takes.
const BYTES_PER_FLOW: u64 = 1024;

/// How packets get into order.
enum Mode {
    /// File order is time order.
    AsItIs,
    /// A packet leaves when the buffer is full or the input has ended.
    Buffer(BinaryHeap<Waiting>),
    /// All of it, sorted.
    Sorted(std::vec::IntoIter<Observed>),
    /// Times and offsets of all packets, sorted.
    Index(std::vec::IntoIter<(Micros, u64)>),
}

/// A packet in the reorder buffer. The heap's greatest element is the one to leave first.
pub(super) struct Waiting {
    /// Counts up in the order of reading.
    pub(super) number: u64,
    pub(super) observed: Observed,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.observed.time(), other.number).cmp(&(self.observed.time(), self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// One input in event-time order.
pub(super) struct OrderedInput {
    file: Text,
    reader: Box<dyn RecordReader>,
    mode: Mode,
    capacity: usize,
    number: u64,
    /// A fault that the look ahead met, where the packets are read by index and would not meet it again.
    fault: Option<Fault>,
    warnings: Vec<InputWarning>,
    drops: u64,
    /// What was counted while everything was sorted.
    counted: Option<InputCounters>,
    /// A request to stop changes nothing: the input is read to its end.
    is_kept: bool,
    stopped: bool,
    ended: bool,
}

impl OrderedInput {
    /// Looks at the times of all packets, if the input can be read twice, and goes back to its beginning.
    pub(super) fn new(
        file: &str,
        mut reader: Box<dyn RecordReader>,
        rereadable: &Rereadable,
        capacity: usize,
        memory: u64,
    ) -> io::Result<Self> {
        let mut warnings = Vec::new();
        let mut counters = InputCounters::default();
        let file: Text = file.into();
        let mode = if let Rereadable::No { spool } = rereadable {
            let message = format!(
                "more than the spool of {spool} bytes: sorted by a buffer of {capacity} packets only, packets further \
                 out of order will be late; give an unpacked file, or a larger spool"
            );
            warnings.push(InputWarning { file: file.clone(), offset: None, message });
            Mode::Buffer(BinaryHeap::with_capacity(capacity + 1))
        } else {
            match look_ahead(reader.as_mut(), capacity) {
                Order::Sorted => Mode::AsItIs,
                Order::WithinBuffer => Mode::Buffer(BinaryHeap::with_capacity(capacity + 1)),
                Order::Beyond => {
                    reader.seek(0)?;
                    match sorted(reader.as_mut(), memory, &mut counters)? {
                        Some(sorted) => Mode::Sorted(sorted.into_iter()),
                        None => Mode::Index(index(reader.as_mut()).into_iter()),
                    }
                }
            }
        };
        let drops = reader.drops();
        // Read in file order, a fault will be met again where it stands.
        let by_index = matches!(mode, Mode::Index(_) | Mode::Sorted(_));
        let fault = if by_index { reader.take_fault() } else { None };
        let again = !by_index && !matches!(rereadable, Rereadable::No { .. });
        if again && reader.unreadable_link().is_none() {
            reader.seek(0)?;
        }
        if let Rereadable::Broken { offset, error } = rereadable {
            let message = format!("reading failed ({error}); the packets before were read");
            warnings.push(InputWarning { file: file.clone(), offset: Some(*offset), message });
        }
        Ok(Self {
            file,
            reader,
            mode,
            capacity,
            number: 0,
            fault,
            warnings,
            drops,
            counted: Some(counters),
            is_kept: false,
            stopped: false,
            ended: false,
        })
    }

    /// The input, which [`Self::stop`] will not cut short.
    pub(super) fn kept_whole(self) -> Self {
        Self { is_kept: true, ..self }
    }

    /// Reads no more. Packets in the reorder buffer still come out.
    pub(super) fn stop(&mut self) {
        self.stopped = !self.is_kept;
    }

    pub(super) fn kind(&self) -> &str {
        self.reader.kind()
    }

    /// A link type that cannot be decoded, if no interface has another.
    pub(super) fn unreadable_link(&self) -> Option<u32> {
        self.reader.unreadable_link()
    }

    pub(super) fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        if self.ended {
            return None;
        }
        if let Some(counted) = self.counted.take() {
            counters.add(&counted);
        }
        let observed = match &mut self.mode {
            Mode::AsItIs | Mode::Index(_) | Mode::Sorted(_) if self.stopped => None,
            Mode::Sorted(sorted) => sorted.next(),
            Mode::AsItIs => self.reader.next(counters),
            Mode::Buffer(heap) => {
                while !self.stopped && heap.len() <= self.capacity {
                    let Some(observed) = self.reader.next(counters) else {
                        break;
                    };
                    self.number += 1;
                    heap.push(Waiting { number: self.number, observed });
                }
                heap.pop().map(|waiting| waiting.observed)
            }
            Mode::Index(entries) => next_by_index(self.reader.as_mut(), entries, counters, &mut self.fault),
        };
        match &observed {
            None => self.end(counters),
            Some(Observed::Flow(flow)) => {
                counters.flows += 1;
                let told = flow.fwd.packets.saturating_add(flow.rev.map_or(0, |rev| rev.packets));
                counters.told_packets = counters.told_packets.saturating_add(told);
            }
            Some(Observed::Packet(_)) => {}
        }
        observed
    }

    pub(super) fn take_warnings(&mut self) -> Vec<InputWarning> {
        std::mem::take(&mut self.warnings)
    }

    fn end(&mut self, counters: &mut InputCounters) {
        self.ended = true;
        counters.drops += self.drops.max(self.reader.drops());
        if let Some(message) = self.reader.assumption() {
            self.warnings.push(InputWarning { file: self.file.clone(), offset: None, message });
        }
        // One warning is enough where a broken stream ends inside a packet.
        let told = self.warnings.iter().any(|warning| warning.offset.is_some());
        if let Some(fault) = self.fault.take().or_else(|| self.reader.take_fault())
            && !told
        {
            let Fault { offset, message } = fault;
            self.warnings.push(InputWarning { file: self.file.clone(), offset: Some(offset), message });
        }
    }
}

fn next_by_index(
    reader: &mut dyn RecordReader,
    entries: &mut std::vec::IntoIter<(Micros, u64)>,
    counters: &mut InputCounters,
    fault: &mut Option<Fault>,
) -> Option<Observed> {
    let (time, offset) = entries.next()?;
    if let Err(error) = reader.seek(offset) {
        *fault = Some(Fault { offset, message: format!("reading failed ({error}); the packets before were read") });
        return None;
    }
    let mut observed = reader.next(counters)?;
    // Text without dates and packets without times depend on what stands before them: the look ahead knows.
    observed.set_time(time);
    Some(observed)
}

/// How far an input is from time order.
enum Order {
    Sorted,
    WithinBuffer,
    Beyond,
}

/// A packet comes out of a buffer of `capacity` in time if all packets more than `capacity` before it are not newer.
fn look_ahead(reader: &mut dyn RecordReader, capacity: usize) -> Order {
    if reader.sorts_itself() {
        while reader.next_time().is_some() {}
        return Order::Sorted;
    }
    let mut newest = Micros::MIN;
    let mut newest_of_the_past = VecDeque::with_capacity(capacity + 1);
    let mut order = Order::Sorted;
    while let Some((time, _)) = reader.next_time() {
        if time < newest {
            let settled = newest_of_the_past.front().copied();
            if newest_of_the_past.len() > capacity && settled.is_some_and(|settled| time < settled) {
                return Order::Beyond;
            }
            order = Order::WithinBuffer;
        }
        newest = newest.max(time);
        if newest_of_the_past.len() > capacity {
            newest_of_the_past.pop_front();
        }
        newest_of_the_past.push_back(newest);
    }
    order
}

/// Everything in order of time, if the reader's records are worth it and fit into `memory` bytes; else the reader is back at
/// its beginning.
fn sorted(
    reader: &mut dyn RecordReader,
    memory: u64,
    counters: &mut InputCounters,
) -> io::Result<Option<Vec<Observed>>> {
    if !reader.is_kept_in_memory() {
        return Ok(None);
    }
    let mut all = Vec::new();
    while let Some(observed) = reader.next(counters) {
        if (all.len() as u64).saturating_mul(BYTES_PER_FLOW) >= memory {
            *counters = InputCounters::default();
            reader.seek(0)?;
            return Ok(None);
        }
        all.push(observed);
    }
    // Stable: what has one time keeps its order.
    all.sort_by_key(Observed::time);
    Ok(Some(all))
}

fn index(reader: &mut dyn RecordReader) -> Vec<(Micros, u64)> {
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_time() {
        entries.push(entry);
    }
    // Offsets break ties: packets of one time keep their order.
    entries.sort_unstable();
    entries
}
