//! The kinds of instruments, and the macro that declares a façade of them.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use super::level::Level;
use super::readings::Readings;

/// Upper bounds of duration buckets, s: from a local commit to a restore.
const DURATION_BOUNDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// What kind of values an instrument has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Grows, from 0 at each start.
    Counter,
    /// What holds now.
    Gauge,
    /// How often, by size.
    Histogram,
}

/// A declared instrument, for the reference.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its unit (UCUM; in braces, what is counted).
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What kind of values it has.
    pub shape: Shape,
    /// What it tells.
    pub text: &'static str,
}

/// A kind of instrument.
pub trait Instrument {
    /// What kind of values it has.
    const SHAPE: Shape;

    /// What is recorded.
    type Value;

    /// The instrument under this name.
    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self;

    /// Records a value.
    fn record(&self, value: Self::Value, labels: &[KeyValue]);
}

impl Instrument for Counter<u64> {
    const SHAPE: Shape = Shape::Counter;

    /// What to add.
    type Value = u64;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        meter.u64_counter(name).with_unit(unit).with_description(description).build()
    }

    fn record(&self, value: u64, labels: &[KeyValue]) {
        self.add(value, labels);
    }
}

impl Instrument for Gauge<f64> {
    const SHAPE: Shape = Shape::Gauge;

    /// What holds now.
    type Value = f64;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        meter.f64_gauge(name).with_unit(unit).with_description(description).build()
    }

    fn record(&self, value: f64, labels: &[KeyValue]) {
        Gauge::record(self, value, labels);
    }
}

impl Instrument for Level {
    const SHAPE: Shape = Shape::Gauge;

    /// What this façade's owner has now.
    type Value = f64;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        let counter = meter.f64_up_down_counter(name).with_unit(unit).with_description(description).build();
        Self::over(counter)
    }

    fn record(&self, value: f64, labels: &[KeyValue]) {
        self.set(value, labels);
    }
}

impl Instrument for Readings {
    const SHAPE: Shape = Shape::Gauge;

    /// What holds now.
    type Value = f64;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        let readings = Self::default();
        let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(readings.observer()).build();
        readings
    }

    fn record(&self, value: f64, labels: &[KeyValue]) {
        self.set(value, labels);
    }
}

impl Instrument for Histogram<f64> {
    const SHAPE: Shape = Shape::Histogram;

    /// How long something took.
    type Value = Duration;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        let builder = meter.f64_histogram(name).with_unit(unit).with_description(description);
        builder.with_boundaries(DURATION_BOUNDS.to_vec()).build()
    }

    fn record(&self, value: Duration, labels: &[KeyValue]) {
        Histogram::record(self, value.as_secs_f64(), labels);
    }
}

/// A doc comment as exporters show it: every line begins with the space that stands after the slashes.
pub(super) fn description(documentation: &'static str) -> &'static str {
    documentation.trim_ascii()
}

/// Declares a façade: `method(label, …): Kind = "name", "unit";` becomes a method that records into the instrument.
macro_rules! facade {
    ($(
        $(#[$attribute:meta])*
        $facade:ident {
            $(
                $(#[doc = $doc:literal])+
                $method:ident($($label:ident),*): $kind:ty = $name:literal, $unit:literal;
            )+
        }
    )+) => {
        $(
            $(#[$attribute])*
            #[derive(Clone, Debug)]
            pub struct $facade {
                $($method: $kind,)+
            }

            impl $facade {
                /// The instruments, made by `meter`.
                #[must_use]
                pub fn new(meter: &Meter) -> Self {
                    Self { $($method: Instrument::build(meter, $name, $unit, description(concat!($($doc),+))),)+ }
                }

                $(
                    $(#[doc = $doc])+
                    pub fn $method(&self, $($label: impl Into<StringValue>,)* value: <$kind as Instrument>::Value) {
                        let labels = [$(KeyValue::new(stringify!($label), $label.into())),*];
                        Instrument::record(&self.$method, value, &labels);
                    }
                )+
            }

            impl Default for $facade {
                /// The instruments of the process's meter.
                fn default() -> Self {
                    Self::new(&crate::metrics::meter())
                }
            }
        )+

        /// Every instrument of every service, in the order of declaration.
        pub static INSTRUMENTS: &[Description] = &[$($(Description {
            name: $name,
            unit: $unit,
            labels: &[$(stringify!($label)),*],
            shape: <$kind as Instrument>::SHAPE,
            text: concat!($($doc),+),
        },)+)+];
    };
}

pub(super) use facade;
