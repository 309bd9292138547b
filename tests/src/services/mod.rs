//! The services as an operator runs them: processes of the `weir` command over topics of their own, waited for by what they
//! themselves say (`/readyz`, log lines, committed offsets), and what stands in their topics afterwards.

mod admin;
mod http;
mod lane;
mod process;
mod verdicts;

use std::time::{Duration, Instant};

pub use admin::{Operator, Positions};
pub use lane::{Lane, Stage};
pub use process::{Ended, Service};
pub use verdicts::{Verdict, accounts_of, canonical_of, trace_of};

/// Longer than any election, restart or start takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// Pause between two looks at something that tells nobody when it is there.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks again and again until there is something.
///
/// # Panics
/// When nothing is there after [`PATIENCE`].
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Looks again and again until it is so.
///
/// # Panics
/// When it is not after [`PATIENCE`].
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_some(what, || is_so().then_some(()));
}
