//! The kinds of instruments, and the macro that declares a façade of them.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// Upper bounds of duration buckets, s: from a local commit to a restore.
const DURATION_BOUNDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// A kind of instrument.
pub trait Instrument {
    /// What is recorded.
    type Value;

    /// The instrument under this name.
    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self;

    /// Records a value.
    fn record(&self, value: Self::Value, labels: &[KeyValue]);
}

impl Instrument for Counter<u64> {
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
    /// What holds now.
    type Value = f64;

    fn build(meter: &Meter, name: &'static str, unit: &'static str, description: &'static str) -> Self {
        meter.f64_gauge(name).with_unit(unit).with_description(description).build()
    }

    fn record(&self, value: f64, labels: &[KeyValue]) {
        Gauge::record(self, value, labels);
    }
}

impl Instrument for Histogram<f64> {
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

/// Declares a façade: `method(label, …): Kind = "name", "unit";` becomes a method that records into the instrument.
macro_rules! facade {
    ($(
        $(#[$attribute:meta])*
        $facade:ident {
            $(
                #[doc = $doc:literal]
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
                    Self { $($method: Instrument::build(meter, $name, $unit, $doc.trim_ascii()),)+ }
                }

                $(
                    #[doc = $doc]
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
    };
}

pub(super) use facade;
