//! All services in one process, taking turns on one thread over the local bus: sensor, detector (both stages), results.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use weir_bus::local::{LocalBus, Retention};
use weir_bus::topic::Topics;
use weir_bus::wire::AvroCodec;
use weir_bus::{Batch, Bus, Value};
use weir_detector::{DetectorConfig, DetectorService};
use weir_engine::baseline::ExportedBaseline;
use weir_engine::config::Shares;
use weir_engine::hash::HashSeed;
use weir_engine::{Counters, EngineConfig, Profile};
use weir_results::{CannotJudge, CaptureSummary, ResultsConfig, ResultsService, RunFacts};
use weir_runtime::Shutdown;
use weir_runtime::config::Config;
use weir_runtime::metrics::{self, DetectorMetrics, EngineMetrics, Meter, ResultsMetrics, SensorMetrics};
use weir_schemas::{Anomaly, Micros, Record};
use weir_sensor::flow::FlowConfig;
use weir_sensor::geography::Geography;
use weir_sensor::input::{self, Input};
use weir_sensor::sensor::{FileSensor, SensorConfig, StepOutcome};

use crate::command::reading::Reading;
use crate::failure::Failure;

/// Packets that the sensor reads before the other services take their turn.
const PACKETS_PER_TURN: usize = 8_192;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Captures.
    pub files: Vec<PathBuf>,
    /// How they are to be read.
    pub reading: Reading,
    /// Partitions of the flows topic.
    pub partitions: u32,
    /// Send every value through the wire format.
    pub encode: bool,
    /// Thresholds.
    pub profile: Arc<Profile>,
    /// Site name.
    pub site: String,
    /// Sensor id.
    pub sensor: String,
    /// Keep a summary of the capture for its report.
    pub summarise: bool,
    /// Baselines to begin with.
    pub baselines: Vec<ExportedBaseline>,
}

/// What a run leaves behind when its input has ended.
pub struct Ended {
    /// What was read, judged and not judged.
    pub facts: RunFacts,
    /// Totals of the capture, where the plan asked for them.
    pub summary: Option<CaptureSummary>,
    /// What was learnt.
    pub baselines: Vec<ExportedBaseline>,
    /// The fates of the records, all partitions.
    pub source_counters: Counters,
    /// The fates of the partials.
    pub site_counters: Counters,
    /// How a partition's memory is divided, for people.
    pub budget: String,
}

/// The profile called `name`, with the configuration's thresholds for it.
pub fn profile(config: &Config, name: Option<&str>) -> Result<Arc<Profile>, Failure> {
    let name = name.unwrap_or(&config.engine.profile);
    Profile::named(name, config.profile.0.get(name)).map(Arc::new).map_err(Failure::usage)
}

/// The sensor's settings under this configuration.
pub fn sensor_config(config: &Config, plan_site: &str, plan_sensor: &str, partitions: u32) -> SensorConfig {
    SensorConfig {
        flow: FlowConfig {
            sensor: plan_sensor.into(),
            site: plan_site.into(),
            idle_timeout: micros(config.sensor.idle_timeout),
            unanswered_timeout: micros(config.sensor.unanswered_timeout),
            flow_table: config.sensor.flow_table.get() as usize,
            names: config.sensor.names,
            fragment_memory: config.sensor.fragment_memory.0 as usize,
            ..FlowConfig::default()
        },
        topic: Topics::new(&config.topics.prefix).flows(),
        partitions,
        ipv6_prefix: config.sensor.ipv6_key_prefix.0,
        mark_interval: micros(config.sensor.mark_interval),
    }
}

/// The databases of countries and autonomous systems that are configured.
pub fn geography(config: &Config) -> Result<Geography, Failure> {
    let path = |key: &Option<String>| key.as_ref().map(PathBuf::from);
    let (country, asn) = (path(&config.sensor.country_database), path(&config.sensor.asn_database));
    Geography::open(country.as_deref(), asn.as_deref()).map_err(Failure::usage)
}

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// A run in progress.
pub struct Pipeline {
    plan: Plan,
    bus: LocalBus,
    sensor: FileSensor,
    detector: DetectorService,
    results: ResultsService,
    summary: Option<CaptureSummary>,
    span: Option<(Micros, Micros)>,
    flows: u64,
    budget: String,
    shutdown: Shutdown,
    /// The request came before the input's end.
    is_interrupted: bool,
    has_ended: bool,
}

