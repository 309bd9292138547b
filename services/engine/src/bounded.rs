//! A table that never takes more bytes than its share: exact until full, then heaviest first with a known error.
//!
//! When the share is used up, the lightest entries leave until an eighth of it is free (least weight, then smallest key: a
//! function of what was added, never of hash order). A key that returns starts at zero, so its counts are guaranteed lower
//! bounds, and what may be missing is at most the sum of the greatest weights that left (compare Metwally et al., "Efficient computation of
//! frequent and top-k elements in data streams", 2005, keeps the same bound).

use std::hash::Hash;

use hashbrown::HashTable;

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
    /// A bare table, so that a key is hashed once per record whether it is known or not. Never iterated without ordering.
    entries: HashTable<(K, V)>,
    seed: HashSeed,
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
        Self::with_room(share, seed, 0)
    }

    /// An empty table with room for as many entries as are expected, within the share.
    #[must_use]
    pub fn with_room(share: usize, seed: HashSeed, expected: usize) -> Self {
        // A share below a few entries would make every key evict the one before.
        let least = 16 * Self::entry_bytes();
        let share = share.max(least);
        let entries = HashTable::with_capacity(expected.min(share / Self::entry_bytes()));
        Self { entries, seed, share, used: 0, error: 0, evicted: 0 }
    }

    const fn entry_bytes() -> usize {
        PLACES_PER_ENTRY * (size_of::<(K, V)>() + 1)
    }

    /// Changes the entry of `key`, made by `new` when missing; returns what `change` returns.
    pub fn update<R>(&mut self, key: &K, new: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> R {
        self.update_hashed(self.seed.hash_of(key), key, new, change)
    }

    /// Likewise, by one who has the key's hash already.
    pub fn update_hashed<R>(
        &mut self,
        hash: u64,
        key: &K,
        new: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> R {
        if let Some((_, entry)) = self.entries.find_mut(hash, |(known, _)| known == key) {
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
        let seed = self.seed;
        self.entries.insert_unique(hash, (key.clone(), entry), |(known, _)| seed.hash_of(known));
        if self.used > self.share {
            self.prune();
        }
        result
    }

    /// Changes the entry of `key`, if there is one, in a way that takes no further bytes.
    pub fn touch(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if self.entries.is_empty() {
            return;
        }
        let hash = self.seed.hash_of(key);
        if let Some((_, entry)) = self.entries.find_mut(hash, |(known, _)| known == key) {
            change(entry);
        }
    }

    /// The entry of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.find(self.seed.hash_of(key), |(known, _)| known == key).map(|(_, entry)| entry)
    }

    #[cold]
    fn prune(&mut self) {
        let goal = self.share - self.share / 8;
        let mut ranked: Vec<(u64, K, usize)> = Vec::with_capacity(self.entries.len());
        ranked.extend(self.entries.iter().map(|(key, value)| (value.weight(), key.clone(), value.heap_bytes())));
        // Every entry frees its place at least: no more than these can have to leave, and only they need an order.
        let most = (self.used - goal).div_ceil(Self::entry_bytes());
        if most < ranked.len() {
            ranked.select_nth_unstable(most);
            ranked.truncate(most);
        }
        ranked.sort_unstable();
        let mut last_leaving = None;
        for (weight, key, heap_bytes) in ranked {
            if self.used <= goal {
                break;
            }
            self.used -= Self::entry_bytes() + heap_bytes;
            self.evicted += 1;
            last_leaving = Some((weight, key));
        }
        let Some((heaviest_leaving, last_key)) = last_leaving else { return };
        self.entries.retain(|(key, value)| {
            let weight = value.weight();
            weight > heaviest_leaving || (weight == heaviest_leaving && *key > last_key)
        });
        // A key can leave once each time, and loses no more than the heaviest that left.
        self.error += heaviest_leaving;
    }

    /// The entries, in no order that may show.
    #[must_use]
    pub fn into_entries(self) -> Vec<(K, V)> {
        self.entries.into_iter().collect()
    }

    /// The entries that `keep` wants, in key order, without copying them.
    #[must_use]
    pub fn into_sorted(self, mut keep: impl FnMut(&K, &V) -> bool) -> Vec<(K, V)> {
        let mut entries: Vec<(K, V)> = self.entries.into_iter().filter(|(key, value)| keep(key, value)).collect();
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
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
    use proptest::prelude::*;

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
        assert!(table.error() >= 1);
        assert!(table.evicted() > 80_000);
    }

    #[test]
    fn contents_do_not_depend_on_the_seed() {
        let keys = || (0..50_000_u32).map(|step| step.wrapping_mul(2_654_435_761) % 997);
        let left = filled(HashSeed::default(), keys());
        let right = filled(HashSeed::from_bytes([9; 16]), keys());
        assert!(left.evicted() > 0);
        let list = |table: Bounded<u32, Count>| {
            table.into_sorted(|_, _| true).into_iter().map(|(key, count)| (key, count.0)).collect::<Vec<_>>()
        };
        assert_eq!(list(left), list(right));
    }

    proptest! {
        #[test]
        fn the_lightest_leave_until_an_eighth_is_free(
            entries in prop::collection::btree_map(0_u32..500, (0_u64..6, 0_usize..200), 80..200)
        ) {
            let entry_bytes = Bounded::<u32, Count>::entry_bytes();
            let mut table = Bounded::new(SHARE, HashSeed::default());
            let mut plain: Vec<(u64, u32, usize)> = Vec::new();
            for (key, (weight, bytes)) in entries {
                let value = Count(weight, vec![0; bytes]);
                table.update(&key, || value, |_| ());
                plain.push((weight, key, bytes));
                let used = |plain: &[(u64, u32, usize)]| plain.iter().map(|(_, _, bytes)| entry_bytes + bytes).sum::<usize>();
                if used(&plain) > SHARE {
                    plain.sort_unstable();
                    while used(&plain) > SHARE - SHARE / 8 {
                        plain.remove(0);
                    }
                }
                prop_assert_eq!(table.used(), used(&plain));
            }
            plain.sort_unstable_by_key(|(_, key, _)| *key);
            let list: Vec<_> =
                table.into_sorted(|_, _| true).into_iter().map(|(key, count)| (count.0, key, count.1.len())).collect();
            prop_assert_eq!(list, plain);
        }
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
