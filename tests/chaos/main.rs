//! `weir-chaos`: kills what can be killed while two sensors publish, and holds what came out against an undisturbed run over
//! the same records.
//!
//! Needs a `weir` that was built with the feature `fault-points`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod course;
mod failure;
mod fleet;
mod frames;
mod ledger;
mod observed;
mod process;
mod record;
mod schedule;
mod traffic;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use weir_tests::broker::{Broker, Nodes};

use course::Course;
use failure::Failure;
use schedule::Extent;
use verdict::{Check, Least};

/// Disturbs detectors, results and brokers, and tells whether anything of it can be seen in what they publish
#[derive(Parser)]
#[command(name = "weir-chaos")]
struct Arguments {
    /// How much is done.
    #[arg(value_enum, default_value_t = Form::Short)]
    form: Form,
    /// The command, built with the feature `fault-points`.
    #[arg(long)]
    weir: PathBuf,
    /// All chance follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A file for the record of the run, in Markdown.
    #[arg(long)]
    record: Option<PathBuf>,
    /// A folder to keep captures and logs in.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One death at each point, two at random: for every run of the tests.
    Short,
    /// Three deaths at each point, eight at random, a zombie, one who joins, one who leaves.
    Full,
    /// Three brokers; those that coordinate the group and the transactions die.
    Brokers,
}

impl Form {
    fn extent(self) -> Extent {
        match self {
            Self::Short => {
                Extent { seconds: 42, per_point: 1, at_random: 2, results: 1, with_changes: false, with_brokers: false }
            }
            Self::Full => {
                Extent { seconds: 180, per_point: 3, at_random: 8, results: 3, with_changes: true, with_brokers: false }
            }
            Self::Brokers => {
                Extent { seconds: 120, per_point: 1, at_random: 2, results: 1, with_changes: false, with_brokers: true }
            }
        }
    }

    fn least(self) -> Least {
        match self {
            Self::Short | Self::Brokers => {
                Least { sources: 200, episodes: 25, kills: 6, restores: 6, with_replay: 3, with_early: 0 }
            }
            Self::Full => Least { sources: 200, episodes: 60, kills: 20, restores: 20, with_replay: 15, with_early: 1 },
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(checks) if checks.iter().all(|check| check.holds) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("weir-chaos: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Vec<Check>, Failure> {
    let (extent, seed) = (arguments.form.extent(), arguments.seed);
    let temporary = tempfile::tempdir().map_err(Failure::file(&std::env::temp_dir()))?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    println!("seed {seed}, {} s", extent.seconds);
    let broker = Broker::start(if extent.with_brokers { Nodes::Three } else { Nodes::One })?;
    let mut course = Course::new(broker, arguments.weir.clone(), folder, extent, seed)?;
    course.disturb()?;
    course.repeat()?;
    let checks = verdict::judge(&course, extent, arguments.form.least())?;
    for check in &checks {
        println!("{}  {}: {}", if check.holds { "ok    " } else { "FAILED" }, check.name, check.detail);
    }
    let text = record::write(&course, extent, seed, &checks)?;
    if let Some(path) = &arguments.record {
        std::fs::write(path, &text).map_err(Failure::file(path))?;
    }
    Ok(checks)
}
