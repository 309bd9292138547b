//! Calendar days in UTC, for text that prints a time of day only.

use weir_schemas::{Micros, SECOND_US};

/// One day in microseconds.
pub const DAY_US: Micros = 86_400 * SECOND_US;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(i64);

impl Date {
    /// The day `days` after 1970-01-01.
    #[must_use]
    pub fn from_days(days: i64) -> Self {
        Self(days)
    }

    /// The day that holds `time`.
    #[must_use]
    pub fn of(time: Micros) -> Self {
        Self(time.div_euclid(DAY_US))
    }

    /// The day that `text` names as `YYYY-MM-DD`, if there is such a day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if year.len() != 4 || month.len() != 2 || day.len() != 2 {
            return None;
        }
        let date = Self::from_civil(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        (date.to_string() == text).then_some(date)
    }

    /// Its first microsecond.
    #[must_use]
    pub fn start(self) -> Micros {
        self.0.saturating_mul(DAY_US)
    }

    /// Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
    fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }
}

impl std::fmt::Display for Date {
    /// `YYYY-MM-DD`; the same source, `civil_from_days`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_both_ways() {
        for (text, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2024-12-31", 20_088), ("1969-12-31", -1)] {
            assert_eq!(Date::parse(text), Some(Date::from_days(days)));
            assert_eq!(Date::from_days(days).to_string(), text);
        }
        for wrong in ["2023-02-29", "2023-13-01", "2023-1-1", "yesterday", "2023-00-10", ""] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }
}
