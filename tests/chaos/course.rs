//! The course of a run: two sensors and their consumers, disturbed by plan; then the same log once more, undisturbed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use weir_bus::Topics;
use weir_bus::member::FaultPoint;
use weir_tests::broker::{Broker, BrokerError, Coordinated};

use crate::failure::Failure;
use crate::fleet::{Cause, Death, Fleet};
use crate::ledger::Ledger;
use crate::process::{Fault, Launch};
use crate::schedule::{Deed, Extent, STOPPED, Schedule};
use crate::traffic;

/// How long the groups may take to read what there is once the sensors have ended.
const DRAINING: Duration = Duration::from_mins(4);

/// How long services may take to end in order.
const ENDING: Duration = Duration::from_mins(1);

/// How often somebody looks whether a group has read everything.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a session lasts, ms: the least that brokers allow.
const SESSION_MS: &str = "6000";

/// A deed, and when it was done.
#[derive(Clone, Debug)]
pub struct Done {
    pub at: Instant,
    pub what: String,
}

/// The lanes of a run: names of topics and groups follow from a lane's prefix.
#[derive(Clone, Debug)]
pub struct Lane {
    pub topics: Topics,
    /// The same without the dot.
    pub name: String,
}

impl Lane {
    pub fn new(name: &str) -> Self {
        Self { topics: Topics::new(&format!("{name}.")), name: name.to_owned() }
    }
}

/// A run on its way.
pub struct Course {
    pub broker: Arc<Broker>,
    pub ledger: Ledger,
    pub fleet: Fleet,
    pub disturbed: Lane,
    pub golden: Lane,
    /// When the sensors began, on both clocks.
    pub began: (Instant, SystemTime),
    pub done: Vec<Done>,
    extent: Extent,
    schedule: Schedule,
    launch: Launch,
    folder: PathBuf,
    stopped: Option<String>,
    left: Option<String>,
    /// The next detector to start stops at this point of a commit.
    stop_next: Option<FaultPoint>,
    /// Stopped by itself, and since when.
    zombies: BTreeMap<String, Instant>,
    /// Detectors that stopped within a commit, and were let go on.
    pub resumed: Vec<String>,
    broker_away: Option<u32>,
    /// A broker that comes back: that takes its time, in which services die and are started again.
    returning: Option<JoinHandle<Result<(), BrokerError>>>,
    is_late: bool,
}

impl Course {
    /// Everything is made, nothing runs yet.
    pub fn new(broker: Broker, weir: PathBuf, folder: PathBuf, extent: Extent, seed: u64) -> Result<Self, Failure> {
        let config = folder.join("weir.toml");
        let text = format!(
            "[kafka]\nbootstrap = [{}]\n[kafka.properties]\n\"session.timeout.ms\" = \"{SESSION_MS}\"\n\
             \"heartbeat.interval.ms\" = \"1000\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n[detector]\nstart = \"earliest\"\n{}",
            broker.bootstrap().split(',').map(|address| format!("{address:?}")).collect::<Vec<_>>().join(", "),
            traffic::PROFILE,
        );
        fs::write(&config, text).map_err(Failure::file(&config))?;
        for (number, packets) in traffic::packets(extent.seconds, seed).iter().enumerate() {
            let path = folder.join(format!("sensor-{number}.pcap"));
            crate::frames::write(&path, packets).map_err(Failure::file(&path))?;
        }
        let launch = Launch { weir, config, logs: folder.clone() };
        Ok(Self {
            ledger: Ledger::new(broker.bootstrap()),
            fleet: Fleet::new(launch.clone()),
            broker: Arc::new(broker),
            disturbed: Lane::new("weir"),
            golden: Lane::new("golden"),
            began: (Instant::now(), SystemTime::now()),
            done: Vec::new(),
            extent,
            schedule: Schedule::new(extent, seed),
            launch,
            folder,
            stopped: None,
            left: None,
            stop_next: None,
            zombies: BTreeMap::new(),
            resumed: Vec::new(),
            broker_away: None,
            returning: None,
            is_late: false,
        })
    }

    /// The run with everything that is done to it, until every group has read everything.
    pub fn disturb(&mut self) -> Result<(), Failure> {
        self.create_topics(&self.disturbed.clone())?;
        for name in ["d1", "d2", "d3"] {
            self.start(name)?;
        }
        self.start("results")?;
        self.await_group("weir-detector-source", &self.disturbed.topics.flows())?;
        self.began = (Instant::now(), SystemTime::now());
        for number in 0..2 {
            let capture = self.folder.join(format!("sensor-{number}.pcap"));
            let arguments = ["sensor", &capture.display().to_string(), "--sensor-id", &format!("tap-{number}")];
            let pace = ["--pace", "realtime", "--rebase", "now"];
            self.fleet.start(&format!("sensor-{number}"), &[&arguments[..], &pace[..]].concat(), None)?;
        }
        while !self.fleet.running("sensor").is_empty() || !self.schedule.deeds.is_empty() || self.returning.is_some() {
            self.turn()?;
        }
        self.note("both sensors ended".to_owned());
        self.drain(&self.disturbed.clone(), &self.disturbed.topics.flows())?;
        self.note("every group has read everything".to_owned());
        self.end_services()
    }

