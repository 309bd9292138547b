//! What travels in the metadata of a consumer group's commit: from where state and open panes are rebuilt.

use crate::time::Micros;

/// Greatest metadata, bytes: far below Kafka's `offset.metadata.max.bytes` (4,096), so that it fits everywhere.
pub const MAX_METADATA_BYTES: usize = 256;

/// The metadata: `v1;epoch;replay_from;state_from;watermark`, the last empty where none is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitMetadata {
    /// Number of the commit, counted per partition.
    pub epoch: u64,
    /// Input offset where refilling the open panes begins.
    pub replay_from: i64,
    /// Offset where reading the state partition begins.
    pub state_from: i64,
    /// How far the partition has come in event time, for members that wait for each other; never an input of detection.
    pub watermark: Option<Micros>,
}

impl CommitMetadata {
    /// The text in the commit.
    #[must_use]
    pub fn to_text(self) -> String {
        let watermark = self.watermark.map(|watermark| watermark.to_string()).unwrap_or_default();
        format!("v1;{};{};{};{watermark}", self.epoch, self.replay_from, self.state_from)
    }

    /// Reads it back; none if it is not Weir's, as after somebody reset the group's offsets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some("v1") {
            return None;
        }
        let epoch = parts.next()?.parse().ok()?;
        let replay_from = parts.next()?.parse().ok().filter(|offset| *offset >= 0)?;
        let state_from = parts.next()?.parse().ok().filter(|offset| *offset >= 0)?;
        let watermark = match parts.next()? {
            "" => None,
            watermark => Some(watermark.parse().ok()?),
        };
        parts.next().is_none().then_some(Self { epoch, replay_from, state_from, watermark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_back_and_fits() {
        let extreme = CommitMetadata {
            epoch: u64::MAX,
            replay_from: i64::MAX,
            state_from: i64::MAX,
            watermark: Some(Micros::MIN),
        };
        let first = CommitMetadata { epoch: 1, replay_from: 0, state_from: 0, watermark: None };
        for metadata in [extreme, first] {
            let text = metadata.to_text();
            assert!(text.len() <= MAX_METADATA_BYTES, "{text}");
            assert_eq!(CommitMetadata::parse(&text), Some(metadata));
        }
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for foreign in [
            "",
            "v1",
            "v1;1;2",
            "v1;1;2;3",
            "v1;1;2;3;x",
            "v1;1;2;3;4;5",
            "v2;1;2;3;4",
            "v1;-1;2;3;",
            "v1;1;-2;3;",
            "x",
        ] {
            assert_eq!(CommitMetadata::parse(foreign), None, "{foreign}");
        }
    }
}
