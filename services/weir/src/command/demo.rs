//! `weir demo`: a bundled, labelled capture through all services at speed.

mod truth;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use weir_results::{Episodes, TableOptions, render_table, verdict_line};
use weir_runtime::Shutdown;
use weir_schemas::{Anomaly, Micros, Severity};
use weir_sensor::input;

use super::reading::Reading;
use crate::arguments::Globals;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::pipeline::{self, Pipeline, Plan};
use crate::progress::Progress;
use truth::Truth;

const EXAMPLES: &str = "\
Examples:
  weir demo             a few minutes of traffic, replayed in seconds
  weir demo --fast      without any pause";

/// The capture. Where it comes from: `tests/captures/README.md`.
const CAPTURE: &[u8] = include_bytes!("../../../../tests/captures/demo.pcap.zst");
/// What it is called where inputs are named.
const CAPTURE_NAME: &str = "the bundled capture";
/// Event time that passes in one second of a replay: 225 s of traffic take about 12 s.
const SPEED: f64 = 18.75;
/// A signal does not end a sleep: it is seen after this.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Packets between two looks at the clock: about a second of the capture.
const PACKETS_PER_TURN: usize = 100;

/// At most 80 columns, like all that is printed as it stands.
const OPENING: &str = "\
Replaying four minutes of a small office network, made in our lab. Six clients
browse and ask for names throughout. Planted:
   60 s  10.0.0.66 scans ports of 10.0.0.20
  120 s  10.0.0.67 tries one service of a whole /24
  180 s  3,000 spoofed sources flood 10.0.0.10:80
Sensor, detector and results run in this process; nothing is sent anywhere.
";

const CLOSING: &str = "
What to try next
  weir analyze capture.pcap
      the same on a capture of yours
  weir analyze --format markdown capture.pcap > report.md
      a report of all that is in it
  weir detectors show port_scan
      what a detector looks for, and what it mistakes for that
";

/// See it work: replay a labelled capture of ours and watch the verdicts come
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Replay without pauses
    #[arg(long)]
    pub fast: bool,
    /// Plain text, no colours (there are none where standard output is no terminal)
    #[arg(long, visible_alias = "no-color")]
    pub no_colour: bool,
}

/// Replays the bundled capture.
pub fn run(globals: &Globals, arguments: &Demo) -> Result<ExitCode, Failure> {
    let config = globals.start()?.config;
    let options = {
        let options = TableOptions::for_stdout();
        TableOptions { colour: options.colour && !arguments.no_colour, ..options }
    };
    let file = capture_file().map_err(|error| {
        Failure::usage(format!(
            "cannot write the capture to a temporary file: {error}; set TMPDIR to a folder with space"
        ))
    })?;
    let shutdown = interrupt::watch()?;
    let input = input::open(&[file.path().to_owned()], &Reading::default().options(&config, &shutdown)?)
        .map_err(Failure::internal)?;
    let plan = Plan {
        files: vec![CAPTURE_NAME.into()],
        reading: Reading::default(),
        partitions: 1,
        encode: false,
        profile: pipeline::profile(&config, None)?,
        site: config.site.name.clone(),
        sensor: "demo".to_owned(),
        summarise: false,
        baselines: Vec::new(),
    };
    output::print(&format!("{OPENING}\n"))?;
    let mut pipeline = Pipeline::over(&config, plan, input, &shutdown)?;
    let mut pace = Pace::new(!arguments.fast);
    let mut progress = Progress::new(pace.is_wanted && std::io::stdout().is_terminal());
    let mut episodes = Episodes::new(Severity::Low);
    let mut verdicts: Vec<Anomaly> = Vec::new();
    while let Some(known) = pipeline.turn_of(PACKETS_PER_TURN)? {
        for anomaly in known {
            if episodes.add(&anomaly) {
                progress.clear();
                output::print(&format!("{}\n", verdict_line(&anomaly, &options)))?;
            }
            verdicts.push(anomaly);
        }
        progress.show(pipeline.packets(), pipeline.event_time());
        pace.keep(pipeline.event_time(), &shutdown);
    }
    progress.finish();
    let is_interrupted = pipeline.is_interrupted();
    let ended = pipeline.end(Vec::new());
    let table = render_table(&episodes, &ended.facts, &options);
    if is_interrupted {
        interrupt::tell(ended.facts.packets);
        // Half a replay can be no measure of what is found.
        output::print(&format!("\n{table}\n{CLOSING}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let score = Truth::bundled().score(&verdicts);
    output::print(&format!("\n{table}\n{score}\n{CLOSING}"))?;
    Ok(ExitCode::SUCCESS)
}

fn capture_file() -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("weir-demo-").suffix(".pcap.zst").tempfile()?;
    file.write_all(CAPTURE)?;
    file.flush()?;
    Ok(file)
}

/// Holds event time back to a constant multiple of real time, so that a person can follow.
struct Pace {
    is_wanted: bool,
    began: Option<(Instant, Micros)>,
}

impl Pace {
    fn new(is_wanted: bool) -> Self {
        Self { is_wanted, began: None }
    }

    /// Waits until `event_time` is due, or nobody waits any more.
    fn keep(&mut self, event_time: Option<Micros>, shutdown: &Shutdown) {
        let Some(event_time) = event_time.filter(|_| self.is_wanted) else {
            return;
        };
        let (began, first) = *self.began.get_or_insert_with(|| (Instant::now(), event_time));
        let passed = Duration::from_micros(event_time.saturating_sub(first).max(0) as u64).div_f64(SPEED);
        while let Some(early) = passed.checked_sub(began.elapsed()).filter(|_| !shutdown.is_requested()) {
            // The one place where the passing of time is itself what is wanted.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(early.min(LONGEST_SLEEP));
        }
    }
}
