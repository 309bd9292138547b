//! One process of a service: started, listened to, killed, stopped where it stands.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use weir_bus::member::FaultPoint;

use crate::failure::Failure;

/// A place in a commit at which a process dies by itself, and the how manieth pass of it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub point: FaultPoint,
    pub pass: u64,
    /// It stops there instead, with the transaction open, and goes on when it is let.
    pub stops: bool,
}

impl Fault {
    /// As `WEIR_FAULT` has it.
    fn specification(self) -> String {
        format!("{}:{}{}", self.point.name(), self.pass, if self.stops { ":stop" } else { "" })
    }
}

/// What a process said, or that it has ended.
#[derive(Debug)]
pub struct News {
    /// Name of the process.
    pub name: String,
    pub at: Instant,
    /// A line of its log; none when its output has ended, and it with it.
    pub line: Option<String>,
}

/// How a command is run.
#[derive(Clone, Debug)]
pub struct Launch {
    pub weir: PathBuf,
    pub config: PathBuf,
    /// Where the logs go, a file for each process.
    pub logs: PathBuf,
}

/// A process that runs, or has ended and was not seen to.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub fault: Option<Fault>,
    child: Child,
}

impl Process {
    /// Starts `weir` with these arguments. What it says goes to its log, which later processes of the same name continue,
    /// and to `news`.
    pub fn start(
        launch: &Launch,
        name: &str,
        arguments: &[&str],
        fault: Option<Fault>,
        news: &Sender<News>,
    ) -> Result<Self, Failure> {
        let path = launch.logs.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path).map_err(Failure::file(&path))?;
        let (output, writer) = std::io::pipe().map_err(Failure::file(&path))?;
        let mut command = Command::new(&launch.weir);
        command.arg("--config").arg(&launch.config).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
        if let Some(fault) = fault {
            command.env("WEIR_FAULT", fault.specification());
        }
        let child = command.spawn().map_err(Failure::file(&launch.weir))?;
        // The command holds our copy of the output's end: while that is open, the end is never seen.
        drop(command);
        let (said, news) = (name.to_owned(), news.clone());
        thread::spawn(move || listen(output, log, &said, &news));
        Ok(Self { name: name.to_owned(), fault, child })
    }

    /// Sends a signal. The process is not reaped yet, so its number is still its own.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| Failure::Environment(format!("{} takes no signal: {error}", self.name)))
    }

    /// Whether it stands where a signal stopped it, as Linux has it in `/proc/PID/stat`: the state follows the name in brackets.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Waits for the end, which its output's end has told of.
    pub fn reap(mut self) -> Result<ExitStatus, Failure> {
        self.child.wait().map_err(Failure::file(Path::new("a child's end")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left where it has ended; a run that fails must leave nobody behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(output: PipeReader, mut log: File, name: &str, news: &Sender<News>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
        // A full disk must not stop the process, whose output would then be read no more.
        let _ = log.write_all(&bytes);
        let line = Some(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        // Nobody listens any more where the run has ended.
        let _ = news.send(News { name: name.to_owned(), at: Instant::now(), line });
        bytes.clear();
    }
    let _ = news.send(News { name: name.to_owned(), at: Instant::now(), line: None });
}
