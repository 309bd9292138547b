//! Members that break the protocol in one way each. Schedules must notice every one of them, or they prove nothing.

use std::time::Duration;

use weir_bus::member::{Committed, Event, FaultPoint, Member, MemberError, OffsetCommit, Remedy};
use weir_bus::{Delivery, Message};
use weir_schemas::Micros;

use super::member::SimulatedMember;
use super::world::Simulated;

/// A way to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Offsets are committed at once, outside of the transaction.
    OffsetsOutside,
    /// State entries are not sent.
    StateNotWritten,
    /// What an aborted transaction held is not sent again.
    OutboxClearedOnAbort,
    /// A restored partition is read from its commit on: what its open panes held is not read again.
    NoReplay,
    /// What is committed is told though another commit is pending.
    PendingIgnored,
    /// Offsets are committed whatever the group's generation.
    GenerationIgnored,
    /// Records of open and aborted transactions are read.
    ReadUncommitted,
    /// A commit whose answer was lost counts as done.
    UnansweredIsDone,
    /// A commit whose answer was lost counts as aborted.
    UnansweredIsAborted,
    /// Nobody hears that partitions are gone.
    RevocationUnheard,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OffsetsOutside,
        Self::StateNotWritten,
        Self::OutboxClearedOnAbort,
        Self::NoReplay,
        Self::PendingIgnored,
        Self::GenerationIgnored,
        Self::ReadUncommitted,
        Self::UnansweredIsDone,
        Self::UnansweredIsAborted,
        Self::RevocationUnheard,
    ];
}

/// A member spoilt in one way.
pub struct Sabotaged {
    member: SimulatedMember,
    sabotage: Sabotage,
    /// The last transaction was aborted.
    was_aborted: bool,
    /// Offsets that the group had committed, as last told, by partition.
    told: Vec<(u32, i64)>,
}

impl Sabotaged {
    /// Spoils a member.
    #[must_use]
    pub fn new(mut member: SimulatedMember, sabotage: Sabotage) -> Self {
        match sabotage {
            Sabotage::GenerationIgnored => member.ignore_generations(),
            Sabotage::ReadUncommitted => member.read_uncommitted(),
            _ => {}
        }
        Self { member, sabotage, was_aborted: false, told: Vec::new() }
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }
}

impl Simulated for Sabotaged {
    fn simulated(&mut self) -> &mut SimulatedMember {
        &mut self.member
    }
}

impl Member for Sabotaged {
    fn now(&self) -> Duration {
        self.member.now()
    }

    fn time_of_day(&self) -> Micros {
        self.member.time_of_day()
    }

    fn wait(&mut self, duration: Duration) {
        self.member.wait(duration);
    }

    fn partition_count(&mut self, topic: &str) -> Result<u32, MemberError> {
        self.member.partition_count(topic)
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<(i64, i64), MemberError> {
        self.member.bounds(topic, partition)
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, MemberError> {
        self.member.read(topic, partition, offset, max, into)
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<Vec<Option<Committed>>, MemberError> {
        let committed = match self.member.committed(partitions) {
            Err(error) if self.is(Sabotage::PendingIgnored) && error.remedy == Remedy::Retry => {
                self.member.committed_anyway(partitions)
            }
            answer => answer?,
        };
        for (partition, committed) in partitions.iter().zip(&committed) {
            self.told.retain(|(known, _)| known != partition);
            self.told.extend(committed.as_ref().map(|committed| (*partition, committed.offset)));
        }
        Ok(committed)
    }

    fn poll(&mut self, wait: Duration, max: usize, into: &mut Vec<Event>) -> Result<(), MemberError> {
        let polled = self.member.poll(wait, max, into);
        if self.is(Sabotage::RevocationUnheard) {
            into.retain(|event| !matches!(event, Event::Revoked(_)));
        }
        polled
    }

    fn start(&mut self, partition: u32, offset: i64) -> Result<(), MemberError> {
        let committed = self.told.iter().find(|(known, _)| *known == partition).map(|(_, offset)| *offset);
        let offset = match committed {
            Some(committed) if self.is(Sabotage::NoReplay) => offset.max(committed),
            _ => offset,
        };
        self.member.start(partition, offset)
    }

    fn pause(&mut self, partition: u32) -> Result<(), MemberError> {
        self.member.pause(partition)
    }

    fn resume(&mut self, partition: u32) -> Result<(), MemberError> {
        self.member.resume(partition)
    }

    fn begin(&mut self) -> Result<(), MemberError> {
        self.member.begin()
    }

    fn send(&mut self, message: &Message) -> Result<(), MemberError> {
        let is_state = message.topic.contains("state");
        if self.is(Sabotage::StateNotWritten) && is_state {
            return Ok(());
        }
        if self.is(Sabotage::OutboxClearedOnAbort) && self.was_aborted && !is_state {
            return Ok(());
        }
        self.member.send(message)
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit]) -> Result<(), MemberError> {
        if self.is(Sabotage::OffsetsOutside) {
            self.member.commit_outside(offsets);
            return Ok(());
        }
        self.member.send_offsets(offsets)
    }

    fn commit(&mut self) -> Result<(), MemberError> {
        let committed = self.member.commit();
        if committed.as_ref().is_err_and(|error| error.remedy == Remedy::Retry) {
            if self.is(Sabotage::UnansweredIsDone) {
                return Ok(());
            }
            if self.is(Sabotage::UnansweredIsAborted) {
                return Err(MemberError { remedy: Remedy::Abort, detail: "no answer".to_owned() });
            }
        }
        self.was_aborted &= committed.is_err();
        committed
    }

    fn abort(&mut self) -> Result<(), MemberError> {
        self.was_aborted = true;
        self.member.abort()
    }

    fn pass(&mut self, point: FaultPoint) -> Result<(), MemberError> {
        self.member.pass(point)
    }
}
