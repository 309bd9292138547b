//! How much disk a lane's topics take: bytes per second × retention × replication, from an assumed load.

use crate::topic::{TOPICS, TopicSpec, state_of};

/// Length of a pane, s: the step in which partitions write partials and state.
const PANE_S: f64 = 10.0;

/// Most that a partition writes as state, and again as partials and markers, at a pane's close (the engine's budget), bytes.
const PANE_BYTES: f64 = 65_536.0;

/// A compacted topic holds, besides the newest of each slot, what came since the cleaner may last have passed, s
/// (`max.compaction.lag.ms`), and the segment being written.
const COMPACTION_LAG_S: f64 = 600.0;

/// Bytes of the segment being written (`segment.bytes` of state topics).
const SEGMENT_BYTES: f64 = 67_108_864.0;

const SECOND_MS: f64 = 1_000.0;

/// What is assumed to arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Flow records per second.
    pub records_per_second: f64,
    /// Bytes per flow record in the log, after compression.
    pub bytes_per_record: f64,
    /// Findings per second.
    pub findings_per_second: f64,
    /// Bytes per finding, and per anomaly, in the log.
    pub bytes_per_finding: f64,
}

impl Default for Load {
    /// Measured records of 60 bytes under lz4, at a rate that one core detects with ease.
    fn default() -> Self {
        Self {
            records_per_second: 20_000.0,
            bytes_per_record: 60.0,
            findings_per_second: 1.0,
            bytes_per_finding: 2_000.0,
        }
    }
}

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskUse {
    /// Name without the prefix.
    pub suffix: &'static str,
    /// Bytes written per second, before replication.
    pub bytes_per_second: f64,
    /// How long they are kept, s.
    pub retained_seconds: f64,
    /// Bytes on all brokers together.
    pub bytes: f64,
}

/// What each topic takes that grows with the load; the others are small. `partitions` of a topic, by suffix.
#[must_use]
pub fn disk_use(load: &Load, replication: u32, partitions: impl Fn(&TopicSpec) -> u32) -> Vec<DiskUse> {
    let inputs = |spec: &TopicSpec| f64::from(partitions(spec));
    let flow_partitions = TOPICS.iter().find(|spec| spec.suffix == "flows.v1").map_or(0.0, inputs);
    let of = |spec: &TopicSpec| {
        let is_state = TOPICS.iter().any(|input| state_of(input.suffix) == Some(spec.suffix));
        let bytes_per_second = match spec.suffix {
            "flows.v1" => load.records_per_second * load.bytes_per_record,
            // At most: what all partitions of the source stage may emit at their panes' closes.
            "partials.v1" => flow_partitions * PANE_BYTES / PANE_S,
            "findings.v1" | "anomalies.v1" | "anomalies.ecs.v1" => load.findings_per_second * load.bytes_per_finding,
            _ if is_state => inputs(spec) * PANE_BYTES / PANE_S,
            _ => return None,
        };
        let retained_seconds = if is_state { COMPACTION_LAG_S } else { retention_seconds(spec) };
        let being_written = if is_state { inputs(spec) * SEGMENT_BYTES } else { 0.0 };
        let bytes = (bytes_per_second * retained_seconds + being_written) * f64::from(replication);
        Some(DiskUse { suffix: spec.suffix, bytes_per_second, retained_seconds, bytes })
    };
    TOPICS.iter().filter_map(of).collect()
}

fn retention_seconds(spec: &TopicSpec) -> f64 {
    let retention = spec.settings.iter().find(|(name, _)| *name == "retention.ms");
    retention.and_then(|(_, value)| value.parse::<f64>().ok()).unwrap_or_default() / SECOND_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(suffix: &str, replication: u32) -> DiskUse {
        let all = disk_use(&Load::default(), replication, |spec| spec.partitions_production);
        *all.iter().find(|one| one.suffix == suffix).unwrap()
    }

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1.0
    }

    #[test]
    fn flows_take_rate_times_size_times_retention_times_replicas() {
        let flows = of("flows.v1", 3);
        // 20,000 × 60 B/s, 72 h, three times.
        assert!(is_near(flows.bytes_per_second, 1_200_000.0));
        assert!(is_near(flows.retained_seconds, 259_200.0));
        assert!(is_near(flows.bytes, 933_120_000_000.0));
    }

    #[test]
    fn state_is_bounded_by_its_budget_whatever_the_load() {
        // 48 partitions × (64 KiB per 10 s for 600 s + a segment of 64 MiB).
        assert!(is_near(of("state.source.v1", 1).bytes, 48.0 * (3_932_160.0 + 67_108_864.0)));
    }

    #[test]
    fn twice_the_replicas_take_twice_the_disk() {
        for suffix in ["flows.v1", "partials.v1", "state.site.v1", "findings.v1", "anomalies.v1"] {
            assert!(is_near(of(suffix, 2).bytes, 2.0 * of(suffix, 1).bytes), "{suffix}");
        }
    }
}
