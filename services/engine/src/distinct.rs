//! How many different things: exact while few, a HyperLogLog beyond; a function of the set alone, so that merging in any
//! order gives the same state.
//!
//! Up to [`EXACT_LIMIT`] hashes are kept as they are: a sweep of a /24 is counted host by host. Beyond, 2^10 registers
//! (Flajolet et al., "HyperLogLog", 2007, with its linear counting for small counts): standard error 1.04/√1024 = 3.3 %.
//! Thresholds lie below the exact limit, so that a verdict never hangs on an estimate. 32 bits of each hash are kept, which
//! halves the state: 300 things collide once in 95,000 sets.

use serde::{Deserialize, Serialize};
use weir_schemas::partial::DistinctSet;

/// Counts up to this are exact.
pub const EXACT_LIMIT: usize = 300;

const REGISTER_BITS: u32 = 10;
const HASH_BITS: u32 = 32;
const REGISTERS: usize = 1 << REGISTER_BITS;

/// The relative standard error of a count beyond [`EXACT_LIMIT`].
pub const STANDARD_ERROR: f64 = 0.033;

/// A set of hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DistinctSet", into = "DistinctSet")]
pub struct Distinct(Kept);

/// What is kept of a set. Most sets hold one thing for ever: it needs no list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    One(u64),
    Set(DistinctSet),
}

/// Places that a list has for its first entries.
const FIRST_PLACES: usize = 4;

impl Default for Distinct {
    fn default() -> Self {
        Self(Kept::Set(DistinctSet::Exact(Vec::new())))
    }
}

impl From<DistinctSet> for Distinct {
    /// The set as it is, trusted.
    fn from(set: DistinctSet) -> Self {
        match set {
            DistinctSet::Exact(hashes) if hashes.len() == 1 => Self(Kept::One(hashes[0])),
            set => Self(Kept::Set(set)),
        }
    }
}

impl From<Distinct> for DistinctSet {
    fn from(distinct: Distinct) -> Self {
        match distinct.0 {
            Kept::One(hash) => Self::Exact(vec![hash]),
            Kept::Set(set) => set,
        }
    }
}

impl Distinct {
    /// Adds a hash; true iff the exact set grew.
    pub fn insert(&mut self, hash: u64) -> bool {
        self.insert_kept(hash >> (64 - HASH_BITS))
    }

    fn insert_kept(&mut self, hash: u64) -> bool {
        match &mut self.0 {
            Kept::One(only) if *only == hash => false,
            Kept::One(only) => {
                let mut hashes = Vec::with_capacity(FIRST_PLACES);
                hashes.extend([hash.min(*only), hash.max(*only)]);
                self.0 = Kept::Set(DistinctSet::Exact(hashes));
                true
            }
            Kept::Set(DistinctSet::Exact(hashes)) if hashes.is_empty() => {
                self.0 = Kept::One(hash);
                true
            }
            Kept::Set(DistinctSet::Exact(hashes)) => {
                let Err(place) = hashes.binary_search(&hash) else { return false };
                if hashes.len() < EXACT_LIMIT {
                    hashes.insert(place, hash);
                    return true;
                }
                let mut registers = registers_of(hashes);
                set_register(&mut registers, hash);
                self.0 = Kept::Set(DistinctSet::Registers(registers));
                false
            }
            Kept::Set(DistinctSet::Registers(registers)) => {
                set_register(registers, hash);
                false
            }
        }
    }

    /// Adds another set.
    pub fn merge(&mut self, other: &Self) {
        let theirs = match &other.0 {
            Kept::One(hash) => {
                self.insert_kept(*hash);
                return;
            }
            Kept::Set(DistinctSet::Exact(hashes)) => {
                for hash in hashes {
                    self.insert_kept(*hash);
                }
                return;
            }
            Kept::Set(DistinctSet::Registers(registers)) => registers,
        };
        let mut merged = match &mut self.0 {
            Kept::One(hash) => registers_of(&[*hash]),
            Kept::Set(DistinctSet::Exact(hashes)) => registers_of(hashes),
            Kept::Set(DistinctSet::Registers(registers)) => std::mem::take(registers),
        };
        merge_registers(&mut merged, theirs);
        self.0 = Kept::Set(DistinctSet::Registers(merged));
    }

    /// Adds a set from a partial; malformed ones count as far as they hold.
    pub fn merge_wire(&mut self, set: &DistinctSet) {
        match set {
            DistinctSet::Exact(hashes) => {
                for hash in hashes {
                    self.insert_kept(*hash & u64::from(u32::MAX));
                }
            }
            DistinctSet::Registers(_) => self.merge(&Self::from_wire(set)),
        }
    }

