//! Schedules of the detector's two stages and of results, over flows from a log: whatever happens, what they publish is what
//! they publish when nothing does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_bus::Topics;
use weir_bus::shard::{Progress, Report, Shard, ShardError, ShardSettings, Start};
use weir_detector::{DetectorConfig, StageShard, Task as DetectorTask};
use weir_engine::config::Shares;
use weir_engine::{EngineConfig, Profile};
use weir_results::{GROUP, ResultsTask, TaskSettings};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::Micros;

use super::cluster::{Cluster, Trace};
use super::disaster::{Disaster, Expectation};
use super::faults::Faults;
use super::member::{Membership, SimulatedMember};
use super::publisher::Publisher;
use super::traffic::{EPOCH, Traffic, is_long, profile, traffic};
use super::verdicts::{Groups, Verdicts, origin_of};
use super::world::{Happened, Maker, Service, Simulated, World, Wrap, is_drained};
use crate::chance::Chance;

/// Kinds of traffic: each is judged once undisturbed.
pub const VARIETIES: u64 = 12;

/// A day after the traffic: everything is read as a backlog.
const TIME_OF_DAY: Micros = EPOCH + 86_400_000_000;

/// A schedule that is over.
struct Ran {
    world: Rc<World>,
    verdicts: Verdicts,
    /// Origins of the dead letters that must have come of poison.
    poison: Vec<String>,
    /// Before which flows may have gone uncounted, by partition: where the source stage's group stood after a disaster, or its
    /// log began.
    resumed: Vec<i64>,
}

/// What every pipeline of a process shares.
pub struct Pipelines {
    config: DetectorConfig,
    metrics: (DetectorMetrics, EngineMetrics),
    traffic: RefCell<BTreeMap<u64, Rc<Traffic>>>,
    undisturbed: RefCell<BTreeMap<u64, Rc<Verdicts>>>,
}

impl<M: Simulated, T: DetectorTask> Service for StageShard<M, T> {
    fn turn(&mut self, wait: Duration) -> Result<Progress, ShardError> {
        // The service's own step tells metrics and log what happened, and forgets it; it does nothing else.
        self.shard_mut().step(wait)
    }

    fn finish(&mut self) {
        Service::finish(self.shard_mut());
    }

    fn is_alive(&mut self) -> bool {
        Service::is_alive(self.shard_mut())
    }

    fn take_reports(&mut self) -> Vec<Report> {
        self.shard_mut().take_reports()
    }
}

fn no_time() -> Micros {
    0
}

/// How a schedule is laid out; all of it follows from its seed.
struct Layout {
    variety: u64,
    faults: Faults,
    is_static: bool,
    /// Seats of source stage, site stage and results.
    seats: [u64; 3],
    turns: u64,
    /// Whether the whole log stands there from the beginning.
    is_backlog: bool,
    /// How often, of a hundred turns, bytes that are no record come to a topic that only services write to.
    poison: u64,
    /// What happens to the logs when half of the turns are over.
    disaster: Option<Disaster>,
}

impl Layout {
    fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x9199_e11e);
        let variety = chance.below(VARIETIES);
        Self {
            variety,
            faults: Faults::any(&mut chance),
            is_static: chance.percent(50),
            seats: [chance.between(1, 3), chance.between(1, 2), chance.between(1, 2)],
            // Long enough for what is long to be disturbed while tasks write their whole state anew.
            turns: if is_long(variety) { chance.between(300, 1_500) } else { chance.between(50, 500) },
            is_backlog: chance.percent(50),
            poison: if chance.percent(30) { 5 } else { 0 },
            disaster: Disaster::any(&mut chance),
        }
    }

    fn undisturbed(variety: u64) -> Self {
        Self {
            variety,
            faults: Faults::NONE,
            is_static: true,
            seats: [1, 1, 1],
            turns: 0,
            is_backlog: true,
            poison: 0,
            disaster: None,
        }
    }
}

