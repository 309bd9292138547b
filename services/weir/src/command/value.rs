//! Parsers of argument values that several commands share.

use weir_schemas::{Micros, SECOND_US, Severity};

/// Severities as arguments, least first.
const SEVERITIES: [Severity; 5] = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// A severity by its lower-case word.
pub fn severity(text: &str) -> Result<Severity, String> {
    SEVERITIES
        .into_iter()
        .find(|severity| severity.name() == text)
        .ok_or_else(|| "write one of info, low, medium, high, critical".to_owned())
}

/// Midnight UTC of a date `YYYY-MM-DD`, µs since 1970.
pub fn date(text: &str) -> Result<Micros, String> {
    let wrong = || "write a date as YYYY-MM-DD, as in 2026-03-31".to_owned();
    let parts: Vec<i64> = text.split('-').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let [year, month, day] = parts[..] else {
        return Err(wrong());
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return Err(wrong());
    }
    let whole_years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let whole_months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    Ok((whole_years + whole_months + day - 1) * 86_400 * SECOND_US)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_midnights() {
        // Source: `date -u -d … +%s`.
        let cases = [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-03-01", 1_709_251_200),
            ("2026-11-21", 1_795_219_200),
            ("9999-12-31", 253_402_214_400),
        ];
        for (text, seconds) in cases {
            assert_eq!(date(text), Ok(seconds * SECOND_US), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in
            ["", "2026", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32", "1969-12-31", "31-12-2026", "x"]
        {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn severities_are_words() {
        assert_eq!(severity("high"), Ok(Severity::High));
        assert!(severity("High").is_err());
    }
}
