//! One file per command: its arguments, its help, its run function.

pub mod analyze;
pub mod baseline;
pub mod config;
pub mod demo;
pub mod detector;
pub mod detectors;
pub mod flows;
pub mod reading;
pub mod results;
pub mod sensor;
pub mod tail;
pub mod topics;
mod value;

use std::process::ExitCode;

use clap::Subcommand;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Analyze(analyze::Analyze),
    Demo(demo::Demo),
    Flows(flows::Flows),
    Detector(detector::Detector),
    Detectors(detectors::Detectors),
    Results(results::Results),
    Config(config::Config),
    Baseline(baseline::Baseline),
    Topics(topics::TopicsCommand),
    Sensor(sensor::Sensor),
    Tail(tail::Tail),
}

/// Runs the command that was asked for.
pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let globals = arguments.globals;
    match arguments.command {
        Command::Analyze(command) => analyze::run(&globals, &command),
        Command::Demo(command) => demo::run(&globals, &command),
        Command::Flows(command) => flows::run(&globals, &command),
        Command::Detector(command) => detector::run(&globals, &command),
        Command::Detectors(command) => detectors::run(&globals, &command),
        Command::Results(command) => results::run(&globals, &command),
        Command::Config(command) => config::run(&globals, &command),
        Command::Baseline(command) => baseline::run(&globals, &command),
        Command::Topics(command) => topics::run(&globals, &command),
        Command::Sensor(command) => sensor::run(&globals, &command),
        Command::Tail(command) => tail::run(&globals, &command),
    }
}
