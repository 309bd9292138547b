//! What a results task writes to its state topic, and how it finds its place again.

use serde::{Deserialize, Serialize};
use weir_bus::{Bus, Delivery};
use weir_schemas::{Micros, StateEntry};

use crate::error::ResultsError;
use crate::ledger::{Ledger, Published};
use crate::wire;

/// Version of the bodies below.
const VERSION: u32 = 1;
/// Table of the one entry that every commit writes last.
const HEAD: &str = "head";
/// Table of the published episodes.
const EPISODE: &str = "episode";
/// Messages per read while restoring.
const READ_AT_ONCE: usize = 1024;

/// The last entry of each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Next offset of the findings partition.
    pub(crate) offset: i64,
    /// Clock of the ledger, µs.
    pub(crate) clock: Micros,
}

/// What the state topic holds for one partition.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) ledger: Ledger,
    /// The last head, and the epoch that wrote it.
    pub(crate) head: Option<(Head, u64)>,
}

/// Reads one partition of the state topic from its start.
pub(crate) fn restore<B: Bus + ?Sized>(
    bus: &mut B,
    topic: &str,
    partition: u32,
    capacity: usize,
) -> Result<Restored, ResultsError> {
    let mut restored = Restored { ledger: Ledger::new(capacity), head: None };
    let (mut offset, end) = bus.offsets(topic, partition)?;
    let mut deliveries = Vec::new();
    while offset < end {
        bus.read(topic, partition, offset, READ_AT_ONCE, &mut deliveries)?;
        let Some(last) = deliveries.last() else { break };
        offset = last.offset + 1;
        for delivery in deliveries.drain(..) {
            apply(&mut restored, delivery).map_err(|(key, detail)| ResultsError::State {
                topic: topic.to_owned(),
                partition,
                key,
                detail,
            })?;
        }
    }
    restored.ledger.restored();
    if let Some((head, _)) = restored.head {
        restored.ledger.set_clock(head.clock);
    }
    Ok(restored)
}

/// The entries that tell a reader what changed, `head` last.
pub(crate) fn entries(ledger: &mut Ledger, head: Head, epoch: u64) -> Vec<StateEntry> {
    let mut entries: Vec<StateEntry> = ledger
        .take_changes()
        .into_iter()
        .map(|(slot, published)| StateEntry {
            v: VERSION,
            epoch,
            table: EPISODE.to_owned(),
            slot,
            body: published.as_ref().map(encode).unwrap_or_default(),
        })
        .collect();
    entries.push(StateEntry { v: VERSION, epoch, table: HEAD.to_owned(), slot: 0, body: encode(&head) });
    entries
}

fn apply(restored: &mut Restored, delivery: Delivery) -> Result<(), (String, String)> {
    let key = delivery.key;
    let Some(entry) = wire::state_entry(delivery.value) else {
        return Err((key, "not a state entry".to_owned()));
    };
    if entry.v != VERSION {
        return Err((key, format!("version {}, where {VERSION} is known", entry.v)));
    }
    match entry.table.as_str() {
        HEAD => {
            let head = decode(&entry.body).map_err(|detail| (key, detail))?;
            restored.head = Some((head, entry.epoch));
        }
        EPISODE if entry.body.is_empty() => restored.ledger.restore(entry.slot, None),
        EPISODE => {
            let published: Published = decode(&entry.body).map_err(|detail| (key, detail))?;
            restored.ledger.restore(entry.slot, Some(published));
        }
        other => return Err((key, format!("unknown table {other}"))),
    }
    Ok(())
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs into a growing buffer: postcard's only errors are full buffers and unsized sequences.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}
