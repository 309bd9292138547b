//! `weir detector`: judges flow records from Kafka, exactly once; as many of them as there is work for.

use std::process::ExitCode;

use clap::Args;
use weir_bus::kafka::KafkaMember;
use weir_bus::topic::Topics;
use weir_detector::{DetectorConfig, StageShard, Start, Task};
use weir_runtime::config::{self, Config, Stage};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::schema;

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::membership;
use crate::pipeline;
use crate::service::{CONNECT_PATIENCE, ClientWarnings, Host, Loop, TURN, lane, relive};

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
    let mut host = Host::start(globals, "weir-detector", membership::detector_instance)?;
    let config = host.config.clone();
    let detector = detector_config(&config, &host)?;
    tracing::info!(
        instance = membership::detector_instance(&config),
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
                Stage::Source => spawn(&mut host, &detector, (*stage, shard), StageShard::source)?,
                Stage::Site => spawn(&mut host, &detector, (*stage, shard), StageShard::site)?,
            }
        }
    }
    host.join()?;
    Ok(ExitCode::SUCCESS)
}

type Make<T> = fn(&DetectorConfig, KafkaMember, (&DetectorMetrics, &EngineMetrics)) -> StageShard<KafkaMember, T>;

/// Runs one shard of one stage on a thread of its own.
fn spawn<T: Task + 'static>(
    host: &mut Host,
    detector: &DetectorConfig,
    (stage, shard): (Stage, u32),
    make: Make<T>,
) -> Result<(), Failure> {
    let settings = host.kafka("weir-detector")?;
    let membership = membership::of_detector(&host.config, detector, stage, shard);
    let metrics = (DetectorMetrics::new(&host.meter), EngineMetrics::new(&host.meter));
    let detector = detector.clone();
    let live = move |turn: &Loop| {
        let member = KafkaMember::join(&settings, membership.clone(), CONNECT_PATIENCE)?;
        let mut shard = make(&detector, member, (&metrics.0, &metrics.1));
        let mut warnings = ClientWarnings::new();
        while turn.goes_on() {
            shard.step(TURN)?;
            turn.set_ready(shard.is_ready(), "partitions are not assigned or not restored yet");
            warnings.tell(shard.shard().member());
        }
        Ok(shard.finish()?)
    };
    let work = move |turn: &Loop| relive(turn, || live(turn));
    let stage = match stage {
        Stage::Source => "source",
        Stage::Site => "site",
    };
    host.spawn(format!("{stage} shard {shard}"), work)
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
