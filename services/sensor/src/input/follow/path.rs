//! One followed path: the thread that reads its files one after another, and what has come from it.

use std::cell::RefCell;
use std::collections::BinaryHeap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::Builder;
use std::time::SystemTime;

use weir_schemas::Micros;

use super::growing::{Growing, LOOK_EVERY};
use super::outbox::{Arrivals, Batch, MOST_BATCHES, Outbox};
use super::rotation::{LIST_EVERY, Rotation};
use super::standard_input::StandardInput;
use crate::input::compression::HEAD_BYTES;
use crate::input::opening::open_followed;
use crate::input::ordered::Waiting;
use crate::input::reader::RecordReader;
use crate::input::{InputError, InputOptions, Observed};
use crate::packet::{InputCounters, InputWarning};

/// How far back in event time a packet may be and still be put in its place, as long as packets keep coming.
const HOLD: Micros = 100_000;

/// The shortest beginning that tells a kind: a pcap file's header.
const SHORTEST_HEAD: usize = 24;

/// What a path has to offer.
pub(super) enum Head {
    /// The time of what comes next.
    Ready(Micros),
    /// All that is written was read.
    Waits,
    /// No more will come.
    Ended,
}

/// A path and its thread.
pub(super) struct FollowedPath {
    batches: Receiver<Batch>,
    is_waiting: Arc<AtomicBool>,
    /// Dropped to stop the thread.
    stop: Option<SyncSender<()>>,
    held: BinaryHeap<Waiting>,
    newest: Micros,
    number: u64,
    kind: String,
    has_ended: bool,
}

impl FollowedPath {
    /// Starts reading.
    pub(super) fn start(path: &Path, options: &InputOptions, arrivals: &Arrivals) -> Result<Self, InputError> {
        let name = path.display().to_string();
        let is_stream = path.as_os_str() == "-";
        let is_directory = path.is_dir();
        if !is_stream {
            let metadata = fs::metadata(path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => InputError::Missing { file: name.clone() },
                _ => InputError::Unreadable { file: name.clone(), source },
            })?;
            if !metadata.is_file() && !metadata.is_dir() {
                let what =
                    "a pipe or device, which cannot be followed by its name; pass it as standard input".to_owned();
                return Err(InputError::Unsupported { file: name, what });
            }
        }
        let (sender, batches) = sync_channel(MOST_BATCHES);
        let (stop, stopped) = sync_channel(0);
        let is_waiting = Arc::new(AtomicBool::new(false));
        let outbox = Outbox::new(sender, is_waiting.clone(), arrivals.clone(), stopped);
        let (path, options) = (path.to_owned(), options.clone());
        let run = move || {
            let outbox = Rc::new(RefCell::new(outbox));
            if is_stream {
                follow_standard_input(&options, &outbox);
            } else {
                follow_files(&path, is_directory, &options, &outbox);
            }
        };
        let spawned = Builder::new().name("follow".to_owned()).spawn(run);
        spawned.map_err(|source| InputError::Unreadable { file: name, source })?;
        Ok(Self {
            batches,
            is_waiting,
            stop: Some(stop),
            held: BinaryHeap::new(),
            newest: Micros::MIN,
            number: 0,
            kind: String::new(),
            has_ended: false,
        })
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended && self.held.is_empty()
    }

    /// Reads no more; what was read comes out still.
    pub(super) fn stop(&mut self) {
        self.stop = None;
    }

    /// What comes next; while the thread is busy with what is written already, it is waited for.
    pub(super) fn head(&mut self, counters: &mut InputCounters, warnings: &mut Vec<InputWarning>) -> Head {
        loop {
            if let Some(time) = self.held.peek().map(|waiting| waiting.observed.time())
                && time <= self.newest.saturating_sub(HOLD)
            {
                return Head::Ready(time);
            }
            // In this order: what the thread sent before it waits is seen.
            let is_waiting = self.is_waiting.load(Ordering::Acquire) && self.stop.is_some();
            let received = if is_waiting || self.has_ended {
                self.batches.try_recv()
            } else {
                self.batches.recv_timeout(LOOK_EVERY).map_err(|error| match error {
                    RecvTimeoutError::Timeout => TryRecvError::Empty,
                    RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                })
            };
            match received {
                Ok(batch) => self.receive(batch, counters, warnings),
                Err(TryRecvError::Empty) if !is_waiting => {}
                Err(error) => {
                    self.has_ended |= error == TryRecvError::Disconnected;
                    return match self.held.peek() {
                        Some(waiting) => Head::Ready(waiting.observed.time()),
                        None if self.has_ended => Head::Ended,
                        None => Head::Waits,
                    };
                }
            }
        }
    }

    /// Takes what [`Self::head`] told of.
    pub(super) fn take(&mut self) -> Option<Observed> {
        self.held.pop().map(|waiting| waiting.observed)
    }

    fn receive(&mut self, batch: Batch, counters: &mut InputCounters, warnings: &mut Vec<InputWarning>) {
        counters.add(&batch.counters);
        warnings.extend(batch.warnings);
        if let Some(kind) = batch.kind {
            self.kind = kind;
        }
        for observed in batch.observed {
            self.newest = self.newest.max(observed.time());
            self.number += 1;
            self.held.push(Waiting { number: self.number, observed });
        }
    }
}

