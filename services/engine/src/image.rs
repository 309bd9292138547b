//! A task's state as numbered slots of fixed tables, and what of it must be written at the next commit.
//!
//! Every 15 min of panes the whole image is written once more, spread over commits; `state_from` is where the last finished
//! rewrite began, so that a restore depends neither on history nor on the log cleaner (DESIGN §5.3).

use std::collections::{BTreeMap, BTreeSet};

use weir_schemas::StateEntry;

/// Version of the slot bodies' encoding. A binary reads this and the one before.
pub const STATE_VERSION: u32 = 1;

/// Pane closes between two rewrites: 15 min.
const REWRITE_PANES: u64 = 90;

/// Bytes of a rewrite that one commit carries.
const REWRITE_BYTES_PER_COMMIT: usize = 256 << 10;

/// The tables of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

#[derive(Clone, Debug)]
struct Rewrite {
    began_at: i64,
    next: Option<(Table, u32)>,
}

/// The slots, and which of them changed since the last commit.
#[derive(Clone, Debug, Default)]
pub struct Image {
    slots: BTreeMap<(Table, u32), Vec<u8>>,
    dirty: BTreeSet<(Table, u32)>,
    state_from: i64,
    rewrite: Option<Rewrite>,
    closes_since_rewrite: u64,
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
        self.closes_since_rewrite += 1;
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.values().map(Vec::len).sum()
    }

    /// From where the state topic must be read to see every slot.
    #[must_use]
    pub fn state_from(&self) -> i64 {
        self.state_from
    }

    /// The entries of a commit that begins at `state_end` of the state partition, without the head.
    pub fn take_dirty(&mut self, epoch: u64, state_end: i64) -> Vec<StateEntry> {
        if self.rewrite.is_none() && self.closes_since_rewrite >= REWRITE_PANES {
            let next = self.slots.keys().next().copied();
            self.rewrite = Some(Rewrite { began_at: state_end, next });
            self.closes_since_rewrite = 0;
        }
        let dirty = std::mem::take(&mut self.dirty);
        let mut entries: Vec<StateEntry> = dirty.iter().map(|place| self.entry(*place, epoch)).collect();
        let mut written = 0;
        if let Some(rewrite) = &mut self.rewrite {
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
            if rewrite.next.is_none() {
                self.state_from = rewrite.began_at;
                self.rewrite = None;
            }
        }
        entries
    }

    fn entry(&self, place: (Table, u32), epoch: u64) -> StateEntry {
        entry_of(place, epoch, self.slots.get(&place).cloned().unwrap_or_default())
    }

    /// The image that these entries, in log order, leave behind; and the newest head among them.
    pub fn load(entries: &[StateEntry], state_from: i64) -> Result<(Self, Option<StateEntry>), UnreadableState> {
        let mut image = Self { state_from, ..Self::default() };
        let mut head = None;
        for entry in entries {
            if entry.v != STATE_VERSION {
                return Err(UnreadableState::Version(entry.v));
            }
            match Table::named(&entry.table) {
                Some(Table::Head) => head = Some(entry.clone()),
                Some(table) if entry.body.is_empty() => {
                    image.slots.remove(&(table, entry.slot));
                }
                Some(table) => {
                    image.slots.insert((table, entry.slot), entry.body.clone());
                }
                None => return Err(UnreadableState::Table(entry.table.clone())),
            }
        }
        Ok((image, head))
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
            Self::Table(_) | Self::Body { .. } | Self::Epoch { .. } | Self::Headless | Self::Metadata(_) => false,
        }
    }
}
