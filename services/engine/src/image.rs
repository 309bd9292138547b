//! A task's state as numbered slots of fixed tables, and what of it must be written at the next commit.
//!
//! Every 15 min of panes the whole image is written once more, spread over commits; `state_from` is where the last finished
//! rewrite began, so that a restore depends neither on history nor on the log cleaner (DESIGN §5.3).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use weir_schemas::StateEntry;

/// Version of the slot bodies' encoding. A binary reads this and the one before.
pub const STATE_VERSION: u32 = 1;

/// Pane closes between two rewrites: 15 min.
const REWRITE_PANES: u64 = 90;

/// Commits after which a rewrite is due although few panes closed: a quiet task's heads add up as well.
const REWRITE_COMMITS: u64 = 2_000;

/// Bytes of a rewrite that one commit carries.
const REWRITE_BYTES_PER_COMMIT: usize = 256 << 10;

/// The tables of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// Summaries of closed panes.
    Summary,
    /// Summaries of five minutes.
    FiveMinutes,
    /// Open episodes.
    Episode,
    /// Episodes opened early, of panes still open.
    Opened,
    /// Baselines.
    Baseline,
    /// The checkpoint itself.
    Head,
}

impl Table {
    /// The name in [`StateEntry::table`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::FiveMinutes => "five_minutes",
            Self::Episode => "episode",
            Self::Opened => "opened",
            Self::Baseline => "baseline",
            Self::Head => "head",
        }
    }

    /// The table with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Summary, Self::FiveMinutes, Self::Episode, Self::Opened, Self::Baseline, Self::Head]
            .into_iter()
            .find(|table| table.name() == name)
    }
}

/// A rewrite of all slots on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rewrite {
    began_at: i64,
    began_epoch: u64,
    next: Option<(Table, u32)>,
}

/// How far the rewrites are: travels in the head, so that a task that often restarts finishes them all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewriting {
    /// From this offset of the state partition on, every slot is found.
    state_from: i64,
    /// The commit that wrote there; what older ones wrote plays no part.
    since_epoch: u64,
    /// Pane closes since the newest rewrite began.
    closes: u64,
    /// Commits since then.
    commits: u64,
    current: Option<Rewrite>,
}

/// The slots, and which of them changed since the last commit.
#[derive(Clone, Debug, Default)]
pub struct Image {
    slots: BTreeMap<(Table, u32), Vec<u8>>,
    dirty: BTreeSet<(Table, u32)>,
    rewriting: Rewriting,
    /// A commit was made, or loaded: before the first, nothing in the state partition is of this image.
    is_committed: bool,
}

impl Image {
    /// Writes a slot; an empty body empties it.
    pub fn put(&mut self, table: Table, slot: u32, body: Vec<u8>) {
        if body.is_empty() {
            if self.slots.remove(&(table, slot)).is_some() {
                self.dirty.insert((table, slot));
            }
            return;
        }
        self.slots.insert((table, slot), body);
        self.dirty.insert((table, slot));
    }

    /// Counts a pane close towards the next rewrite.
    pub fn pane_closed(&mut self) {
        self.rewriting.closes += 1;
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.values().map(Vec::len).sum()
    }

    /// From where the state topic must be read to see every slot.
    #[must_use]
    pub fn state_from(&self) -> i64 {
        self.rewriting.state_from
    }

    /// How far the rewrites are; for the head of the commit whose entries were just taken.
    #[must_use]
    pub fn rewriting(&self) -> Rewriting {
        self.rewriting
    }

    /// The entries of a commit that begins at `state_end` of the state partition, without the head.
    pub fn take_dirty(&mut self, epoch: u64, state_end: i64) -> Vec<StateEntry> {
        self.rewriting.commits += 1;
        if !self.is_committed {
            // All there is was put since the task began: this commit holds all of it.
            self.is_committed = true;
            self.rewriting = Rewriting { state_from: state_end, since_epoch: epoch, ..Rewriting::default() };
        }
        let is_due = self.rewriting.closes >= REWRITE_PANES || self.rewriting.commits >= REWRITE_COMMITS;
        if self.rewriting.current.is_none() && is_due {
            let next = self.slots.keys().next().copied();
            self.rewriting.current = Some(Rewrite { began_at: state_end, began_epoch: epoch, next });
            (self.rewriting.closes, self.rewriting.commits) = (0, 0);
        }
        let dirty = std::mem::take(&mut self.dirty);
        let mut entries: Vec<StateEntry> = dirty.iter().map(|place| self.entry(*place, epoch)).collect();
        let Some(mut rewrite) = self.rewriting.current else { return entries };
        let mut written = 0;
        while let Some(place) = rewrite.next {
            if written >= REWRITE_BYTES_PER_COMMIT {
                break;
            }
            if let Some(body) = self.slots.get(&place)
                && !dirty.contains(&place)
            {
                written += body.len();
                entries.push(entry_of(place, epoch, body.clone()));
            }
            let after = (std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded);
            rewrite.next = self.slots.range(after).next().map(|(place, _)| *place);
        }
        self.rewriting.current = Some(rewrite);
        if rewrite.next.is_none() {
            self.rewriting.state_from = rewrite.began_at;
            self.rewriting.since_epoch = rewrite.began_epoch;
            self.rewriting.current = None;
        }
        entries
    }

