//! The detector service: the engine's two stages between the bus's topics.
//!
//! The same loop runs over every bus: read, apply, and append outputs, state and offsets as one atomic batch. What a crash
//! leaves behind is the last such batch, and a restart goes on from there.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod outputs;
mod report;
mod restore;
mod service;
mod stage;
mod task;
mod worker;

use std::sync::Arc;

use weir_bus::Bus;
use weir_bus::topic::Topics;
use weir_engine::baseline::ExportedBaseline;
use weir_engine::{Counters, EngineConfig, Profile, SiteTask, SourceTask};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_runtime::trace::Tracer;

pub use error::DetectorError;
pub use service::StageShard;
pub use task::{Taken, Task};
pub use weir_bus::shard::{ShardError, Start};
pub use worker::{Worker, WorkerSettings};

use report::Reporter;
use stage::Stage;

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct DetectorConfig {
    /// Topic names.
    pub topics: Topics,
    /// Thresholds.
    pub profile: Arc<Profile>,
    /// The engine's settings.
    pub engine: EngineConfig,
    /// Records read per partition and step.
    pub batch: usize,
    /// Where a group without a commit begins.
    pub start: Start,
    /// Write state slots. A run that ends with its process has nothing to restore and leaves them out.
    pub keep_state: bool,
    /// Partitions taken at most (`detector.max_partitions`).
    pub max_partitions: Option<u32>,
    /// Records the spans of commits.
    pub tracer: Tracer,
    /// What the names of the groups begin with: `weir` for topics below `weir.`.
    pub lane: String,
    /// Topic of flow records, where it is not the lane's own (`detector.input`).
    pub input: Option<String>,
}

impl DetectorConfig {
    /// The defaults, with these topics and thresholds.
    #[must_use]
    pub fn new(topics: Topics, profile: Arc<Profile>) -> Self {
        Self {
            topics,
            profile,
            engine: EngineConfig::default(),
            batch: 4_096,
            start: Start::Earliest,
            keep_state: true,
            max_partitions: None,
            tracer: Tracer::default(),
            lane: "weir".to_owned(),
            input: None,
        }
    }
}

impl DetectorConfig {
    /// Consumer group of the source stage.
    #[must_use]
    pub fn source_group(&self) -> String {
        format!("{}-detector-source", self.lane)
    }

    /// Consumer group of the site stage.
    #[must_use]
    pub fn site_group(&self) -> String {
        format!("{}-detector-site", self.lane)
    }

    /// Topic that the source stage reads.
    #[must_use]
    pub fn source_input(&self) -> String {
        self.input.clone().unwrap_or_else(|| self.topics.flows())
    }
}

/// Both stages, over every partition of their topics.
pub struct DetectorService {
    source: Stage<SourceTask>,
    site: Stage<SiteTask>,
}

impl DetectorService {
    /// A service restored from what its groups have committed.
    pub fn restore<B: Bus + ?Sized>(config: &DetectorConfig, bus: &mut B) -> Result<Self, DetectorError> {
        let (source_topics, site_topics) = (service::source_topics(config), service::site_topics(config));
        Ok(Self {
            source: Stage::restore(config, source_topics, bus)?,
            site: Stage::restore(config, site_topics, bus)?,
        })
    }

    /// The service, with instruments other than those of the process's meter.
    #[must_use]
    pub fn with_metrics(self, detector: &DetectorMetrics, engine: &EngineMetrics) -> Self {
        let reporter = |stage| Reporter::new(stage, detector.clone(), engine.clone());
        Self { source: self.source.reporting_to(reporter("source")), site: self.site.reporting_to(reporter("site")) }
    }

    /// Reads and judges what there is, at most a batch per partition; returns how many records that were. 0 means that both
    /// stages have reached the end of their topics and committed.
    pub fn step<B: Bus + ?Sized>(&mut self, bus: &mut B) -> Result<usize, DetectorError> {
        Ok(self.source.step(bus)? + self.site.step(bus)?)
    }

    /// Counters of the source stage, all partitions.
    #[must_use]
    pub fn source_counters(&self) -> Counters {
        self.source.counters()
    }

    /// Counters of the site stage, all partitions.
    #[must_use]
    pub fn site_counters(&self) -> Counters {
        self.site.counters()
    }

    /// The learnt baselines, in key order.
    #[must_use]
    pub fn export_baselines(&self) -> Vec<ExportedBaseline> {
        let mut rows: Vec<ExportedBaseline> = self.site.tasks().flat_map(SiteTask::export_baselines).collect();
        rows.sort_by(|left, right| (&left.scope, &left.key).cmp(&(&right.scope, &right.key)));
        rows
    }

    /// Gives each row to the site task that will judge its key; returns how many rows have an unknown scope.
    pub fn import_baselines(&mut self, rows: &[ExportedBaseline]) -> usize {
        self.site.import(rows)
    }
}
