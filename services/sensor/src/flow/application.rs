//! What a flow's payload tells: read packet by packet, gathered by slice, within a bound on memory.
//!
//! A flow is read from its first payload on until its protocol has nothing more to tell, or was not recognised. What is
//! kept of all flows together is bounded: beyond that, flows are counted and not read.

use std::collections::BTreeMap;

use weir_schemas::app::App;

use super::observe::Observation;
use super::table::FlowTable;
use crate::application::{Conversation, Exchange, Facts, Progress, Segment, begins_anew};
use crate::packet::tcp_flag::SYN;

/// Most bytes of all conversations that are read and of all facts that are not exported yet.
const MOST_MEMORY: usize = 256 << 20;

/// How far a flow's payload has been read.
#[derive(Debug, Default)]
enum Reading {
    /// There was none.
    #[default]
    Untouched,
    /// TCP.
    Segments(Box<Conversation>),
    /// UDP.
    Datagrams(Exchange),
    /// There is nothing more to tell.
    Over,
}

/// What a flow speaks.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// Empty until it is recognised; stays as long as the flow lives.
    pub(super) name: &'static str,
    reading: Reading,
}

impl Spoken {
    /// What a flow speaks that ended and goes on.
    pub(super) fn resumed(name: &'static str, due: [Option<u32>; 2]) -> Self {
        let reading = match due {
            [None, None] => Reading::Untouched,
            due => Reading::Segments(Box::new(Conversation::continuing(due))),
        };
        Self { name, reading }
    }

    /// The sequence numbers that are due next, by end; what comes before them has been read.
    pub(super) fn due(&self) -> [Option<u32>; 2] {
        match &self.reading {
            Reading::Segments(conversation) => conversation.due(),
            _ => [None, None],
        }
    }

    fn memory(&self) -> usize {
        match &self.reading {
            Reading::Untouched | Reading::Over => 0,
            Reading::Segments(conversation) => conversation.memory(),
            Reading::Datagrams(exchange) => exchange.memory(),
        }
    }
}

/// The bound on memory, and what came of all flows.
#[derive(Debug, Default)]
pub(super) struct Applications {
    memory: usize,
    /// Flows by what they were found to speak; `unknown` and `unread` among them.
    counted: BTreeMap<&'static str, u64>,
}

impl Applications {
    fn count(&mut self, name: &'static str) {
        *self.counted.entry(name).or_default() += 1;
    }

    fn change(&mut self, before: usize, after: usize) {
        self.memory = (self.memory + after).saturating_sub(before);
    }

    fn is_full(&self) -> bool {
        self.memory >= MOST_MEMORY
    }
}

impl FlowTable {
    /// Flows in which payload was met, by the application protocol that they were found to speak. `unknown`: it was read
    /// and not recognised. `unread`: there was no memory left to read it.
    #[must_use]
    pub fn applications(&self) -> &BTreeMap<&'static str, u64> {
        &self.applications.counted
    }

    /// Bytes of memory that conversations and facts take, about.
    #[cfg(test)]
    pub(super) fn read_memory(&self) -> usize {
        self.applications.memory
    }

    /// Reads the payload of a packet that has some.
    pub(super) fn read_payload(&mut self, flow: u32, slice: u32, observation: &Observation<'_>) {
        let (entry, slice) = (self.flows.get_mut(flow), self.slices.get_mut(slice));
        let spoken = &mut entry.spoken;
        let segment = observation.segment.map(|segment| segment.tcp);
        match spoken.reading {
            Reading::Over => {
                // A capture that began in the middle of a conversation may come to what can be told.
                if segment.is_none() || !spoken.name.is_empty() || !begins_anew(observation.head) {
                    return;
                }
                spoken.reading = Reading::Segments(Box::default());
                self.applications.memory += spoken.memory();
            }
            Reading::Untouched if self.applications.is_full() => {
                spoken.reading = Reading::Over;
                self.applications.count("unread");
                return;
            }
            Reading::Untouched if segment.is_some() => {
                spoken.reading = Reading::Segments(Box::default());
                self.applications.memory += spoken.memory();
            }
            Reading::Untouched => spoken.reading = Reading::Datagrams(Exchange::default()),
            Reading::Segments(_) | Reading::Datagrams(_) => {}
        }
        if slice.facts.is_none() && self.applications.is_full() {
            return;
        }

        let known = slice.facts.as_ref().map_or(0, |facts| facts.memory());
        let before = spoken.memory() + known;
        let mut fresh = Facts::default();
        let facts = slice.facts.as_deref_mut().unwrap_or(&mut fresh);
        let progress = match (&mut spoken.reading, segment) {
            (Reading::Segments(conversation), Some(tcp)) => {
                let segment = Segment {
                    end: observation.sender,
                    client: entry.evidence.decide(&entry.key).0,
                    // The first byte comes behind the SYN, which takes a number.
                    sequence: tcp.seq.wrapping_add(u32::from(tcp.flags & SYN != 0)),
                    length: observation.payload,
                    bytes: observation.head,
                };
                conversation.segment(segment, facts)
            }
            (Reading::Datagrams(exchange), None) => {
                exchange.datagram(entry.key.ports, observation.head, observation.payload, facts)
            }
            _ => Progress::Over,
        };
        if spoken.name.is_empty() && !facts.name().is_empty() {
            spoken.name = facts.name();
            self.applications.count(spoken.name);
        }
        if progress == Progress::Over {
            spoken.reading = Reading::Over;
            if spoken.name.is_empty() {
                self.applications.count("unknown");
            }
        }
        if slice.facts.is_none() && !fresh.is_empty() {
            slice.facts = Some(Box::new(fresh));
        }
        let told = slice.facts.as_ref().map_or(0, |facts| facts.memory());
        self.applications.change(before, spoken.memory() + told);
    }

    /// A flow has begun; one that resumes may have been read before.
    pub(super) fn begin_reading(&mut self, flow: u32) {
        let taken = self.flows.get(flow).spoken.memory();
        self.applications.change(0, taken);
    }

    /// A flow has ended: nothing more of it will be read.
    pub(super) fn stop_reading(&mut self, flow: u32) {
        let spoken = &mut self.flows.get_mut(flow).spoken;
        let is_undecided = matches!(spoken.reading, Reading::Segments(_) | Reading::Datagrams(_));
        if is_undecided && spoken.name.is_empty() {
            self.applications.count("unknown");
        }
        let freed = spoken.memory();
        spoken.reading = Reading::Over;
        self.applications.change(freed, 0);
    }

    /// What the record of a slice tells of its application; the slice tells nothing more then.
    pub(super) fn take_app(&mut self, flow: u32, slice: u32) -> Option<Box<App>> {
        let facts = self.slices.get_mut(slice).facts.take();
        let name = self.flows.get(flow).spoken.name;
        let Some(facts) = facts else {
            return (!name.is_empty()).then(|| Box::new(App { name: name.into(), ..App::default() }));
        };
        self.applications.change(facts.memory(), 0);
        Some(Box::new(facts.into_app(self.config.names)))
    }
}
