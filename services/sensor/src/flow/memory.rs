//! Flows that ended, remembered for a while: one that resumes keeps its source, and a retry is no second attempt.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use weir_schemas::{EndReason, Micros};

use super::key::FlowKey;
use super::orientation::Rank;
use super::tcp::TcpTrack;

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    pub(super) key: FlowKey,
    pub(super) first_time: Micros,
    pub(super) last_seen: Micros,
    /// Packets and IP bytes by end, all of them exported or about to be.
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    pub(super) exports: u32,
    pub(super) syn_sequence: u32,
    pub(super) syn_sender: Option<u8>,
    /// Of the first message, which the Community ID depends on.
    pub(super) first_sender: u8,
    pub(super) first_kind: (u8, u8),
    pub(super) first_flags: u8,
    pub(super) tcp: TcpTrack,
    /// As in `Sequences::ends`.
    pub(super) sequence_ends: [Option<u32>; 2],
    /// What it was found to speak; else empty.
    pub(super) spoken: &'static str,
    /// Where its payload goes on, by end, if it was still read.
    pub(super) due: [Option<u32>; 2],
    pub(super) reason: EndReason,
    pub(super) rank: Rank,
    pub(super) source: u8,
}

/// A bounded first-in-first-out memory. The oldest is forgotten when it is full.
#[derive(Debug)]
pub(super) struct Memory {
    ring: VecDeque<Option<Remembered>>,
    /// Number of the ring's first place since the start.
    first: u64,
    index: HashTable<u64>,
    hashers: RandomState,
    capacity: usize,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ring: VecDeque::new(), first: 0, index: HashTable::new(), hashers: RandomState::default(), capacity }
    }

    /// Remembers a flow in place of any older one with its key.
    pub(super) fn remember(&mut self, flow: Remembered) {
        self.take(&flow.key);
        if self.ring.len() >= self.capacity {
            self.forget_oldest();
        }
        let number = self.first + self.ring.len() as u64;
        self.ring.push_back(Some(flow));
        let (ring, first, hashers) = (&self.ring, self.first, &self.hashers);
        let hash_of = |&place: &u64| {
            ring[(place - first) as usize].as_ref().map_or(0, |flow| flow.key.hash(hashers.build_hasher()))
        };
        self.index.insert_unique(flow.key.hash(hashers.build_hasher()), number, hash_of);
    }

    /// Takes out the flow with `key`.
    pub(super) fn take(&mut self, key: &FlowKey) -> Option<Remembered> {
        if self.index.is_empty() {
            return None;
        }
        let (ring, first) = (&self.ring, self.first);
        let is_it = |&place: &u64| ring[(place - first) as usize].as_ref().is_some_and(|flow| flow.key == *key);
        let entry = self.index.find_entry(key.hash(self.hashers.build_hasher()), is_it).ok()?;
        let (number, _) = entry.remove();
        self.ring[(number - self.first) as usize].take()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.first;
        if let Some(Some(flow)) = self.ring.front() {
            let hash = flow.key.hash(self.hashers.build_hasher());
            if let Ok(entry) = self.index.find_entry(hash, |&number| number == oldest) {
                entry.remove();
            }
        }
        self.ring.pop_front();
        self.first += 1;
    }
}
