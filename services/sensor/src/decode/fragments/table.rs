//! A table of datagrams that is bounded in time, number and bytes, for each source and for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use weir_schemas::{Host, Micros};

use super::{Budget, Datagram};

/// A source's part of the budget.
const SHARE: usize = 8;

/// Entries by datagram, in the order of their coming. Nothing depends on the order of a hash.
#[derive(Debug)]
pub(super) struct Table<E> {
    entries: HashMap<Datagram, Place<E>>,
    order: BTreeMap<u64, Datagram>,
    sources: HashMap<Host, Source>,
    budget: Budget,
    bytes: usize,
    next: u64,
    first_deadline: Micros,
    /// Sources that may have more than their share.
    suspect: Option<Host>,
}

#[derive(Debug)]
struct Place<E> {
    number: u64,
    deadline: Micros,
    bytes: usize,
    entry: E,
}

/// What a source has in the table.
#[derive(Debug, Default)]
struct Source {
    numbers: BTreeSet<u64>,
    bytes: usize,
}

impl<E: Default> Table<E> {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            sources: HashMap::new(),
            budget,
            bytes: 0,
            next: 0,
            first_deadline: Micros::MAX,
            suspect: None,
        }
    }

    /// When the oldest entry ends; deadlines never go back.
    #[inline]
    pub(super) fn first_deadline(&self) -> Micros {
        self.first_deadline
    }

    /// Makes an entry if there is none; false if there is no budget at all.
    pub(super) fn open(&mut self, datagram: &Datagram, deadline: Micros) -> bool {
        if self.budget.datagrams == 0 {
            return false;
        }
        if self.entries.contains_key(datagram) {
            return true;
        }
        self.next += 1;
        let place = Place { number: self.next, deadline, bytes: 0, entry: E::default() };
        self.entries.insert(datagram.clone(), place);
        self.order.insert(self.next, datagram.clone());
        self.sources.entry(datagram.source.clone()).or_default().numbers.insert(self.next);
        self.first_deadline = self.first_deadline.min(deadline);
        true
    }

    /// Entries in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes in use.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, datagram: &Datagram) -> Option<&E> {
        self.entries.get(datagram).map(|place| &place.entry)
    }

    pub(super) fn get_mut(&mut self, datagram: &Datagram) -> Option<&mut E> {
        self.entries.get_mut(datagram).map(|place| &mut place.entry)
    }

    /// Takes note of how much memory an entry has now.
    pub(super) fn measure(&mut self, datagram: &Datagram, memory: impl Fn(&E) -> usize) {
        let Some(place) = self.entries.get_mut(datagram) else { return };
        let now = memory(&place.entry);
        let before = std::mem::replace(&mut place.bytes, now);
        self.bytes = self.bytes + now - before;
        if let Some(source) = self.sources.get_mut(&datagram.source) {
            source.bytes = source.bytes + now - before;
            self.suspect = Some(datagram.source.clone());
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, datagram: &Datagram) -> Option<E> {
        let place = self.entries.remove(datagram)?;
        self.order.remove(&place.number);
        self.bytes -= place.bytes;
        if let Some(source) = self.sources.get_mut(&datagram.source) {
            source.numbers.remove(&place.number);
            source.bytes -= place.bytes;
            if source.numbers.is_empty() {
                self.sources.remove(&datagram.source);
            }
        }
        let oldest = self.order.first_key_value().and_then(|(_, datagram)| self.entries.get(datagram));
        self.first_deadline = oldest.map_or(Micros::MAX, |place| place.deadline);
        Some(place.entry)
    }

    /// Takes the oldest entry out.
    pub(super) fn remove_first(&mut self) -> Option<E> {
        let (_, datagram) = self.order.first_key_value()?;
        self.remove(&datagram.clone())
    }

    /// Takes an entry out that is beyond the budget: of the source that was measured last its oldest, else the oldest of all.
    pub(super) fn remove_excess(&mut self) -> Option<E> {
        let share = Budget { bytes: self.budget.bytes / SHARE, datagrams: (self.budget.datagrams / SHARE).max(1) };
        let of_source = self.suspect.as_ref().and_then(|source| self.sources.get(source));
        let has_too_much =
            of_source.filter(|source| source.numbers.len() > share.datagrams || source.bytes > share.bytes);
        if let Some(number) = has_too_much.and_then(|source| source.numbers.first()) {
            let datagram = self.order.get(number)?.clone();
            return self.remove(&datagram);
        }
        let is_over = self.entries.len() > self.budget.datagrams || self.bytes > self.budget.bytes;
        if is_over { self.remove_first() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn datagram(source: u8, id: u32) -> Datagram {
        let host = |last| Host::V4(Ipv4Addr::new(10, 0, 0, last));
        Datagram { source: host(source), destination: host(255), protocol: 17, id }
    }

    #[test]
    fn one_source_cannot_push_out_the_others() {
        let mut table: Table<usize> = Table::new(Budget { bytes: 8_000, datagrams: 80 });
        let honest = datagram(1, 1);
        assert!(table.open(&honest, 1));
        table.measure(&honest, |_| 50);
        let mut removed = 0;
        for id in 0..1_000 {
            let attack = datagram(2, id);
            assert!(table.open(&attack, 2));
            table.measure(&attack, |_| 90);
            while table.remove_excess().is_some() {
                removed += 1;
            }
        }
        assert_eq!((table.get(&honest), removed), (Some(&0), 990));
        assert_eq!((table.entries.len(), table.bytes, table.sources.len()), (11, 950, 2));
    }

    #[test]
    fn of_many_sources_the_oldest_goes() {
        let mut table: Table<usize> = Table::new(Budget { bytes: 1 << 20, datagrams: 8 });
        for source in 0..20 {
            let one = datagram(source, 7);
            assert!(table.open(&one, Micros::from(source)));
            table.measure(&one, |_| 10);
            while table.remove_excess().is_some() {}
        }
        assert_eq!((table.entries.len(), table.first_deadline()), (8, 12));
        while table.remove_first().is_some() {}
        assert_eq!((table.bytes, table.sources.len(), table.first_deadline()), (0, 0, Micros::MAX));
    }

    #[test]
    fn without_a_budget_nothing_is_kept() {
        assert!(!Table::<usize>::new(Budget::of_bytes(0)).open(&datagram(1, 1), 1));
    }
}
