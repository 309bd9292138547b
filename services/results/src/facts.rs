//! What a run tells its renderings beside anomalies: what was read, what was judged, what could not be, and why.

use std::collections::BTreeMap;

use weir_schemas::Micros;

/// A detector's honest answer where evidence was missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CannotJudge {
    /// Id of the detector.
    pub detector: String,
    /// Key of the reason, `warm_up`, …
    pub reason: String,
    /// How often it answered so: scopes times windows.
    pub count: u64,
}

impl From<(String, String, u64)> for CannotJudge {
    fn from((detector, reason, count): (String, String, u64)) -> Self {
        Self { detector, reason, count }
    }
}

/// What the caller counted while it ran. Everything has a default, so a caller fills in what it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// Inputs as the user named them.
    pub inputs: Vec<String>,
    /// Profile of rules.
    pub profile: String,
    /// Packets read, decoded or not.
    pub packets: u64,
    /// Flows seen.
    pub flows: u64,
    /// Times of the first and the last packet, µs.
    pub span: Option<(Micros, Micros)>,
    /// Frames that carry neither IP nor ARP.
    pub other_frames: u64,
    /// Packets cut by the snap length.
    pub truncated: u64,
    /// Packets that the capture says it lost.
    pub drops: u64,
    /// Packets that could not be decoded, by kind.
    pub decode_errors: BTreeMap<String, u64>,
    /// Warnings of the input, one line each.
    pub warnings: Vec<String>,
    /// Records that came too late to be judged.
    pub late: u64,
    /// Entries let go because a table was full, by table.
    pub evicted: BTreeMap<String, u64>,
    /// Detectors that ran, with how many windows each judged.
    pub judged: Vec<(String, u64)>,
    /// What could not be judged.
    pub cannot_judge: Vec<CannotJudge>,
}
