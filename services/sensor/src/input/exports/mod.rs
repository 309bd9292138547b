//! Flow exports as an input: datagrams of a capture or of a raw file become flows, in order of their start.
//!
//! A flow is exported long after it began, so its place is before flows that were exported before it. The first pass through
//! the file notes the earliest start of each stretch of it; the second holds a flow back until no later stretch has an earlier
//! one. What is held is what exporters hold: the flows of one active timeout.

mod datagrams;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;

use weir_schemas::Micros;

use super::Observed;
use super::bytes::ByteStream;
use super::reader::{Fault, RecordReader};
use crate::declared::DeclaredFlow;
use crate::export::{ExportCounters, Exports, RememberedTemplates};
use crate::packet::InputCounters;
use datagrams::{Captured, Datagrams, Raw};

/// Datagrams of which one earliest start is noted.
const STRETCH: u64 = 64;
/// Flows that are held back at most, about 400 bytes each; beyond, the first one goes, and later ones may be late.
const MOST_HELD: usize = 1 << 19;

/// A reader of exports.
pub(super) struct ExportReader {
    datagrams: Box<dyn Datagrams>,
    exports: Exports,
    /// Shared by the files of a run.
    templates: RememberedTemplates,
    /// Decoded in the first pass, in the order of the file.
    decoded: std::vec::IntoIter<DeclaredFlow>,
    held: BinaryHeap<Held>,
    /// Earliest start of each stretch; in the second pass, of it and all after it. Empty where there was no first pass.
    earliest: Vec<Micros>,
    is_second_pass: bool,
    /// Datagrams and flows of this pass.
    read: u64,
    numbered: u64,
    ended: bool,
    /// Errors that the counters have been told of.
    told: ExportCounters,
}

/// A flow that waits for its place. The heap's greatest element is the one to leave first.
struct Held {
    number: u64,
    flow: DeclaredFlow,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.flow.start, other.number).cmp(&(self.flow.start, self.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

impl ExportReader {
    /// The exports in a capture.
    pub(super) fn of_capture(reader: Box<dyn RecordReader>, templates: &RememberedTemplates) -> Self {
        Self::new(Box::new(Captured::new(reader)), templates)
    }

    /// The messages of a raw file; `day` is the time of its first sFlow datagram.
    pub(super) fn of_raw(stream: ByteStream, day: Micros, templates: &RememberedTemplates) -> Self {
        Self::new(Box::new(Raw::new(stream, day)), templates)
    }

    fn new(datagrams: Box<dyn Datagrams>, templates: &RememberedTemplates) -> Self {
        Self {
            datagrams,
            exports: Exports::with_templates(templates.clone()),
            templates: templates.clone(),
            decoded: Vec::new().into_iter(),
            held: BinaryHeap::new(),
            earliest: Vec::new(),
            is_second_pass: false,
            read: 0,
            numbered: 0,
            ended: false,
            told: ExportCounters::default(),
        }
    }

    /// Decodes the next datagram; `None` at the end.
    fn decode(&mut self, counters: &mut InputCounters) -> Option<Vec<DeclaredFlow>> {
        let (exports, mut flows) = (&mut self.exports, Vec::new());
        let more = self.datagrams.next(counters, &mut |datagram| {
            exports.datagram(datagram.sender, datagram.received, datagram.payload, &mut flows);
        });
        self.read += 1;
        if !more {
            self.exports.finish();
            self.ended = true;
        }
        for (kind, count) in &self.exports.counters().errors {
            let told = self.told.errors.insert(kind, *count).unwrap_or(0);
            if *count > told {
                *counters.decode_errors.entry(kind).or_default() += count - told;
            }
        }
        more.then_some(flows)
    }

    /// No flow that is still to be read begins before this.
    fn floor(&self) -> Micros {
        if self.ended || !self.is_second_pass {
            return Micros::MAX;
        }
        self.earliest.get((self.read / STRETCH) as usize).copied().unwrap_or(Micros::MAX)
    }
}

impl RecordReader for ExportReader {
    fn kind(&self) -> &str {
        self.exports.kind().unwrap_or_else(|| self.datagrams.kind())
    }

    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        loop {
            let is_due = self.held.peek().is_some_and(|first| first.flow.start <= self.floor());
            if is_due || self.held.len() > MOST_HELD {
                return self.held.pop().map(|held| Observed::Flow(Box::new(held.flow)));
            }
            if self.ended {
                return None;
            }
            for flow in self.decode(counters).unwrap_or_default() {
                self.numbered += 1;
                self.held.push(Held { number: self.numbered, flow });
            }
        }
    }

    fn next_time(&mut self) -> Option<(Micros, u64)> {
        loop {
            if let Some(flow) = self.decoded.next() {
                return Some((flow.start, 0));
            }
            if self.ended {
                return None;
            }
            let stretch = (self.read / STRETCH) as usize;
            let flows = self.decode(&mut InputCounters::default()).unwrap_or_default();
            if self.earliest.len() <= stretch {
                self.earliest.resize(stretch + 1, Micros::MAX);
            }
            let first = flows.iter().map(|flow| flow.start).min().unwrap_or(Micros::MAX);
            self.earliest[stretch] = self.earliest[stretch].min(first);
            self.decoded = flows.into_iter();
        }
    }

    /// Back to the beginning; there are no other offsets.
    fn seek(&mut self, _offset: u64) -> io::Result<()> {
        let is_noted = self.ended && !self.is_second_pass;
        if is_noted {
            let mut earliest = Micros::MAX;
            for stretch in self.earliest.iter_mut().rev() {
                earliest = earliest.min(*stretch);
                *stretch = earliest;
            }
            self.is_second_pass = true;
        }
        self.exports = Exports::with_templates(self.templates.clone());
        self.told = ExportCounters::default();
        self.decoded = Vec::new().into_iter();
        self.held.clear();
        (self.read, self.numbered, self.ended) = (0, 0, false);
        self.datagrams.rewind()
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.datagrams.take_fault()
    }

    /// What nobody received counts as lost like what a capture lost: verdicts rest on less.
    fn drops(&self) -> u64 {
        let counters = self.exports.counters();
        self.datagrams.losses().0 + counters.lost + counters.agent_drops
    }

    fn unreadable_link(&self) -> Option<u32> {
        self.datagrams.unreadable_link()
    }

    fn sorts_itself(&self) -> bool {
        true
    }

    fn assumption(&self) -> Option<String> {
        let counters = self.exports.counters();
        let others = self.datagrams.losses().1;
        let parts = [
            (counters.held_lost, "data sets without a template were left out"),
            (counters.unknown_samplers, "flows have a sampler whose rate was not told and count as unsampled"),
            (counters.lost, "records or datagrams were sent and not received, by exporters' sequence numbers"),
            (counters.agent_drops, "packets could not be sampled, say sFlow agents"),
            (others, "packets are no exports and were left out; read them with --input packets"),
        ];
        let told = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let all: Vec<String> = told.chain(self.datagrams.assumption()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A capture that holds nothing but exports is read as flows, any other as packets.
pub(super) fn flows_or_packets(
    reader: Box<dyn RecordReader>,
    templates: &RememberedTemplates,
) -> io::Result<Box<dyn RecordReader>> {
    let mut captured = Captured::new(reader);
    if captured.is_all_exports()? {
        return Ok(Box::new(ExportReader::new(Box::new(captured), templates)));
    }
    Ok(captured.into_reader())
}
