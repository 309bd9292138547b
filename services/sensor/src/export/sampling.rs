//! How many packets one counted packet stands for: what records, headers and options data say of it.

use std::collections::HashMap;

use super::element::{Element, Wire};

/// Samplers of one exporter and domain that are kept; beyond, the exporter is broken, and new ones are not.
const MOST_SAMPLERS: usize = 1024;
/// One packet of more than this is no sampling but garbage.
const GREATEST_RATE: u64 = 1 << 24;

/// What one record says of sampling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sampling {
    interval: Option<u64>,
    sampler: Option<u64>,
    interface: Option<u64>,
    row: Option<u64>,
    space: Option<u64>,
    size: Option<u64>,
    population: Option<u64>,
    probability: Option<f64>,
}

impl Sampling {
    /// Takes an element, if it tells of sampling.
    pub(super) fn take(&mut self, element: Element, value: Wire<'_>) {
        let number = value.number();
        match element {
            // Of two intervals (34 and 50) one may be 0.
            Element::SamplingInterval => self.interval = self.interval.max(number),
            Element::Sampler => self.sampler = self.sampler.max(number),
            Element::InputInterface => self.interface = number,
            Element::SampledRow => self.row = number,
            Element::SampledSpace => self.space = number,
            Element::SampleSize => self.size = number,
            Element::SamplePopulation => self.population = number,
            Element::SamplingProbability => self.probability = value.float(),
            _ => {}
        }
    }

    /// Notes the interface that options data are about.
    pub(super) fn set_interface(&mut self, interface: Option<u64>) {
        self.interface = self.interface.or(interface);
    }

    /// The rate that the record itself tells: RFC 5477 §8.2, RFC 3954 §8.
    fn rate(&self) -> Option<u32> {
        let row = self.row.filter(|row| *row > 0);
        let size = self.size.filter(|size| *size > 0);
        let rate = if let Some(interval) = self.interval {
            interval
        } else if let Some(row) = row {
            nearest(row.saturating_add(self.space.unwrap_or(0)), row)
        } else if let Some((size, population)) = size.zip(self.population) {
            nearest(population, size)
        } else {
            let probability = self.probability.filter(|probability| *probability > 0.0 && *probability <= 1.0)?;
            (1.0 / probability).round() as u64
        };
        (1..=GREATEST_RATE).contains(&rate).then_some(rate as u32)
    }
}

/// The integer nearest to the quotient; `divisor` is not 0.
fn nearest(dividend: u64, divisor: u64) -> u64 {
    dividend.saturating_add(divisor / 2) / divisor
}

/// What a rate holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Domain,
    Sampler(u64),
    Interface(u64),
}

/// The rates that options data of one exporter and domain have told.
#[derive(Clone, Debug, Default)]
pub(super) struct Samplers {
    rates: HashMap<Scope, u32>,
}

/// The rate of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// One packet of so many was counted; 1 where nothing says anything else.
    Of(u32),
    /// By a sampler of which nothing is known yet.
    Unknown,
}

impl Samplers {
    /// Learns from options data, if they tell of sampling.
    pub(super) fn learn(&mut self, options: &Sampling) {
        let Some(rate) = options.rate() else { return };
        let scope = match (options.sampler, options.interface) {
            (Some(sampler), _) => Scope::Sampler(sampler),
            (None, Some(interface)) => Scope::Interface(interface),
            (None, None) => Scope::Domain,
        };
        if self.rates.len() < MOST_SAMPLERS || self.rates.contains_key(&scope) {
            self.rates.insert(scope, rate);
        }
    }

    /// The rate of a record: its own, its sampler's, its interface's, its domain's.
    pub(super) fn rate(&self, record: &Sampling) -> Rate {
        if let Some(rate) = record.rate() {
            return Rate::Of(rate);
        }
        let of = |scope: Scope| self.rates.get(&scope).copied();
        // Sampler 0 is none: the flow was not sampled.
        let sampler = record.sampler.filter(|sampler| *sampler != 0);
        let known = sampler
            .and_then(|sampler| of(Scope::Sampler(sampler)))
            .or_else(|| record.interface.and_then(|interface| of(Scope::Interface(interface))))
            .or_else(|| of(Scope::Domain));
        match known {
            Some(rate) => Rate::Of(rate),
            None if sampler.is_some() => Rate::Unknown,
            None => Rate::Of(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(elements: &[(Element, u64)]) -> Sampling {
        let mut sampling = Sampling::default();
        for (element, number) in elements {
            sampling.take(*element, Wire(&number.to_be_bytes()));
        }
        sampling
    }

    #[test]
    fn a_record_may_tell_its_rate_in_any_form() {
        let samplers = Samplers::default();
        let probability = 0.001f64.to_bits();
        let cases: [(&[(Element, u64)], Rate); 9] = [
            (&[], Rate::Of(1)),
            (&[(Element::SamplingInterval, 100)], Rate::Of(100)),
            (&[(Element::SamplingInterval, 0), (Element::SamplingInterval, 64)], Rate::Of(64)),
            (&[(Element::SampledRow, 1), (Element::SampledSpace, 999)], Rate::Of(1000)),
            (&[(Element::SampledRow, 10), (Element::SampledSpace, 990)], Rate::Of(100)),
            (&[(Element::SampleSize, 2), (Element::SamplePopulation, 1000)], Rate::Of(500)),
            (&[(Element::SamplingProbability, probability)], Rate::Of(1000)),
            (&[(Element::SampledRow, 0), (Element::SampledSpace, 9)], Rate::Of(1)),
            (&[(Element::SamplingInterval, u64::MAX)], Rate::Of(1)),
        ];
        for (elements, rate) in cases {
            assert_eq!(samplers.rate(&saying(elements)), rate, "{elements:?}");
        }
    }

    #[test]
    fn options_tell_rates_of_samplers_interfaces_and_domains() {
        let mut samplers = Samplers::default();
        let record = saying(&[(Element::Sampler, 7), (Element::InputInterface, 3)]);
        assert_eq!(samplers.rate(&record), Rate::Unknown);
        samplers.learn(&saying(&[(Element::SamplingInterval, 10)]));
        assert_eq!(samplers.rate(&record), Rate::Of(10));
        samplers.learn(&saying(&[(Element::InputInterface, 3), (Element::SamplingInterval, 20)]));
        assert_eq!(samplers.rate(&record), Rate::Of(20));
        samplers.learn(&saying(&[(Element::Sampler, 7), (Element::SampledRow, 1), (Element::SampledSpace, 29)]));
        assert_eq!(samplers.rate(&record), Rate::Of(30));
        assert_eq!(samplers.rate(&saying(&[])), Rate::Of(10));
    }

    #[test]
    fn samplers_are_bounded() {
        let mut samplers = Samplers::default();
        for sampler in 0..5000 {
            samplers.learn(&saying(&[(Element::Sampler, sampler), (Element::SamplingInterval, 2)]));
        }
        assert_eq!(samplers.rates.len(), MOST_SAMPLERS);
    }
}