type SharedOutbox = Rc<RefCell<Outbox>>;

fn follow_standard_input(options: &InputOptions, outbox: &SharedOutbox) {
    match StandardInput::open(outbox.clone()) {
        Ok(stream) => follow_stream("-", Box::new(stream), None, options, outbox),
        Err(error) => warn(outbox, "-", None, format!("cannot be read ({error})")),
    }
}

fn follow_files(path: &Path, is_directory: bool, options: &InputOptions, outbox: &SharedOutbox) {
    let rotation = Rc::new(RefCell::new(Rotation::new(path, is_directory)));
    while !outbox.borrow().is_stopped() {
        let next = rotation.borrow_mut().next();
        for warning in rotation.borrow_mut().take_warnings() {
            outbox.borrow_mut().warn(warning);
        }
        match next {
            Ok(Some((path, file))) => {
                outbox.borrow_mut().go_on();
                let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
                let growing = Growing::new(file, rotation.clone(), outbox.clone());
                follow_stream(&path.display().to_string(), Box::new(growing), modified, options, outbox);
            }
            Ok(None) => outbox.borrow_mut().wait(if is_directory { LIST_EVERY } else { LOOK_EVERY }),
            Err(error) => {
                let name = rotation.borrow().current_name();
                warn(outbox, &name, None, format!("cannot be read ({error}), and is left out; check its permissions"));
            }
        }
    }
}

fn follow_stream(
    name: &str,
    mut stream: Box<dyn Read>,
    modified: Option<SystemTime>,
    options: &InputOptions,
    outbox: &SharedOutbox,
) {
    let head = match read_head(stream.as_mut()) {
        Ok(head) if head.is_empty() => return,
        Ok(head) => head,
        Err(error) => return warn(outbox, name, None, format!("cannot be read ({error}), and is left out")),
    };
    match open_followed(name, head, stream, modified, options) {
        Ok(reader) => read_all(name, reader, outbox),
        Err(_) if outbox.borrow().is_stopped() => {}
        Err(error) => warn(outbox, name, None, format!("left out: {error}")),
    }
}

/// As much as there is, and not less than tells a kind.
fn read_head(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut length = 0;
    while length < SHORTEST_HEAD {
        match stream.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(length);
    Ok(head)
}

fn read_all(name: &str, mut reader: Box<dyn RecordReader>, outbox: &SharedOutbox) {
    outbox.borrow_mut().begin_file(reader.kind());
    let mut counters = InputCounters::default();
    while let Some(observed) = reader.next(&mut counters) {
        let mut outbox = outbox.borrow_mut();
        outbox.push(observed, &mut counters);
        if outbox.is_stopped() {
            return;
        }
    }
    counters.drops += reader.drops();
    outbox.borrow_mut().count(&mut counters);
    if let Some(message) = reader.assumption() {
        warn(outbox, name, None, message);
    }
    // A record that is cut off because nobody waits for its rest is no damage.
    if let Some(fault) = reader.take_fault()
        && !outbox.borrow().is_stopped()
    {
        warn(outbox, name, Some(fault.offset), fault.message);
    }
}

fn warn(outbox: &SharedOutbox, name: &str, offset: Option<u64>, message: String) {
    outbox.borrow_mut().warn(InputWarning { file: name.into(), offset, message });
}
