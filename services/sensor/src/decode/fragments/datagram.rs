//! One datagram as far as its fragments have come: which bytes are known, and the first of them.

/// Bytes of a datagram that are kept: the longest TCP header (RFC 9293 §3.1), and as much payload as is ever looked at.
pub(crate) const HEAD_BYTES: usize = 60 + 2048;
/// The longest datagram (RFC 791 §3.1, RFC 8200 §3).
const LONGEST: u32 = 65_535;
/// Stretches of known bytes with holes between them. In order there is one; more than this comes of no network.
const MOST_STRETCHES: usize = 64;

/// What a fragment was to its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It brought bytes that were not known.
    New,
    /// All it brought was known: a fragment sent or captured twice.
    Again,
    /// It contradicts what was known: RFC 5722 forbids it, and so does every modern IPv4 stack.
    Overlap,
    /// No datagram has such a fragment: beyond the greatest length, not a multiple of eight bytes, empty, or too scattered.
    Damaged,
}

/// A datagram that is being put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    /// Known bytes, ascending, with a hole between each two.
    stretches: Vec<(u32, u32)>,
    /// Its length, once the last fragment has come.
    length: Option<u32>,
    /// The first bytes; those within holes are zero.
    head: Vec<u8>,
    /// Bytes from here on were known and not captured.
    cut: Option<u32>,
}

impl Assembly {
    /// Adds a fragment of `length` bytes at `offset`, of which `data` was captured as far as it is kept.
    pub(super) fn add(&mut self, offset: u32, length: u32, more: bool, data: &[u8]) -> Added {
        let end = offset.saturating_add(length);
        if length == 0 || end > LONGEST || (more && !length.is_multiple_of(8)) {
            return Added::Damaged;
        }
        let known_end = self.stretches.last().map_or(0, |(_, end)| *end);
        let contradicts_the_end = match self.length {
            Some(whole) => end > whole || (!more && end != whole) || (more && end == whole),
            None => !more && known_end > end,
        };
        if contradicts_the_end {
            return Added::Overlap;
        }
        let first_behind = self.stretches.partition_point(|(_, known)| *known <= offset);
        if let Some(&(begin, known)) = self.stretches.get(first_behind)
            && begin < end
        {
            let is_within = begin <= offset && end <= known;
            return if is_within && self.repeats(offset, data) { Added::Again } else { Added::Overlap };
        }
        if self.stretches.len() == MOST_STRETCHES {
            return Added::Damaged;
        }
        self.insert(first_behind, offset, end);
        if !more {
            self.length = Some(end);
        }
        self.keep(offset, length, data);
        Added::New
    }

    /// All bytes are known.
    pub(super) fn is_whole(&self) -> bool {
        self.length.is_some_and(|length| self.stretches == [(0, length)])
    }

    /// The first bytes of the whole datagram as far as they were captured, and its length.
    pub(super) fn whole(&self) -> (&[u8], u32) {
        let length = self.length.unwrap_or(0);
        let captured = self.cut.unwrap_or(length).min(length) as usize;
        (self.head.get(..captured).unwrap_or(&self.head), length)
    }

    /// Memory in use, bytes.
    pub(super) fn memory(&self) -> usize {
        self.head.capacity() + self.stretches.capacity() * size_of::<(u32, u32)>()
    }

    /// Whether bytes known before are the same.
    fn repeats(&self, offset: u32, data: &[u8]) -> bool {
        let kept = self.head.get(offset as usize..).unwrap_or_default();
        let is_captured = self.cut.is_none();
        !is_captured || kept.iter().zip(data).all(|(known, now)| known == now)
    }

    /// Puts a stretch at `place`, and joins it with those it touches.
    fn insert(&mut self, place: usize, begin: u32, end: u32) {
        let touches_next = self.stretches.get(place).is_some_and(|next| next.0 == end);
        let before = place.checked_sub(1).filter(|before| self.stretches[*before].1 == begin);
        match (before, touches_next) {
            (Some(before), true) => {
                self.stretches[before].1 = self.stretches[place].1;
                self.stretches.remove(place);
            }
            (Some(before), false) => self.stretches[before].1 = end,
            (None, true) => self.stretches[place].0 = begin,
            (None, false) => self.stretches.insert(place, (begin, end)),
        }
    }