impl Pipelines {
    /// Nothing judged yet.
    ///
    /// # Panics
    /// If the simulation's profile names thresholds that are no more: a bug of the simulation.
    #[must_use]
    pub fn new() -> Self {
        let profile: Profile = profile().unwrap_or_else(|error| panic!("the simulation's profile: {error}"));
        // Little memory, as there is little traffic: the tables are made anew for each pane.
        let engine = EngineConfig { shares: Shares::of(4 << 20), ..EngineConfig::default() };
        let config = DetectorConfig {
            start: Start::Earliest,
            engine,
            ..DetectorConfig::new(Topics::default(), Arc::new(profile))
        };
        Self {
            config,
            metrics: (DetectorMetrics::default(), EngineMetrics::default()),
            traffic: RefCell::default(),
            undisturbed: RefCell::default(),
        }
    }

    fn traffic(&self, variety: u64) -> Rc<Traffic> {
        self.traffic.borrow_mut().entry(variety).or_insert_with(|| Rc::new(traffic(variety))).clone()
    }

    fn groups(&self) -> Groups {
        Groups { source: self.config.source_group(), site: self.config.site_group() }
    }

    fn cluster(&self, seed: u64, layout: &Layout, traffic: &Traffic) -> Rc<Cluster> {
        let topics = &self.config.topics;
        let cluster = Cluster::new(seed, layout.faults.clone(), TIME_OF_DAY);
        for (topic, partitions) in [
            (topics.flows(), traffic.partitions),
            (topics.state_source(), traffic.partitions),
            (topics.partials(), 2),
            (topics.state_site(), 2),
            (topics.findings(), 2),
            (topics.state_results(), 2),
            (topics.anomalies(), 2),
            (topics.anomalies_ecs(), 2),
            (topics.dead(), 1),
        ] {
            cluster.create(&topic, partitions);
        }
        cluster
    }

