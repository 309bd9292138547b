//! Data sets that wait for their template, within a bound: templates come every few minutes, data from the first second.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use weir_schemas::{Micros, SECOND_US};

use super::layout::Protocol;

/// Bytes of all sets that are held; the oldest give way.
const MOST_BYTES: usize = 4 << 20;
/// What a held set costs beside its bytes.
const OVERHEAD: usize = 128;
/// Twice the interval in which routers send templates by default. An older set may have had another template of that id.
pub(super) const LONGEST_WAIT: Micros = 3600 * SECOND_US;

/// What a template belongs to: ids are unique in it (RFC 7011 §3.4.1, RFC 3954 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) sender: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) domain: u32,
}

/// A data set without template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldSet {
    pub(super) scope: Scope,
    pub(super) template: u16,
    /// The header of its message: its times are relative to it.
    pub(super) header: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) received: Micros,
}

/// The sets that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    sets: BTreeMap<u64, HeldSet>,
    /// The numbers of the sets of each template.
    by_template: HashMap<(Scope, u16), VecDeque<u64>>,
    number: u64,
    bytes: usize,
}

impl Held {
    /// Holds a set; how many others that cost.
    pub(super) fn push(&mut self, set: HeldSet) -> u64 {
        let now = set.received;
        self.bytes += cost(&set);
        self.number += 1;
        self.by_template.entry((set.scope, set.template)).or_default().push_back(self.number);
        self.sets.insert(self.number, set);
        let mut dropped = 0;
        while let Some(oldest) = self.sets.first_entry() {
            let is_old = now.saturating_sub(oldest.get().received) > LONGEST_WAIT;
            if self.bytes <= MOST_BYTES && !is_old {
                break;
            }
            let oldest = oldest.remove();
            self.bytes -= cost(&oldest);
            self.forget_oldest(&oldest);
            dropped += 1;
        }
        dropped
    }

    /// The sets that waited for these templates.
    pub(super) fn take(&mut self, scope: &Scope, templates: &[u16]) -> Vec<HeldSet> {
        let mut numbers: Vec<u64> = Vec::new();
        for template in templates {
            numbers.extend(self.by_template.remove(&(*scope, *template)).unwrap_or_default());
        }
        numbers.sort_unstable();
        let ready: Vec<HeldSet> = numbers.iter().filter_map(|number| self.sets.remove(number)).collect();
        self.bytes -= ready.iter().map(cost).sum::<usize>();
        ready
    }

    /// Gives up on all; how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.sets.len() as u64;
        *self = Self::default();
        count
    }

    /// The oldest of all is the oldest of its template.
    fn forget_oldest(&mut self, set: &HeldSet) {
        let key = (set.scope, set.template);
        if let Some(numbers) = self.by_template.get_mut(&key) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_template.remove(&key);
            }
        }
    }
}

fn cost(set: &HeldSet) -> usize {
    OVERHEAD + set.header.len() + set.bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(domain: u32, template: u16, received: Micros, length: usize) -> HeldSet {
        let scope = Scope { sender: ([192, 0, 2, 1], 2055).into(), protocol: Protocol::V9, domain };
        HeldSet { scope, template, header: vec![0; 20], bytes: vec![0; length], received }
    }

    #[test]
    fn sets_come_back_once_to_their_scope_and_in_order() {
        let mut held = Held::default();
        for (domain, template, length) in [(1, 256, 4), (1, 257, 5), (2, 256, 6), (1, 256, 7)] {
            assert_eq!(held.push(set(domain, template, 0, length)), 0);
        }
        let scope = set(1, 0, 0, 0).scope;
        let lengths = |sets: Vec<HeldSet>| sets.iter().map(|set| set.bytes.len()).collect::<Vec<_>>();
        assert_eq!(lengths(held.take(&scope, &[256, 300])), [4, 7]);
        assert_eq!(lengths(held.take(&scope, &[256, 300])), [0usize; 0]);
        assert_eq!(lengths(held.take(&scope, &[257])), [5]);
        assert_eq!((held.clear(), held.bytes), (1, 0));
        assert!(held.by_template.is_empty());
    }

    #[test]
    fn bytes_are_bounded_and_the_oldest_give_way() {
        let mut held = Held::default();
        let dropped: u64 = (0..10_000).map(|number| held.push(set(number, 256, 0, 1000))).sum();
        assert!(held.bytes <= MOST_BYTES);
        assert_eq!(dropped + held.sets.len() as u64, 10_000);
        assert_eq!(held.sets.last_key_value().unwrap().1.scope.domain, 9_999);
        assert_eq!(held.by_template.len(), held.sets.len());
    }

    #[test]
    fn waiting_ends() {
        let mut held = Held::default();
        held.push(set(1, 256, 0, 4));
        assert_eq!(held.push(set(2, 256, LONGEST_WAIT, 4)), 0);
        assert_eq!(held.push(set(3, 256, LONGEST_WAIT + 1, 4)), 1);
    }
}
