//! From a reading thread to the input: what was read, in batches, sent whenever the reader would wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::input::Observed;
use crate::packet::{InputCounters, InputWarning};

/// Packets or flows in a batch, and batches on their way: what bounds the memory of a path.
const BATCH: usize = 512;
pub(super) const MOST_BATCHES: usize = 8;

/// What was read, and what is to be told of it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) observed: Vec<Observed>,
    /// What has been counted since the batch before.
    pub(super) counters: InputCounters,
    pub(super) warnings: Vec<InputWarning>,
    /// The format of the file, where another one was begun.
    pub(super) kind: Option<String>,
}

/// Something has come from any path.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<(Mutex<bool>, Condvar)>);

impl Arrivals {
    fn tell(&self) {
        let (has_come, told) = &*self.0;
        *has_come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_one();
    }

    /// Until something has come since the last call.
    pub(super) fn wait(&self, at_most: Duration) {
        let (has_come, told) = &*self.0;
        let has_come = has_come.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = told.wait_timeout_while(has_come, at_most, |has_come| !*has_come);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// A reading thread's side.
pub(super) struct Outbox {
    batch: Batch,
    sender: SyncSender<Batch>,
    is_waiting: Arc<AtomicBool>,
    arrivals: Arrivals,
    /// Disconnected once nobody wants more.
    stop: Receiver<()>,
    is_stopped: bool,
}

impl Outbox {
    pub(super) fn new(
        sender: SyncSender<Batch>,
        is_waiting: Arc<AtomicBool>,
        arrivals: Arrivals,
        stop: Receiver<()>,
    ) -> Self {
        Self { batch: Batch::default(), sender, is_waiting, arrivals, stop, is_stopped: false }
    }

    pub(super) fn push(&mut self, observed: Observed, counters: &mut InputCounters) {
        if let Observed::Flow(flow) = &observed {
            counters.flows += 1;
            let told = flow.fwd.packets.saturating_add(flow.rev.map_or(0, |rev| rev.packets));
            counters.told_packets = counters.told_packets.saturating_add(told);
        }
        self.count(counters);
        self.batch.observed.push(observed);
        if self.batch.observed.len() >= BATCH {
            self.send();
        }
    }

    /// Takes the counts over.
    pub(super) fn count(&mut self, counters: &mut InputCounters) {
        self.batch.counters.add(&std::mem::take(counters));
    }

    pub(super) fn warn(&mut self, warning: InputWarning) {
        self.batch.warnings.push(warning);
    }

    pub(super) fn begin_file(&mut self, kind: &str) {
        // What was read before is of the other kind.
        self.send();
        self.batch.kind = Some(kind.to_owned());
    }

    /// Whether nobody wants more, as of the last batch or wait.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The reader has reached what its writer has written up to now: sends what there is, and lets time pass.
    pub(super) fn wait(&mut self, at_most: Duration) {
        self.announce_wait();
        self.pause(at_most);
    }

    /// Likewise, where the caller lets the time pass.
    pub(super) fn announce_wait(&mut self) {
        if !self.is_waiting.load(Ordering::Acquire) {
            self.send();
            self.is_waiting.store(true, Ordering::Release);
        }
        self.arrivals.tell();
        self.pause(Duration::ZERO);
    }

    /// The reader has something again.
    pub(super) fn go_on(&mut self) {
        self.is_waiting.store(false, Ordering::Release);
    }

    fn pause(&mut self, at_most: Duration) {
        let told = self.stop.recv_timeout(at_most);
        self.is_stopped |= !matches!(told, Err(RecvTimeoutError::Timeout));
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        // Where that fails, nobody is there any more who could take it.
        self.is_stopped |= self.sender.send(batch).is_err();
        self.arrivals.tell();
        self.pause(Duration::ZERO);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.send();
    }
}
