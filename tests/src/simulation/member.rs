//! [`Member`] over the simulated cluster: each call may be held up, fail with or without having taken place, or be the last.

use std::rc::Rc;
use std::time::Duration;

use weir_bus::member::{Committed, Event, FaultPoint, Member, MemberError, OffsetCommit, Remedy};
use weir_bus::{Delivery, Message};
use weir_schemas::Micros;
use weir_schemas::commit::MAX_METADATA_BYTES;

use super::cluster::{Cluster, Life, State};
use super::consumer::Consumer;
use super::faults::{Call, Strike};
use super::producer::Producer;

/// How a member takes part.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Process that it belongs to: a number never used before.
    pub process: usize,
    /// Consumer group.
    pub group: String,
    /// Input topic.
    pub topic: String,
    /// Instance id of a static member.
    pub instance: Option<String>,
    /// Transactional id.
    pub transactional_id: String,
}

/// A member of a group over the simulated cluster.
pub struct SimulatedMember {
    cluster: Rc<Cluster>,
    process: usize,
    consumer: Consumer,
    producer: Producer,
    /// The producer's call that must be repeated, for nobody knows whether it took place.
    unanswered: Option<Call>,
}

fn dead() -> MemberError {
    MemberError::restart("the process is dead")
}

impl SimulatedMember {
    /// Takes the transactional id over, and joins the group before long.
    #[must_use]
    pub fn join(cluster: &Rc<Cluster>, membership: &Membership) -> Self {
        let Membership { process, group, topic, instance, transactional_id } = membership;
        let (consumer, producer) = {
            let mut state = cluster.state.borrow_mut();
            state.ensure_group(group, topic);
            state.set_life(*process, Life::Running);
            state.note(|| format!("process {process} starts: {transactional_id}"));
            let producer = Producer::new(&mut state, transactional_id);
            (Consumer::new(*process, group, topic, instance.as_deref()), producer)
        };
        // The coordinator answers once the predecessor's transaction has ended everywhere.
        while cluster.state.borrow().is_busy(transactional_id) {
            cluster.advance(100_000);
        }
        Self { cluster: cluster.clone(), process: *process, consumer, producer, unanswered: None }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Rc<Cluster> {
        &self.cluster
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.cluster.is_running(self.process)
    }

    /// An orderly end.
    pub fn close(&mut self) {
        let mut state = self.cluster.state.borrow_mut();
        self.consumer.close(&mut state);
        state.set_life(self.process, Life::Silent);
    }

    /// Spoils the member: it commits in any generation.
    pub(super) fn ignore_generations(&mut self) {
        self.consumer.ignores_generations = true;
    }

    /// Spoils the member: it reads what is not committed.
    pub(super) fn read_uncommitted(&mut self) {
        self.consumer.reads_uncommitted = true;
    }

    /// Spoils a commit: it takes place at once, in no transaction.
    pub(super) fn commit_outside(&self, offsets: &[OffsetCommit]) {
        let mut state = self.cluster.state.borrow_mut();
        let group = state.group_mut(&self.consumer.group);
        for OffsetCommit { partition, offset, metadata } in offsets {
            group.set_offset(*partition, Committed { offset: *offset, metadata: metadata.clone() });
        }
    }

    /// Spoils a look at the commits: none that is pending is waited for.
    pub(super) fn committed_anyway(&self, partitions: &[u32]) -> Vec<Option<Committed>> {
        let state = self.cluster.state.borrow();
        let group = state.group(&self.consumer.group);
        partitions.iter().map(|partition| group.committed_anyway(*partition)).collect()
    }

    fn die(&mut self) -> MemberError {
        {
            let mut state = self.cluster.state.borrow_mut();
            self.producer.die(&mut state);
        }
        self.cluster.kill(self.process);
        dead()
    }

    /// What happens before a call: others go on, the process is stopped, the coordinator lost, the brokers away.
    fn enter(&mut self, call: Call) -> Result<Strike, MemberError> {
        self.be_held_up();
        let mut state = self.cluster.state.borrow_mut();
        if !state.is_running(self.process) {
            return Err(dead());
        }
        let step = state.chance.below(400);
        state.advance(step);
        self.consumer.background(&mut state);
        if state.faults.outage > 0 && state.chance.below(10_000) < state.faults.outage {
            let longest = state.faults.longest_outage;
            state.outage_until = state.now + state.chance.below(longest.max(1));
            state.note(|| "the brokers are away".to_owned());
        }
        if state.now < state.outage_until && call != Call::Pass && call != Call::Begin {
            let lost = 200_000 + state.chance.below(2_000_000);
            state.advance(lost);
            return Err(MemberError::retry("no broker answers"));
        }
        let State { faults, chance, .. } = &mut *state;
        let strike = faults.strike(chance, call);
        if strike != Strike::None {
            let process = self.process;
            state.note(|| format!("process {process}: {call:?} is struck by {strike:?}"));
        }
        drop(state);
        match strike {
            Strike::Die => Err(self.die()),
            Strike::Restart => Err(MemberError::restart("the client is broken")),
            Strike::Retry => Err(MemberError::retry("no answer in time")),
            strike => Ok(strike),
        }
    }

    fn be_held_up(&mut self) {
        let mut turns = 0;
        let mut stopped_until = None;
        {
            let mut state = self.cluster.state.borrow_mut();
            if !state.is_running(self.process) {
                return;
            }
            let (interleave, stop, cut_off) = (state.faults.interleave, state.faults.stop, state.faults.cut_off);
            if state.chance.below(10_000) < interleave {
                turns = 1 + state.chance.below(4);
            }
            if state.chance.below(10_000) < stop {
                let until = state.now + 1_000_000 + state.chance.below(45_000_000);
                state.note(|| format!("process {} is stopped", self.process));
                state.set_life(self.process, Life::Silent);
                stopped_until = Some(until);
                turns = 5 + state.chance.below(60);
            }
            if state.chance.below(10_000) < cut_off {
                let until = state.now + state.chance.below(40_000_000);
                state.note(|| format!("process {} has lost its coordinator", self.process));
                self.consumer.cut_off(&mut state, until);
            }
            let (overdue, mistaken) = (state.faults.overdue, state.faults.mistaken);
            if state.chance.below(10_000) < overdue {
                self.consumer.be_overdue(&mut state);
            }
            if state.chance.below(10_000) < mistaken {
                self.consumer.be_mistaken(&state);
            }
        }
        if turns > 0 {
            self.cluster.others_go_on(self.process, turns);
        }
        if let Some(until) = stopped_until {
            let mut state = self.cluster.state.borrow_mut();
            let rest = until.saturating_sub(state.now);
            state.advance(rest);
            state.set_life(self.process, Life::Running);
            state.note(|| format!("process {} goes on", self.process));
        }
    }

    /// What happens after a call that took place.
    fn leave<T>(&mut self, call: Call, strike: Strike, result: Result<T, MemberError>) -> Result<T, MemberError> {
        match strike {
            Strike::DieAfter => Err(self.die()),
            Strike::RestartAfter => Err(MemberError::restart("the client broke")),
            Strike::RetryAfter if result.is_ok() => {
                self.unanswered = Some(call);
                Err(MemberError::retry("the answer did not come in time"))
            }
            _ => result,
        }
    }

    fn look<T>(
        &mut self,
        look: impl FnOnce(&mut Self, &mut State) -> Result<T, MemberError>,
    ) -> Result<T, MemberError> {
        let strike = self.enter(Call::Look)?;
        let cluster = self.cluster.clone();
        let result = look(self, &mut cluster.state.borrow_mut());
        self.leave(Call::Look, strike, result)
    }

    /// The producer's calls come in order, and one whose answer was lost is repeated before anything else.
    fn check_order(&mut self, call: Call) {
        let expected = self.unanswered.take();
        if let Some(expected) = expected
            && expected != call
        {
            let state = self.cluster.state.borrow();
            state.bug(&format!("process {}: {call:?} after {expected:?} went unanswered", self.process));
        }
        let is_open = self.producer.is_open() && expected != Some(Call::Begin);
        let fits = match call {
            Call::Begin | Call::Poll => !is_open,
            Call::Send | Call::SendOffsets | Call::Commit | Call::Abort => is_open,
            Call::Look | Call::Pass => true,
        };
        if !fits {
            let state = self.cluster.state.borrow();
            state.bug(&format!("process {}: {call:?}, transaction open: {is_open}", self.process));
        }
    }

    /// A call of the producer's: `write` is told whether its answer will be heard.
    fn produce(
        &mut self,
        call: Call,
        write: impl FnOnce(&mut Self, &mut State, bool) -> Result<(), MemberError>,
    ) -> Result<(), MemberError> {
        let unanswered = self.unanswered;
        if self.is_alive() {
            self.check_order(call);
        }
        let strike = match self.enter(call) {
            Ok(strike) => strike,
            Err(error) => {
                // Still nobody knows.
                self.unanswered = unanswered;
                return Err(error);
            }
        };
        // What has taken place is not aborted any more.
        if strike == Strike::Abort && !self.producer.is_committed() {
            self.producer.break_transaction();
            return Err(MemberError { remedy: Remedy::Abort, detail: "messages were not delivered".to_owned() });
        }
        let cluster = self.cluster.clone();
        let answered = strike != Strike::RetryAfter;
        let result = write(self, &mut cluster.state.borrow_mut(), answered);
        if result.as_ref().is_err_and(|error| error.remedy == Remedy::Retry) {
            self.unanswered = unanswered;
        }
        self.leave(call, strike, result)
    }
}

impl Member for SimulatedMember {
    fn now(&self) -> Duration {
        Duration::from_micros(self.cluster.now())
    }

