//! A table that keeps the heaviest keys of an endless stream in fixed memory.
//!
//! Method: exact until full. A full table keeps its heavier half and forgets the rest, so a key's value is a lower
//! bound: it may lack at most the sum of the weights at which the table was cut. That sum is told.

use std::collections::HashMap;
use std::hash::Hash;

/// What is kept per key.
pub(super) trait Weigh {
    /// What the key is ranked by.
    fn weight(&self) -> u64;
}

/// The heaviest keys.
#[derive(Clone, Debug)]
pub(super) struct Top<K, V> {
    capacity: usize,
    entries: HashMap<K, V>,
    forgotten: u64,
    may_lack: u64,
}

impl<K: Ord + Hash + Clone, V: Default + Weigh> Top<K, V> {
    /// A table of at most `capacity` keys (at least two).
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(2), entries: HashMap::new(), forgotten: 0, may_lack: 0 }
    }

    /// The value of a key, to add to.
    pub(super) fn entry(&mut self, key: &K) -> &mut V {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(key) {
            self.keep_heavier_half();
        }
        self.entries.entry(key.clone()).or_default()
    }

    /// The `n` heaviest, heaviest first, equal ones by key.
    pub(super) fn heaviest(&self, n: usize) -> Vec<(&K, &V)> {
        let mut all: Vec<(&K, &V)> = self.entries.iter().collect();
        all.sort_unstable_by(|a, b| b.1.weight().cmp(&a.1.weight()).then_with(|| a.0.cmp(b.0)));
        all.truncate(n);
        all
    }

    /// Keys in the table.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Times that a key was forgotten; 0 means every value is exact.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Greatest weight that a value can lack.
    pub(super) fn may_lack(&self) -> u64 {
        self.may_lack
    }

    fn keep_heavier_half(&mut self) {
        let kept = self.capacity / 2;
        let mut all: Vec<(K, V)> = self.entries.drain().collect();
        if kept < all.len() {
            // The order is total (keys differ), so which half is kept does not depend on hash order.
            let (_, cut, _) =
                all.select_nth_unstable_by(kept, |a, b| b.1.weight().cmp(&a.1.weight()).then_with(|| a.0.cmp(&b.0)));
            self.may_lack = self.may_lack.saturating_add(cut.1.weight());
            self.forgotten += (all.len() - kept) as u64;
            all.truncate(kept);
        }
        self.entries.extend(all);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Weigh for u64 {
        fn weight(&self) -> u64 {
            *self
        }
    }

    proptest! {
        #[test]
        fn values_are_lower_bounds_with_the_error_told(
            stream in prop::collection::vec((0_u16..200, 1_u64..50), 0..800),
            capacity in 2_usize..64,
        ) {
            let mut top = Top::<u16, u64>::new(capacity);
            let mut exact = BTreeMap::<u16, u64>::new();
            for (key, weight) in &stream {
                *top.entry(key) += weight;
                *exact.entry(*key).or_default() += weight;
                prop_assert!(top.len() <= capacity);
            }
            for (key, weight) in &exact {
                let told = top.heaviest(usize::MAX).into_iter().find(|(found, _)| *found == key).map_or(0, |(_, v)| *v);
                prop_assert!(told <= *weight && weight - told <= top.may_lack());
            }
            if exact.len() <= capacity {
                prop_assert_eq!((top.forgotten(), top.may_lack()), (0, 0));
            }
        }
    }
}
