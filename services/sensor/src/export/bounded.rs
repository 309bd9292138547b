//! A map that forgets what it has known longest: senders choose the keys, so memory must not depend on them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map of at most `most` entries.
#[derive(Clone, Debug)]
pub(super) struct Bounded<Key, Value> {
    entries: HashMap<Key, Value>,
    /// Keys in the order in which they came.
    order: VecDeque<Key>,
    most: usize,
}

impl<Key: Clone + Eq + Hash, Value> Bounded<Key, Value> {
    /// An empty map.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    /// The value of a key; a new one where it has none.
    pub(super) fn of(&mut self, key: &Key) -> &mut Value
    where
        Value: Default,
    {
        if !self.entries.contains_key(key) {
            self.make_room(key);
        }
        self.entries.entry(key.clone()).or_default()
    }

    /// Sets the value of a key; the one it had before.
    pub(super) fn insert(&mut self, key: &Key, value: Value) -> Option<Value> {
        if let Some(before) = self.entries.get_mut(key) {
            return Some(std::mem::replace(before, value));
        }
        self.make_room(key);
        self.entries.insert(key.clone(), value)
    }

    /// All keys and values, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.order.iter().filter_map(|key| self.entries.get_key_value(key))
    }

    fn make_room(&mut self, key: &Key) {
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(key.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut map = Bounded::new(3);
        for number in 0..10 {
            *map.of(&number) += number;
        }
        assert_eq!(map.insert(&9, 1), Some(9));
        assert_eq!(map.insert(&10, 2), None);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&8, &8), (&9, &1), (&10, &2)]);
        assert_eq!(map.entries.len(), 3);
    }
}
