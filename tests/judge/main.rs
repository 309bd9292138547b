//! Runs `weir analyze` over labelled captures and holds its answers against their truth (see `weir_tests::truth`).
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use clap::Parser;
use weir_tests::truth::{self, Row};

/// Judges `weir analyze` on labelled captures: prints a line per capture, exits 0 iff none falls short, 2 on bad usage.
#[derive(Parser)]
struct Arguments {
    /// The weir binary.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,
    /// The truth file.
    #[arg(long, default_value = "tests/captures/truth.tsv")]
    truth: PathBuf,
    /// Where the captures are; default: the directory of the truth file.
    #[arg(long)]
    captures: Option<PathBuf>,
    /// Seconds after which a run counts as hung.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Further arguments for `weir analyze`, separated by spaces.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    with: String,
    /// Only captures whose path begins so; default: all.
    prefix: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let text = match std::fs::read_to_string(&arguments.truth) {
        Ok(text) => text,
        Err(error) => return usage(&format!("{}: {error}", arguments.truth.display())),
    };
    let rows = match truth::parse(&text) {
        Ok(rows) => rows,
        Err(error) => return usage(&format!("{}: {error}", arguments.truth.display())),
    };
    let beside = arguments.truth.parent().unwrap_or(Path::new("."));
    let directory = arguments.captures.as_deref().unwrap_or(beside);
    let wanted = |row: &&Row| arguments.prefix.is_empty() || arguments.prefix.iter().any(|p| row.file.starts_with(p));
    let (mut judged, mut short) = (0, 0);
    for row in rows.iter().filter(wanted) {
        let began = Instant::now();
        let wrong = judge(&arguments, row, &directory.join(&row.file));
        let verdict = if wrong.is_empty() { "ok   " } else { "SHORT" };
        println!("{verdict} {} {:.1}s {}", row.file, began.elapsed().as_secs_f64(), wrong.join("; "));
        judged += 1;
        short += u32::from(!wrong.is_empty());
    }
    println!("{judged} captures, {short} short");
    if judged == 0 {
        return usage("no capture was judged: no row has such a prefix");
    }
    if short == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(message: &str) -> ExitCode {
    eprintln!("weir-judge: {message}");
    ExitCode::from(2)
}

/// What is wrong with the answer about one capture.
fn judge(arguments: &Arguments, row: &Row, capture: &Path) -> Vec<String> {
    let mut command = Command::new(&arguments.weir);
    command.args(["analyze", "--format", "jsonl"]).args(arguments.with.split_whitespace()).arg(capture);
    let (status, output, complaint) = match run(&mut command, Duration::from_secs(arguments.timeout)) {
        Ok(finished) => finished,
        Err(error) => return vec![format!("FAILED {error}")],
    };
    if status != 0 && status != 1 {
        return vec![format!("FAILED exit status {status}: {}", complaint.trim())];
    }
    match truth::read_output(&output) {
        Ok((found, lines)) => truth::shortcomings(row, &found, lines, status),
        Err(error) => vec![format!("FAILED {error}")],
    }
}

/// Exit status, standard output and standard error of a command, unless it runs longer than `limit`.
fn run(command: &mut Command, limit: Duration) -> std::io::Result<(i32, String, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = text_of(child.stdout.take());
    let complaint = text_of(child.stderr.take());
    // Standard output ends when the process does.
    let Ok(output) = output.recv_timeout(limit) else {
        child.kill()?;
        child.wait()?;
        return Err(std::io::Error::other(format!("ran longer than {} s", limit.as_secs())));
    };
    let status = child.wait()?;
    // A process killed by a signal has no code: above all real exit statuses, as a shell reports it.
    Ok((status.code().unwrap_or(128), output, complaint.recv().unwrap_or_default()))
}

/// Reads a pipe to its end on a thread of its own, so that neither pipe blocks the other.
fn text_of<R: std::io::Read + Send + 'static>(pipe: Option<R>) -> Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe ends the output early; the exit status tells the rest. Nobody listens any more after a timeout.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
