//! A mutational fuzzer for Weir's decoders that needs no nightly compiler: seeded, so that every failure can be had again.
//!
//! Each target (`targets.rs`) gets mutations (`mutate.rs`) of its seed files for so many seconds. It fails when it panics, when one of
//! its own checks fails, or when one input takes longer than a second of a processor per 64 KiB begun. A failing input is written to a file,
//! to be run again with `--replay`. What a decoder accepts becomes a seed itself, so that mutations get deeper.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod applications;
mod codecs;
mod exports;
mod fragments;
mod mutate;
mod promises;
mod samples;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use targets::{Answer, Seeds, TARGETS, Target};
use weir_tests::chance::Chance;

/// How many accepted mutations are mutated further.
const GROWN_SEEDS: usize = 256;

/// Fuzzes Weir's decoders; exit status 0: nothing found, 1: a target failed, 2: usage.
#[derive(Parser)]
struct Arguments {
    /// Seconds for each target.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seed of the mutations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory with a folder of seed files for each target.
    #[arg(long, default_value = "tests/fuzz/corpus")]
    corpus: PathBuf,
    /// Where failing inputs are written.
    #[arg(long, default_value = "target/fuzz")]
    failures: PathBuf,
    /// Runs one target on one file instead.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Names the targets and stops.
    #[arg(long)]
    list: bool,
    /// Targets to run; default: all.
    target: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for target in TARGETS {
            println!("{:14} {}", target.name, target.what);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments.target.iter().find(|name| TARGETS.iter().all(|target| target.name != **name)) {
        return usage(&format!("no target {unknown:?}; --list names them"));
    }
    let chosen = TARGETS
        .iter()
        .filter(|target| arguments.target.is_empty() || arguments.target.iter().any(|n| n == target.name));
    let chosen: Vec<&Target> = chosen.collect();
    match &arguments.replay {
        Some(file) => replay(&chosen, file),
        None => fuzz_all(&arguments, &chosen),
    }
}

fn usage(message: &str) -> ExitCode {
    eprintln!("weir-fuzz: {message}");
    ExitCode::from(2)
}

/// Runs one target on one file, with panics printed in full.
fn replay(chosen: &[&Target], file: &Path) -> ExitCode {
    let [target] = chosen else { return usage("--replay needs exactly one target") };
    let input = match std::fs::read(file) {
        Ok(input) => input,
        Err(error) => return usage(&format!("{}: {error}", file.display())),
    };
    match answer_of(target, &input) {
        Ok(answer) => {
            println!("{}: {answer:?}", target.name);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}: {failure}", target.name);
            ExitCode::FAILURE
        }
    }
}

fn fuzz_all(arguments: &Arguments, chosen: &[&Target]) -> ExitCode {
    // A panic is a result here; its message is printed with the input that caused it, not for each attempt.
    std::panic::set_hook(Box::new(|_| {}));
    let mut failed = 0;
    for target in chosen {
        let seeds = match seeds_of(target, &arguments.corpus) {
            Ok(seeds) => seeds,
            Err(error) => {
                return usage(&format!("the seeds of {} in {}: {error}", target.name, arguments.corpus.display()));
            }
        };
        let outcome = fuzz(target, seeds, arguments);
        failed += u32::from(outcome.failure.is_some());
        println!(
            "{:14} {:>9} inputs, seed {}: {}",
            target.name,
            outcome.inputs,
            arguments.seed,
            match &outcome.failure {
                None => "ok".to_owned(),
                Some((failure, input)) => format!("FAILED {failure}; {}", keep(arguments, target, input)),
            }
        );
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What came of fuzzing one target.
struct Outcome {
    inputs: usize,
    failure: Option<(String, Vec<u8>)>,
}

fn fuzz(target: &Target, mut seeds: Vec<Vec<u8>>, arguments: &Arguments) -> Outcome {
    let began = Instant::now();
    let mut chance = Chance::new(arguments.seed);
    let given = seeds.len();
    let mut inputs = 0;
    while inputs < given || began.elapsed() < Duration::from_secs(arguments.seconds) {
        // The seeds themselves come first: a decoder that fails on what is right needs no mutation.
        let input = if inputs < given { seeds[inputs].clone() } else { mutate::mutated(&seeds, &mut chance) };
        inputs += 1;
        match answer_of(target, &input) {
            Err(failure) => return Outcome { inputs, failure: Some((failure, input)) },
            Ok(Answer::Refused) => {}
            Ok(Answer::Accepted) if inputs <= given || input.is_empty() => {}
            Ok(Answer::Accepted) if seeds.len() < given + GROWN_SEEDS => seeds.push(input),
            Ok(Answer::Accepted) => seeds[given + chance.index(GROWN_SEEDS)] = input,
        }
    }
    Outcome { inputs, failure: None }
}

/// What the target says to this input, or why it fails on it.
fn answer_of(target: &Target, input: &[u8]) -> Result<Answer, String> {
    let began = processor_time();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let answer = result.map_err(|panic| format!("panic: {}", message_of(panic.as_ref())))??;
    let limit = Duration::from_secs(1 + input.len() as u64 / 65_536);
    let taken = processor_time().saturating_sub(began);
    if taken > limit {
        return Err(format!("took {:.1} s", taken.as_secs_f64()));
    }
    Ok(answer)
}

/// Time that this thread has had a processor: a busy machine makes no decoder slow.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Writes a failing input and says how to run it again.
fn keep(arguments: &Arguments, target: &Target, input: &[u8]) -> String {
    let path = arguments.failures.join(format!("{}-seed{}", target.name, arguments.seed));
    match std::fs::create_dir_all(&arguments.failures).and_then(|()| std::fs::write(&path, input)) {
        Ok(()) => format!("again with: weir-fuzz {} --replay {}", target.name, path.display()),
        Err(error) => format!("the input could not be kept ({}: {error})", path.display()),
    }
}

/// The first inputs of a target; files in the order of their names.
fn seeds_of(target: &Target, corpus: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = match target.seeds {
        Seeds::Made(make) => return Ok(make()),
        Seeds::Folder(folder) => corpus.join(folder),
    };
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}