    fn keep(&mut self, offset: u32, length: u32, data: &[u8]) {
        let begin = offset as usize;
        let wanted = (length as usize).min(HEAD_BYTES.saturating_sub(begin));
        let kept = &data[..data.len().min(wanted)];
        if kept.len() < wanted {
            let cut = offset + kept.len() as u32;
            self.cut = Some(self.cut.map_or(cut, |before| before.min(cut)));
        }
        let end = begin + kept.len();
        if self.head.len() < end && !kept.is_empty() {
            self.head.resize(end, 0);
        }
        if !kept.is_empty() {
            self.head[begin..end].copy_from_slice(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A datagram, and where it is cut into fragments.
    fn any_datagram() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
        (prop::collection::vec(any::<u8>(), 1..4000), prop::collection::vec(1_usize..40, 1..40)).prop_map(
            |(bytes, sizes)| {
                let (mut pieces, mut at) = (Vec::new(), 0);
                for size in sizes {
                    if at + size * 8 < bytes.len() {
                        pieces.push((at, at + size * 8));
                        at += size * 8;
                    }
                }
                pieces.push((at, bytes.len()));
                (bytes, pieces)
            },
        )
    }

    fn add(assembly: &mut Assembly, bytes: &[u8], (begin, end): (usize, usize)) -> Added {
        let kept = end.min(HEAD_BYTES).max(begin);
        assembly.add(begin as u32, (end - begin) as u32, end < bytes.len(), &bytes[begin..kept])
    }

    proptest! {
        #[test]
        fn any_order_of_fragments_gives_the_same_datagram(
            (bytes, order) in any_datagram().prop_flat_map(|(bytes, pieces)| (Just(bytes), Just(pieces).prop_shuffle())),
            again in any::<prop::sample::Index>(),
        ) {
            let mut assembly = Assembly::default();
            for (number, piece) in order.iter().enumerate() {
                prop_assert!(!assembly.is_whole());
                prop_assert_eq!(add(&mut assembly, &bytes, *piece), Added::New);
                let seen = order[again.index(number + 1)];
                prop_assert_eq!(add(&mut assembly, &bytes, seen), Added::Again);
            }
            prop_assert!(assembly.is_whole());
            let expected = &bytes[..bytes.len().min(HEAD_BYTES)];
            prop_assert_eq!(assembly.whole(), (expected, bytes.len() as u32));
        }

        #[test]
        fn whatever_comes_takes_bounded_memory(
            fragments in prop::collection::vec((0_u16..8192, 0_u32..70_000, any::<bool>(), 0_usize..3000), 0..200),
        ) {
            let mut assembly = Assembly::default();
            for (offset, length, more, captured) in fragments {
                let data = vec![7; captured.min(length as usize)];
                assembly.add(u32::from(offset) * 8, length, more, &data);
                prop_assert!(assembly.memory() <= 2 * HEAD_BYTES + 2 * MOST_STRETCHES * 8);
            }
            let (head, length) = assembly.whole();
            prop_assert!(head.len() <= (length as usize).max(HEAD_BYTES));
        }
    }

    #[test]
    fn contradictions_are_told_apart() {
        // Offset, length, and whether more follow.
        type Sent = (u32, u32, bool);
        let table: [(&str, &[Sent], Added); 12] = [
            ("the same again", &[(0, 16, true), (0, 16, true)], Added::Again),
            ("a part of it again", &[(0, 16, true), (8, 8, true)], Added::Again),
            ("half of it again", &[(0, 16, true), (8, 16, true)], Added::Overlap),
            ("around what was known", &[(8, 8, true), (0, 24, true)], Added::Overlap),
            ("over a hole", &[(0, 8, true), (24, 8, true), (8, 24, true)], Added::Overlap),
            ("behind the end", &[(8, 8, false), (16, 8, true)], Added::Overlap),
            ("another end", &[(8, 8, false), (16, 8, false)], Added::Overlap),
            ("an end before what was known", &[(8, 8, true), (0, 8, false)], Added::Overlap),
            ("the end is not the end", &[(8, 8, false), (8, 8, true)], Added::Overlap),
            ("no multiple of eight", &[(0, 9, true)], Added::Damaged),
            ("longer than any datagram", &[(65_528, 8, false)], Added::Damaged),
            ("nothing", &[(8, 0, true)], Added::Damaged),
        ];
        for (name, fragments, expected) in table {
            let mut assembly = Assembly::default();
            let added = fragments.iter().map(|&(offset, length, more)| {
                let data = vec![1; length as usize];
                assembly.add(offset, length, more, &data)
            });
            assert_eq!(added.last(), Some(expected), "{name}");
        }
    }

    #[test]
    fn other_bytes_at_the_same_place_are_an_overlap() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(0, 8, true, &[1; 8]), Added::New);
        assert_eq!(assembly.add(0, 8, true, &[2; 8]), Added::Overlap);
    }

    #[test]
    fn what_was_not_captured_ends_the_head() {
        let mut assembly = Assembly::default();
        assembly.add(8, 8, false, &[2; 8]);
        assembly.add(0, 8, true, &[1; 5]);
        assert!(assembly.is_whole());
        assert_eq!(assembly.whole(), ([1; 5].as_slice(), 16));
    }
}