    fn entry(&self, place: (Table, u32), epoch: u64) -> StateEntry {
        entry_of(place, epoch, self.slots.get(&place).cloned().unwrap_or_default())
    }

    /// The image that these entries, in log order, leave behind.
    pub fn load(entries: &[StateEntry], rewriting: Rewriting) -> Result<Self, UnreadableState> {
        let mut image = Self { rewriting, is_committed: true, ..Self::default() };
        for entry in entries.iter().filter(|entry| entry.epoch >= rewriting.since_epoch) {
            if entry.v != STATE_VERSION {
                return Err(UnreadableState::Version(entry.v));
            }
            match Table::named(&entry.table) {
                Some(Table::Head) => {}
                Some(table) if entry.body.is_empty() => {
                    image.slots.remove(&(table, entry.slot));
                }
                Some(table) => {
                    image.slots.insert((table, entry.slot), entry.body.clone());
                }
                None => return Err(UnreadableState::Table(entry.table.clone())),
            }
        }
        Ok(image)
    }

    /// An image without a past but the slots of `kept`. Its first commit writes them, and every other slot empty.
    pub(crate) fn remains(entries: &[StateEntry], kept: &[Table]) -> Self {
        let mut image = Self::default();
        for entry in entries {
            let Some(table) = Table::named(&entry.table).filter(|table| *table != Table::Head) else { continue };
            image.slots.remove(&(table, entry.slot));
            if !entry.body.is_empty() {
                image.dirty.insert((table, entry.slot));
                if entry.v == STATE_VERSION && kept.contains(&table) {
                    image.slots.insert((table, entry.slot), entry.body.clone());
                }
            }
        }
        image
    }

    /// The slots of one table.
    pub fn table(&self, table: Table) -> impl Iterator<Item = (u32, &[u8])> {
        self.slots.range((table, 0)..=(table, u32::MAX)).map(|((_, slot), body)| (*slot, body.as_slice()))
    }
}

fn entry_of((table, slot): (Table, u32), epoch: u64, body: Vec<u8>) -> StateEntry {
    StateEntry { v: STATE_VERSION, epoch, table: table.name().to_owned(), slot, body }
}

/// Environment errors: the state topic holds what this binary cannot read.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum UnreadableState {
    /// Written by a newer binary.
    #[error(
        "state of version {0} was written by another release of Weir; run that release, or reset the group's offsets"
    )]
    Version(u32),
    /// Unknown table.
    #[error("state topic holds a table {0:?}, which this release does not know; is it another service's topic?")]
    Table(String),
    /// A slot's body does not decode.
    #[error("slot {table}/{slot} of the state topic cannot be decoded; reset the group's offsets to rebuild the state")]
    Body {
        /// Table.
        table: String,
        /// Slot.
        slot: u32,
    },
    /// The commit names a head that the entries do not hold.
    #[error("the commit names epoch {committed}, the state topic's head is {found:?}; reset the group's offsets")]
    Epoch {
        /// Epoch of the commit.
        committed: u64,
        /// Epoch of the newest head.
        found: Option<u64>,
    },
    /// The deployment's hash seed is another one.
    #[error("the state was written with another hash seed; give every member the same engine.hash_seed_file")]
    HashSeed,
    /// The commit's head is of another offset than the commit.
    #[error("the commit is of offset {committed}, its head of offset {found}; reset the group's offsets")]
    Offset {
        /// Offset of the commit.
        committed: i64,
        /// Offset of the head.
        found: i64,
    },
    /// No head among all entries.
    #[error("the state topic holds no head; reset the group's offsets to rebuild the state")]
    Headless,
    /// The commit's metadata is not ours.
    #[error("commit metadata {0:?} is not Weir's: somebody reset the group's offsets")]
    Metadata(String),
}

impl UnreadableState {
    /// Whether somebody must act, and until then every start ends alike. Otherwise the state is damaged, and counts as lost.
    #[must_use]
    pub fn needs_action(&self) -> bool {
        match self {
            Self::HashSeed => true,
            Self::Version(version) => *version > STATE_VERSION,
            Self::Table(_)
            | Self::Body { .. }
            | Self::Epoch { .. }
            | Self::Offset { .. }
            | Self::Headless
            | Self::Metadata(_) => false,
        }
    }
}
