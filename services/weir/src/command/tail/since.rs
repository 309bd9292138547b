//! `--since`: so long ago, or from a time on.

use std::str::FromStr;

use weir_runtime::config::parse_duration;
use weir_schemas::{Micros, rfc3339};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This long before now, µs.
    Ago(Micros),
    /// At this time, µs since 1970 UTC.
    Time(Micros),
}

impl Since {
    /// The time to begin at, µs since 1970 UTC.
    #[must_use]
    pub fn at(self, now: Micros) -> Micros {
        match self {
            Self::Ago(ago) => now.saturating_sub(ago),
            Self::Time(time) => time,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    /// A duration as in the configuration (`15m`), or a time as in JSON lines (`2026-03-31T08:00:00Z`).
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = parse_duration(text) {
            return Ok(Self::Ago(Micros::try_from(ago.as_micros()).unwrap_or(Micros::MAX)));
        }
        let wrong = |_| "write how long ago, as 15m or 2h, or a time, as 2026-03-31T08:00:00Z".to_owned();
        rfc3339::parse(text).map(Self::Time).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use weir_schemas::SECOND_US;

    use super::*;

    #[test]
    fn durations_and_times_are_told_apart() {
        let now = 1_800_000_000 * SECOND_US;
        let cases = [
            ("90s", now - 90 * SECOND_US),
            ("2h", now - 7_200 * SECOND_US),
            ("1970-01-02T00:00:00Z", 86_400 * SECOND_US),
            ("400000d", now - 400_000 * 86_400 * SECOND_US),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Since>().map(|since| since.at(now)), Ok(expected), "{text}");
        }
        for text in ["", "15", "yesterday", "2026-03-31", "-5m"] {
            assert!(text.parse::<Since>().unwrap_err().contains("15m"), "{text}");
        }
    }
}
