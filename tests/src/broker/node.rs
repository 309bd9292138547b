//! One node: a Java process that is started, killed, paused, and started again on the same data.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::BrokerError;
use super::jars::{jars, scripts};
use super::ports::Port;

/// A start takes 2 s on an idle machine; of three nodes among builds, at a load of 40 on two cores, it took more than 90 s.
/// One that fails ends by itself, and is not waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// What Kafka logs when a node is ready.
const READY: &[u8] = b"Kafka Server started";

/// How much of a log goes into an error.
const TAIL_LINES: usize = 30;

/// How a node is started, each time.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Number of the node, from 1.
    pub id: u32,
    /// Clients' port.
    pub port: Port,
    /// Controllers' port.
    pub controller_port: Port,
    /// Port for clients with TLS and a password, where there are such.
    pub secured_port: Option<u16>,
    /// Every node of the cluster, as `start-node` wants them, where there are several.
    pub voters: Option<String>,
    /// The node's own folder; logs go there as well.
    pub data: PathBuf,
    /// Settings that win over those of `start-node`.
    pub properties: PathBuf,
    /// For Kafka's storage tool.
    pub format_arguments: Vec<String>,
}

/// A node, up or down.
#[derive(Debug)]
pub(crate) struct Node {
    launch: Launch,
    starts: u32,
    process: Option<Process>,
}

/// A node's process, and the group of processes that it leads.
#[derive(Debug)]
struct Process {
    child: Child,
    /// When this closes, be it by our death, the group is killed.
    _tether: ChildStdin,
    /// Says once that the node is ready; disconnected when its output has ended.
    ready: Receiver<()>,
    log: PathBuf,
}

impl Node {
    /// A node that was never started.
    pub(crate) fn new(launch: Launch) -> Self {
        Self { launch, starts: 0, process: None }
    }

    /// Starts the process, without waiting for it to get ready.
    pub(crate) fn launch(&mut self) -> Result<(), BrokerError> {
        if self.process.is_some() {
            return Err(BrokerError::Bug(format!("node {} is to be started, and runs", self.launch.id)));
        }
        let folder = &self.launch.data;
        std::fs::create_dir_all(folder).map_err(BrokerError::file("create", folder))?;
        self.starts += 1;
        let log_path = folder.join(format!("start-{}.log", self.starts));
        let log = File::create(&log_path).map_err(BrokerError::file("create", &log_path))?;

        let no_process = |error| BrokerError::Environment(format!("tests/kafka/start-node does not run: {error}"));
        let (output, output_writer) = std::io::pipe().map_err(no_process)?;
        let mut command = self.command()?;
        command.stdin(Stdio::piped()).process_group(0);
        command.stderr(output_writer.try_clone().map_err(no_process)?).stdout(output_writer);
        let mut child = command.spawn().map_err(no_process)?;
        // The command holds our copies of the output's end: while they are open, the end is never seen.
        drop(command);
        let Some(tether) = child.stdin.take() else {
            return Err(BrokerError::Bug("a child's piped standard input is missing".to_owned()));
        };

        let (announce, ready) = channel();
        thread::spawn(move || keep_log(output, log, &announce));
        self.process = Some(Process { child, _tether: tether, ready, log: log_path });
        Ok(())
    }

    /// Waits until a node that was just launched is ready.
    pub(crate) fn await_readiness(&mut self) -> Result<(), BrokerError> {
        let Some(process) = &mut self.process else {
            return Err(BrokerError::Bug(format!("node {} is waited for, and down", self.launch.id)));
        };
        let what = match process.ready.recv_timeout(PATIENCE) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => format!("was not ready after {} s", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => match process.child.wait() {
                Ok(status) => format!("ended before it was ready ({status})"),
                Err(error) => format!("ended before it was ready ({error})"),
            },
        };
        let error = BrokerError::NotReady {
            node: self.launch.id,
            what,
            log: process.log.display().to_string(),
            tail: tail_of(&process.log),
        };
        self.end();
        Err(error)
    }

    /// Kills the process, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), BrokerError> {
        if self.process.is_none() {
            return Err(BrokerError::Bug(format!("node {} is to be killed, and down", self.launch.id)));
        }
        self.end();
        Ok(())
    }

    /// Stops the process where it stands. The watch over our own life goes on beside it.
    pub(crate) fn pause(&mut self) -> Result<(), BrokerError> {
        self.signal(Signal::STOP)
    }

    /// Lets a stopped process go on.
    pub(crate) fn resume(&mut self) -> Result<(), BrokerError> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), BrokerError> {
        let Some(process) = &self.process else {
            return Err(BrokerError::Bug(format!("node {} is sent a signal, and down", self.launch.id)));
        };
        kill_process(Pid::from_child(&process.child), signal)
            .map_err(|error| BrokerError::Environment(format!("node {} takes no signal: {error}", self.launch.id)))
    }

    fn end(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Not reaped yet, so the number is still its own. Failing means that nothing is left of the group.
        let _ = kill_process_group(Pid::from_child(&process.child), Signal::KILL);
        let _ = process.child.wait();
    }

    fn command(&self) -> Result<Command, BrokerError> {
        let launch = &self.launch;
        let mut command = Command::new(scripts().join("start-node"));
        command.arg("--jars").arg(jars()?);
        command.arg("--data").arg(&launch.data);
        command.arg("--node-id").arg(launch.id.to_string());
        command.arg("--port").arg(launch.port.number().to_string());
        command.arg("--controller-port").arg(launch.controller_port.number().to_string());
        command.arg("--properties").arg(&launch.properties);
        if let Some(port) = launch.secured_port {
            command.arg("--secured-port").arg(port.to_string());
        }
        if let Some(voters) = &launch.voters {
            command.arg("--voters").arg(voters);
        }
        for argument in &launch.format_arguments {
            command.arg("--format-argument").arg(argument);
        }
        command.arg("--until-stdin-closes");
        Ok(command)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// Copies a node's output to its log file until it ends, and says when the node is ready.
fn keep_log(output: PipeReader, mut log: File, ready: &Sender<()>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A full disk must not stop the node, whose output would then be read no more.
        let _ = log.write_all(&line);
        if line.windows(READY.len()).any(|part| part == READY) {
            // Nobody listens any more where the wait was given up.
            let _ = ready.send(());
        }
        line.clear();
    }
}

fn tail_of(log: &std::path::Path) -> String {
    let Ok(bytes) = std::fs::read(log) else { return "(it cannot be read)".to_owned() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
