//! Where the sensor's messages go: a publisher, watched for progress.

use std::fmt;
use std::time::{Duration, Instant};

use weir_bus::Message;
use weir_bus::kafka::{Counts, Publisher};
use weir_runtime::metrics::SensorMetrics;

use super::replay::Outlet;
use crate::failure::Failure;

/// How long brokers may confirm nothing of what is under way, or the queue stay full, before the sensor gives up and leaves
/// it to its supervisor. A replay begins anew then: an election or a restart of a broker must pass within it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How often what the brokers' client met by itself goes to the log.
const WARNINGS_EVERY: Duration = Duration::from_secs(10);

/// A publisher with the sensor's accounts.
pub struct KafkaOutlet {
    publisher: Publisher,
    metrics: SensorMetrics,
    began: Instant,
    /// What was told of deliveries so far.
    told: Counts,
    /// When a delivery was last confirmed or given up, or nothing was under way.
    moved: Instant,
    warned: Instant,
}

impl KafkaOutlet {
    /// An outlet that has sent nothing.
    pub fn new(publisher: Publisher, metrics: SensorMetrics) -> Self {
        let now = Instant::now();
        let told = publisher.counts();
        Self { publisher, metrics, began: now, told, moved: now, warned: now }
    }

    /// Waits up to `patience` for what is under way, and tells what became of everything.
    pub fn finish(mut self, patience: Duration) -> Delivered {
        // What is still under way then is told by the counts.
        let _ = self.publisher.flush(patience);
        self.report();
        Delivered { counts: self.told }
    }

    fn report(&mut self) {
        let counts = self.publisher.counts();
        let (delivered, failed) = (counts.delivered - self.told.delivered, counts.failures() - self.told.failures());
        if delivered > 0 {
            self.metrics.deliveries("delivered", delivered);
        }
        if failed > 0 {
            self.metrics.deliveries("failed", failed);
            tracing::warn!(failed, reasons = reasons(&counts), "records were given up");
        }
        if delivered + failed > 0 || counts.in_flight == 0 {
            self.moved = Instant::now();
        }
        self.told = counts;
    }
}

impl Outlet for KafkaOutlet {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn send(&mut self, message: Message) -> Result<(), Failure> {
        Ok(self.publisher.publish(&message)?)
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Failure> {
        // The passing of time is itself what a replay waits for; the publisher's own thread goes on.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(duration);
        Ok(())
    }

    fn note(&mut self) -> Result<(), Failure> {
        self.report();
        if self.warned.elapsed() >= WARNINGS_EVERY {
            self.warned = Instant::now();
            for warning in self.publisher.take_warnings() {
                tracing::warn!(times = warning.times, "{}", warning.text);
            }
        }
        if self.moved.elapsed() < PATIENCE {
            return Ok(());
        }
        let (seconds, waiting) = (PATIENCE.as_secs(), self.told.in_flight);
        Err(Failure::unreachable(format!(
            "brokers have confirmed nothing for {seconds} s, {waiting} records wait; check them and the network, then start \
             the sensor again"
        )))
    }
}

/// What became of everything that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    counts: Counts,
}

impl Delivered {
    /// A failure if the log lacks anything.
    pub fn into_result(self) -> Result<(), Failure> {
        let lost = self.counts.failures() + self.counts.in_flight;
        if lost == 0 {
            return Ok(());
        }
        Err(Failure::unreachable(format!(
            "{lost} records were not delivered; the detector sees a gap in their numbers"
        )))
    }
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { delivered, in_flight, .. } = &self.counts;
        write!(f, "delivered={delivered} failed={} unconfirmed={in_flight}", self.counts.failures())?;
        if self.counts.failures() > 0 {
            write!(f, " ({})", reasons(&self.counts))?;
        }
        Ok(())
    }
}

fn reasons(counts: &Counts) -> String {
    let reasons: Vec<String> = counts.failed.iter().map(|(reason, times)| format!("{reason}: {times}")).collect();
    reasons.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::failure::Failure;

    use super::*;

    #[test]
    fn what_the_log_lacks_is_a_failure_with_its_reasons() {
        let whole = Delivered { counts: Counts { delivered: 7, ..Counts::default() } };
        assert_eq!(whole.to_string(), "delivered=7 failed=0 unconfirmed=0");
        assert_eq!(whole.into_result(), Ok(()));
        let failed = [("timed out".to_owned(), 2), ("too large".to_owned(), 1)].into();
        let lacking = Delivered { counts: Counts { delivered: 7, failed, in_flight: 4 } };
        assert_eq!(lacking.to_string(), "delivered=7 failed=3 unconfirmed=4 (timed out: 2, too large: 1)");
        let expected = "7 records were not delivered; the detector sees a gap in their numbers";
        assert_eq!(lacking.into_result(), Err(Failure::unreachable(expected)));
    }
}
