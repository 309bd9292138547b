//! A table as a list in key order: half the memory of a tree, merged in one pass, and the same bytes in the state topic.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Entries in strictly ascending key order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Clone, V: Clone> Sorted<K, V> {
    /// A table of entries that are in strictly ascending key order already.
    #[must_use]
    pub fn from_ordered(entries: Vec<(K, V)>) -> Self {
        debug_assert!(entries.is_sorted_by(|left, right| left.0 < right.0), "keys ascend strictly");
        Self(entries)
    }

    /// Entries, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.0.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&self.0[place].1)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the entries that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// Adds every entry of `other`; `add` joins the values of a key that both have.
    pub fn merge(&mut self, other: &Self, add: impl Fn(&mut V, &V)) {
        if other.is_empty() {
            return;
        }
        let mine = std::mem::take(&mut self.0);
        let mut merged = Vec::with_capacity(mine.len() + other.len());
        let mut theirs = other.0.iter().peekable();
        for (key, mut value) in mine {
            while let Some(entry) = theirs.next_if(|(their_key, _)| *their_key < key) {
                merged.push(entry.clone());
            }
            if let Some((_, their_value)) = theirs.next_if(|(their_key, _)| *their_key == key) {
                add(&mut value, their_value);
            }
            merged.push((key, value));
        }
        merged.extend(theirs.cloned());
        self.0 = merged;
    }

    /// Adds those entries of `other` whose keys are here already.
    pub fn merge_known(&mut self, other: &Self, add: impl Fn(&mut V, &V)) {
        let mut theirs = other.0.iter().peekable();
        for (key, value) in &mut self.0 {
            while let Some((their_key, their_value)) = theirs.peek() {
                match their_key.cmp(key) {
                    Ordering::Less => {}
                    Ordering::Equal => add(value, their_value),
                    Ordering::Greater => break,
                }
                theirs.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merges_as_a_tree_would(
            left in prop::collection::btree_map(0_u8..40, 0_u32..9, 0..20),
            right in prop::collection::btree_map(0_u8..40, 0_u32..9, 0..20),
        ) {
            let table = |map: &BTreeMap<u8, u32>| Sorted::from_ordered(map.iter().map(|(k, v)| (*k, *v)).collect());
            let (mut all, mut known) = (table(&left), table(&left));
            all.merge(&table(&right), |mine, theirs| *mine += theirs);
            known.merge_known(&table(&right), |mine, theirs| *mine += theirs);
            let mut expected = left.clone();
            for (key, value) in &right {
                *expected.entry(*key).or_default() += value;
            }
            prop_assert_eq!(&all, &table(&expected));
            expected.retain(|key, _| left.contains_key(key));
            prop_assert_eq!(&known, &table(&expected));
            for key in 0..40 {
                prop_assert_eq!(known.get(&key), expected.get(&key));
            }
        }
    }
}