    /// The count: exact up to [`EXACT_LIMIT`], else an estimate, never below the limit.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Kept::One(_) => 1,
            Kept::Set(DistinctSet::Exact(hashes)) => hashes.len() as u64,
            Kept::Set(DistinctSet::Registers(registers)) => estimate(registers).max(EXACT_LIMIT as u64 + 1),
        }
    }

    /// Whether [`Self::count`] is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !matches!(self.0, Kept::Set(DistinctSet::Registers(_)))
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Kept::Set(DistinctSet::Exact(hashes)) if hashes.is_empty())
    }

    /// Hashes, or octets of registers, that travel in a partial.
    #[must_use]
    pub fn wire_length(&self) -> WireLength {
        match &self.0 {
            Kept::One(_) => WireLength::Hashes(1),
            Kept::Set(DistinctSet::Exact(hashes)) => WireLength::Hashes(hashes.len()),
            Kept::Set(DistinctSet::Registers(registers)) => WireLength::Registers(registers.len()),
        }
    }

    /// The set as it travels in a partial, without copying it.
    #[must_use]
    pub fn into_wire(self) -> DistinctSet {
        self.into()
    }

    /// The set from a partial; malformed ones (unsorted, wrong size) are rebuilt as far as they hold.
    #[must_use]
    pub fn from_wire(set: &DistinctSet) -> Self {
        match set {
            DistinctSet::Exact(hashes) => {
                let mut distinct = Self::default();
                for hash in hashes {
                    distinct.insert_kept(*hash & u64::from(u32::MAX));
                }
                distinct
            }
            DistinctSet::Registers(registers) => {
                let mut fixed = vec![0; REGISTERS];
                for (mine, theirs) in fixed.iter_mut().zip(registers) {
                    *mine = (*theirs).min((HASH_BITS - REGISTER_BITS + 1) as u8);
                }
                Self(Kept::Set(DistinctSet::Registers(fixed)))
            }
        }
    }

    /// Bytes on the heap, as if a list held even one: what a share of memory holds does not hang on how it is kept.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Kept::One(_) => FIRST_PLACES * size_of::<u64>(),
            Kept::Set(DistinctSet::Exact(hashes)) => hashes.capacity() * size_of::<u64>(),
            Kept::Set(DistinctSet::Registers(registers)) => registers.capacity(),
        }
    }
}

/// How long a set is in a partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireLength {
    /// Hashes of eight octets.
    Hashes(usize),
    /// Registers of one octet.
    Registers(usize),
}

fn set_register(registers: &mut [u8], hash: u64) {
    let index = (hash >> (HASH_BITS - REGISTER_BITS)) as usize % REGISTERS;
    // The position of the first one among the bits after the index; a sentinel stands behind them.
    let rest = (hash << (64 - HASH_BITS + REGISTER_BITS)) | (1 << (63 - HASH_BITS + REGISTER_BITS));
    let rank = rest.leading_zeros() as u8 + 1;
    registers[index] = registers[index].max(rank);
}

fn registers_of(hashes: &[u64]) -> Vec<u8> {
    let mut registers = vec![0; REGISTERS];
    for hash in hashes {
        set_register(&mut registers, *hash);
    }
    registers
}

fn merge_registers(mine: &mut [u8], theirs: &[u8]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = (*mine).max(*theirs);
    }
}

fn estimate(registers: &[u8]) -> u64 {
    let size = REGISTERS as f64;
    // Each term is a power of two and there are 1,024: the sum is exact in a fixed order.
    let inverse_sum: f64 = registers.iter().map(|rank| libm::ldexp(1.0, -i32::from(*rank))).sum();
    let alpha = 0.7213 / (1.0 + 1.079 / size);
    let raw = alpha * size * size / inverse_sum;
    let empty = registers.iter().map(|rank| u32::from(*rank == 0)).sum::<u32>();
    let estimate = if raw <= 2.5 * size && empty > 0 { size * libm::log(size / f64::from(empty)) } else { raw };
    libm::round(estimate) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashSeed;
    use proptest::prelude::*;

    fn hashes(range: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        range.map(|item| HashSeed::default().hash_of(&item))
    }

    #[test]
    fn counts_are_exact_up_to_the_limit_and_close_beyond() {
        for (items, tolerance) in
            [(0, 0.0), (1, 0.0), (300, 0.0), (400, 0.1), (1_000, 0.1), (50_000, 0.1), (2_000_000, 0.1)]
        {
            let mut distinct = Distinct::default();
            for hash in hashes(0..items).chain(hashes(0..items)) {
                distinct.insert(hash);
            }
            let error = (distinct.count() as f64 - items as f64).abs();
            assert!(error <= items as f64 * tolerance, "{items} items counted as {}", distinct.count());
            assert_eq!(distinct.is_exact(), items <= EXACT_LIMIT as u64);
        }
    }

    #[test]
    fn state_is_what_it_was_when_every_set_was_a_list() {
        for items in [0_u64, 1, 2, 5, 301] {
            let mut distinct = Distinct::default();
            for hash in hashes(0..items) {
                distinct.insert(hash);
            }
            let bytes = postcard::to_stdvec(&distinct).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&distinct.clone().into_wire()).unwrap());
            assert_eq!(postcard::from_bytes::<Distinct>(&bytes).unwrap(), distinct);
            // The list's own capacity, as it grew by insertion.
            let places = if items == 0 { 0 } else { (items as usize).next_power_of_two().max(FIRST_PLACES) };
            let expected = if distinct.is_exact() { places * size_of::<u64>() } else { REGISTERS };
            assert_eq!(distinct.heap_bytes(), expected, "{items}");
        }
    }

    proptest! {
        #[test]
        fn state_depends_on_the_set_alone(
            mut items in prop::collection::vec(0_u64..900, 0..600), split in 0_usize..600, seed in any::<u64>()
        ) {
            let mut whole = Distinct::default();
            for hash in items.iter().map(|item| HashSeed::default().hash_of(item)) {
                whole.insert(hash);
            }
            let split = split.min(items.len());
            let turn = seed as usize % items.len().max(1);
            items.rotate_left(turn);
            let (left, right) = items.split_at(split);
            let collect = |part: &[u64]| {
                let mut distinct = Distinct::default();
                for item in part {
                    distinct.insert(HashSeed::default().hash_of(item));
                }
                distinct
            };
            let (mut first, mut second) = (collect(left), collect(right));
            let keep = first.clone();
            first.merge(&second);
            second.merge(&keep);
            prop_assert_eq!(&first, &whole);
            prop_assert_eq!(&second, &whole);
            let wire = whole.clone().into_wire();
            prop_assert_eq!(&Distinct::from_wire(&wire), &whole);
            prop_assert_eq!(Distinct::from(wire), whole);
        }
    }
}
