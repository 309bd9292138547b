//! `weir-simulate`: runs schedules of the simulated log by their seeds, or replays one and tells all that happens in it.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use weir_tests::simulation::Trace;
use weir_tests::simulation::pipeline::Pipelines;
use weir_tests::simulation::plain;
use weir_tests::simulation::world::Happened;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Failures after which the rest is not run.
const MOST_FAILURES: usize = 10;

/// Schedules between two lines about how far it has come.
const TELL_EVERY: u64 = 50_000;

/// What replays a schedule, but for its kind and seed.
const REPLAY: &str = "cargo run --release -p weir-tests --bin weir-simulate --";

/// Runs schedules of the simulated log, or replays one by its seed.
#[derive(Parser)]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 2_000)]
    schedules: u64,
    /// The first one's seed; the others' follow it.
    #[arg(long, default_value_t = 0)]
    from_seed: u64,
    /// Replay this one, and print what happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// What the schedules are of.
    #[arg(long, value_enum, default_value_t = Kind::Pipeline)]
    kind: Kind,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Detector and results.
    Pipeline,
    /// The shard alone.
    Plain,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Plain => "plain",
        }
    }
}

fn run(kind: Kind, pipelines: &Pipelines, seed: u64, trace: Option<Trace>) -> Result<Happened, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| match kind {
        Kind::Pipeline => pipelines.run(seed, trace),
        Kind::Plain => plain::run(seed, trace),
    }));
    outcome.map_err(|panic| match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "a panic without words".to_owned(),
    })
}

fn replay(kind: Kind, seed: u64) -> ExitCode {
    let trace: Trace = Box::new(|line| {
        // A reader that has seen enough is no failure.
        let _ = writeln!(std::io::stdout(), "{line}");
    });
    match run(kind, &Pipelines::new(), seed, Some(trace)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A failed schedule is told in a line of its own.
    std::panic::set_hook(Box::new(|_| {}));
    let kind = arguments.kind;
    if let Some(seed) = arguments.seed {
        return replay(kind, seed);
    }
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
    let happened = Mutex::new(Happened::default());
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                let pipelines = Pipelines::new();
                let mut mine = Happened::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let failed = failures.lock().unwrap_or_else(PoisonError::into_inner).len();
                    if number >= arguments.schedules || failed >= MOST_FAILURES {
                        break;
                    }
                    if number > 0 && number.is_multiple_of(TELL_EVERY) {
                        println!("{number} schedules, {failed} failed, {} s", began.elapsed().as_secs());
                    }
                    let seed = arguments.from_seed + number;
                    match run(kind, &pipelines, seed, None) {
                        Ok(happened) => mine.merge(&happened),
                        Err(fault) => {
                            println!("FAILED {fault}\n       replay it: {REPLAY} --kind {} --seed {seed}", kind.name());
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push((seed, fault));
                        }
                    }
                }
                happened.lock().unwrap_or_else(PoisonError::into_inner).merge(&mine);
            });
        }
    });
    let ran = next.load(Ordering::Relaxed).min(arguments.schedules);
    for (what, times) in &happened.lock().unwrap_or_else(PoisonError::into_inner).counts {
        println!("{times:>12} {what}");
    }
    let failed = failures.lock().unwrap_or_else(PoisonError::into_inner).len();
    let (first, kind) = (arguments.from_seed, kind.name());
    println!("{ran} schedules of kind {kind} from seed {first}: {failed} failed, {} s", began.elapsed().as_secs());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