    /// One detector and one results over the same flows, left alone.
    pub fn repeat(&mut self) -> Result<(), Failure> {
        let (lane, flows) = (self.golden.clone(), self.disturbed.topics.flows());
        self.create_topics(&lane)?;
        let (prefix, input) = (format!("topics.prefix={}", lane.topics.prefix), format!("detector.input={flows}"));
        let detector = ["detector", "--set", "detector.instance=g1", "--set", &prefix, "--set", &input];
        self.fleet.start("golden-detector", &detector, None)?;
        let results = ["results", "--set", "results.instance=g1", "--set", &prefix];
        self.fleet.start("golden-results", &results, None)?;
        self.drain(&lane, &flows)?;
        self.end_services()
    }

    fn end_services(&mut self) -> Result<(), Failure> {
        // A process that is stopped takes no request.
        for name in self.fleet.running("") {
            self.fleet.signal(&name, Signal::CONT)?;
        }
        self.fleet.end("", ENDING)
    }

    fn create_topics(&self, lane: &Lane) -> Result<(), Failure> {
        let replication = if self.extent.with_brokers { "3" } else { "1" };
        let mut command = Command::new(&self.launch.weir);
        command.arg("--config").arg(&self.launch.config).args([
            "topics",
            "create",
            "--dev",
            "--replication",
            replication,
        ]);
        command.arg("--set").arg(format!("topics.prefix={}", lane.topics.prefix)).stdin(Stdio::null());
        let output = command.output().map_err(Failure::file(&self.launch.weir))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Failure::Environment(format!("no topics: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Starts a detector or results, with what it is to die of.
    fn start(&mut self, name: &str) -> Result<(), Failure> {
        if name == "results" {
            let fault = self.schedule.next_results_fault();
            return self.fleet.start(name, &["results", "--set", "results.instance=r1"], fault);
        }
        let stops = self.stop_next.take().map(|point| Fault { point, pass: 3, stops: true });
        let fault = stops.or_else(|| self.schedule.next_fault(self.is_late));
        self.fleet.start(name, &["detector", "--set", &format!("detector.instance={name}")], fault)
    }

    /// Does what is due, and starts again what has died.
    fn turn(&mut self) -> Result<(), Failure> {
        let now = self.began.0.elapsed();
        let until = self.schedule.deeds.front().map_or(LOOK_EVERY, |(due, _)| due.saturating_sub(now));
        for death in self.fleet.attend(until.min(LOOK_EVERY))? {
            self.restart(&death)?;
        }
        if let Some(returned) = self.returning.take_if(|returning| returning.is_finished()) {
            returned.join().map_err(|_| Failure::Environment("a broker's start panicked".to_owned()))??;
            self.note("the broker is back".to_owned());
        }
        self.wake_zombies()?;
        let now = self.began.0.elapsed();
        if !self.is_late && now > Duration::from_millis(self.extent.seconds * 700) {
            self.hurry()?;
        }
        while self.schedule.deeds.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, deed)) = self.schedule.deeds.pop_front() else { break };
            self.perform(deed)?;
        }
        Ok(())
    }

    /// Lets those go on that stopped within a commit long ago.
    fn wake_zombies(&mut self) -> Result<(), Failure> {
        for name in self.fleet.running("d") {
            let stops = self.fleet.fault_of(&name).is_some_and(|fault| fault.stops);
            if !stops || !self.fleet.is_stopped(&name) {
                continue;
            }
            let Some(since) = self.zombies.get(&name) else {
                self.note(format!("{name} has stopped within a commit"));
                self.zombies.insert(name, Instant::now());
                continue;
            };
            if since.elapsed() > STOPPED {
                self.note(format!("SIGCONT to {name}"));
                self.fleet.signal(&name, Signal::CONT)?;
                self.zombies.remove(&name);
                // It finds its transaction given up, and joins its group anew.
                self.fleet.forget_fault(&name);
                self.resumed.push(name);
            }
        }
        Ok(())
    }

    fn restart(&mut self, death: &Death) -> Result<(), Failure> {
        if death.name.starts_with("golden") {
            return Err(Failure::Environment(format!("{} is to be left alone, and ended: {death:?}", death.name)));
        }
        let is_results = death.name == "results";
        if let Some(fault) = death.unmet {
            if fault.stops {
                // It never came that far.
                self.stop_next = Some(fault.point);
            } else if is_results {
                self.schedule.give_back_results(fault);
            } else {
                self.schedule.give_back(fault);
            }
        }
        if self.stopped.as_ref() == Some(&death.name) {
            self.stopped = None;
        }
        if self.left.as_ref() == Some(&death.name) || matches!(death.cause, Cause::Asked | Cause::Done) {
            return Ok(());
        }
        self.start(&death.name)
    }

