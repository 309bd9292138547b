//! Moments at which a test lets the process die: `WEIR_FAULT=after_send:3` kills it as it passes `after_send` the third time.
//! `WEIR_FAULT=after_send:3:stop` stops it there instead, for somebody to let it go on when others have taken its place.
//!
//! Without the feature `fault-points` there is nothing here: no shipped binary can be told to die.

use crate::member::FaultPoint;

/// Counts passes up to the one that is the last.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    #[cfg(feature = "fault-points")]
    planned: Option<Planned>,
}

/// What is to happen, where, and at which pass.
#[cfg(feature = "fault-points")]
#[derive(Clone, Debug, PartialEq, Eq)]
struct Planned {
    point: String,
    left: u64,
    signal: rustix::process::Signal,
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
        if let Some(signal) = self.due(point) {
            // By a signal that nothing can catch: nothing is flushed, closed or said, as when the machine dies or hangs.
            let sent = rustix::process::kill_process(rustix::process::getpid(), signal);
            debug_assert!(sent.is_ok(), "a process may send itself signals");
        }
    }

    fn due(&mut self, point: FaultPoint) -> Option<rustix::process::Signal> {
        let planned = self.planned.as_mut().filter(|planned| planned.point == point.name() && planned.left > 0)?;
        planned.left -= 1;
        (planned.left == 0).then_some(planned.signal)
    }
}

/// `point:pass` or `point:pass:stop`, passes counted from 1; none where it is something else.
#[cfg(feature = "fault-points")]
fn parse(text: &str) -> Option<Planned> {
    use rustix::process::Signal;

    let (point, rest) = text.split_once(':')?;
    let (pass, signal) = match rest.split_once(':') {
        None => (rest, Signal::KILL),
        Some((pass, "stop")) => (pass, Signal::STOP),
        Some(_) => return None,
    };
    let left = pass.parse().ok().filter(|pass| *pass > 0)?;
    Some(Planned { point: point.to_owned(), left, signal })
}

#[cfg(all(test, feature = "fault-points"))]
mod tests {
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn the_named_pass_is_the_last() {
        for (text, signal) in [("after_send:3", Signal::KILL), ("after_send:3:stop", Signal::STOP)] {
            let mut plan = FaultPlan { planned: parse(text) };
            let passes = [
                (FaultPoint::AfterSend, None),
                (FaultPoint::AfterBegin, None),
                (FaultPoint::AfterSend, None),
                (FaultPoint::AfterSend, Some(signal)),
                (FaultPoint::AfterSend, None),
            ];
            for (point, due) in passes {
                assert_eq!(plan.due(point), due, "{text}");
            }
        }
    }

    #[test]
    fn what_names_no_pass_plans_nothing() {
        for text in ["", "after_send", "after_send:", "after_send:0", "after_send:x", "after_send:1:", "after_send:1:x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
