//! Processes that start, take turns, die and are started again, until there is nothing left to do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use weir_bus::member::Member;
use weir_bus::shard::{Progress, Report, Shard, ShardError, Task};

use super::cluster::Cluster;
use super::faults::Faults;
use super::member::SimulatedMember;

/// Longest wait of a turn that has nothing to do.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Turns within which a calm world must have done all there is to do.
const CALM_TURNS: usize = 30_000;

/// What a seat's process runs.
pub trait Service {
    /// One step.
    fn turn(&mut self, wait: Duration) -> Result<Progress, ShardError>;

    /// An orderly end.
    fn finish(&mut self);

    /// Whether its process runs.
    fn is_alive(&mut self) -> bool;

    /// What happened since the last call.
    fn take_reports(&mut self) -> Vec<Report>;
}

/// A member whose process the world can look at.
pub trait Simulated: Member {
    /// The member itself.
    fn simulated(&mut self) -> &mut SimulatedMember;
}

impl Simulated for SimulatedMember {
    fn simulated(&mut self) -> &mut SimulatedMember {
        self
    }
}

/// What comes between a member and its shard: nothing, or what spoils it.
pub type Wrap<M> = Rc<dyn Fn(SimulatedMember) -> M>;

impl<M: Simulated, T: Task> Service for Shard<M, T> {
    fn turn(&mut self, wait: Duration) -> Result<Progress, ShardError> {
        self.step(wait)
    }

    fn finish(&mut self) {
        // Nothing is lost by an end that is not orderly.
        let _ = Shard::finish(self);
        self.member_mut().simulated().close();
    }

    fn is_alive(&mut self) -> bool {
        self.member_mut().simulated().is_alive()
    }

    fn take_reports(&mut self) -> Vec<Report> {
        Shard::take_reports(self)
    }
}

/// Makes a service in a process of this number.
pub type Maker = Box<dyn Fn(&Rc<Cluster>, usize) -> Box<dyn Service>>;

/// A place that a process fills, and another after it: a pod, say.
struct Seat {
    make: Maker,
    start_at: u64,
    processes: Vec<Process>,
}

struct Process {
    number: usize,
    /// None while it takes its turn.
    service: Option<Box<dyn Service>>,
}

/// What happened in a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// By name, how often.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Happened {
    /// Adds to what happened.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    fn note(&mut self, report: &Report) {
        match report {
            Report::Restored(restored) => {
                self.add("restores", 1);
                self.add(restored.row.name(), 1);
            }
            Report::CaughtUp { replayed, .. } => {
                self.add("restores with a replay", u64::from(*replayed > 0));
                self.add("records replayed", *replayed);
            }
            Report::Committed { .. } => self.add("commits", 1),
            Report::Aborted { .. } => self.add("aborts", 1),
            Report::Revoked(_) => self.add("revocations", 1),
            Report::Waiting { .. } => self.add("waits for state", 1),
            Report::Trouble { .. } => self.add("troubles", 1),
            Report::Overtaken { .. } => self.add("overtaken while reading", 1),
            Report::Grown { .. } => self.add("growths seen", 1),
            Report::Assigned(_) | Report::Refused(_) | Report::Poison { .. } => {}
        }
    }

    /// Adds what happened in another world.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.counts {
            self.add(what, *times);
        }
    }
}

/// A cluster, and who works on it.
pub struct World {
    /// The brokers.
    pub cluster: Rc<Cluster>,
    seed: u64,
    seats: RefCell<Vec<Seat>>,
    next_process: RefCell<usize>,
    happened: RefCell<Happened>,
}

impl World {
    /// A world with these seats, all of them empty.
    #[must_use]
    pub fn new(seed: u64, cluster: Rc<Cluster>, makers: Vec<Maker>) -> Rc<Self> {
        let seats = makers.into_iter().map(|make| Seat { make, start_at: 0, processes: Vec::new() }).collect();
        let world = Rc::new(Self {
            cluster,
            seed,
            seats: RefCell::new(seats),
            next_process: RefCell::new(0),
            happened: RefCell::new(Happened::default()),
        });
        let weak = Rc::downgrade(&world);
        // Others go on while a member's call is under way.
        world.cluster.set_meanwhile(Some(Rc::new(move |_| {
            if let Some(world) = weak.upgrade() {
                world.turn();
            }
        })));
        world
    }

    /// Adds to what happened.
    pub fn add(&self, what: &'static str, times: u64) {
        self.happened.borrow_mut().add(what, times);
    }

