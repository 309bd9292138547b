//! One slot of a task's state, as written to a compacted state topic.

use serde::{Deserialize, Serialize};

/// A numbered slot of a fixed table. An emptied slot is written with an empty body: no tombstones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// Version of the body's encoding.
    pub v: u32,
    /// Commit epoch that wrote it.
    pub epoch: u64,
    /// Table: `head`, `summary`, `episode`, `opened`, `baseline`, …
    pub table: String,
    /// Slot number within the table.
    pub slot: u32,
    /// The engine's own encoding; empty for an emptied slot.
    pub body: Vec<u8>,
}

impl StateEntry {
    /// Key of the record in the state topic: `table/slot`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.table, self.slot)
    }
}