    /// Seats for all members; `wrap` comes between member and shard.
    fn makers<M: Simulated + 'static>(&self, layout: &Layout, wrap: &Wrap<M>) -> Vec<Maker> {
        let topics = &self.config.topics;
        let is_static = layout.is_static;
        let member = |name: &str, group: String, topic: String| {
            let (name, wrap) = (name.to_owned(), wrap.clone());
            move |cluster: &Rc<Cluster>, process: usize, seat: u64| {
                let transactional_id = format!("pod-{name}-{seat}");
                let instance = is_static.then(|| transactional_id.clone());
                let (group, topic) = (group.clone(), topic.clone());
                wrap(SimulatedMember::join(cluster, &Membership { process, group, topic, instance, transactional_id }))
            }
        };
        let mut makers: Vec<Maker> = Vec::new();
        for seat in 0..layout.seats[0] {
            let member = member("source", self.config.source_group(), self.config.source_input());
            let (config, metrics) = (self.config.clone(), self.metrics.clone());
            makers.push(Box::new(move |cluster, process| {
                Box::new(StageShard::source(&config, member(cluster, process, seat), (&metrics.0, &metrics.1)))
            }));
        }
        for seat in 0..layout.seats[1] {
            let member = member("site", self.config.site_group(), topics.partials());
            let (config, metrics) = (self.config.clone(), self.metrics.clone());
            makers.push(Box::new(move |cluster, process| {
                Box::new(StageShard::site(&config, member(cluster, process, seat), (&metrics.0, &metrics.1)))
            }));
        }
        for seat in 0..layout.seats[2] {
            let member = member("results", GROUP.to_owned(), topics.findings());
            let outputs = vec![topics.anomalies(), topics.anomalies_ecs(), topics.dead()];
            let settings = ShardSettings {
                start: Start::Earliest,
                ..ShardSettings::new(topics.findings(), topics.state_results(), outputs)
            };
            let task =
                TaskSettings { clock: no_time, metrics: None, ledger_capacity: 1_024, ..TaskSettings::new(topics) };
            makers.push(Box::new(move |cluster, process| {
                let member = member(cluster, process, seat);
                Box::new(Shard::<_, ResultsTask>::new(member, settings.clone(), task.clone()))
            }));
        }
        makers
    }

    fn is_done(&self, layout: &Layout, cluster: &Cluster) -> bool {
        let topics = &self.config.topics;
        layout.disaster.is_none_or(|disaster| disaster.is_over(cluster, topics))
            && is_drained(cluster, &self.config.source_group(), &topics.flows())
            && is_drained(cluster, &self.config.site_group(), &topics.partials())
            && is_drained(cluster, GROUP, &topics.findings())
    }

    /// Poison comes to any topic that services read of each other; returns the origin of the dead letter that must come of it.
    fn poison(&self, cluster: &Cluster) -> Option<String> {
        let topics = &self.config.topics;
        let read = [topics.partials(), topics.findings()];
        let state = [topics.state_source(), topics.state_site(), topics.state_results()];
        let topic = read.iter().chain(&state).nth(cluster.below(5) as usize)?;
        let partition = cluster.below(u64::from(cluster.partition_count(topic))) as u32;
        let offset = cluster.append_poison(topic, partition);
        // What cannot be read of a state topic is passed over.
        read.contains(topic).then(|| origin_of(topic, partition, offset))
    }

    fn drive<M: Simulated + 'static>(&self, seed: u64, layout: &Layout, wrap: &Wrap<M>, trace: Option<Trace>) -> Ran {
        let traffic = self.traffic(layout.variety);
        let cluster = self.cluster(seed, layout, &traffic);
        if let Some(trace) = trace {
            cluster.set_trace(trace);
        }
        let world = World::new(seed, cluster.clone(), self.makers(layout, wrap));
        let mut publisher = Publisher::new(traffic.clone(), self.config.source_group());
        if layout.is_backlog {
            publisher.publish(&cluster, usize::MAX);
        }
        let (mut poison, mut resumed) = (Vec::new(), vec![0; traffic.partitions as usize]);
        for turn in 0..layout.turns {
            if let Some(disaster) = layout.disaster.filter(|_| turn == layout.turns / 2) {
                if disaster.needs_silence() {
                    world.stop_all(false);
                    // Sessions and transactions end, their markers arrive.
                    cluster.advance(60_000_000);
                }
                disaster.strike(&cluster, &self.config);
                for (resumed, partition) in resumed.iter_mut().zip(0..) {
                    let committed = cluster.committed_offset(&self.config.source_group(), partition);
                    let (log_start, _) = cluster.bounds(&self.config.topics.flows(), partition);
                    *resumed = committed.map_or(0, |committed| committed.offset).max(log_start);
                }
                world.add(disaster.name(), 1);
            }
            world.turn();
            publisher.publish(&cluster, if layout.is_backlog { usize::MAX } else { cluster.below(12) as usize });
            if layout.poison > 0 && cluster.below(100) < layout.poison {
                poison.extend(self.poison(&cluster));
                world.add("poisoned records", 1);
            }
            if cluster.below(100) == 0 {
                let topics = &self.config.topics;
                let state = [topics.state_source(), topics.state_site(), topics.state_results()];
                cluster.compact(&state[cluster.below(3) as usize]);
            }
        }
        world.calm_down(|cluster| {
            publisher.publish(cluster, usize::MAX);
            publisher.is_done() && self.is_done(layout, cluster)
        });
        let verdicts = Verdicts::of(&cluster, &self.config.profile, &self.config.engine, &self.groups());
        Ran { world, verdicts, poison, resumed }
    }

    /// What is published of a variety of traffic when nothing happens.
    pub fn undisturbed(&self, variety: u64) -> Rc<Verdicts> {
        if let Some(known) = self.undisturbed.borrow().get(&variety) {
            return known.clone();
        }
        let wrap: Wrap<SimulatedMember> = Rc::new(|member| member);
        let verdicts = self.drive(variety, &Layout::undisturbed(variety), &wrap, None).verdicts;
        let verdicts = Rc::new(verdicts);
        self.undisturbed.borrow_mut().insert(variety, verdicts.clone());
        verdicts
    }

    /// Runs the schedule of a seed; returns what happened in it.
    ///
    /// # Panics
    /// Naming the seed, where a contract is violated or what is published differs from the undisturbed run.
    pub fn run(&self, seed: u64, trace: Option<Trace>) -> Happened {
        let wrap: Wrap<SimulatedMember> = Rc::new(|member| member);
        self.run_with(seed, &wrap, trace)
    }

    /// Likewise, with something between the members and their shards.
    ///
    /// # Panics
    /// Likewise.
    pub fn run_with<M: Simulated + 'static>(&self, seed: u64, wrap: &Wrap<M>, trace: Option<Trace>) -> Happened {
        let layout = Layout::of(seed);
        let undisturbed = self.undisturbed(layout.variety);
        let Ran { world, mut verdicts, poison, resumed } = self.drive(seed, &layout, wrap, trace);
        let disaster = layout.disaster;
        let expectation = disaster.map_or(Expectation::Same, Disaster::expectation);
        if expectation == Expectation::SameButLetters {
            verdicts.unite_letters();
        }
        if matches!(expectation, Expectation::Same | Expectation::SameButLetters | Expectation::SameButNumbers)
            && let Some(missing) = verdicts.take_letters(&poison)
        {
            panic!("seed {seed}, {disaster:?}: no dead letter of {missing}");
        }
        if let Some(violation) = expectation.violation(&verdicts, &undisturbed) {
            panic!("seed {seed}, {disaster:?}: {violation}");
        }
        let rewritten = verdicts.state_from.iter().filter(|offset| **offset > 0).count();
        world.add("states that were written anew", rewritten as u64);
        let traffic = self.traffic(layout.variety);
        for ((counters, resumed), partition) in verdicts.source.iter().zip(resumed).zip(0..) {
            let there = traffic.messages.iter().filter(|(_, message)| message.partition == partition).count() as u64;
            let read = counters.read();
            // Nobody else writes to the flows: offsets count records.
            let begins_again = disaster.is_some_and(Disaster::resets_source);
            let fits = if begins_again { read + resumed as u64 >= there } else { read == there };
            assert!(fits, "seed {seed}, {disaster:?}: {read} fates of {there} records of partition {partition}");
        }
        world.happened()
    }
}

