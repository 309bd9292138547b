//! From what a partition left behind to what a task goes on from (DESIGN §5, the table of offsets).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weir_schemas::{CommitMetadata, Micros, StateEntry};

use crate::image::{Image, STATE_VERSION, Table, UnreadableState};
use crate::task::CoreHead;

/// What a task knows of its inputs (sensors, partitions) from its log alone.
pub(crate) trait Inputs: Clone {
    /// Gives the names in evidence the places that `later` gave them, so that what is counted from now on means the same.
    fn take_names(&mut self, later: &Self);
}

/// What was known of the inputs before a pane's first record, so that a replay from there decides alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin<I> {
    pub(crate) offset: i64,
    pub(crate) inputs: I,
    /// A replay from here meets each record with the inputs as they were; not so once retention took records before it.
    pub(crate) is_exact: bool,
}

/// A pane that takes records.
pub(crate) struct OpenPane<P, I> {
    pub(crate) pane: P,
    pub(crate) origin: Origin<I>,
    /// Retention took records of it.
    pub(crate) lacks: bool,
}

/// What a head says of an open pane.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct OpenNote {
    start: Micros,
    first_offset: i64,
    lacks: bool,
}

/// The last entry of each commit: all of a task that is in no slot and cannot be read again.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head<I> {
    pub(crate) core: CoreHead,
    pub(crate) closed_through: Option<Micros>,
    /// The last marker said that the input had ended.
    pub(crate) ended: bool,
    pub(crate) inputs: I,
    pub(crate) replay: Origin<I>,
    pub(crate) open: Vec<OpenNote>,
}

/// What the open panes add to a head.
pub(crate) fn notes_of<'a, P: 'a, I: 'a>(
    panes: impl Iterator<Item = (&'a Micros, &'a OpenPane<P, I>)>,
) -> Vec<OpenNote> {
    let note = |(start, open): (&Micros, &OpenPane<P, I>)| OpenNote {
        start: *start,
        first_offset: open.origin.offset,
        lacks: open.lacks,
    };
    panes.map(note).collect()
}

/// Replaying: records below `until` only refill panes.
pub(crate) struct Replay<I> {
    pub(crate) until: i64,
    /// What the commit knew of the inputs.
    pub(crate) inputs_then: I,
    /// It leaves the inputs as the commit had them.
    pub(crate) is_exact: bool,
}

/// Ends a replay when `next` is the next offset: from then on records count.
pub(crate) fn end_replay<I: PartialEq>(replay: &mut Option<Replay<I>>, inputs: &mut I, next: i64) {
    let Some(done) = replay.take_if(|replay| next >= replay.until) else { return };
    debug_assert!(
        !done.is_exact || *inputs == done.inputs_then,
        "a replay must leave the inputs as the commit had them"
    );
    *inputs = done.inputs_then;
}

/// Whether what is known of the inputs now is what was known at this offset the first time.
pub(crate) fn is_exact<I>(replay: Option<&Replay<I>>) -> bool {
    replay.is_none_or(|replay| replay.is_exact)
}

/// Where a task reads on, and with what in hand.
pub(crate) struct Refill<I> {
    pub(crate) position: i64,
    pub(crate) inputs: I,
    pub(crate) replay: Option<Replay<I>>,
    /// Panes that were open at the commit, of which retention took records.
    pub(crate) lacking: Vec<Micros>,
}

impl<I: Inputs> Head<I> {
    /// How the panes that were open are filled again from a log that begins at `log_start`.
    pub(crate) fn refill(&self, log_start: i64) -> Refill<I> {
        let until = self.core.position;
        let position = self.replay.offset.max(log_start);
        let is_lacking = |note: &&OpenNote| note.lacks || note.first_offset < log_start;
        let lacking: Vec<Micros> = self.open.iter().filter(is_lacking).map(|note| note.start).collect();
        if position >= until {
            return Refill { position, inputs: self.inputs.clone(), replay: None, lacking };
        }
        let is_exact = position == self.replay.offset && self.replay.is_exact;
        let mut inputs = self.replay.inputs.clone();
        if !is_exact {
            inputs.take_names(&self.inputs);
        }
        let replay = Replay { until, inputs_then: self.inputs.clone(), is_exact };
        Refill { position, inputs, replay: Some(replay), lacking }
    }
}

/// A task's state as one commit left it.
pub(crate) struct Past<I> {
    pub(crate) image: Image,
    pub(crate) head: Head<I>,
    pub(crate) epoch: u64,
}

/// The state that a commit of `offset` names. Its head is the last of `entries`.
pub(crate) fn committed<I: DeserializeOwned>(
    commit: &CommitMetadata,
    offset: i64,
    entries: &[StateEntry],
) -> Result<Past<I>, UnreadableState> {
    let newest = newest_head(entries);
    let found = newest.map(|entry| entry.epoch);
    let Some(entry) = newest.filter(|entry| entry.epoch == commit.epoch) else {
        return Err(UnreadableState::Epoch { committed: commit.epoch, found });
    };
    let past: Past<I> = past_of(entry, entries)?;
    let found = past.head.core.position;
    if found != offset {
        return Err(UnreadableState::Offset { committed: offset, found });
    }
    Ok(past)
}

/// The state that the newest head ends.
pub(crate) fn newest<I: DeserializeOwned>(entries: &[StateEntry]) -> Result<Past<I>, UnreadableState> {
    let entry = newest_head(entries).ok_or(UnreadableState::Headless)?;
    past_of(entry, entries)
}

fn past_of<I: DeserializeOwned>(entry: &StateEntry, entries: &[StateEntry]) -> Result<Past<I>, UnreadableState> {
    if entry.v != STATE_VERSION {
        return Err(UnreadableState::Version(entry.v));
    }
    let head: Head<I> = decode(Table::Head, entry.slot, &entry.body)?;
    let image = Image::load(entries, head.core.rewriting)?;
    Ok(Past { image, head, epoch: entry.epoch })
}

/// What can be read of a state that is not gone on from.
pub(crate) struct Remains<I> {
    pub(crate) image: Image,
    pub(crate) head: Option<Head<I>>,
    /// No commit that left anything had a greater number.
    pub(crate) epoch: u64,
}

/// What outlives a reset: the slots of `kept`, the newest head. What cannot be read is left out.
pub(crate) fn remains<I: DeserializeOwned>(entries: &[StateEntry], kept: &[Table], epoch: u64) -> Remains<I> {
    let readable = |entry: &&StateEntry| entry.v == STATE_VERSION && entry.table == Table::Head.name();
    let head = entries
        .iter()
        .rev()
        .filter(readable)
        .find_map(|entry| decode::<Head<I>>(Table::Head, entry.slot, &entry.body).ok());
    let epoch = entries.iter().map(|entry| entry.epoch).fold(epoch, u64::max);
    Remains { image: Image::remains(entries, kept), head, epoch }
}

fn newest_head(entries: &[StateEntry]) -> Option<&StateEntry> {
    entries.iter().rev().find(|entry| entry.table == Table::Head.name())
}

/// A slot's body as what it was written from.
pub(crate) fn decode<T: DeserializeOwned>(table: Table, slot: u32, body: &[u8]) -> Result<T, UnreadableState> {
    postcard::from_bytes(body).map_err(|_| unreadable(table, slot))
}

pub(crate) fn unreadable(table: Table, slot: u32) -> UnreadableState {
    UnreadableState::Body { table: table.name().to_owned(), slot }
}
