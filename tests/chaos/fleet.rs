//! The processes of a run, and who starts them again.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::failure::Failure;
use crate::observed::{self, Event};
use crate::process::{Fault, Launch, News, Process};

/// Deaths after which a run is given up: something dies of itself over and over.
const MOST_DEATHS: usize = 120;

/// What a process died of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGKILL by itself, at a point of a commit.
    Fault(Fault),
    /// SIGKILL by the run.
    Killed,
    /// Itself, asking to be started again.
    Restart,
    /// It was asked to end, and did.
    Asked,
    /// Its work was done.
    Done,
}

/// An end of a process.
#[derive(Clone, Debug)]
pub struct Death {
    pub name: String,
    pub at: Instant,
    pub cause: Cause,
    /// What it was to die of, and did not.
    pub unmet: Option<Fault>,
}

/// Something that a process told.
#[derive(Clone, Debug)]
pub struct Told {
    pub name: String,
    pub at: Instant,
    pub event: Event,
}

/// The processes.
pub struct Fleet {
    launch: Launch,
    running: BTreeMap<String, Process>,
    /// Killed, or asked to end, by the run, and not gone yet.
    ending: BTreeMap<String, Cause>,
    sender: Sender<News>,
    news: Receiver<News>,
    pub deaths: Vec<Death>,
    pub told: Vec<Told>,
}

impl Fleet {
    pub fn new(launch: Launch) -> Self {
        let (sender, news) = channel();
        let (running, ending) = (BTreeMap::new(), BTreeMap::new());
        Self { launch, running, ending, sender, news, deaths: Vec::new(), told: Vec::new() }
    }

    pub fn start(&mut self, name: &str, arguments: &[&str], fault: Option<Fault>) -> Result<(), Failure> {
        let process = Process::start(&self.launch, name, arguments, fault, &self.sender)?;
        self.running.insert(name.to_owned(), process);
        Ok(())
    }

    /// Names of what runs and is not to end, in order, that begin like this.
    pub fn running(&self, beginning: &str) -> Vec<String> {
        let goes_on = |name: &&String| name.starts_with(beginning) && !self.ending.contains_key(*name);
        self.running.keys().filter(goes_on).cloned().collect()
    }

    /// What a process is to die of.
    pub fn fault_of(&self, name: &str) -> Option<Fault> {
        self.running.get(name).and_then(|process| process.fault)
    }

    /// It met its fault and lived on.
    pub fn forget_fault(&mut self, name: &str) {
        if let Some(process) = self.running.get_mut(name) {
            process.fault = None;
        }
    }

    /// Whether it stands where a signal stopped it.
    pub fn is_stopped(&self, name: &str) -> bool {
        self.running.get(name).is_some_and(Process::is_stopped)
    }

    pub fn kill(&mut self, name: &str) -> Result<(), Failure> {
        self.ending.insert(name.to_owned(), Cause::Killed);
        self.signal(name, Signal::KILL)
    }

    pub fn ask_to_end(&mut self, name: &str) -> Result<(), Failure> {
        self.ending.insert(name.to_owned(), Cause::Asked);
        self.signal(name, Signal::TERM)
    }

    pub fn signal(&self, name: &str, signal: Signal) -> Result<(), Failure> {
        self.running.get(name).map_or(Ok(()), |process| process.signal(signal))
    }

    /// Waits for news up to `wait`, and takes what there is. What has died is returned, for the caller to start again.
    pub fn attend(&mut self, wait: Duration) -> Result<Vec<Death>, Failure> {
        let mut dead = Vec::new();
        let mut next = self.news.recv_timeout(wait);
        loop {
            match next {
                Ok(News { name, at, line: Some(line) }) => {
                    if let Some(event) = observed::read(&line) {
                        self.told.push(Told { name, at, event });
                    }
                }
                Ok(News { name, at, line: None }) => dead.extend(self.bury(&name, at)?),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            next = self.news.recv_timeout(Duration::ZERO);
        }
        if self.deaths.len() > MOST_DEATHS {
            return Err(Failure::Environment(format!("{MOST_DEATHS} deaths: something does not come up again")));
        }
        Ok(dead)
    }

    fn bury(&mut self, name: &str, at: Instant) -> Result<Option<Death>, Failure> {
        let Some(process) = self.running.remove(name) else { return Ok(None) };
        let fault = process.fault;
        let status = process.reap()?;
        let ending = self.ending.remove(name);
        let cause = cause_of(status, ending, fault).ok_or_else(|| {
            Failure::Environment(format!("{name} ended with {status}; see {}", self.launch.logs.display()))
        })?;
        let unmet = fault.filter(|_| !matches!(cause, Cause::Fault(_)));
        let death = Death { name: name.to_owned(), at, cause, unmet };
        self.deaths.push(death.clone());
        Ok(Some(death))
    }

    /// Asks all that begin like this to end, and waits until they have.
    pub fn end(&mut self, beginning: &str, patience: Duration) -> Result<(), Failure> {
        for name in self.running(beginning) {
            self.ask_to_end(&name)?;
        }
        let deadline = Instant::now() + patience;
        while self.running.keys().any(|name| name.starts_with(beginning)) {
            if Instant::now() > deadline {
                return Err(Failure::Environment(format!("{beginning}* did not end within {} s", patience.as_secs())));
            }
            self.attend(Duration::from_millis(200))?;
        }
        Ok(())
    }
}

/// None where the end is one that nobody expects.
fn cause_of(status: ExitStatus, ending: Option<Cause>, fault: Option<Fault>) -> Option<Cause> {
    const RESTART: i32 = 70;
    let was_killed = status.signal() == Some(Signal::KILL.as_raw());
    match (ending, fault) {
        (Some(Cause::Killed), _) if was_killed => Some(Cause::Killed),
        // An exit status of 70 may cross the request to end.
        (Some(Cause::Asked), _) if status.success() || status.code() == Some(RESTART) => Some(Cause::Asked),
        (_, Some(fault)) if was_killed => Some(Cause::Fault(fault)),
        _ if status.code() == Some(RESTART) => Some(Cause::Restart),
        (None, None) if status.success() => Some(Cause::Done),
        _ => None,
    }
}