impl Pipeline {
    /// Opens the plan's files and starts every service. Once `shutdown` is raised, no more is read, and what was read is
    /// judged to its end.
    pub fn start(config: &Config, plan: Plan, shutdown: &Shutdown) -> Result<Self, Failure> {
        let input = input::open(&plan.files, &plan.reading.options(config, shutdown)?).map_err(Failure::usage)?;
        Self::over(config, plan, input, shutdown)
    }

    /// Starts every service over an input that is open. The plan's files only name it.
    pub fn over(config: &Config, plan: Plan, input: Box<dyn Input>, shutdown: &Shutdown) -> Result<Self, Failure> {
        Self::measured(config, plan, input, shutdown, &metrics::meter())
    }

    /// Likewise, with the instruments of `meter`.
    fn measured(
        config: &Config,
        plan: Plan,
        input: Box<dyn Input>,
        shutdown: &Shutdown,
        meter: &Meter,
    ) -> Result<Self, Failure> {
        let topics = Topics::new(&config.topics.prefix);
        let mut bus = if plan.encode { LocalBus::with_codec(Box::<AvroCodec>::default()) } else { LocalBus::new() };
        let partials = plan.partitions.min(2);
        let sizes = [
            (topics.flows(), plan.partitions),
            (topics.state_source(), plan.partitions),
            (topics.partials(), partials),
            (topics.state_site(), partials),
            (topics.findings(), 1),
            (topics.state_results(), 1),
            (topics.anomalies(), 1),
            (topics.dead(), 1),
        ];
        for (topic, partitions) in sizes {
            bus.create(&topic, partitions, Retention::UntilRead).map_err(Failure::internal)?;
        }
        let sensor = FileSensor::new(input, sensor_config(config, &plan.site, &plan.sensor, plan.partitions))
            .with_geography(geography(config)?)
            .with_metrics(SensorMetrics::new(meter));
        let budget = engine_config(config).shares.describe();
        let detector_config = DetectorConfig {
            engine: engine_config(config),
            keep_state: false,
            ..DetectorConfig::new(topics.clone(), plan.profile.clone())
        };
        let detector = DetectorService::restore(&detector_config, &mut bus).map_err(Failure::internal)?;
        let mut detector = detector.with_metrics(&DetectorMetrics::new(meter), &EngineMetrics::new(meter));
        detector.import_baselines(&plan.baselines);
        let results_config = ResultsConfig { dead: Some(topics.dead()), ..ResultsConfig::new(&config.topics.prefix) };
        let results = ResultsService::restore(results_config, &mut bus).map_err(Failure::internal)?;
        let results = results.with_metrics(ResultsMetrics::new(meter));
        let summary = plan.summarise.then(CaptureSummary::default);
        tracing::debug!(partitions = plan.partitions, profile = plan.profile.name, budget, "services started");
        Ok(Self {
            plan,
            bus,
            sensor,
            detector,
            results,
            summary,
            span: None,
            flows: 0,
            budget,
            shutdown: shutdown.clone(),
            is_interrupted: false,
            has_ended: false,
        })
    }

    /// One turn of every service. Returns the anomalies that became known, or `None` when the input has ended and all of it
    /// is judged.
    pub fn turn(&mut self) -> Result<Option<Vec<Anomaly>>, Failure> {
        self.turn_of(PACKETS_PER_TURN)
    }

    /// Likewise, with at most `packets` read. How many makes no difference to what becomes known.
    pub fn turn_of(&mut self, packets: usize) -> Result<Option<Vec<Anomaly>>, Failure> {
        let outcome = self.read(packets);
        for message in &outcome.messages {
            if let Value::Record(Record::Flow(flow)) = &message.value {
                // Every record goes to one partition; marks, which go to all, are left out here.
                self.flows += u64::from(flow.export_index == 0);
                let (first, last) = self.span.unwrap_or((flow.event_time, flow.last_time));
                self.span = Some((first.min(flow.event_time), last.max(flow.last_time)));
                if let Some(summary) = &mut self.summary {
                    summary.add(flow);
                }
            }
        }
        self.bus.append(Batch { messages: outcome.messages, offsets: Vec::new() }).map_err(Failure::internal)?;
        let mut known = Vec::new();
        loop {
            let read = self.detector.step(&mut self.bus).map_err(Failure::internal)?;
            let step = self.results.step(&mut self.bus).map_err(Failure::internal)?;
            known.extend(step.published);
            if read == 0 && step.read == 0 {
                break;
            }
        }
        if outcome.ended && known.is_empty() {
            return Ok(None);
        }
        Ok(Some(known))
    }

