//! The time at the beginning of a line, in tcpdump's formats: none, `-tt` and `-tttt`.

use weir_schemas::{Micros, SECOND_US};

use crate::input::date::Date;

/// When a line says its packet was captured. Local times are taken as UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Since midnight.
    TimeOfDay(Micros),
    /// Since 1970.
    Absolute(Micros),
}

/// The time and what follows it.
pub(super) fn parse(line: &str) -> Option<(Stamp, &str)> {
    let (first, rest) = line.split_once(' ')?;
    if !first.starts_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    if first.contains(':') {
        return Some((Stamp::TimeOfDay(time_of_day(first)?), rest));
    }
    if let Some(date) = Date::parse(first) {
        let (second, rest) = rest.split_once(' ')?;
        return Some((Stamp::Absolute(date.start() + time_of_day(second)?), rest));
    }
    let (seconds, fraction) = first.split_once('.')?;
    // Shorter numbers with a point are something else.
    if seconds.len() < 9 || fraction.len() < 6 {
        return None;
    }
    let seconds = digits(seconds, 12)?;
    Some((Stamp::Absolute(seconds * SECOND_US + micros(fraction)?), rest))
}

/// `HH:MM:SS` with up to nine digits of a fraction.
fn time_of_day(text: &str) -> Option<Micros> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (hours, minutes, seconds) = (digits(hours, 2)?, digits(minutes, 2)?, digits(seconds, 2)?);
    // 60 is a leap second.
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some((hours * 3600 + minutes * 60 + seconds) * SECOND_US + micros(fraction)?)
}

/// A decimal fraction of a second.
fn micros(fraction: &str) -> Option<Micros> {
    if fraction.is_empty() {
        return Some(0);
    }
    let number = digits(fraction, 9)?;
    let scale = 10_i64.pow(fraction.len() as u32);
    Some(number * SECOND_US / scale)
}

fn digits(text: &str, longest: usize) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_all_formats() {
        let table = [
            ("15:34:04.766656 IP", Some(Stamp::TimeOfDay(56_044_766_656))),
            ("00:00:01 IP", Some(Stamp::TimeOfDay(1_000_000))),
            ("00:00:01.5 IP", Some(Stamp::TimeOfDay(1_500_000))),
            ("2021-03-04 12:00:00.123456789 IP", Some(Stamp::Absolute(1_614_859_200_123_456))),
            ("1614859200.123456 IP", Some(Stamp::Absolute(1_614_859_200_123_456))),
            ("24:00:00.0 IP", None),
            ("1.5 IP", None),
            ("10.0.0.1 IP", None),
            ("    10.0.0.1.80 > 10.0.0.2.99: Flags", None),
            ("9629 packets captured", None),
        ];
        for (line, wanted) in table {
            assert_eq!(parse(line).map(|(stamp, _)| stamp), wanted, "{line}");
        }
    }
}
