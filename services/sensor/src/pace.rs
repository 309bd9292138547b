//! How fast a capture is replayed: event time against the wall clock.
//!
//! Nothing here waits or looks at a clock: the caller tells the time and waits as it sees fit.

use std::str::FromStr;
use std::time::Duration;

use weir_schemas::Micros;

/// Greatest multiple of real time that can be asked for.
const MAX_SPEED: f64 = 1e6;

/// How fast to replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// As fast as it goes.
    #[default]
    Max,
    /// This many seconds of event time in a second; 1 is real time.
    Times(f64),
}

impl Pace {
    /// As the packets came.
    pub const REAL_TIME: Self = Self::Times(1.0);

    /// Whether event time goes faster than time.
    #[must_use]
    pub fn is_faster_than_time(self) -> bool {
        match self {
            Self::Max => true,
            Self::Times(speed) => speed > 1.0,
        }
    }
}

/// Usage: the text is no pace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write realtime, max, or a multiple of real time as 10x")]
pub struct NoPace;

impl FromStr for Pace {
    type Err = NoPace;

    /// `realtime`, `max`, or a multiple such as `10x`, `10×` or `0.5x`.
    fn from_str(text: &str) -> Result<Self, NoPace> {
        match text {
            "realtime" => return Ok(Self::REAL_TIME),
            "max" => return Ok(Self::Max),
            _ => {}
        }
        let number = text.strip_suffix(['x', '×']).ok_or(NoPace)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(NoPace);
        }
        let speed: f64 = number.parse().map_err(|_| NoPace)?;
        if speed > 0.0 && speed <= MAX_SPEED { Ok(Self::Times(speed)) } else { Err(NoPace) }
    }
}

/// A replay under way: which event time is due at which moment.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    pace: Pace,
    /// The moment at which the first event time was due.
    began: Option<(Duration, Micros)>,
}

impl Pacer {
    /// A replay that has not begun.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, began: None }
    }

    /// Begins with `first` due at `now`, if it has not begun yet. `now` counts from any moment, and never goes back.
    pub fn begin(&mut self, now: Duration, first: Micros) {
        self.began.get_or_insert((now, first));
    }

    /// The greatest event time that is due at `now`; before the beginning none is.
    #[must_use]
    pub fn due_at(&self, now: Duration) -> Micros {
        let Pace::Times(speed) = self.pace else {
            return Micros::MAX;
        };
        let Some((began, first)) = self.began else {
            return Micros::MIN;
        };
        // Saturating: a float beyond the range of an integer becomes the nearest one.
        first.saturating_add((now.saturating_sub(began).as_secs_f64() * speed * 1e6) as Micros)
    }

    /// How long after `now` this event time is due.
    #[must_use]
    pub fn wait_for(&self, event_time: Micros, now: Duration) -> Duration {
        let (Pace::Times(speed), Some((began, first))) = (self.pace, self.began) else {
            return Duration::ZERO;
        };
        let after_first = event_time.saturating_sub(first).max(0) as u64;
        // Rounded up: woken a microsecond early, a caller would find nothing to do.
        let passed = Duration::try_from_secs_f64(after_first as f64 / 1e6 / speed).unwrap_or(Duration::MAX);
        let due = began.saturating_add(passed).saturating_add(Duration::from_micros(1));
        if self.due_at(now) >= event_time { Duration::ZERO } else { due.saturating_sub(now) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_schemas::SECOND_US;

    use super::*;

    #[test]
    fn paces_read_as_people_write_them() {
        let cases = [
            ("max", Pace::Max),
            ("realtime", Pace::Times(1.0)),
            ("1x", Pace::Times(1.0)),
            ("10x", Pace::Times(10.0)),
            ("10×", Pace::Times(10.0)),
            ("0.5x", Pace::Times(0.5)),
        ];
        for (text, pace) in cases {
            assert_eq!(text.parse(), Ok(pace), "{text}");
        }
        for text in ["", "x", "10", "0x", "-1x", "+1x", "1e3x", "infx", "NaNx", "fast", "10xx", "1.2.3x", "9999999x"] {
            assert_eq!(text.parse::<Pace>(), Err(NoPace), "{text}");
        }
    }

    #[test]
    fn event_time_goes_as_many_times_as_fast() {
        let seconds = Duration::from_secs;
        for (pace, due) in [(Pace::Times(1.0), 60), (Pace::Times(10.0), 600), (Pace::Times(0.5), 30)] {
            let mut pacer = Pacer::new(pace);
            assert_eq!(pacer.due_at(seconds(5)), Micros::MIN, "nothing is due before the beginning");
            pacer.begin(seconds(40), 1_000 * SECOND_US);
            pacer.begin(seconds(50), 0);
            assert_eq!(pacer.due_at(seconds(100)), (1_000 + due) * SECOND_US);
            assert_eq!(pacer.due_at(seconds(3)), 1_000 * SECOND_US);
        }
        let pacer = Pacer::new(Pace::Max);
        assert_eq!((pacer.due_at(seconds(0)), pacer.wait_for(9, seconds(0))), (Micros::MAX, Duration::ZERO));
    }

    proptest! {
        #[test]
        fn after_the_wait_it_is_due(
            speed in 0.01_f64..1_000.0, first: i32, after in 0_i64..1_000_000 * SECOND_US, now in 0_u64..100_000_000
        ) {
            let mut pacer = Pacer::new(Pace::Times(speed));
            let (began, first) = (Duration::from_secs(1), Micros::from(first));
            pacer.begin(began, first);
            let now = began + Duration::from_micros(now);
            let wait = pacer.wait_for(first + after, now);
            // Floats of this size are exact to a few microseconds.
            let slack = Duration::from_micros(2) + Duration::from_secs_f64(1e-6 / speed);
            prop_assert!(pacer.due_at(now + wait + slack) >= first + after);
            prop_assert_eq!(wait.is_zero(), pacer.due_at(now) >= first + after);
        }
    }
}