    /// The sensor's turn.
    fn read(&mut self, packets: usize) -> StepOutcome {
        if self.shutdown.is_requested() {
            self.sensor.stop();
        }
        let outcome = self.sensor.step(packets);
        if !self.has_ended {
            // A stream ends by itself once it is asked to, perhaps within this very step.
            self.is_interrupted = self.shutdown.is_requested();
            self.has_ended = outcome.ended;
        }
        outcome
    }

    /// Whether the run was asked to end before its input did.
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Newest event time that the sensor has sent.
    pub fn event_time(&self) -> Option<Micros> {
        self.span.map(|(_, last)| last)
    }

    /// Packets read up to now, and those that flows read tell of.
    pub fn packets(&self) -> u64 {
        self.sensor.input_counters().all_packets()
    }

    /// Warnings of the input since the last call, one line each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.sensor.take_warnings().iter().map(warning_line).collect()
    }

    /// What the run leaves behind; `warnings` are those taken before.
    pub fn end(mut self, warnings: Vec<String>) -> Ended {
        let source_counters = self.detector.source_counters();
        let site_counters = self.detector.site_counters();
        let mut warnings = warnings;
        warnings.extend(self.take_warnings());
        let counters = self.sensor.input_counters().clone();
        let mut evicted = BTreeMap::new();
        let mut note = |table: &str, count: u64| {
            if count > 0 {
                evicted.insert(table.to_owned(), count);
            }
        };
        note("flow table", self.sensor.flow_counters().evicted);
        note("source stage", source_counters.evicted);
        note("site stage", site_counters.evicted);
        note("ledger changes deferred", source_counters.deferred + site_counters.deferred);
        note("episodes refused", source_counters.episodes_refused + site_counters.episodes_refused);
        let mut judged = Vec::new();
        let mut cannot_judge = Vec::new();
        for (detector, verdicts) in source_counters.judged.iter().chain(&site_counters.judged) {
            judged.push((detector.clone(), verdicts.fired + verdicts.quiet));
            for (reason, count) in &verdicts.cannot_judge {
                cannot_judge.push(CannotJudge::from((detector.clone(), reason.clone(), *count)));
            }
        }
        let decode_errors =
            self.sensor.decode_errors().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
        let facts = RunFacts {
            inputs: self.plan.files.iter().map(|file| file.display().to_string()).collect(),
            profile: self.plan.profile.name.clone(),
            packets: counters.all_packets(),
            flows: self.flows,
            span: self.span,
            other_frames: counters.other,
            truncated: counters.truncated,
            drops: counters.drops,
            decode_errors,
            warnings,
            late: source_counters.late + site_counters.late,
            evicted,
            judged,
            cannot_judge,
        };
        let baselines = self.detector.export_baselines();
        Ended { facts, summary: self.summary, baselines, source_counters, site_counters, budget: self.budget }
    }
}

/// The engine's settings under this configuration.
pub fn engine_config(config: &Config) -> EngineConfig {
    let engine = &config.engine;
    EngineConfig {
        idle_after: micros(engine.idle_after),
        max_future: micros(engine.max_future),
        max_skew: micros(engine.max_skew),
        seed: engine.hash_seed.map_or_else(HashSeed::default, |seed| HashSeed::from_bytes(seed.0)),
        shares: Shares::of(usize::try_from(engine.partition_memory.0).unwrap_or(usize::MAX)),
    }
}

/// A warning as one line.
pub fn warning_line(warning: &weir_sensor::packet::InputWarning) -> String {
    match warning.offset {
        Some(offset) => format!("{}: at byte {offset}: {}", warning.file, warning.message),
        None => format!("{}: {}", warning.file, warning.message),
    }
}

#[cfg(test)]
mod tests;