impl Default for Pipelines {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use weir_bus::{Message, Value};
    use weir_schemas::Record;

    use super::super::disaster::Stage;
    use super::*;

    /// Was a bug of the simulation: an operator reset a group that no member had lived long enough to join.
    #[test]
    fn a_disaster_strikes_a_group_that_nobody_ever_joined() {
        let pipelines = Pipelines::new();
        let layout = Layout::undisturbed(0);
        for disaster in [
            Disaster::GroupExpires(Stage::Site),
            Disaster::CommitLost(Stage::Site),
            Disaster::ReadAgain(Stage::Site),
            Disaster::Moved(Stage::Site),
            Disaster::StateEmptied(Stage::Site),
        ] {
            let cluster = pipelines.cluster(0, &layout, &pipelines.traffic(0));
            disaster.strike(&cluster, &pipelines.config);
            assert!(cluster.committed_offset(&pipelines.config.site_group(), 0).is_none(), "{disaster:?}");
        }
    }

    /// Was a bug: a record that cannot be read was dead-lettered once more where a replay ended with it.
    #[test]
    fn the_dead_letter_of_a_replays_last_record_is_sent_once() {
        let pipelines = Pipelines::new();
        let flows = pipelines.config.topics.flows();
        let layout = Layout { seats: [1, 0, 0], ..Layout::undisturbed(0) };
        let cluster = pipelines.cluster(0, &layout, &Traffic { partitions: 1, messages: Vec::new(), is_long: false });
        let wrap: Wrap<SimulatedMember> = Rc::new(|member| member);
        let maker = pipelines.makers(&layout, &wrap).remove(0);
        let read_through = |process: usize, offset: i64| {
            let mut service = maker(&cluster, process);
            let group = pipelines.config.source_group();
            for _ in 0..1_000 {
                service.turn(Duration::from_millis(100)).unwrap();
                if cluster.committed_offset(&group, 0).is_some_and(|committed| committed.offset >= offset) {
                    cluster.kill(process);
                    return;
                }
            }
            panic!("offset {offset} is never committed");
        };
        let traffic = pipelines.traffic(0);
        let is_flow = |message: &&Message| matches!(message.value, Value::Record(Record::Flow(_)));
        let flow = traffic.messages.iter().map(|(_, message)| message).find(is_flow).unwrap().clone();
        // Its pane stays open: the successor reads it again, and what follows it.
        cluster.append(Message { partition: 0, ..flow }, EPOCH);
        let poison = || cluster.append(Message::new(&flows, 0, "nobody", Value::Bytes(vec![0xff; 3])), EPOCH);
        poison();
        read_through(0, 2);
        poison();
        read_through(1, 3);
        let verdicts = Verdicts::of(&cluster, &pipelines.config.profile, &pipelines.config.engine, &pipelines.groups());
        assert_eq!(verdicts.dead, [origin_of(&flows, 0, 1), origin_of(&flows, 0, 2)]);
        assert_eq!((verdicts.source[0].dead, verdicts.source[0].read()), (2, 3));
    }
}