    /// What happened so far.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.happened.borrow().clone()
    }

    /// Somebody takes a turn.
    pub fn turn(&self) {
        let seats = self.seats.borrow().len();
        if seats == 0 {
            return;
        }
        let seat = self.cluster.below(seats as u64) as usize;
        let Some((number, mut service)) = self.take(seat) else { return };
        let wait = Duration::from_micros(self.cluster.below(LONGEST_WAIT.as_micros() as u64));
        let outcome = service.turn(wait);
        for report in service.take_reports() {
            self.cluster.note(|| format!("process {number}: {report}"));
            self.happened.borrow_mut().note(&report);
        }
        match outcome {
            Ok(_) if service.is_alive() && self.cluster.ends_in_order() => {
                service.finish();
                self.end(seat, number, "orderly ends");
            }
            Ok(_) if service.is_alive() => self.put_back(seat, number, service),
            Ok(_) | Err(ShardError::Restart(_)) => self.end(seat, number, "deaths"),
            Err(ShardError::Fenced(_)) => self.end(seat, number, "fenced"),
            Err(error) => panic!("seed {}: process {number} asks for somebody: {error}", self.seed),
        }
    }

    /// The seat's process, its turn; one that is to be started is.
    fn take(&self, seat: usize) -> Option<(usize, Box<dyn Service>)> {
        {
            let mut seats = self.seats.borrow_mut();
            let seat = &mut seats[seat];
            let free: Vec<usize> =
                (0..seat.processes.len()).filter(|index| seat.processes[*index].service.is_some()).collect();
            if !free.is_empty() {
                let process = &mut seat.processes[free[self.cluster.below(free.len() as u64) as usize]];
                return process.service.take().map(|service| (process.number, service));
            }
            // All of its processes are in the middle of a call, perhaps stopped: whoever watches over the seat may think
            // them lost and start another.
            if !seat.processes.is_empty() && (seat.processes.len() > 2 || self.cluster.below(100) >= 3) {
                return None;
            }
            if self.cluster.now() < seat.start_at {
                // Time passes for those who wait as well.
                self.cluster.advance(20_000);
                return None;
            }
        }
        let number = self.next_process.replace_with(|next| *next + 1);
        self.seats.borrow_mut()[seat].processes.push(Process { number, service: None });
        let service = (self.seats.borrow()[seat].make)(&self.cluster, number);
        self.happened.borrow_mut().add("starts", 1);
        Some((number, service))
    }

    fn put_back(&self, seat: usize, number: usize, service: Box<dyn Service>) {
        let mut seats = self.seats.borrow_mut();
        if let Some(process) = seats[seat].processes.iter_mut().find(|process| process.number == number) {
            process.service = Some(service);
        }
    }

    fn end(&self, seat: usize, number: usize, how: &'static str) {
        if self.cluster.is_running(number) {
            self.cluster.kill(number);
        }
        self.happened.borrow_mut().add(how, 1);
        // Mostly within its session, sometimes long after.
        let pause = if self.cluster.below(3) == 0 { 40_000_000 } else { 4_000_000 };
        let start_at = self.cluster.now() + self.cluster.below(pause);
        let mut seats = self.seats.borrow_mut();
        seats[seat].processes.retain(|process| process.number != number);
        seats[seat].start_at = start_at;
    }

    /// Ends the processes that are not in the middle of a call: killed, or in order.
    pub fn stop_all(&self, in_order: bool) {
        let count = self.seats.borrow().len();
        for seat in 0..count {
            let processes = std::mem::take(&mut self.seats.borrow_mut()[seat].processes);
            for Process { number, service } in processes {
                if let Some(mut service) = service
                    && in_order
                {
                    service.finish();
                }
                if self.cluster.is_running(number) {
                    self.cluster.kill(number);
                }
            }
        }
    }

    /// Nothing goes wrong any more: turns until `is_done`, which is asked now and then.
    ///
    /// # Panics
    /// Naming the seed, where it never is.
    pub fn calm_down(&self, mut is_done: impl FnMut(&Cluster) -> bool) {
        self.cluster.set_faults(Faults::NONE);
        for turn in 0..CALM_TURNS {
            if turn % 16 == 0 && is_done(&self.cluster) && !self.cluster.has_open_transactions() {
                return;
            }
            self.turn();
        }
        panic!("seed {}: not all is done after {CALM_TURNS} calm turns: {}", self.seed, self.cluster.describe());
    }
}

/// Whether a group has committed everything that can be read of its topic.
#[must_use]
pub fn is_drained(cluster: &Cluster, group: &str, topic: &str) -> bool {
    (0..cluster.partition_count(topic)).all(|partition| {
        let position = cluster.committed_offset(group, partition).map_or(0, |committed| committed.offset);
        cluster.last_committed(topic, partition).is_none_or(|last| last < position)
    })
}
