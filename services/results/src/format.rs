//! Numbers, sizes, rates, durations and times as people read them; the same in every rendering.
//! No number leaves here without its unit, no time without its zone.

use weir_schemas::Micros;
use weir_schemas::rfc3339;
use weir_schemas::time::SECOND_US;

/// `37,623`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and what it counts, in the singular where it is one: `1 port`, `2 ports`.
#[must_use]
pub fn count_of(value: u64, singular: &str) -> String {
    let ending = if value == 1 { "" } else { "s" };
    format!("{} {singular}{ending}", count(value))
}

/// `1,234`, `12.3`, `0.0457`: whole numbers whole, others to three significant digits. `unknown` where it is no number.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let size = value.abs();
    // Below 2^53 every whole number is exact, beyond it three digits say as much as the measurement did.
    if value.fract() == 0.0 && size < 9e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size as u64));
    }
    let decimals = match size {
        _ if size >= 9e15 => return format!("{value:.2e}"),
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ if size >= 0.000_1 => 4,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{size:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A value in decimal multiples of `unit`: `48.2 Mbit/s`, `1.5 kB`.
#[must_use]
pub fn scaled(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    // 999.6 k reads as 1,000 k: such a value belongs to the next prefix.
    let found = PREFIXES.iter().find(|(factor, _)| value.abs() >= factor * 0.9995);
    match found {
        Some((factor, prefix)) => format!("{} {prefix}{unit}", number(value / factor)),
        None => format!("{} {unit}", number(value)),
    }
}

/// Bytes in decimal multiples: `1.5 kB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    scaled(value as f64, "B")
}

/// A share of 1 as per cent: `45 %`, `0.3 %`. Never `100 %` or `0 %` unless it is that.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if !value.is_finite() {
        return "an unknown share".to_owned();
    }
    if value > 99.9 && value < 100.0 {
        return "over 99.9 %".to_owned();
    }
    if value > 0.0 && value < 0.1 {
        return "under 0.1 %".to_owned();
    }
    let tenths = format!("{value:.1}");
    format!("{} %", tenths.strip_suffix(".0").unwrap_or(&tenths))
}

/// `850 µs`, `12.5 ms`, `60 s`, `5 min`, `1 h 5 min`, `2 d 3 h`.
#[must_use]
pub fn duration(micros: Micros) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let size = micros.unsigned_abs();
    let seconds = size / 1_000_000;
    let text = match size {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{size} µs"),
        1_000..1_000_000 => format!("{} ms", number(size as f64 / 1e3)),
        1_000_000..120_000_000 => format!("{} s", number(size as f64 / 1e6)),
        120_000_000..3_600_000_000 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600_000_000..86_400_000_000 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    };
    format!("{sign}{text}")
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

/// A value in a unit as findings name units. Rates and sizes scale, ratios become per cent, counts take a singular.
#[must_use]
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "bit/s" | "bits/s" | "bps" => scaled(value, "bit/s"),
        "B/s" | "byte/s" | "bytes/s" => scaled(value, "B/s"),
        "B" | "byte" | "bytes" => scaled(value, "B"),
        "bit" | "bits" => scaled(value, "bit"),
        "1" | "ratio" | "share" | "fraction" => percent(value),
        "%" | "percent" => format!("{} %", number(value)),
        "s" | "seconds" => duration((value * SECOND_US as f64) as Micros),
        "ms" => duration((value * 1e3) as Micros),
        "us" | "µs" => duration(value as Micros),
        "" => format!("{} (no unit)", number(value)),
        _ if (value - 1.0).abs() < f64::EPSILON => format!("1 {}", crate::text::printable(singular(unit))),
        _ => format!("{} {}", number(value), crate::text::printable(unit).replace('_', " ")),
    }
}

fn singular(unit: &str) -> &str {
    match unit {
        "ports" | "hosts" | "targets" | "sources" | "attempts" | "handshakes" | "flows" | "packets" | "connections"
        | "requests" | "segments" => &unit[..unit.len() - 1],
        "addresses" => "address",
        _ => unit,
    }
}

/// `2026-03-01 12:00:00 UTC`: whole seconds, rounded down.
#[must_use]
pub fn utc(time: Micros) -> String {
    let (date, clock) = date_and_clock(time);
    format!("{date} {clock} UTC")
}

/// `12:00:00`: the time of day in UTC, to be followed by its zone.
#[must_use]
pub fn clock(time: Micros) -> String {
    date_and_clock(time).1
}

/// `2026-03-01` and `12:00:00`.
fn date_and_clock(time: Micros) -> (String, String) {
    let text = rfc3339::format(time);
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    let (clock, _fraction) = rest.split_once('.').unwrap_or((rest, ""));
    (date.to_owned(), clock.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
            (0.457, "0.457"),
            (0.0457, "0.0457"),
            (1.2345, "1.23"),
            (12.345, "12.3"),
            (999.96, "1,000"),
            (12_345.6, "12,346"),
            (f64::NAN, "unknown"),
            (f64::INFINITY, "unknown"),
            (1e-9, "1.00e-9"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn quantities_have_units() {
        let cases = [
            (48_200_000.0, "bit/s", "48.2 Mbit/s"),
            (999.0, "bit/s", "999 bit/s"),
            (999_999.0, "bit/s", "1 Mbit/s"),
            (1500.0, "bytes", "1.5 kB"),
            (0.45, "ratio", "45 %"),
            (0.9999, "ratio", "over 99.9 %"),
            (0.0002, "ratio", "under 0.1 %"),
            (0.0, "ratio", "0 %"),
            (1.0, "ports", "1 port"),
            (1000.0, "ports", "1,000 ports"),
            (2.5, "SYN/s", "2.5 SYN/s"),
            (90.0, "s", "90 s"),
            (7.0, "", "7 (no unit)"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(quantity(value, unit), expected);
        }
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "0 s"),
            (850, "850 µs"),
            (12_500, "12.5 ms"),
            (60_000_000, "60 s"),
            (90_500_000, "90.5 s"),
            (300_000_000, "5 min"),
            (301_000_000, "5 min 1 s"),
            (3_900_000_000, "1 h 5 min"),
            (183_600_000_000, "2 d 3 h"),
            (-60_000_000, "-60 s"),
            (Micros::MIN, "-106751991 d 4 h"),
        ];
        for (micros, expected) in cases {
            assert_eq!(duration(micros), expected);
        }
    }

    #[test]
    fn times_are_utc() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400_000_000, "2000-02-29 00:00:00 UTC"),
            (4_107_542_400_000_000, "2100-03-01 00:00:00 UTC"),
            (1_772_366_400_000_000, "2026-03-01 12:00:00 UTC"),
        ];
        for (time, expected) in cases {
            assert_eq!(utc(time), expected);
        }
        assert_eq!(clock(-1), "23:59:59");
    }
}
