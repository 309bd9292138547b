//! `weir topics`: makes the topics that services meet in, and says what is wrong with those there are.

mod show;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use weir_bus::Topics;
use weir_bus::kafka::{Admin, Load, Scale, Settings, Standing, disk_use};

use crate::arguments::Globals;
use crate::failure::Failure;
use crate::output;
use crate::service::{CONNECT_PATIENCE, kafka_settings};

/// How long somebody at a terminal waits for brokers that do not answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  weir topics create --dev --replication 1           for one broker on one machine
  weir topics create --replication 3                 for a cluster
  weir topics describe                               how they stand, and what is wrong with them
  weir topics grow flows.v1 96                       more partitions, the state's first";

const CREATE_EXAMPLES: &str = "\
Examples:
  weir topics create --dev --replication 1
  weir topics create --replication 3 --records-per-second 50000 --bytes-per-record 80
  weir topics create --set topics.prefix=late.       a lane of its own

What exists already is looked at and left as it is.
Exit status: 0 all topics are as they must be, 2 usage or configuration, 69 brokers unreachable, 78 a topic is not.";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  weir topics describe
  weir topics describe --set kafka.bootstrap=kafka-1:9092

Exit status: 0 all topics are as they must be, 2 usage or configuration, 69 brokers unreachable, 78 a topic is not.";

const GROW_EXAMPLES: &str = "\
Examples:
  weir topics grow flows.v1 96
  weir topics grow weir.findings.v1 24

A topic with state grows together with its state's topic. Restart the sensors after flows.v1 has grown: they ask for the
number of partitions at their start. Sources then move to other partitions, where what is normal for them is learnt anew.";

/// Create, check and grow the topics in Kafka
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct TopicsCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the topics.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Create the topics that do not exist, and check the others
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// Print how the topics stand, and every fault
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe,
    /// Give a topic more partitions
    #[command(after_help = GROW_EXAMPLES)]
    Grow {
        /// Name, with or without the prefix
        topic: String,
        /// Partitions that it is to have
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        partitions: u32,
    },
}

/// How to create topics.
#[derive(Debug, Args)]
pub struct Create {
    /// Replicas of each partition (default: the brokers' own default)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replication: Option<u32>,
    /// Fewer partitions, for one machine
    #[arg(long)]
    pub dev: bool,
    /// Flow records expected per second, for the disk that is needed
    #[arg(long, value_name = "N", default_value_t = Load::default().records_per_second, value_parser = amount)]
    pub records_per_second: f64,
    /// Bytes that one takes in the log, compressed
    #[arg(long, value_name = "N", default_value_t = Load::default().bytes_per_record, value_parser = amount)]
    pub bytes_per_record: f64,
}

/// A number above zero, of any size that makes sense.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1e12);
    number.ok_or_else(|| "write a number above 0".to_owned())
}

/// Creates, describes or grows.
pub fn run(globals: &Globals, arguments: &TopicsCommand) -> Result<ExitCode, Failure> {
    let config = globals.start()?.config;
    let topics = Topics::new(&config.topics.prefix);
    let settings = kafka_settings(&config, "weir-topics")?;
    let admin = Admin::open(&settings, PATIENCE)?;
    match &arguments.action {
        Action::Create(create) => create_all(&admin, &topics, create),
        Action::Describe => {
            let standings = admin.describe(&topics).map_err(Failure::environment)?;
            output::print(&show::standings(&standings))?;
            refuse_faults(&standings)
        }
        Action::Grow { topic, partitions } => {
            let named = if topic.starts_with(&topics.prefix) { topic.clone() } else { topics.named(topic) };
            let grown = admin.grow(&topics, Some(&named), *partitions).map_err(Failure::environment)?;
            output::print(&show::growths(&grown))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn create_all(admin: &Admin, topics: &Topics, create: &Create) -> Result<ExitCode, Failure> {
    let scale = if create.dev { Scale::Development } else { Scale::Production };
    let created = admin.create(topics, scale, create.replication).map_err(Failure::environment)?;
    let standings = admin.describe(topics).map_err(Failure::environment)?;
    output::print(&show::creations(&created, &standings))?;
    let of_flows = standings.iter().filter_map(|standing| standing.found.as_ref()).map(|found| found.replication);
    let replication = of_flows.max().unwrap_or(1);
    let load = Load {
        records_per_second: create.records_per_second,
        bytes_per_record: create.bytes_per_record,
        ..Load::default()
    };
    let partitions = |suffix: &str| {
        let found = standings.iter().find(|standing| standing.spec.suffix == suffix)?.found.as_ref()?;
        Some(found.partitions)
    };
    let used = disk_use(&load, replication, |spec| partitions(spec.suffix).unwrap_or_else(|| scale.partitions(spec)));
    output::print(&show::disk(&load, replication, &used))?;
    refuse_faults(&standings)
}

/// What was printed holds the faults; this is the one line that a script's log keeps.
fn refuse_faults(standings: &[Standing]) -> Result<ExitCode, Failure> {
    let faults: Vec<&str> = standings
        .iter()
        .flat_map(|standing| &standing.differences)
        .filter(|difference| difference.is_fault)
        .map(|difference| difference.text.as_str())
        .collect();
    match faults[..] {
        [] => Ok(ExitCode::SUCCESS),
        [fault] => Err(Failure::environment(fault)),
        [fault, ..] => Err(Failure::environment(format!("{} faults, as told above; the first: {fault}", faults.len()))),
    }
}

/// Makes sure that the topics which a service uses are as they must be; else one line names the command that mends it.
pub fn require(settings: &Settings, topics: &Topics, needed: &[String]) -> Result<(), Failure> {
    let admin = Admin::open(settings, CONNECT_PATIENCE)?;
    let faults = admin.verify(topics, needed).map_err(Failure::environment)?;
    if faults.is_empty() { Ok(()) } else { Err(Failure::environment(faults.join("; "))) }
}
