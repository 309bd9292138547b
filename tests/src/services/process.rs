//! One service's process: started, listened to, stopped, killed.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, http, until, until_some};

/// What the log says before the address of the admin pages.
const ADMIN_AT: &str = "health and metrics at http://";

/// What a process came to.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit status; none after a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub complaint: String,
}

impl Ended {
    /// The last line of standard error: why it ended, where it did not end well.
    pub fn last_line(&self) -> &str {
        self.complaint.trim_end().lines().last().unwrap_or_default()
    }

    /// Checks that the process ended with this status, and its last line says `part`; the line.
    ///
    /// # Panics
    /// Otherwise; also where something panicked.
    pub fn assert_failed(&self, status: i32, part: &str) -> &str {
        let last = self.last_line();
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(last.starts_with("weir: ") && last.contains(part), "{part:?} not in {last:?} of {self:?}");
        assert_eq!(self.complaint.lines().filter(|line| line.starts_with("weir: ")).count(), 1, "{self:?}");
        assert!(!self.complaint.contains("panicked"), "{self:?}");
        last
    }
}

/// A running process. Killed when dropped.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    heard: Arc<Heard>,
    readers: Vec<JoinHandle<()>>,
}

/// What a process has said so far.
#[derive(Debug, Default)]
struct Heard {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    output: String,
    complaint: Vec<String>,
    /// Streams that are closed.
    closed: u32,
}

impl Heard {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Starts `command` and listens to it.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub(super) fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{name} cannot be started: {error}"),
        };
        let heard = Arc::new(Heard::default());
        let streams: [(Option<Box<dyn Read + Send>>, bool); 2] = [
            (child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>), true),
            (child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>), false),
        ];
        let readers = streams
            .into_iter()
            .filter_map(|(stream, is_output)| stream.map(|stream| (stream, is_output)))
            .map(|(stream, is_output)| {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || listen(stream, is_output, &heard))
            })
            .collect();
        Self { name: name.to_owned(), child, heard, readers }
    }

    /// All of standard error so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.heard.said().complaint.clone()
    }

    /// The lines so far that hold `part`.
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(part)).collect()
    }

    /// Waits for a line that holds `part`, said before or after this.
    ///
    /// # Panics
    /// When the process ends without it, or says nothing of the kind for [`PATIENCE`].
    pub fn await_line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.heard.said();
        loop {
            if let Some(line) = said.complaint.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                said.closed < 2 && !left.is_zero(),
                "{}: no line with {part:?} in {:#?}",
                self.name,
                said.complaint
            );
            said = self.heard.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Status and body of one of its admin pages; none where it does not serve them, or not yet.
    pub fn page(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.admin()?, path).ok()
    }

    /// Waits until `/readyz` says that it does its work; false when it has ended before.
    ///
    /// # Panics
    /// When neither comes within [`PATIENCE`].
    pub fn gets_ready(&self) -> bool {
        until_some(&format!("{} is ready", self.name), || {
            if self.has_ended() {
                return Some(false);
            }
            matches!(self.page("/readyz"), Some((200, _))).then_some(true)
        })
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it ends before, or is not within [`PATIENCE`].
    pub fn await_ready(&self) {
        assert!(self.gets_ready(), "{} ended: {:#?}", self.name, self.lines());
    }

    fn has_ended(&self) -> bool {
        self.heard.said().closed == 2
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it where it stands, and waits until it is gone.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended after [`PATIENCE`].
    pub fn wait(mut self) -> Ended {
        let mut status = None;
        until(&format!("{} ends", self.name), || {
            status = self.child.try_wait().unwrap_or_default();
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            // A listener that panicked has said so itself.
            let _ = reader.join();
        }
        let said = self.heard.said();
        let complaint = said.complaint.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        Ended { status: status.as_ref().and_then(ExitStatus::code), output: said.output.clone(), complaint }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended meanwhile: whoever waits for it sees that.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn admin(&self) -> Option<SocketAddr> {
        let line = self.lines_with(ADMIN_AT).pop()?;
        line.split(ADMIN_AT).nth(1)?.split('/').next()?.parse().ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.child.try_wait();
            eprintln!("{}, of a test that failed ({status:?}), said:\n{}", self.name, self.lines().join("\n"));
        }
        // After `wait` there is nothing left of it, and neither call does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(stream: impl Read, is_output: bool, heard: &Heard) {
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut said = heard.said();
        if is_output {
            said.output.push_str(&line);
            said.output.push('\n');
        } else {
            said.complaint.push(line);
        }
        heard.more.notify_all();
    }
    heard.said().closed += 1;
    heard.more.notify_all();
}
