//! What a results task writes to its state topic, and how it finds its place again.
//!
//! Every so often all slots are written once more, spread over commits; `state_from` is where the last finished rewrite
//! began, so that a restore depends neither on history nor on the log cleaner.

use serde::{Deserialize, Serialize};
use weir_bus::shard::Refusal;
use weir_schemas::{CommitMetadata, Micros, StateEntry};

use crate::ledger::{Ledger, Published};

/// Version of the bodies below.
const VERSION: u32 = 1;
/// Table of the one entry that every commit writes last.
const HEAD: &str = "head";
/// Table of the published episodes.
const EPISODE: &str = "episode";

/// Entries after which a rewrite is due, beside twice the ledger's length: rewriting costs a third of what is written,
/// and a restore reads some three times what is held.
const REWRITE_AFTER_ENTRIES: u64 = 4096;
/// Bytes of a rewrite that one commit carries.
const REWRITE_BYTES_PER_COMMIT: usize = 256 << 10;

/// The last entry of each commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// Next offset of the findings partition.
    offset: i64,
    /// Clock of the ledger, µs.
    clock: Micros,
    /// One past the greatest findings offset ever judged: greater than `offset` after a reset backward.
    read_through: i64,
    /// Entries written since the last rewrite began.
    written: u64,
    /// The rewrite under way.
    rewrite: Option<Rewrite>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rewrite {
    /// Offset of the state partition at or after which all of it stands.
    began_at: i64,
    /// Next slot.
    next: u32,
}

/// What a task keeps, and how much of it is in the state topic.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// Number of the last commit.
    pub(crate) epoch: u64,
    /// Offset of the state partition from where all of it stands.
    stands_from: i64,
    read_through: i64,
    written: u64,
    rewrite: Option<Rewrite>,
    /// What stands in the state topic is not to be relied on: all is written anew with the next commits.
    rewrite_now: bool,
}

/// What was read from a state partition.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    /// The findings offset that the newest head names.
    pub(crate) offset: Option<i64>,
}

/// Whether a damaged entry spoils the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It does.
    Refuse,
    /// It is left out: better to know most of what was published than nothing.
    LeaveOut,
}

impl State {
    /// Nothing published yet.
    pub(crate) fn new(ledger_capacity: usize) -> Self {
        Self {
            ledger: Ledger::new(ledger_capacity),
            epoch: 0,
            stands_from: 0,
            read_through: 0,
            written: 0,
            rewrite: None,
            rewrite_now: false,
        }
    }

    /// The state that `entries`, in log order, leave behind. `state_from` is where they begin in the state partition.
    pub(crate) fn load(
        entries: &[StateEntry],
        ledger_capacity: usize,
        state_from: i64,
        damage: Damage,
    ) -> Result<Loaded, Refusal> {
        let mut state = Self { stands_from: state_from, ..Self::new(ledger_capacity) };
        let mut newest = None;
        for entry in entries {
            let applied = match entry.table.as_str() {
                _ if entry.v != VERSION => {
                    let detail = format!("its version is {}, where {VERSION} is known", entry.v);
                    return Err(Refusal::Environment(unknown_entry(entry, &detail)));
                }
                HEAD => decode::<Head>(&entry.body).map(|head| newest = Some((head, entry.epoch))),
                EPISODE if entry.body.is_empty() => {
                    state.ledger.restore(entry.slot, None);
                    Ok(())
                }
                EPISODE => {
                    decode::<Published>(&entry.body).map(|published| state.ledger.restore(entry.slot, Some(published)))
                }
                _ => return Err(Refusal::Environment(unknown_entry(entry, "its table is unknown"))),
            };
            match applied {
                Err(detail) if damage == Damage::Refuse => {
                    return Err(Refusal::Unreadable(unknown_entry(entry, &detail)));
                }
                Ok(()) | Err(_) => {}
            }
        }
        state.ledger.restored();
        let Some((head, epoch)) = newest else {
            return Ok(Loaded { state, offset: None });
        };
        state.ledger.set_clock(head.clock);
        state.epoch = epoch;
        state.read_through = head.read_through;
        state.written = head.written;
        state.rewrite = head.rewrite;
        Ok(Loaded { state, offset: Some(head.offset) })
    }

    /// Writes all of the state anew, beginning with the next commit.
    pub(crate) fn rewrite_now(&mut self) {
        self.rewrite_now = true;
    }

    /// Whether a finding was judged before and may have been forgotten since, so that its unknown id is no news: a reset
    /// backward reads it again.
    pub(crate) fn is_forgotten(&self, offset: i64, window_end: Micros) -> bool {
        offset < self.read_through && self.ledger.is_beyond_memory(window_end)
    }

    /// The entries of the next commit, `head` last, and its metadata. They will stand at or after `state_end`.
    pub(crate) fn commit(&mut self, offset: i64, state_end: i64) -> (Vec<StateEntry>, CommitMetadata) {
        self.epoch += 1;
        self.read_through = self.read_through.max(offset);
        if self.rewrite_now || (self.rewrite.is_none() && self.written >= self.rewrite_after()) {
            self.rewrite = Some(Rewrite { began_at: state_end, next: 0 });
            self.rewrite_now = false;
            self.written = 0;
        }
        let changes = self.ledger.take_changes();
        let mut entries: Vec<StateEntry> = changes
            .iter()
            .map(|(slot, published)| {
                let body = published.as_ref().map(encode).unwrap_or_default();
                self.entry(EPISODE, *slot, body)
            })
            .collect();
        self.go_on_rewriting(&mut entries);

        self.written += entries.len() as u64 + 1;
        let clock = self.ledger.clock();
        let head =
            Head { offset, clock, read_through: self.read_through, written: self.written, rewrite: self.rewrite };
        entries.push(self.entry(HEAD, 0, encode(&head)));
        let metadata = CommitMetadata {
            epoch: self.epoch,
            replay_from: offset,
            state_from: self.stands_from,
            watermark: (clock != Micros::MIN).then_some(clock),
        };
        (entries, metadata)
    }

    fn rewrite_after(&self) -> u64 {
        REWRITE_AFTER_ENTRIES + 2 * self.ledger.len() as u64
    }

    /// Adds a commit's share of the rewrite. A slot among the changes already is written twice, which costs little.
    fn go_on_rewriting(&mut self, entries: &mut Vec<StateEntry>) {
        let Some(mut rewrite) = self.rewrite else { return };
        let mut bytes = 0;
        let mut rest = self.ledger.slots_from(rewrite.next);
        let is_done = loop {
            let Some((slot, published)) = rest.next() else { break true };
            if bytes >= REWRITE_BYTES_PER_COMMIT {
                break false;
            }
            let body = encode(published);
            bytes += body.len();
            entries.push(self.entry(EPISODE, slot, body));
            rewrite.next = slot.saturating_add(1);
        };
        self.rewrite = (!is_done).then_some(rewrite);
        if is_done {
            self.stands_from = rewrite.began_at;
        }
    }

    fn entry(&self, table: &str, slot: u32, body: Vec<u8>) -> StateEntry {
        StateEntry { v: VERSION, epoch: self.epoch, table: table.to_owned(), slot, body }
    }
}

/// Whether an entry ends a commit.
pub(crate) fn is_head(entry: &StateEntry) -> bool {
    entry.table == HEAD
}

fn unknown_entry(entry: &StateEntry, detail: &str) -> String {
    format!(
        "state entry {} is not one that this version of Weir reads ({detail}); run the version that wrote it, or empty the \
         state topic of results and lose the revision numbers",
        entry.key()
    )
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs into a growing buffer: postcard's only errors are full buffers and unsized sequences.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}
