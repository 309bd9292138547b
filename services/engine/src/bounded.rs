//! A table that never holds more than its capacity: exact until full, then heaviest first with a known error.
//!
//! When a new key finds the table full, the lightest eighth leaves (least weight, then smallest key: a function of what was
//! added, never of hash order). A key that returns starts at zero, so its counts are guaranteed lower bounds, and what may be
//! missing is at most the greatest weight that ever left (Metwally et al., "Space-Saving", 2005, keeps the same bound).

use std::collections::HashMap;
use std::hash::Hash;

use crate::hash::HashSeed;

/// What a table ranks its entries by.
pub trait Weigh {
    /// The rank: more is kept longer.
    fn weight(&self) -> u64;
}

/// The table.
#[derive(Clone, Debug)]
pub struct Bounded<K, V> {
    entries: HashMap<K, V, HashSeed>,
    capacity: usize,
    error: u64,
    evicted: u64,
}

impl<K: Ord + Hash + Clone, V: Weigh> Bounded<K, V> {
    /// An empty table.
    #[must_use]
    pub fn new(capacity: usize, seed: HashSeed) -> Self {
        Self { entries: HashMap::with_hasher(seed), capacity: capacity.max(8), error: 0, evicted: 0 }
    }

    /// The entry of `key`, made by `new` when missing.
    pub fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        // Two look-ups on the miss path only: `HashMap::entry` would clone the key on every hit.
        if !self.entries.contains_key(key) {
            if self.entries.len() >= self.capacity {
                self.prune();
            }
            self.entries.insert(key.clone(), new());
        }
        match self.entries.get_mut(key) {
            Some(entry) => entry,
            None => unreachable!("inserted above when it was missing"),
        }
    }

    /// The entry of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// The entry of `key`, if there is one.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    fn prune(&mut self) {
        let mut ranked: Vec<(u64, K)> = Vec::with_capacity(self.entries.len());
        #[expect(clippy::disallowed_methods, reason = "the selection below is by weight and key, never by hash order")]
        ranked.extend(self.entries.iter().map(|(key, value)| (value.weight(), key.clone())));
        let leaving = (self.capacity / 8).max(1);
        ranked.select_nth_unstable(leaving - 1);
        for (weight, key) in ranked.into_iter().take(leaving) {
            self.entries.remove(&key);
            self.error = self.error.max(weight);
            self.evicted += 1;
        }
    }

    /// Entries in key order.
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        #[expect(clippy::disallowed_methods, reason = "the next line orders what the hash left unordered")]
        let mut entries: Vec<(&K, &V)> = self.entries.iter().collect();
        entries.sort_unstable_by(|left, right| left.0.cmp(right.0));
        entries
    }

    /// Greatest weight that eviction may have hidden from a key's counts.
    pub fn error(&self) -> u64 {
        self.error
    }

    /// Entries that have left.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Entries now.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u64);

    impl Weigh for Count {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    fn filled(seed: HashSeed, keys: impl Iterator<Item = u32>) -> Bounded<u32, Count> {
        let mut table = Bounded::new(64, seed);
        for key in keys {
            table.entry(&key, || Count(0)).0 += 1;
        }
        table
    }

    #[test]
    fn heavy_keys_survive_a_flood_of_light_ones() {
        let keys = (0..100_000_u32).map(|step| if step % 10 == 0 { 7 } else { 1_000 + step });
        let table = filled(HashSeed::default(), keys);
        assert_eq!(table.get(&7).map(|count| count.0), Some(10_000));
        assert!(table.len() <= 64);
        assert_eq!(table.error(), 1);
        assert!(table.evicted() > 80_000);
    }

    #[test]
    fn contents_do_not_depend_on_the_seed() {
        let keys = || (0..5_000_u32).map(|step| step.wrapping_mul(2_654_435_761) % 97);
        let left = filled(HashSeed::default(), keys());
        let right = filled(HashSeed::from_bytes([9; 16]), keys());
        let list = |table: &Bounded<u32, Count>| table.sorted().iter().map(|(k, v)| (**k, v.0)).collect::<Vec<_>>();
        assert_eq!(list(&left), list(&right));
    }
}
