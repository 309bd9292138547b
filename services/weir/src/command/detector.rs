//! `weir detector`: judges flow records from Kafka, exactly once; as many of them as there is work for.

use std::process::ExitCode;

use clap::Args;
use weir_bus::kafka::{KafkaMember, Membership};
use weir_bus::topic::Topics;
use weir_detector::{DetectorConfig, StageShard, Start, Task};
use weir_runtime::config::{self, Config, Stage};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::schema;

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::pipeline;
use crate::service::{CONNECT_PATIENCE, ClientWarnings, Host, Loop, TURN, host_name, lane};

const EXAMPLES: &str = "\
Examples:
  weir detector                                            both stages, brokers at localhost:9092
  weir detector --set kafka.bootstrap=kafka-1:9092         likewise, with brokers elsewhere
  weir detector --set detector.instance=detector-1         a second one on this machine; they share the partitions
  weir detector --set detector.start=earliest              on the first start ever, judge what is there already

Exit status: 0 stopped, 2 usage or configuration, 69 brokers unreachable, 70 start it again, 78 topics or rights are wrong.";

/// Judges flow records from Kafka: start as many as there is work for, they share the partitions
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Detector {}

/// Runs the command.
pub fn run(globals: &Globals, _command: &Detector) -> Result<ExitCode, Failure> {
    let mut host = Host::start(globals, "weir-detector", instance)?;
    let config = host.config.clone();
    let detector = detector_config(&config, &host)?;
    tracing::info!(
        instance = instance(&config),
        profile = detector.profile.name,
        start = ?detector.start,
        budget = detector.engine.shares.describe(),
        "detector starts"
    );
    let topics = &detector.topics;
    let needed = [
        detector.source_input(),
        topics.state_source(),
        topics.partials(),
        topics.state_site(),
        topics.findings(),
        topics.dead(),
        topics.schemas(),
    ];
    host.prepare("weir-detector", &needed, &[schema::PARTIAL, schema::FINDING, schema::STATE])?;
    for stage in &config.detector.stages {
        for shard in 0..config.detector.shards.get() {
            match stage {
                Stage::Source => spawn(&mut host, &detector, Of { stage: "source", shard }, StageShard::source)?,
                Stage::Site => spawn(&mut host, &detector, Of { stage: "site", shard }, StageShard::site)?,
            }
        }
    }
    host.join()?;
    Ok(ExitCode::SUCCESS)
}

/// Which shard of which stage.
#[derive(Clone, Copy)]
struct Of {
    stage: &'static str,
    shard: u32,
}

type Make<T> = fn(&DetectorConfig, KafkaMember, (&DetectorMetrics, &EngineMetrics)) -> StageShard<KafkaMember, T>;

/// Runs one shard of one stage on a thread of its own.
fn spawn<T: Task + 'static>(host: &mut Host, detector: &DetectorConfig, of: Of, make: Make<T>) -> Result<(), Failure> {
    let settings = host.kafka("weir-detector")?;
    let membership = membership(&host.config, detector, of);
    let metrics = (DetectorMetrics::new(&host.meter), EngineMetrics::new(&host.meter));
    let detector = detector.clone();
    let work = move |turn: &Loop| {
        let member = KafkaMember::join(&settings, membership, CONNECT_PATIENCE)?;
        let mut shard = make(&detector, member, (&metrics.0, &metrics.1));
        let mut warnings = ClientWarnings::new();
        while turn.goes_on() {
            shard.step(TURN)?;
            turn.set_ready(shard.is_ready(), "partitions are not assigned or not restored yet");
            warnings.tell(shard.shard().member());
        }
        Ok(shard.finish()?)
    };
    host.spawn(format!("{} shard {}", of.stage, of.shard), work)
}

fn membership(config: &Config, detector: &DetectorConfig, of: Of) -> Membership {
    let Of { stage, shard } = of;
    let (group, topic) = match stage {
        "site" => (detector.site_group(), detector.topics.partials()),
        _ => (detector.source_group(), detector.source_input()),
    };
    let name = format!("{}-{stage}-{shard}", instance(config));
    let is_static = config.detector.membership == config::Membership::Static;
    Membership {
        group,
        topic,
        transactional_id: format!("{}-{name}", lane(&config.topics.prefix)),
        instance_id: is_static.then_some(name),
    }
}

/// The detector's name among its likes.
fn instance(config: &Config) -> String {
    config.detector.instance.clone().unwrap_or_else(host_name)
}

fn detector_config(config: &Config, host: &Host) -> Result<DetectorConfig, Failure> {
    let profile = pipeline::profile(config, None)?;
    Ok(DetectorConfig {
        engine: pipeline::engine_config(config),
        start: match config.detector.start {
            config::Start::Earliest => Start::Earliest,
            config::Start::Latest => Start::Latest,
        },
        max_partitions: config.detector.max_partitions.map(std::num::NonZeroU32::get),
        tracer: host.tracer.clone(),
        lane: lane(&config.topics.prefix),
        input: config.detector.input.clone(),
        ..DetectorConfig::new(Topics::new(&config.topics.prefix), profile)
    })
}