    /// The rest of the planned deaths come soon: those that wait for many passes are killed, and die of few the next time.
    fn hurry(&mut self) -> Result<(), Failure> {
        self.is_late = true;
        for name in self.detectors() {
            if self.fleet.fault_of(&name).is_some() || self.schedule.has_faults() {
                self.note(format!("SIGKILL to {name}, to die at its fault soon"));
                self.fleet.kill(&name)?;
            }
        }
        Ok(())
    }

    /// Detectors that run and are not stopped.
    fn detectors(&self) -> Vec<String> {
        let mut names = self.fleet.running("d");
        let stops = |name: &String| self.fleet.fault_of(name).is_some_and(|fault| fault.stops);
        names.retain(|name| Some(name) != self.stopped.as_ref() && !stops(name));
        names
    }

    fn perform(&mut self, deed: Deed) -> Result<(), Failure> {
        match deed {
            Deed::KillDetector | Deed::StopInCommit(_) => {
                let names = self.detectors();
                if names.is_empty() {
                    // All are about to come up again: a moment later one will have.
                    let later = self.began.0.elapsed() + Duration::from_secs(1);
                    self.schedule.deeds.push_front((later, deed));
                    return Ok(());
                }
                let name = &names[self.schedule.choose(names.len())];
                if let Deed::StopInCommit(point) = deed {
                    self.note(format!("SIGKILL to {name}; the next detector stops at {}", point.name()));
                    self.stop_next = Some(point);
                } else {
                    self.note(format!("SIGKILL to {name}"));
                }
                self.fleet.kill(name)?;
            }
            Deed::KillResults => {
                self.note("SIGKILL to results".to_owned());
                self.fleet.kill("results")?;
            }
            Deed::Stop => {
                let Some(name) = self.detectors().into_iter().next() else { return Ok(()) };
                self.note(format!("SIGSTOP to {name}"));
                self.fleet.signal(&name, Signal::STOP)?;
                self.stopped = Some(name);
            }
            Deed::Continue => {
                let Some(name) = self.stopped.take() else { return Ok(()) };
                self.note(format!("SIGCONT to {name}"));
                self.fleet.signal(&name, Signal::CONT)?;
            }
            Deed::Join => {
                self.note("d4 joins".to_owned());
                self.start("d4")?;
            }
            Deed::Leave => {
                let Some(name) = self.detectors().into_iter().rfind(|name| name != "d4") else { return Ok(()) };
                self.note(format!("{name} leaves for good"));
                self.left = Some(name.clone());
                self.fleet.ask_to_end(&name)?;
            }
            Deed::KillGroupCoordinator => self.kill_broker(Coordinated::Group, "weir-detector-source")?,
            Deed::KillTransactionCoordinator => {
                self.kill_broker(Coordinated::TransactionalId, "weir-detector-source-0/d1")?;
            }
            Deed::RestartBroker => {
                let Some(node) = self.broker_away.take() else { return Ok(()) };
                self.note(format!("broker {node} starts again"));
                let broker = Arc::clone(&self.broker);
                self.returning = Some(thread::spawn(move || broker.restart_node(node)));
            }
        }
        Ok(())
    }

    fn kill_broker(&mut self, whose: Coordinated, name: &str) -> Result<(), Failure> {
        let node = self.broker.coordinator_of(whose, name)?;
        self.note(format!("SIGKILL to broker {node}, which coordinates {name}"));
        self.broker.kill_node(node)?;
        self.broker_away = Some(node);
        Ok(())
    }

    /// Waits until a group has read an empty topic's nothing: all its members have joined and restored.
    fn await_group(&mut self, group: &str, topic: &str) -> Result<(), Failure> {
        self.await_that(&format!("{group} to share {topic}"), |course| {
            let restored = |event: &crate::observed::Event| match event {
                crate::observed::Event::Restored { stage, partition, .. } if stage == "source" => Some(*partition),
                _ => None,
            };
            let partitions: std::collections::BTreeSet<u32> =
                course.fleet.told.iter().filter_map(|told| restored(&told.event)).collect();
            Ok(partitions.len() == 12)
        })
    }

    /// Waits until every stage of a lane has read all that the one before it wrote.
    fn drain(&mut self, lane: &Lane, flows: &str) -> Result<(), Failure> {
        let steps = [
            (format!("{}-detector-source", lane.name), flows.to_owned()),
            (format!("{}-detector-site", lane.name), lane.topics.partials()),
            (format!("{}-results", lane.name), lane.topics.findings()),
        ];
        for (group, topic) in steps {
            self.await_that(&format!("{group} to read {topic}"), |course| course.ledger.is_read(&group, &topic))?;
        }
        Ok(())
    }

    fn await_that(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool, Failure>) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAINING;
        while !is_so(self)? {
            if Instant::now() > deadline {
                return Err(Failure::Environment(format!("waited {} s in vain for {what}", DRAINING.as_secs())));
            }
            for death in self.fleet.attend(LOOK_EVERY)? {
                self.restart(&death)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, what: String) {
        let at = Instant::now();
        eprintln!("{:7.1} s  {what}", at.saturating_duration_since(self.began.0).as_secs_f64());
        self.done.push(Done { at, what });
    }
}
