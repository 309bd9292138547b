//! A table that never takes more bytes than its share: exact until full, then heaviest first with a known error.
//!
//! When the share is used up, the lightest entries leave until an eighth of it is free (least weight, then smallest key: a
//! function of what was added, never of hash order). A key that returns starts at zero, so its counts are guaranteed lower
//! bounds, and what may be missing is at most the greatest weight that ever left (Metwally et al., "Efficient computation of
//! frequent and top-k elements in data streams", 2005, keeps the same bound).

use std::collections::HashMap;
use std::hash::Hash;

use crate::hash::HashSeed;

/// What a table ranks its entries by, and what each costs.
pub trait Weigh {
    /// The rank: more is kept longer.
    fn weight(&self) -> u64;

    /// Bytes on the heap beyond the entry itself.
    fn heap_bytes(&self) -> usize;
}

/// The table.
#[derive(Clone, Debug)]
pub struct Bounded<K, V> {
    entries: HashMap<K, V, HashSeed>,
    share: usize,
    used: usize,
    error: u64,
    evicted: u64,
}

/// Hash tables keep at least an eighth of their places free and may have just doubled: two places per entry is the rule.
const PLACES_PER_ENTRY: usize = 2;

impl<K: Ord + Hash + Clone, V: Weigh> Bounded<K, V> {
    /// An empty table that may take `share` bytes.
    #[must_use]
    pub fn new(share: usize, seed: HashSeed) -> Self {
        // A share below a few entries would make every key evict the one before.
        let least = 16 * Self::entry_bytes();
        Self { entries: HashMap::with_hasher(seed), share: share.max(least), used: 0, error: 0, evicted: 0 }
    }

    const fn entry_bytes() -> usize {
        PLACES_PER_ENTRY * (size_of::<(K, V)>() + 1)
    }

    /// Changes the entry of `key`, made by `new` when missing; returns what `change` returns.
    pub fn update<R>(&mut self, key: &K, new: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> R {
        if let Some(entry) = self.entries.get_mut(key) {
            let before = entry.heap_bytes();
            let result = change(entry);
            self.used = self.used - before + entry.heap_bytes();
            if self.used > self.share {
                self.prune();
            }
            return result;
        }
        let mut entry = new();
        let result = change(&mut entry);
        self.used += Self::entry_bytes() + entry.heap_bytes();
        self.entries.insert(key.clone(), entry);
        if self.used > self.share {
            self.prune();
        }
        result
    }

    /// Changes the entry of `key`, if there is one, in a way that takes no further bytes.
    pub fn touch(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(key) {
            change(entry);
        }
    }

    /// The entry of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    #[cold]
    fn prune(&mut self) {
        let mut ranked: Vec<(u64, K)> = Vec::with_capacity(self.entries.len());
        #[expect(clippy::disallowed_methods, reason = "the next line orders what the hash left unordered")]
        ranked.extend(self.entries.iter().map(|(key, value)| (value.weight(), key.clone())));
        ranked.sort_unstable();
        let goal = self.share - self.share / 8;
        for (weight, key) in ranked {
            if self.used <= goal {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.used -= Self::entry_bytes() + entry.heap_bytes();
                self.error = self.error.max(weight);
                self.evicted += 1;
            }
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

    /// Bytes taken, by the table's own account.
    pub fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u64, Vec<u8>);

    impl Weigh for Count {
        fn weight(&self) -> u64 {
            self.0
        }

        fn heap_bytes(&self) -> usize {
            self.1.len()
        }
    }

    const SHARE: usize = 8 << 10;

    fn filled(seed: HashSeed, keys: impl Iterator<Item = u32>) -> Bounded<u32, Count> {
        let mut table = Bounded::new(SHARE, seed);
        for key in keys {
            table.update(&key, || Count(0, Vec::new()), |count| count.0 += 1);
        }
        table
    }

    #[test]
    fn heavy_keys_survive_a_flood_of_light_ones() {
        let keys = (0..100_000_u32).map(|step| if step % 10 == 0 { 7 } else { 1_000 + step });
        let table = filled(HashSeed::default(), keys);
        assert_eq!(table.get(&7).map(|count| count.0), Some(10_000));
        assert!(table.used() <= SHARE, "{} bytes", table.used());
        assert_eq!(table.error(), 1);
        assert!(table.evicted() > 80_000);
    }

    #[test]
    fn contents_do_not_depend_on_the_seed() {
        let keys = || (0..50_000_u32).map(|step| step.wrapping_mul(2_654_435_761) % 997);
        let left = filled(HashSeed::default(), keys());
        let right = filled(HashSeed::from_bytes([9; 16]), keys());
        let list = |table: &Bounded<u32, Count>| table.sorted().iter().map(|(k, v)| (**k, v.0)).collect::<Vec<_>>();
        assert_eq!(list(&left), list(&right));
        assert!(left.evicted() > 0);
    }

    #[test]
    fn growing_entries_count_towards_the_share() {
        let mut table = Bounded::new(SHARE, HashSeed::default());
        for key in 0..16_u32 {
            table.update(&key, || Count(u64::from(key), Vec::new()), |count| count.1.resize(2_000, 0));
            assert!(table.used() <= SHARE, "{} bytes", table.used());
        }
        assert!(table.get(&15).is_some() && table.get(&0).is_none());
    }
}
