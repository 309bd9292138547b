//! The timing block of a flow record: gaps between packets and packet sizes, as integers that merge by addition.

use serde::Serialize;

/// A distribution's mergeable moments; all zero while `n` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Samples.
    pub n: u64,
    /// Sum of the samples.
    pub sum: u64,
    /// Sum of their squares.
    pub sumsq: u128,
    /// Least sample.
    pub min: u64,
    /// Greatest sample.
    pub max: u64,
}

impl Spread {
    /// Adds one sample.
    pub fn add(&mut self, sample: u64) {
        self.min = if self.n == 0 { sample } else { self.min.min(sample) };
        self.max = self.max.max(sample);
        self.n += 1;
        self.sum = self.sum.saturating_add(sample);
        self.sumsq = self.sumsq.saturating_add(u128::from(sample) * u128::from(sample));
    }
}

/// Gaps and sizes of both directions in one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// Gaps between packets, source → responder, µs.
    pub fwd_iat: Spread,
    /// Gaps between packets, responder → source, µs.
    pub rev_iat: Spread,
    /// IP lengths, source → responder, bytes.
    pub fwd_size: Spread,
    /// IP lengths, responder → source, bytes.
    pub rev_size: Spread,
}
