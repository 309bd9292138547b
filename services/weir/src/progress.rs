//! Progress on a terminal: one line on standard error that is redrawn, and gone at the end.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use weir_schemas::Micros;

/// Time between two drawings.
const REDRAW: Duration = Duration::from_millis(100);

/// The line.
pub struct Progress {
    is_shown: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// A line, if it is wanted and standard error is a terminal.
    pub fn new(is_wanted: bool) -> Self {
        Self { is_shown: is_wanted && std::io::stderr().is_terminal(), began: Instant::now(), drawn: None }
    }

    /// Redraws the line now and then.
    pub fn show(&mut self, packets: u64, event_time: Option<Micros>) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if !self.is_shown || !is_due {
            return;
        }
        self.drawn = Some(Instant::now());
        let rate = packets as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let until = event_time.map(|time| format!(", up to {}", weir_results::format::utc(time))).unwrap_or_default();
        eprint!("\r\x1b[2K{packets} packets, {rate:.0} packets/s{until}");
        // A terminal that is gone is no reason to stop.
        let _ = std::io::stderr().flush();
    }

    /// Takes the line away, so that something else may be printed.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            eprint!("\r\x1b[2K");
        }
    }

    /// Prints a warning.
    pub fn warn(&mut self, warning: &str) {
        self.clear();
        eprintln!("weir: warning: {}", weir_results::text::printable_line(warning));
    }

    /// Takes the line away for good.
    pub fn finish(&mut self) {
        self.clear();
        self.is_shown = false;
    }
}
