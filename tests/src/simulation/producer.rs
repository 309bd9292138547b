//! A member's writing half: one transaction at a time, whose messages reach the partitions when they do.

use weir_bus::Message;
use weir_bus::member::Committed;
use weir_bus::member::{MemberError, OffsetCommit, Remedy};

use super::cluster::State;
use super::consumer::Consumer;
use super::coordinator::{Denied, Target};

/// A transaction as its client sees it.
#[derive(Debug, Default)]
struct Open {
    /// Sent by the application, and not yet with the broker.
    waiting: Vec<Message>,
    /// The commit was asked for and has taken place; its answer was lost.
    is_committed: bool,
    /// The abort was asked for and has taken place; its answer was lost.
    is_aborted: bool,
    /// It can only be aborted.
    must_abort: bool,
    /// The coordinator knows of it.
    is_enlisted: bool,
}

/// The writing half of a client.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) id: String,
    epoch: u32,
    open: Option<Open>,
}

impl Producer {
    /// Takes the id over from whoever had it.
    pub(super) fn new(state: &mut State, id: &str) -> Self {
        Self { id: id.to_owned(), epoch: state.take_id(id), open: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the transaction's commit has taken place, though nobody told.
    pub(super) fn is_committed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_committed)
    }

    /// From now on the transaction can only be aborted.
    pub(super) fn break_transaction(&mut self) {
        if let Some(open) = &mut self.open {
            open.must_abort = true;
        }
    }

    pub(super) fn begin(&mut self) {
        self.open = Some(Open::default());
    }

    fn denied(&mut self, state: &mut State, denied: Denied) -> MemberError {
        match denied {
            Denied::Busy => MemberError::retry("markers of the last transaction are still being written"),
            Denied::Fenced => {
                let detail = "another producer has this transactional id (fenced)".to_owned();
                MemberError { remedy: Remedy::Leave, detail }
            }
            // Clients differ by release in what they make of this: some can go on, some must be made anew.
            Denied::TimedOut if state.chance.percent(50) => {
                self.break_transaction();
                MemberError { remedy: Remedy::Abort, detail: "the transaction was open for too long".to_owned() }
            }
            Denied::TimedOut => {
                let detail = "the transaction was open for too long, and the epoch is not this one's".to_owned();
                MemberError { remedy: Remedy::Leave, detail }
            }
        }
    }

    fn broken() -> MemberError {
        MemberError { remedy: Remedy::Abort, detail: "the transaction has failed; abort it".to_owned() }
    }

    pub(super) fn send(&mut self, state: &mut State, message: &Message) -> Result<(), MemberError> {
        let Some(open) = &mut self.open else { state.bug(&format!("{} sends outside of a transaction", self.id)) };
        if open.is_committed || open.is_aborted {
            state.bug(&format!("{} sends into a transaction that it asked to end", self.id));
        }
        match state.partition_count(&message.topic) {
            None => state.bug(&format!("{} sends to topic {}, which does not exist", self.id, message.topic)),
            Some(count) if message.partition >= count => {
                state.bug(&format!("{} sends to {}/{} of {count}", self.id, message.topic, message.partition));
            }
            Some(_) => {}
        }
        if open.must_abort {
            return Err(Self::broken());
        }
        open.waiting.push(message.clone());
        if state.chance.percent(30) {
            let most = state.chance.below(4) as usize;
            // What goes wrong here shows when the transaction is to end.
            let _ = self.write(state, most);
        }
        Ok(())
    }

