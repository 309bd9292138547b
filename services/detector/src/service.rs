//! A stage's shard as a service runs it: its loop, and what it logs, counts and says of its health.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_bus::member::Member;
use weir_bus::shard::{Report, Shard, ShardError, ShardSettings};
use weir_engine::{Counters, SiteTask, SourceTask};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::SECOND_US;

use crate::DetectorConfig;
use crate::outputs::StageTopics;
use crate::report::{Levels, Reporter};
use crate::task::Task;
use crate::worker::{Worker, WorkerSettings};

/// How far partitions that are behind may run ahead of the slowest one of the group, event time: half of the panes that the
/// site stage keeps open.
const AHEAD_SECONDS: i64 = 120;

/// How often lags are looked up.
const LEVELS_EVERY: Duration = Duration::from_secs(10);

/// The shard of a stage, over any member.
pub struct StageShard<M: Member, T: Task> {
    stage: &'static str,
    shard: Shard<M, Worker<T>>,
    reporter: Reporter,
    /// What the metrics have been told, by partition.
    told: BTreeMap<u32, Counters>,
    levels_at: Duration,
}

/// Topics and group of the source stage.
pub(crate) fn source_topics(config: &DetectorConfig) -> StageTopics {
    let topics = &config.topics;
    StageTopics {
        stage: "source",
        group: config.source_group(),
        input: config.source_input(),
        state: topics.state_source(),
        partials: topics.partials(),
        findings: topics.findings(),
        dead: topics.dead(),
    }
}

/// Topics and group of the site stage.
pub(crate) fn site_topics(config: &DetectorConfig) -> StageTopics {
    let topics = &config.topics;
    StageTopics {
        stage: "site",
        group: config.site_group(),
        input: topics.partials(),
        state: topics.state_site(),
        partials: topics.partials(),
        findings: topics.findings(),
        dead: topics.dead(),
    }
}

/// Settings of a stage's shard.
fn shard_settings(config: &DetectorConfig, topics: &StageTopics) -> ShardSettings {
    let outputs = vec![topics.partials.clone(), topics.findings.clone(), topics.dead.clone()];
    ShardSettings {
        start: config.start,
        max_partitions: config.max_partitions,
        ..ShardSettings::new(&topics.input, &topics.state, outputs)
    }
}

impl<M: Member> StageShard<M, SourceTask> {
    /// The source stage's, over a member of [`DetectorConfig::source_group`] that reads the flows.
    pub fn source(config: &DetectorConfig, member: M, metrics: (&DetectorMetrics, &EngineMetrics)) -> Self {
        let topics = source_topics(config);
        let ahead = Some(AHEAD_SECONDS * SECOND_US);
        let settings = ShardSettings { ahead, ..shard_settings(config, &topics) };
        Self::over(config, topics, settings, member, metrics)
    }
}

impl<M: Member> StageShard<M, SiteTask> {
    /// The site stage's, over a member of [`DetectorConfig::site_group`] that reads the partials. It begins at the log's start: what stands
    /// there was judged by nobody yet.
    pub fn site(config: &DetectorConfig, member: M, metrics: (&DetectorMetrics, &EngineMetrics)) -> Self {
        let topics = site_topics(config);
        let start = weir_bus::shard::Start::Earliest;
        let settings = ShardSettings { start, ..shard_settings(config, &topics) };
        Self::over(config, topics, settings, member, metrics)
    }
}

impl<M: Member, T: Task> StageShard<M, T> {
    fn over(
        config: &DetectorConfig,
        topics: StageTopics,
        settings: ShardSettings,
        member: M,
        (detector, engine): (&DetectorMetrics, &EngineMetrics),
    ) -> Self {
        let stage = topics.stage;
        let (engine_config, profile, tracer) = (config.engine.clone(), config.profile.clone(), config.tracer.clone());
        let worker = WorkerSettings { topics, engine: engine_config, profile, tracer };
        Self {
            stage,
            shard: Shard::new(member, settings, worker),
            reporter: Reporter::new(stage, detector.clone(), engine.clone()),
            told: BTreeMap::new(),
            levels_at: Duration::ZERO,
        }
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
    pub fn shard(&self) -> &Shard<M, Worker<T>> {
        &self.shard
    }

    /// The shard, for what a test does to its member.
    pub fn shard_mut(&mut self) -> &mut Shard<M, Worker<T>> {
        &mut self.shard
    }

    fn tell(&mut self) {
        for report in self.shard.take_reports() {
            report.log(self.stage);
            self.count(&report);
        }
        let now = self.shard.member().now();
        if now >= self.levels_at + LEVELS_EVERY {
            self.levels_at = now;
            self.tell_levels();
        }
    }

    fn count(&mut self, report: &Report) {
        match report {
            Report::Committed { partitions, took, .. } => {
                let tasks: BTreeMap<u32, &Worker<T>> = self.shard.tasks().collect();
                for partition in partitions {
                    let Some(worker) = tasks.get(partition) else { continue };
                    let told = self.told.entry(*partition).or_default();
                    self.reporter.commit(told, worker.counters(), worker.findings(), *took);
                }
                self.reporter.transaction("committed");
            }
            Report::Aborted { .. } => self.reporter.transaction("aborted"),
            Report::Restored(restored) => {
                self.reporter.restored(restored);
                // What was counted before the restore was told before it.
                let counters = self.shard.tasks().find(|(partition, _)| *partition == restored.partition);
                let counters = counters.map(|(_, worker)| worker.counters().clone()).unwrap_or_default();
                self.told.insert(restored.partition, counters);
                let opened = self
                    .shard
                    .tasks()
                    .find(|(partition, _)| *partition == restored.partition)
                    .map_or(0, |(_, worker)| worker.task().opened_len());
                if opened > 0 {
                    tracing::info!(
                        stage = self.stage,
                        partition = restored.partition,
                        opened,
                        "restored early episodes"
                    );
                }
            }
            Report::CaughtUp { replayed, took, .. } => self.reporter.caught_up(*replayed, *took),
            Report::Refused(partitions) => self.reporter.refused(partitions.len()),
            Report::Revoked(partitions) => {
                for partition in partitions {
                    self.told.remove(partition);
                    self.reporter.forget(*partition);
                }
            }
            _ => {}
        }
    }

    fn tell_levels(&mut self) {
        let now = self.shard.member().time_of_day();
        let appended: BTreeMap<u32, i64> = self.shard.appended().collect();
        for (partition, worker) in self.shard.tasks() {
            let Some(appended) = appended.get(&partition) else { continue };
            if let Some(watermark) = worker.task().watermark() {
                self.reporter.watermark_delay(partition, appended.saturating_sub(watermark));
            }
        }
        self.reporter.levels(Levels {
            partitions: self.shard.tasks().count(),
            panes_open: self.shard.tasks().map(|(_, worker)| worker.task().open_panes()).sum(),
            state_bytes: self.shard.tasks().map(|(_, worker)| worker.task().state_bytes()).sum(),
        });
        // Lags are for people: where the broker does not answer, the next look will tell.
        for (partition, lag) in self.shard.lags().unwrap_or_default() {
            let behind = if lag == 0 { 0 } else { appended.get(&partition).map_or(0, |appended| now - appended) };
            self.reporter.lag(partition, lag, behind);
        }
    }
}
