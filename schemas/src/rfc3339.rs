//! Times as RFC 3339 text in UTC with microseconds: `2026-11-21T11:50:49.000000Z`.
//!
//! Calendar arithmetic follows Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years that
//! begin on 1 March, so that the leap day comes last. Years outside 0000–9999 cannot be written in RFC 3339 (section
//! 5.6); they are printed with a sign and more digits, as ISO 8601 allows, and read back so.

use crate::time::{Micros, SECOND_US};

const DAY_US: Micros = 86_400 * SECOND_US;
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// Why a text is no time: the input's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input: {0:?} is no UTC time such as 2026-11-21T11:50:49.000000Z")]
pub struct TimeError(pub String);

/// The text of `time`, always with six decimals and `Z`.
#[must_use]
pub fn format(time: Micros) -> String {
    let (year, month, day) = date_of(time.div_euclid(DAY_US));
    let micros = time.rem_euclid(DAY_US);
    let seconds = micros / SECOND_US;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = micros % SECOND_US;
    let year = if (0..=9999).contains(&year) { format!("{year:04}") } else { format!("{year:+07}") };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// The time that `text` names. Accepts zero to six decimals; only UTC (`Z`).
pub fn parse(text: &str) -> Result<Micros, TimeError> {
    parse_parts(text).ok_or_else(|| TimeError(text.chars().take(64).collect()))
}

fn parse_parts(text: &str) -> Option<Micros> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let year_length = date.len().checked_sub("-MM-DD".len())?;
    let (year, month_and_day) = date.split_at_checked(year_length)?;
    let (month, day) = month_and_day.strip_prefix('-')?.split_once('-')?;
    let (year, month, day) = (parse_year(year)?, digits(month, 2)?, digits(day, 2)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let (clock, fraction) = clock
        .split_once('.')
        .map_or((clock, Some("0")), |(clock, fraction)| (clock, (1..=6).contains(&fraction.len()).then_some(fraction)));
    let fraction = fraction?;
    let fraction = digits(fraction, fraction.len())? * 10_i64.pow(6 - fraction.len() as u32);
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction;
    // The earliest representable day begins before the earliest representable time, hence the wide sum.
    let time = i128::from(days_of(year, month, day)) * i128::from(DAY_US) + i128::from(micros);
    Micros::try_from(time).ok()
}

/// Four digits; or a sign and six.
fn parse_year(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('-') {
        return digits(rest, 6).map(|year| -year);
    }
    text.strip_prefix('+').map_or_else(|| digits(text, 4), |rest| digits(rest, 6))
}

/// Exactly `count` ASCII digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a day counted from 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_DAYS;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS
}

/// For `#[serde(with)]`: text in formats for people, the number in binary formats.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::time::Micros;

    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(time: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&super::format(*time));
        }
        serializer.serialize_i64(*time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return super::parse(&text).map_err(de::Error::custom);
        }
        Micros::deserialize(deserializer)
    }
}

/// As [`as_text`], for a time that may be absent.
pub(crate) mod as_optional_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Micros;

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super::as_text")] Micros);

    // The signature is serde's.
    #[allow(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(time: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Wrapped).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_read_and_print() {
        // Seconds from `date -u -d <text> +%s`.
        let table = [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("1960-02-29T12:00:00.000000Z", -310_478_400_000_000),
            ("1900-03-01T00:00:00.000000Z", -2_203_891_200_000_000),
            ("2000-02-29T23:59:59.000001Z", 951_868_799_000_001),
            ("2024-02-29T00:00:00.000000Z", 1_709_164_800_000_000),
            ("2100-03-01T00:00:00.000000Z", 4_107_542_400_000_000),
            ("2026-11-21T11:50:49.123456Z", 1_795_261_849_123_456),
            ("0000-01-01T00:00:00.000000Z", -62_167_219_200_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
            ("-290308-12-21T19:59:05.224192Z", Micros::MIN),
            ("+294247-01-10T04:00:54.775807Z", Micros::MAX),
        ];
        for (text, time) in table {
            assert_eq!(format(time), text);
            assert_eq!(parse(text), Ok(time), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(SECOND_US));
        assert_eq!(parse("1970-01-01T00:00:00.25Z"), Ok(SECOND_US / 4));
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        for days in days_of(1600, 1, 1)..days_of(2400, 1, 1) {
            assert_eq!(date_of(days), (year, month, day));
            assert_eq!(days_of(year, month, day), days);
            day += 1;
            if day > days_in_month(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+00:00",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:60Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567Z",
            "1970-1-1T00:00:00Z",
            "+970-01-01T00:00:00Z",
            "é970-01-01T00:00:00Z",
            "+294247-01-10T04:00:54.775808Z",
            "-290308-12-21T19:59:05.224191Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_reads_back(time in any::<Micros>()) {
            prop_assert_eq!(parse(&format(time)), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            if let Ok(time) = parse(&text) {
                prop_assert!(parse(&format(time)) == Ok(time));
            }
        }
    }
}