    /// Writes up to `most` of the waiting messages: any partition's next.
    fn write(&mut self, state: &mut State, most: usize) -> Result<(), Denied> {
        for _ in 0..most {
            let Some(open) = &mut self.open else { return Ok(()) };
            if open.waiting.is_empty() {
                return Ok(());
            }
            let any = &open.waiting[state.chance.index(open.waiting.len())];
            let (topic, partition) = (any.topic.clone(), any.partition);
            let next = open.waiting.iter().position(|message| message.partition == partition && message.topic == topic);
            let transaction = state.enlist(&self.id, self.epoch, Target::Partition(topic.clone(), partition))?;
            open.is_enlisted = true;
            let message = open.waiting.remove(next.unwrap_or(0));
            let append_time = state.append_time();
            state.log_mut(&topic, partition).append(message, append_time, Some(transaction));
        }
        Ok(())
    }

    pub(super) fn send_offsets(
        &mut self,
        state: &mut State,
        consumer: &Consumer,
        offsets: &[OffsetCommit],
    ) -> Result<(), MemberError> {
        let Some(open) = &mut self.open else {
            state.bug(&format!("{} sends offsets outside of a transaction", self.id))
        };
        if open.must_abort {
            return Err(Self::broken());
        }
        // First the transaction coordinator is asked, then the group's (KIP-98, `AddOffsetsToTxn` and `TxnOffsetCommit`).
        let transaction = match state.enlist(&self.id, self.epoch, Target::Offsets(consumer.group.clone())) {
            Ok(transaction) => transaction,
            Err(denied) => return Err(self.denied(state, denied)),
        };
        open.is_enlisted = true;
        if let Err(error) = consumer.validate(state) {
            open.must_abort = true;
            return Err(error);
        }
        let committed = offsets.iter().map(|commit| {
            let committed = Committed { offset: commit.offset, metadata: commit.metadata.clone() };
            (commit.partition, committed)
        });
        state.group_mut(&consumer.group).take_offsets(transaction, committed);
        Ok(())
    }

    /// Everything reaches the broker, then the transaction ends. `answered` is false where the answer is lost.
    pub(super) fn commit(&mut self, state: &mut State, answered: bool) -> Result<(), MemberError> {
        let Some(open) = &self.open else { state.bug(&format!("{} commits outside of a transaction", self.id)) };
        if open.is_aborted {
            state.bug(&format!("{} commits what it asked to abort", self.id));
        }
        if open.must_abort {
            return Err(Self::broken());
        }
        if let Err(denied) = self.write(state, usize::MAX) {
            return Err(self.denied(state, denied));
        }
        if let Err(denied) = self.end(state, true) {
            return Err(self.denied(state, denied));
        }
        if answered {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            open.is_committed = true;
        }
        Ok(())
    }

    /// What has not reached the broker never does, and what has is aborted. `answered` as for [`Producer::commit`].
    pub(super) fn abort(&mut self, state: &mut State, answered: bool) -> Result<(), MemberError> {
        let Some(open) = &mut self.open else { state.bug(&format!("{} aborts outside of a transaction", self.id)) };
        if open.is_committed {
            state.bug(&format!("{} aborts what may be committed", self.id));
        }
        open.waiting.clear();
        match self.end(state, false) {
            Ok(()) => {}
            Err(Denied::TimedOut) => match state.renew_epoch(&self.id, self.epoch) {
                Ok(epoch) => self.epoch = epoch,
                Err(denied) => return Err(self.denied(state, denied)),
            },
            Err(denied) => return Err(self.denied(state, denied)),
        }
        if answered {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            open.is_aborted = true;
            open.must_abort = true;
        }
        Ok(())
    }

    /// Asks the coordinator to end the transaction, where it knows of one.
    fn end(&self, state: &mut State, commit: bool) -> Result<(), Denied> {
        if self.open.as_ref().is_some_and(|open| open.is_enlisted) {
            state.end_transaction(&self.id, self.epoch, commit)?;
        }
        Ok(())
    }

    /// The process dies: some of what waits may have been on its way.
    pub(super) fn die(&mut self, state: &mut State) {
        let waiting = self.open.as_ref().map_or(0, |open| open.waiting.len());
        let most = state.chance.index(waiting + 1);
        let _ = self.write(state, most);
    }
}
