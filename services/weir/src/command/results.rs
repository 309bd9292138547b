//! `weir results`: numbers, words and publishes findings as anomalies, exactly once, and delivers them to sinks.

use std::process::ExitCode;

use clap::Args;
use weir_bus::kafka::KafkaMember;
use weir_bus::topic::Topics;
use weir_results::shard::ResultsShard;
use weir_results::sink::{self, ConfiguredSink, Health, RunnerSettings, SinkRunner};
use weir_results::task::TaskSettings;
use weir_runtime::metrics::ResultsMetrics;
use weir_schemas::schema;

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::membership;
use crate::service::{CONNECT_PATIENCE, ClientWarnings, End, Host, Loop, TURN, relive};

const EXAMPLES: &str = "\
Examples:
  weir results                                             brokers at localhost:9092; anomalies to their topics
  weir results --config weir.toml                          and to the sinks below [[results.sinks]]
  weir results --set results.instance=results-1            a second one on this machine; they share the partitions

Exit status: 0 stopped, 2 usage or configuration, 69 brokers unreachable, 70 start it again, 78 topics or rights are wrong.";

/// Publishes findings from Kafka as anomalies, numbered and worded, and delivers them to sinks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Results {}

/// Runs the command.
pub fn run(globals: &Globals, _command: &Results) -> Result<ExitCode, Failure> {
    let mut host = Host::start(globals, "weir-results", membership::results_instance)?;
    let config = host.config.clone();
    let sinks = sink::configure_all(&config.results.sinks).map_err(Failure::usage)?;
    tracing::info!(instance = membership::results_instance(&config), sinks = sinks.len(), "results starts");
    let topics = Topics::new(&config.topics.prefix);
    let needed = [
        topics.findings(),
        topics.state_results(),
        topics.anomalies(),
        topics.anomalies_ecs(),
        topics.dead(),
        topics.schemas(),
    ];
    host.prepare("weir-results", &needed, &[schema::ANOMALY, schema::STATE])?;
    spawn_shard(&mut host)?;
    for sink in sinks {
        spawn_sink(&mut host, sink)?;
    }
    host.join()?;
    Ok(ExitCode::SUCCESS)
}

fn spawn_shard(host: &mut Host) -> Result<(), Failure> {
    let settings = host.kafka("weir-results")?;
    let topics = Topics::new(&host.config.topics.prefix);
    let membership = membership::of_results(&host.config);
    let metrics = ResultsMetrics::new(&host.meter);
    let tasks = TaskSettings { metrics: Some(metrics.clone()), ..TaskSettings::new(&topics) };
    let live = move |turn: &Loop| {
        let member = KafkaMember::join(&settings, membership.clone(), CONNECT_PATIENCE)?;
        let mut shard = ResultsShard::new(&topics, tasks.clone(), member, metrics.clone());
        let mut warnings = ClientWarnings::new();
        while turn.goes_on() {
            shard.step(TURN)?;
            turn.set_ready(shard.is_ready(), "partitions are not assigned or not restored yet");
            warnings.tell(shard.shard().member());
        }
        Ok(shard.finish()?)
    };
    host.spawn("results shard 0".to_owned(), move |turn| relive(turn, || live(turn)))
}

/// A sink of its own thread, member and group: what happens to it happens to no other.
fn spawn_sink(host: &mut Host, sink: ConfiguredSink) -> Result<(), Failure> {
    let settings = host.kafka("weir-results")?;
    let topics = Topics::new(&host.config.topics.prefix);
    let membership = membership::of_sink(&host.config, &sink.id);
    let runner_settings = RunnerSettings { metrics: ResultsMetrics::new(&host.meter), ..RunnerSettings::new(&topics) };
    let name = format!("sink {}", sink.id);
    let mut rest = Some(sink);
    let mut live = move |turn: &Loop| {
        let member = KafkaMember::join(&settings, membership.clone(), CONNECT_PATIENCE)?;
        let Some(sink) = rest.take() else { return Err(End::Fail(Failure::restart("a sink is gone; a bug in Weir"))) };
        let mut runner = SinkRunner::new(member, sink, runner_settings.clone());
        let ended = deliver(turn, &mut runner);
        rest = Some(runner.into_sink());
        ended
    };
    host.spawn(name, move |turn| relive(turn, || live(turn)))
}

fn deliver(turn: &Loop, runner: &mut SinkRunner<KafkaMember>) -> Result<(), End> {
    let mut warnings = ClientWarnings::new();
    while turn.goes_on() {
        runner.step(TURN)?;
        match runner.health() {
            Health::Failing { reason, .. } if runner.is_required() => turn.set_ready(false, &reason),
            _ => turn.set_ready(true, ""),
        }
        warnings.tell(runner.member());
    }
    runner.finish()?;
    Ok(())
}
