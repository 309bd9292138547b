//! The watchdog: a loop that hangs where no timeout reaches (librdkafka #5511) is ended with its process, and a restart
//! takes up where it stopped.

use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::exit;

/// How long a loop may stand still.
pub const DEFAULT_PATIENCE: Duration = Duration::from_mins(1);

/// Looks per patience: a hang is found at most a tenth of it late.
const LOOKS_PER_PATIENCE: u32 = 10;

/// Shows that a loop goes round. Clones are the same loop's; when the last one goes, the loop is no longer watched.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    beats: Arc<AtomicU64>,
}

impl Heartbeat {
    /// The loop has gone round once more. Costs one addition.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Watches heartbeats from a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    hearts: Hearts,
    thread: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Watchdog {
    /// Ends the process with status 70 and one line on standard error once a heartbeat has stood still for `patience`.
    /// Environment: fails where the system gives no thread.
    pub fn start(patience: Duration) -> io::Result<Self> {
        Self::start_with(patience, |line| {
            eprintln!("weir: {line}");
            // Not `std::process::exit`: its handlers may wait for the very thread that hangs.
            signal_hook::low_level::exit(i32::from(exit::INTERNAL));
        })
    }

    /// Likewise, but calls `on_hang` with the line, once.
    pub fn start_with(patience: Duration, on_hang: impl FnOnce(String) + Send + 'static) -> io::Result<Self> {
        let hearts = Hearts::default();
        let (sender, stop) = mpsc::channel();
        let watched = hearts.clone();
        let watch = move || watch(&watched, patience, &stop, on_hang);
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self { hearts, thread: Some((sender, thread)) })
    }

    /// Watches one more loop, whose name the line will say: `source shard 0`.
    #[must_use]
    pub fn watch(&self, name: impl Into<String>) -> Heartbeat {
        self.hearts.add(name.into())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic of that thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn watch(hearts: &Hearts, patience: Duration, stop: &mpsc::Receiver<()>, on_hang: impl FnOnce(String)) {
    let interval = patience / LOOKS_PER_PATIENCE;
    let mut looked = Instant::now();
    while stop.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        // A process that was stopped as a whole (SIGSTOP, a suspended machine) did not hang: however long that took, it
        // counts as two looks at most.
        let passed = looked.elapsed().min(2 * interval);
        looked = Instant::now();
        if let Some(line) = hearts.look(passed, patience) {
            on_hang(line);
            return;
        }
    }
}

/// The loops that are watched.
#[derive(Clone, Debug, Default)]
struct Hearts {
    all: Arc<Mutex<Vec<Heart>>>,
}

#[derive(Debug)]
struct Heart {
    name: String,
    beats: Weak<AtomicU64>,
    seen: u64,
    still: Duration,
}

impl Hearts {
    fn add(&self, name: String) -> Heartbeat {
        let beats = Arc::new(AtomicU64::new(0));
        let heart = Heart { name, beats: Arc::downgrade(&beats), seen: 0, still: Duration::ZERO };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(heart);
        Heartbeat { beats }
    }

    /// Looks at every heart, `passed` after the last look. The line to end with, if any has stood still for `patience`.
    fn look(&self, passed: Duration, patience: Duration) -> Option<String> {
        let mut hearts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        hearts.retain(|heart| heart.beats.strong_count() > 0);
        let mut still = String::new();
        for heart in hearts.iter_mut() {
            let beats = heart.beats.upgrade().map_or(heart.seen, |beats| beats.load(Ordering::Relaxed));
            heart.still = if beats == heart.seen { heart.still + passed } else { Duration::ZERO };
            heart.seen = beats;
            if heart.still >= patience {
                let _ = write!(still, "{}{}", if still.is_empty() { "" } else { ", " }, heart.name);
            }
        }
        let seconds = patience.as_secs();
        (!still.is_empty()).then(|| {
            format!(
                "no progress for {seconds} s in: {still}; ending so that a restart can take up from the last commit"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);
    const STEP: Duration = Duration::from_secs(20);

    #[test]
    fn a_loop_that_goes_round_is_left_alone() {
        let hearts = Hearts::default();
        let heartbeat = hearts.add("shard".to_owned());
        for _ in 0..100 {
            heartbeat.beat();
            assert_eq!(hearts.look(STEP, PATIENCE), None);
        }
    }

    #[test]
    fn one_that_stands_still_is_named_though_others_move() {
        let hearts = Hearts::default();
        let (moving, _still, _other) =
            (hearts.add("a".to_owned()), hearts.add("b".to_owned()), hearts.add("c".to_owned()));
        for _ in 0..2 {
            moving.beat();
            assert_eq!(hearts.look(STEP, PATIENCE), None);
        }
        moving.beat();
        let line = hearts.look(STEP, PATIENCE);
        let expected =
            "no progress for 60 s in: b, c; ending so that a restart can take up from the last commit".to_owned();
        assert_eq!(line, Some(expected));
    }

    #[test]
    fn a_beat_in_time_begins_the_patience_anew() {
        let hearts = Hearts::default();
        let heartbeat = hearts.add("shard".to_owned());
        for _ in 0..10 {
            assert_eq!(hearts.look(STEP, PATIENCE), None);
            assert_eq!(hearts.look(STEP, PATIENCE), None);
            heartbeat.clone().beat();
            assert_eq!(hearts.look(STEP, PATIENCE), None);
        }
    }

    #[test]
    fn a_loop_that_ended_is_not_missed() {
        let hearts = Hearts::default();
        let heartbeat = hearts.add("shard".to_owned());
        let clone = heartbeat.clone();
        drop(heartbeat);
        assert_eq!(hearts.look(STEP, PATIENCE), None);
        drop(clone);
        assert_eq!(hearts.look(PATIENCE, PATIENCE), None);
    }

    #[test]
    fn the_thread_calls_once_and_ends() {
        let (sender, lines) = mpsc::channel();
        let watchdog = Watchdog::start_with(Duration::from_millis(20), move |line| sender.send(line).unwrap()).unwrap();
        let _heartbeat = watchdog.watch("loop");
        let line = lines.recv().unwrap();
        assert!(line.starts_with("no progress for 0 s in: loop;"), "{line}");
        // The sender is dropped with the closure: nothing more can come.
        assert!(lines.recv().is_err());
    }

    #[test]
    fn dropping_it_ends_the_thread_at_once() {
        let watchdog = Watchdog::start_with(Duration::from_hours(1), |line| panic!("{line}")).unwrap();
        let _heartbeat = watchdog.watch("loop");
        drop(watchdog);
    }
}
