//! The results service's shard: its loop over any member, and what it logs and counts.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_bus::member::Member;
use weir_bus::shard::{Report, Row, Shard, ShardError, ShardSettings, Start};
use weir_bus::topic::Topics;
use weir_runtime::metrics::ResultsMetrics;
use weir_schemas::SECOND_US;

use crate::task::{ResultsTask, TaskSettings};

/// How often lags are looked up.
const LEVELS_EVERY: Duration = Duration::from_secs(10);

/// Name in logs.
const STAGE: &str = "results";

/// A shard of findings partitions.
pub struct ResultsShard<M: Member> {
    shard: Shard<M, ResultsTask>,
    metrics: ResultsMetrics,
    levels_at: Duration,
}

impl<M: Member> ResultsShard<M> {
    /// A shard over a member that reads the findings. It begins at the log's start: no finding is to be passed over.
    pub fn new(topics: &Topics, tasks: TaskSettings, member: M, metrics: ResultsMetrics) -> Self {
        let outputs = vec![topics.anomalies(), topics.anomalies_ecs(), topics.dead()];
        let settings = ShardSettings {
            start: Start::Earliest,
            ..ShardSettings::new(topics.findings(), topics.state_results(), outputs)
        };
        Self { shard: Shard::new(member, settings, tasks), metrics, levels_at: Duration::ZERO }
    }

    /// One step of the shard; see [`Shard::step`]. True when something was taken or committed.
    ///
    /// # Errors
    /// As [`Shard::step`].
    pub fn step(&mut self, wait: Duration) -> Result<bool, ShardError> {
        let stepped = self.shard.step(wait);
        self.tell();
        let progress = stepped?;
        Ok(progress.taken > 0 || progress.committed)
    }

    /// Commits what is at hand; see [`Shard::finish`].
    ///
    /// # Errors
    /// As [`Shard::finish`].
    pub fn finish(&mut self) -> Result<(), ShardError> {
        let finished = self.shard.finish();
        self.tell();
        finished
    }

    /// Whether all that the group gave is restored.
    pub fn is_ready(&self) -> bool {
        self.shard.is_ready()
    }

    /// The shard.
    pub fn shard(&self) -> &Shard<M, ResultsTask> {
        &self.shard
    }

    fn tell(&mut self) {
        for report in self.shard.take_reports() {
            report.log(STAGE);
            self.count(&report);
        }
        let now = self.shard.member().now();
        if now >= self.levels_at + LEVELS_EVERY {
            self.levels_at = now;
            self.tell_levels();
        }
    }

    fn count(&self, report: &Report) {
        match report {
            Report::Committed { took, .. } => {
                self.metrics.transactions("committed", 1);
                self.metrics.commit_duration(*took);
            }
            Report::Aborted { .. } => self.metrics.transactions("aborted", 1),
            Report::Restored(restored) => {
                self.metrics.recoveries(restored.row.name(), 1);
                if restored.row != Row::First {
                    self.metrics.restore_duration("state", restored.took);
                }
            }
            Report::Revoked(partitions) => {
                for partition in partitions {
                    self.metrics.forget_partition(*partition);
                }
            }
            _ => {}
        }
    }

    fn tell_levels(&mut self) {
        let now = self.shard.member().time_of_day();
        let appended: BTreeMap<u32, i64> = self.shard.appended().collect();
        self.metrics.partitions_owned(self.shard.tasks().count() as f64);
        // Lags are for people: where the broker does not answer, the next look will tell.
        for (partition, lag) in self.shard.lags().unwrap_or_default() {
            let behind = if lag == 0 { 0 } else { appended.get(&partition).map_or(0, |appended| now - appended) };
            self.metrics.consumer_lag(partition.to_string(), lag as f64);
            self.metrics.consumer_time_lag(partition.to_string(), behind.max(0) as f64 / SECOND_US as f64);
        }
    }
}
