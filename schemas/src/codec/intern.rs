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

    /// The shared text equal to `text`.
    pub(crate) fn intern(&mut self, text: &str) -> Text {
        if text.len() > MAX_LENGTH {
            return Text::from(text);
        }
        let slot = &mut self.slots[slot_of(text.as_bytes())];
        if &**slot != text {
            *slot = Text::from(text);
        }
        Text::clone(slot)
    }
}

/// FNV-1a, folded to a slot. Source: draft-eastlake-fnv, 32-bit parameters.
fn slot_of(bytes: &[u8]) -> usize {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_allocation_and_long_ones_stay_equal() {
        let mut interner = Interner::new();
        let first = interner.intern("edge-1");
        assert!(Text::ptr_eq(&first, &interner.intern("edge-1")));
        let long = "x".repeat(MAX_LENGTH + 1);
        assert_eq!(&*interner.intern(&long), long);
        for number in 0..10_000 {
            let text = number.to_string();
            assert_eq!(&*interner.intern(&text), text);
        }
        assert_eq!(&*first, "edge-1");
    }
}
