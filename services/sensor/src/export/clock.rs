//! Exporters' clocks: times since boot, times in four units, and what of them can be believed.

use weir_schemas::{Micros, SECOND_US};

use super::EARLIEST;

/// Milliseconds to microseconds.
const MILLISECOND_US: Micros = 1000;
/// From the epoch of NTP, 1900, to that of Unix, seconds (RFC 5905 §6).
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
/// No flow lasts longer: what says so has a wrong start. Uptimes of 32 bits cannot tell more than 24.8 days.
pub(super) const LONGEST_FLOW: Micros = 30 * 86_400 * SECOND_US;
/// How long after its export a flow may end, by clocks that differ.
const LONGEST_FUTURE: Micros = 86_400 * SECOND_US;

/// The time of a message, as its header tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// When it was exported.
    pub(super) export: Micros,
    /// The exporter's uptime then, ms, modulo 2^32, where the header has it.
    pub(super) uptime: Option<u32>,
    /// When the exporter was started, where options data or the record said so.
    pub(super) boot: Option<Micros>,
}

/// A time as a record tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Since 1970 UTC.
    At(Micros),
    /// The exporter's uptime, ms, modulo 2^32.
    Uptime(u32),
    /// Before the export.
    Before(Micros),
    /// 64 bits in NTP's format, or what exporters take for it.
    Ntp(u64),
}

impl Clock {
    /// The time of a moment; `None` where the exporter's start is not known.
    pub(super) fn time(&self, moment: Moment) -> Option<Micros> {
        match moment {
            Moment::At(time) => Some(time),
            Moment::Before(delta) => Some(self.export.saturating_sub(delta)),
            Moment::Ntp(value) => Some(self.ntp(value)),
            Moment::Uptime(milliseconds) => match (self.uptime, self.boot) {
                // Both wrap every 49.7 days: their difference is right as long as it is less than half of that. A record may
                // be younger than its header's uptime.
                (Some(now), _) => {
                    let age = now.wrapping_sub(milliseconds).cast_signed();
                    Some(self.export - Micros::from(age) * MILLISECOND_US)
                }
                (None, Some(boot)) => {
                    let since_boot = (self.export - boot) / MILLISECOND_US;
                    let age = (since_boot as u32).wrapping_sub(milliseconds).cast_signed();
                    Some(boot + (since_boot - Micros::from(age)) * MILLISECOND_US)
                }
                (None, None) => None,
            },
        }
    }

    /// Whether a flow with this time can have been exported when it was. Old captures are exported anew: only the beginning
    /// of `NetFlow` bounds the past.
    pub(super) fn believes(&self, time: Micros) -> bool {
        (EARLIEST..=self.export.saturating_add(LONGEST_FUTURE)).contains(&time)
    }

    /// RFC 7011 §6.1.9 says NTP's timestamp format. Exporters also send it with the epoch of Unix, or plain microseconds or
    /// nanoseconds: each of them is before 1996 or in the future where it is taken for another.
    fn ntp(&self, value: u64) -> Micros {
        let (seconds, fraction) = (value >> 32, value & 0xffff_ffff);
        // Rounded: exporters round down what they convert to the format.
        let micros = (fraction * 1_000_000 + (1 << 31)) >> 32;
        let of_unix = (seconds * 1_000_000 + micros).cast_signed();
        let of_ntp = of_unix - (NTP_TO_UNIX_SECONDS * 1_000_000).cast_signed();
        let plain = value.min(i64::MAX as u64).cast_signed();
        [of_ntp, of_unix, plain, plain / 1000].into_iter().find(|time| self.believes(*time)).unwrap_or(of_ntp)
    }
}

/// Seconds and nanoseconds of a header, µs.
pub(super) fn header_time(seconds: u32, nanoseconds: u32) -> Micros {
    // Some exporters put microseconds or garbage here: never more than the second they belong to.
    Micros::from(seconds) * SECOND_US + Micros::from(nanoseconds.min(999_999_999) / 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Micros = 1_700_000_000 * SECOND_US;

    fn ntp(time: Micros, epoch: u64) -> u64 {
        let (seconds, micros) = (time as u64 / 1_000_000 + epoch, time as u64 % 1_000_000);
        seconds << 32 | ((micros << 32) / 1_000_000)
    }

    proptest! {
        #[test]
        fn uptimes_wrap(uptime in any::<u32>(), age in 0..2_000_000_000u32) {
            let clock = Clock { export: NOW, uptime: Some(uptime), boot: None };
            let time = clock.time(Moment::Uptime(uptime.wrapping_sub(age))).unwrap();
            prop_assert_eq!(time, NOW - Micros::from(age) * MILLISECOND_US);
        }

        #[test]
        fn uptimes_since_a_known_boot_wrap(up in 0..20_000_000_000i64, age in 0..2_000_000_000i64) {
            prop_assume!(age <= up);
            let boot = NOW - up * MILLISECOND_US;
            let clock = Clock { export: NOW, uptime: None, boot: Some(boot) };
            let time = clock.time(Moment::Uptime((up - age) as u32)).unwrap();
            prop_assert_eq!(time, NOW - age * MILLISECOND_US);
        }

        #[test]
        fn every_reading_of_ntp_is_understood(age in 0..600_000_000 * SECOND_US) {
            let (time, clock) = (NOW - age, Clock { export: NOW, uptime: None, boot: None });
            let forms = [ntp(time, NTP_TO_UNIX_SECONDS), ntp(time, 0), time as u64, time as u64 * 1000];
            for form in forms {
                prop_assert_eq!(clock.time(Moment::Ntp(form)), Some(time));
            }
        }

        #[test]
        fn nothing_overflows(value in any::<u64>(), export in any::<u32>(), milliseconds in any::<u32>(), boot in any::<u32>()) {
            let export = header_time(export, milliseconds);
            let boot = Some(Micros::from(boot) * SECOND_US);
            for clock in [Clock { export, uptime: Some(milliseconds), boot }, Clock { export, uptime: None, boot }] {
                for moment in [Moment::Ntp(value), Moment::Uptime(milliseconds), Moment::Before(Micros::from(milliseconds))] {
                    let time = clock.time(moment).unwrap();
                    prop_assert!(!clock.believes(time) || time >= EARLIEST);
                }
            }
        }
    }

    #[test]
    fn a_record_may_be_younger_than_its_header() {
        let clock = Clock { export: NOW, uptime: Some(5), boot: None };
        assert_eq!(clock.time(Moment::Uptime(8)), Some(NOW + 3 * MILLISECOND_US));
    }

    #[test]
    fn times_far_from_the_export_are_not_believed() {
        let clock = Clock { export: NOW, uptime: None, boot: None };
        assert!(clock.believes(NOW) && clock.believes(NOW - 86_400 * SECOND_US));
        assert!(!clock.believes(0) && !clock.believes(NOW + 2 * 86_400 * SECOND_US));
    }
}
