//! Conversations that declared flows belong to: what later parts of one need to know of its first.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use weir_schemas::{Initiator, Micros};

use super::Exporter;
use crate::flow::key::FlowKey;

/// Place in the order of what waits to be sent: its time, then its number.
pub(super) type Place = (Micros, u64);

/// A conversation that is going on, or ended not long ago.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) key: FlowKey,
    pub(super) exporter: Option<Exporter>,
    pub(super) first_time: Micros,
    /// The latest end of its flows.
    pub(super) last_time: Micros,
    pub(super) community_id: [u8; 20],
    /// Who began it; known once its first record is out.
    pub(super) source: Option<(usize, Initiator)>,
    /// Ends that sent something.
    pub(super) sent: [bool; 2],
    /// Ends that sent a SYN.
    pub(super) had_syn: [bool; 2],
    /// All of it was an attempt without an answer.
    pub(super) is_bare_attempt: bool,
    pub(super) exports: u32,
    /// Sent so far, by end.
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    /// Halves that wait for their other half, by the end that sent them.
    pub(super) waiting: [Option<Place>; 2],
    /// Flows of it that have records to come.
    pub(super) parts: u32,
}

/// Conversations by number and by key. The number tells their age.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    by_number: BTreeMap<u64, Conversation>,
    /// Numbers; of one key the newest.
    index: HashTable<u64>,
    hashers: RandomState,
    next: u64,
    pub(super) evicted: u64,
}

impl Conversations {
    /// The newest conversation of a key.
    pub(super) fn find(&self, key: &FlowKey, exporter: Option<Exporter>) -> Option<u64> {
        let is_it = |number: &u64| {
            self.by_number.get(number).is_some_and(|found| found.key == *key && found.exporter == exporter)
        };
        self.index.find(self.hash(key), is_it).copied()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Conversation> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Conversation> {
        self.by_number.get_mut(&number)
    }

    /// Adds a conversation in place of an older one of its key. With `most` of them, the oldest goes that has no records
    /// to come.
    pub(super) fn insert(&mut self, conversation: Conversation, most: usize) -> u64 {
        if self.by_number.len() >= most.max(1)
            && let Some(oldest) = self.by_number.iter().find(|(_, old)| old.parts == 0).map(|(number, _)| *number)
        {
            self.remove(oldest);
            self.evicted += 1;
        }
        self.next += 1;
        let number = self.next;
        if let Some(old) = self.find(&conversation.key, conversation.exporter) {
            self.unindex(old);
        }
        let hash = self.hash(&conversation.key);
        self.by_number.insert(number, conversation);
        let (by_number, hashers) = (&self.by_number, &self.hashers);
        // Only numbers in the map are in the index.
        let hash_of = |other: &u64| by_number.get(other).map_or(0, |found| found.key.hash(hashers.build_hasher()));
        self.index.insert_unique(hash, number, hash_of);
        number
    }

    /// Forgets conversations that ended before `time`.
    pub(super) fn forget(&mut self, time: Micros) {
        let is_over = |found: &Conversation| found.parts == 0 && found.last_time < time;
        let over: Vec<u64> =
            self.by_number.iter().filter(|(_, found)| is_over(found)).map(|(number, _)| *number).collect();
        for number in over {
            self.remove(number);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    fn remove(&mut self, number: u64) {
        self.unindex(number);
        self.by_number.remove(&number);
    }

    fn unindex(&mut self, number: u64) {
        let Some(conversation) = self.by_number.get(&number) else { return };
        let hash = self.hash(&conversation.key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
    }

    fn hash(&self, key: &FlowKey) -> u64 {
        key.hash(self.hashers.build_hasher())
    }
}
