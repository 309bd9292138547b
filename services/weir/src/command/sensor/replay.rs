//! The sensor's loop: what is due goes out, and between two due times nothing is done.

use std::time::Duration;

use weir_bus::{Message, Value};
use weir_runtime::trace::{SpanKind, TraceContext};
use weir_runtime::{Shutdown, Tracer};
use weir_schemas::{Micros, Record};
use weir_sensor::pace::{Pace, Pacer};
use weir_sensor::packet::InputWarning;
use weir_sensor::sensor::FileSensor;

use crate::failure::Failure;
use crate::service::TURN;

/// Packets that the sensor reads before what they brought goes out.
const PACKETS_PER_STEP: usize = 8_192;

/// Where messages go, and the clock that a replay keeps to.
pub trait Outlet {
    /// Time since some moment, never going back.
    fn now(&self) -> Duration;

    /// Takes a message. Fails once there is no hope for those taken before.
    fn send(&mut self, message: Message) -> Result<(), Failure>;

    /// Lets up to `duration` pass.
    fn wait(&mut self, duration: Duration) -> Result<(), Failure>;

    /// Called after every step: reports what became of messages.
    fn note(&mut self) -> Result<(), Failure>;
}

/// What went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets read.
    pub packets: u64,
    /// Flow records handed over.
    pub records: u64,
    /// Marks handed over, all partitions.
    pub marks: u64,
}

/// A sensor at a pace.
pub struct Replay<O> {
    sensor: FileSensor,
    pace: Pace,
    pacer: Pacer,
    outlet: O,
    tracer: Tracer,
    totals: Totals,
}

impl<O: Outlet> Replay<O> {
    /// A replay that has not begun.
    pub fn new(sensor: FileSensor, pace: Pace, outlet: O, tracer: Tracer) -> Self {
        Self { sensor, pace, pacer: Pacer::new(pace), outlet, tracer, totals: Totals::default() }
    }

    /// Goes on to the input's end, or to the request to stop; the `end` marks are sent either way.
    pub fn run(&mut self, shutdown: &Shutdown, mut warn: impl FnMut(&InputWarning)) -> Result<(), Failure> {
        let mut is_stopped = false;
        loop {
            if shutdown.is_requested() && !is_stopped {
                is_stopped = true;
                self.stop();
            }
            let Some(limit) = self.due()? else { continue };
            let outcome = self.sensor.step_until(limit, PACKETS_PER_STEP);
            self.send(outcome.messages)?;
            self.totals.packets = self.sensor.input_counters().all_packets();
            self.sensor.take_warnings().iter().for_each(&mut warn);
            self.outlet.note()?;
            if outcome.ended {
                return Ok(());
            }
            if outcome.waits {
                self.sensor.await_more(TURN);
            }
        }
    }

    /// What went out up to now.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Gives the outlet back.
    pub fn into_outlet(self) -> O {
        self.outlet
    }

    /// At full speed, what has been read is sent; at a pace, what waits is not due, and would be ahead of its time.
    fn stop(&mut self) {
        match self.pace {
            Pace::Max => self.sensor.stop(),
            Pace::Times(_) => self.sensor.end_now(),
        }
    }

    /// The event time up to which packets may go now; none after waiting for the next one.
    fn due(&mut self) -> Result<Option<Micros>, Failure> {
        if self.pace == Pace::Max {
            return Ok(Some(Micros::MAX));
        }
        let Some(next) = self.sensor.next_due() else {
            return Ok(Some(Micros::MAX));
        };
        // Reading may have taken its time: the clock is looked at afterwards.
        let now = self.outlet.now();
        self.pacer.begin(now, next);
        let wait = self.pacer.wait_for(next, now);
        if wait.is_zero() {
            return Ok(Some(self.pacer.due_at(now)));
        }
        self.outlet.wait(wait.min(TURN))?;
        self.outlet.note()?;
        Ok(None)
    }

    fn send(&mut self, messages: Vec<Message>) -> Result<(), Failure> {
        let mut context = TraceContext::new_root();
        for mut message in messages {
            match &message.value {
                Value::Record(Record::Mark(_)) => {
                    // One promise goes to all partitions, the first one first, and is one trace.
                    if message.partition == 0 {
                        context = self.tracer.span("sensor.mark", SpanKind::Producer, None).context();
                    }
                    message.headers.push(context.header());
                    self.totals.marks += 1;
                }
                _ => self.totals.records += 1,
            }
            self.outlet.send(message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