    fn time_of_day(&self) -> Micros {
        self.cluster.state.borrow().time_of_day()
    }

    fn wait(&mut self, duration: Duration) {
        self.be_held_up();
        self.cluster.advance(duration.as_micros() as u64);
    }

    fn partition_count(&mut self, topic: &str) -> Result<u32, MemberError> {
        self.look(|_, state| {
            let count = state.partition_count(topic);
            Ok(count.unwrap_or_else(|| state.bug(&format!("there is no topic {topic}"))))
        })
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<(i64, i64), MemberError> {
        self.look(|_, state| {
            let log = state.log(topic, partition);
            Ok((log.start(), log.end()))
        })
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, MemberError> {
        self.look(|member, state| {
            let max = if state.chance.percent(30) { max.min(1 + state.chance.below(20) as usize) } else { max };
            let log = state.log(topic, partition);
            let end = log.end_for(member.consumer.reads_uncommitted);
            Ok(log.read_until(end, offset, max, into) >= end)
        })
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<Vec<Option<Committed>>, MemberError> {
        self.look(|member, state| {
            let group = state.group(&member.consumer.group);
            let committed: Result<Vec<_>, ()> =
                partitions.iter().map(|partition| group.committed(*partition)).collect();
            committed.map_err(|()| MemberError::retry("a commit of the partition is under way"))
        })
    }

    fn poll(&mut self, wait: Duration, max: usize, into: &mut Vec<Event>) -> Result<(), MemberError> {
        if self.is_alive() {
            self.check_order(Call::Poll);
        }
        let strike = self.enter(Call::Poll)?;
        let cluster = self.cluster.clone();
        let mut state = cluster.state.borrow_mut();
        let mut result = self.consumer.poll(&mut state, max, into);
        if matches!(result, Ok(false)) && !wait.is_zero() {
            let waited = state.chance.below(wait.as_micros() as u64 + 1);
            state.advance(waited);
            self.consumer.background(&mut state);
            result = self.consumer.poll(&mut state, max, into);
        }
        drop(state);
        self.leave(Call::Poll, strike, result.map(drop))
    }

    fn start(&mut self, partition: u32, offset: i64) -> Result<(), MemberError> {
        self.look(|member, state| {
            member.consumer.start(state, partition, offset);
            Ok(())
        })
    }

    fn pause(&mut self, partition: u32) -> Result<(), MemberError> {
        self.look(|member, state| {
            member.consumer.set_paused(state, partition, true);
            Ok(())
        })
    }

    fn resume(&mut self, partition: u32) -> Result<(), MemberError> {
        self.look(|member, state| {
            member.consumer.set_paused(state, partition, false);
            Ok(())
        })
    }

    fn begin(&mut self) -> Result<(), MemberError> {
        self.produce(Call::Begin, |member, _, _| {
            member.producer.begin();
            Ok(())
        })
    }

    fn send(&mut self, message: &Message) -> Result<(), MemberError> {
        self.produce(Call::Send, |member, state, _| member.producer.send(state, message))
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit]) -> Result<(), MemberError> {
        for commit in offsets {
            let state = self.cluster.state.borrow();
            if !self.consumer.owns(commit.partition) {
                state.bug(&format!(
                    "process {} commits partition {}, which it does not own",
                    self.process, commit.partition
                ));
            }
            if commit.metadata.len() > MAX_METADATA_BYTES {
                state.bug(&format!("commit metadata of {} bytes", commit.metadata.len()));
            }
            let end = state.log(&self.consumer.topic, commit.partition).end();
            if commit.offset < 0 || commit.offset > end {
                state.bug(&format!("offset {} is committed of a log that ends at {end}", commit.offset));
            }
        }
        self.produce(Call::SendOffsets, |member, state, _| {
            member.producer.send_offsets(state, &member.consumer, offsets)
        })
    }

    fn commit(&mut self) -> Result<(), MemberError> {
        self.produce(Call::Commit, |member, state, answered| member.producer.commit(state, answered))
    }

    fn abort(&mut self) -> Result<(), MemberError> {
        self.produce(Call::Abort, |member, state, answered| member.producer.abort(state, answered))
    }

    fn pass(&mut self, point: FaultPoint) -> Result<(), MemberError> {
        let strike = self.enter(Call::Pass)?;
        self.cluster.note(|| format!("process {} passes {}", self.process, point.name()));
        self.leave(Call::Pass, strike, Ok(()))
    }
}
