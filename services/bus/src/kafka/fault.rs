//! Moments at which a test lets the process die: `WEIR_FAULT=after_send:3` kills it as it passes `after_send` the third time.
//!
//! Without the feature `fault-points` there is nothing here: no shipped binary can be told to die.

use crate::member::FaultPoint;

/// Counts passes up to the one that is the last.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    #[cfg(feature = "fault-points")]
    planned: Option<(String, u64)>,
}

#[cfg(not(feature = "fault-points"))]
impl FaultPlan {
    pub(super) fn from_environment() -> Self {
        Self::default()
    }

    // The same shape as with the feature.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    pub(super) fn pass(&mut self, _point: FaultPoint) {}
}

#[cfg(feature = "fault-points")]
impl FaultPlan {
    pub(super) fn from_environment() -> Self {
        Self { planned: std::env::var("WEIR_FAULT").ok().as_deref().and_then(parse) }
    }

    pub(super) fn pass(&mut self, point: FaultPoint) {
        if self.is_last(point) {
            // SIGKILL: nothing is flushed, closed or said, as when the machine dies.
            let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            debug_assert!(killed.is_ok(), "a process may kill itself");
        }
    }

    fn is_last(&mut self, point: FaultPoint) -> bool {
        let Some((_, left)) = self.planned.as_mut().filter(|(name, _)| name == point.name()) else { return false };
        *left = left.saturating_sub(1);
        *left == 0
    }
}

/// `point:pass`, passes counted from 1; none where it is something else.
#[cfg(feature = "fault-points")]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, pass) = text.split_once(':')?;
    let pass = pass.parse().ok().filter(|pass| *pass > 0)?;
    Some((name.to_owned(), pass))
}

#[cfg(all(test, feature = "fault-points"))]
mod tests {
    use super::*;

    #[test]
    fn the_named_pass_is_the_last() {
        let mut plan = FaultPlan { planned: parse("after_send:3") };
        let passes = [
            (FaultPoint::AfterSend, false),
            (FaultPoint::AfterBegin, false),
            (FaultPoint::AfterSend, false),
            (FaultPoint::AfterSend, true),
        ];
        for (point, last) in passes {
            assert_eq!(plan.is_last(point), last);
        }
    }

    #[test]
    fn what_names_no_pass_plans_nothing() {
        for text in ["", "after_send", "after_send:", "after_send:0", "after_send:x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
