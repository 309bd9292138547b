//! A small cache of texts, so that ids and names that repeat cost a counter instead of an allocation.

use crate::host::Text;

/// Slots. A decoder meets few sensors, sites and inputs; a collision costs one allocation.
const SLOTS: usize = 256;

/// Longer texts are not kept: they rarely repeat, and this bounds the cache to 16 KiB of text.
const MAX_LENGTH: usize = 64;

/// The cache. A direct-mapped table: a new text takes the place of the one in its slot.
#[derive(Clone, Debug)]
pub(crate) struct Interner {
    slots: Vec<Text>,
}

impl Interner {
    pub(crate) fn new() -> Self {
        Self { slots: vec![Text::default(); SLOTS] }
    }

    /// The shared text of these octets, if it is kept: then they are UTF-8, which need not be looked at again.
    #[inline]
    pub(crate) fn known(&self, octets: &[u8]) -> Option<Text> {
        let slot = &self.slots[slot_of(octets)];
        (slot.as_bytes() == octets).then(|| Text::clone(slot))
    }

    /// The shared text equal to `text`.
    pub(crate) fn intern(&mut self, text: &str) -> Text {
        let shared = Text::from(text);
        if text.len() <= MAX_LENGTH {
            self.slots[slot_of(text.as_bytes())] = Text::clone(&shared);
        }
        shared
    }
}

/// A slot for the text, by its length and its first and last eight octets: all of a short one. The multiplier is 2^64 divided
/// by the golden ratio (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
#[inline]
fn slot_of(octets: &[u8]) -> usize {
    let (first, last) = match (octets.first_chunk::<8>(), octets.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (octets.first_chunk::<4>(), octets.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last))),
            _ => (octets.iter().fold(0, |word, octet| word << 8 | u64::from(*octet)), 0),
        },
    };
    let mixed = (first ^ last.rotate_left(29) ^ octets.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_allocation_and_long_ones_stay_equal() {
        let mut interner = Interner::new();
        let first = interner.intern("edge-1");
        assert!(interner.known(b"edge-1").is_some_and(|known| Text::ptr_eq(&first, &known)));
        let long = "x".repeat(MAX_LENGTH + 1);
        assert_eq!(&*interner.intern(&long), long);
        for number in 0..10_000 {
            let text = number.to_string();
            assert_eq!(&*interner.intern(&text), text);
            assert_eq!(interner.known(text.as_bytes()).as_deref(), Some(&*text));
        }
        assert_eq!(&*first, "edge-1");
    }
}
