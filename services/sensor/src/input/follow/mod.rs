//! Files followed as they are written, and as their writer goes on to the next one: `tcpdump -G`, `dumpcap -b`, rotated logs.
//!
//! A thread per path reads, so that waiting for a writer never holds up what is due from another path. Paths are merged by time;
//! one that waits for its writer is not waited for.

mod growing;
mod outbox;
mod path;
mod rotation;
mod standard_input;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use super::{Input, InputError, InputOptions, Observed};
use crate::packet::{InputCounters, InputWarning};
use outbox::Arrivals;
use path::{FollowedPath, Head};

/// Paths that are followed at a time; each takes a thread.
const MOST_PATHS: usize = 64;

/// Followed paths as one input. It ends when it is asked to.
struct FollowInput {
    paths: Vec<FollowedPath>,
    arrivals: Arrivals,
    counters: InputCounters,
    warnings: Vec<InputWarning>,
    kind: String,
    has_ended: bool,
}

/// Follows files and directories; `-` is standard input as it comes. What is there already is read first.
///
/// # Errors
/// A path that is not there, and more paths than are followed at a time.
pub fn open(paths: &[PathBuf], options: &InputOptions) -> Result<Box<dyn Input>, InputError> {
    if paths.len() > MOST_PATHS {
        return Err(InputError::TooMany { count: paths.len(), most: MOST_PATHS });
    }
    let arrivals = Arrivals::default();
    let mut followed = Vec::with_capacity(paths.len());
    for path in paths {
        followed.push(FollowedPath::start(path, options, &arrivals)?);
    }
    Ok(Box::new(FollowInput {
        paths: followed,
        arrivals,
        counters: InputCounters::default(),
        warnings: Vec::new(),
        kind: "follow".to_owned(),
        has_ended: false,
    }))
}

impl Input for FollowInput {
    fn next(&mut self) -> Option<Observed> {
        let mut earliest = None;
        for (number, path) in self.paths.iter_mut().enumerate() {
            match path.head(&mut self.counters, &mut self.warnings) {
                Head::Ready(time) if earliest.is_none_or(|(known, _)| time < known) => earliest = Some((time, number)),
                Head::Ready(_) | Head::Waits | Head::Ended => {}
            }
        }
        let Some((_, number)) = earliest else {
            self.has_ended = self.paths.iter().all(FollowedPath::has_ended);
            return None;
        };
        let path = &mut self.paths[number];
        if self.kind != path.kind() {
            path.kind().clone_into(&mut self.kind);
        }
        path.take()
    }

    fn counters(&self) -> &InputCounters {
        &self.counters
    }

    fn take_warnings(&mut self) -> Vec<InputWarning> {
        std::mem::take(&mut self.warnings)
    }

    fn kind(&self) -> &str {
        &self.kind
    }

    fn stop(&mut self) {
        self.paths.iter_mut().for_each(FollowedPath::stop);
    }

    fn awaits_more(&self) -> bool {
        !self.has_ended
    }

    fn await_more(&mut self, at_most: Duration) {
        self.arrivals.wait(at_most);
    }
}
