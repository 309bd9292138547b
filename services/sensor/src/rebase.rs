//! An old capture in the present: every packet's and flow's time shifted by one constant, before anything is made of it.
//!
//! The shift comes before flows are cut on the pane grid, so that what follows cannot tell the capture from traffic of today.

use std::path::PathBuf;

use weir_schemas::Micros;

use crate::input::{self, Input, InputError, InputOptions, Observed};
use crate::packet::{InputCounters, InputWarning};

/// By what packets are shifted.
enum Shift {
    /// The first packet gets this time, and so tells the shift.
    FirstAt(Box<dyn FnMut() -> Micros>),
    /// This much, µs.
    By(Micros),
}

/// An input whose packets are shifted in time.
pub struct Rebased {
    input: Box<dyn Input>,
    shift: Shift,
}

impl Rebased {
    /// The first packet gets the time that `now` tells when it is read, µs since 1970 UTC.
    #[must_use]
    pub fn first_at(input: Box<dyn Input>, now: impl FnMut() -> Micros + 'static) -> Self {
        Self { input, shift: Shift::FirstAt(Box::new(now)) }
    }

    /// Every packet is shifted by `shift`, µs.
    #[must_use]
    pub fn by(input: Box<dyn Input>, shift: Micros) -> Self {
        Self { input, shift: Shift::By(shift) }
    }
}

impl Input for Rebased {
    fn next(&mut self) -> Option<Observed> {
        let mut observed = self.input.next()?;
        let shift = match &mut self.shift {
            Shift::By(shift) => *shift,
            Shift::FirstAt(now) => now().saturating_sub(observed.time()),
        };
        self.shift = Shift::By(shift);
        observed.set_time(observed.time().saturating_add(shift));
        Some(observed)
    }

    fn counters(&self) -> &InputCounters {
        self.input.counters()
    }

    fn take_warnings(&mut self) -> Vec<InputWarning> {
        self.input.take_warnings()
    }

    fn kind(&self) -> &str {
        self.input.kind()
    }

    fn stop(&mut self) {
        self.input.stop();
    }
}

/// The time of the last packet of these files, found by reading them through; `None` where there is no packet, or where
/// the request to stop came first.
pub fn last_time(files: &[PathBuf], options: &InputOptions) -> Result<Option<Micros>, InputError> {
    let mut input = input::open(files, options)?;
    let mut last = None;
    while let Some(observed) = input.next() {
        if options.shutdown.is_requested() {
            return Ok(None);
        }
        last = last.max(Some(observed.end()));
    }
    Ok(last)
}

/// The first of these that cannot be read twice: standard input, a pipe, a device.
#[must_use]
pub fn first_stream(files: &[PathBuf]) -> Option<&PathBuf> {
    files.iter().find(|file| {
        // A file that is missing is told of when it is opened.
        file.as_os_str() == "-" || std::fs::metadata(file).is_ok_and(|about| !about.is_file() && !about.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn capture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/benign_ping.pcapng.gz")
    }

    fn times(mut input: impl Input) -> Vec<Micros> {
        std::iter::from_fn(|| input.next()).map(|observed| observed.time()).collect()
    }

    fn open() -> Box<dyn Input> {
        input::open(&[capture()], &InputOptions::default()).unwrap()
    }

    #[test]
    fn all_times_shift_by_one_constant() {
        let original = times(Rebased::by(open(), 0));
        assert!(original.len() > 10);
        let now = 1_800_000_000_000_000;
        let mut calls = 0..;
        let rebased = times(Rebased::first_at(open(), move || now + calls.next().unwrap()));
        let expected: Vec<Micros> = original.iter().map(|time| time - original[0] + now).collect();
        assert_eq!(rebased, expected);
    }

    #[test]
    fn the_last_time_is_that_of_the_last_packet() {
        let original = times(Rebased::by(open(), 0));
        assert_eq!(last_time(&[capture()], &InputOptions::default()).unwrap(), original.into_iter().max());
    }

    #[test]
    fn streams_are_known_before_they_are_opened() {
        let files = [capture(), "/dev/null".into(), "-".into()];
        assert_eq!(first_stream(&files), Some(&files[1]));
        assert_eq!(first_stream(&files[2..]), Some(&files[2]));
        assert_eq!(first_stream(&["missing.pcap".into(), capture()]), None);
    }
}
