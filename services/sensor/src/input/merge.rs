//! Several inputs as one, merged by time. Inputs of one time come in the order in which they were given.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use weir_schemas::Micros;

use super::ordered::OrderedInput;
use super::{Input, Observed};
use crate::packet::{InputCounters, InputWarning};

/// Inputs merged by time.
pub(super) struct MergedInput {
    inputs: Vec<OrderedInput>,
    /// What each input brings next, with several of them.
    heads: Vec<Option<Observed>>,
    times: BinaryHeap<Reverse<(Micros, usize)>>,
    started: bool,
    counters: InputCounters,
}

impl MergedInput {
    pub(super) fn new(inputs: Vec<OrderedInput>) -> Self {
        let heads = inputs.iter().map(|_| None).collect();
        Self { inputs, heads, times: BinaryHeap::new(), started: false, counters: InputCounters::default() }
    }

    fn advance(&mut self, input: usize) {
        self.heads[input] = self.inputs[input].next(&mut self.counters);
        if let Some(observed) = &self.heads[input] {
            self.times.push(Reverse((observed.time(), input)));
        }
    }
}

impl Input for MergedInput {
    fn next(&mut self) -> Option<Observed> {
        if let [input] = self.inputs.as_mut_slice() {
            return input.next(&mut self.counters);
        }
        if !self.started {
            self.started = true;
            (0..self.inputs.len()).for_each(|input| self.advance(input));
        }
        let Reverse((_, input)) = self.times.pop()?;
        let observed = self.heads[input].take();
        self.advance(input);
        observed
    }

    fn counters(&self) -> &InputCounters {
        &self.counters
    }

    fn take_warnings(&mut self) -> Vec<InputWarning> {
        self.inputs.iter_mut().flat_map(OrderedInput::take_warnings).collect()
    }

    fn stop(&mut self) {
        self.inputs.iter_mut().for_each(OrderedInput::stop);
    }

    fn kind(&self) -> &str {
        let Some(first) = self.inputs.first().map(OrderedInput::kind) else {
            return "none";
        };
        if self.inputs.iter().all(|input| input.kind() == first) { first } else { "mixed" }
    }
}
