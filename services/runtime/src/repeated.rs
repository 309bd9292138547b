//! Lines that would repeat for as long as a fault lasts: one per period, with the number of those left out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one line per period through. Clones share the period.
///
/// ```
/// # use std::time::Duration;
/// # use weir_runtime::Repeated;
/// let failures = Repeated::every(Duration::from_mins(1));
/// if let Some(left_out) = failures.admit() {
///     tracing::warn!(left_out, "the broker does not answer");
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Repeated {
    period: Duration,
    since: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Time after `since` at which the next line may pass.
    next: Duration,
    left_out: u64,
}

impl Repeated {
    /// One line per `period`; the first passes at once.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        Self { period, since: Instant::now(), state: Arc::default() }
    }

    /// Whether a line may be written now: then, how many were left out since the last one.
    #[must_use]
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(self.since.elapsed())
    }

    fn admit_at(&self, now: Duration) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.next {
            state.left_out += 1;
            return None;
        }
        state.next = now + self.period;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_passes_the_next_ones_are_counted() {
        let repeated = Repeated::every(Duration::from_mins(1));
        let at = |seconds| repeated.clone().admit_at(Duration::from_secs(seconds));
        assert_eq!(
            [at(5), at(5), at(6), at(64), at(65), at(66), at(125)],
            [Some(0), None, None, None, Some(3), None, Some(1)]
        );
    }

    #[test]
    fn the_real_clock_admits_the_first() {
        let repeated = Repeated::every(Duration::MAX / 2);
        assert_eq!((repeated.admit(), repeated.admit()), (Some(0), None));
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_counted(gaps in proptest::collection::vec(0_u64..200, 1..100)) {
            let repeated = Repeated::every(Duration::from_mins(1));
            let (mut now, mut written, mut left_out, mut last) = (0, 0, 0, None::<u64>);
            for gap in &gaps {
                now += gap;
                let Some(count) = repeated.admit_at(Duration::from_secs(now)) else {
                    continue;
                };
                prop_assert!(last.is_none_or(|last| now - last >= 60));
                last = Some(now);
                written += 1;
                left_out += count;
            }
            let still_counted = repeated.state.lock().unwrap().left_out;
            prop_assert_eq!(written + left_out + still_counted, gaps.len() as u64);
        }
    }
}
