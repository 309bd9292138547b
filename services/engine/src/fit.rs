//! What of a list fits into a number of bytes: the heaviest entries, by each of several rankings.

use std::cmp::Reverse;

/// What a ranking weighs.
pub type Ranking<'a, V> = &'a dyn Fn(&V) -> u64;

/// Entries that fit, in their order, and what did not.
#[derive(Debug, PartialEq, Eq)]
pub struct Fitted<T> {
    /// Kept, in the order given.
    pub kept: Vec<T>,
    /// How many were left out.
    pub left_out: u64,
    /// Greatest weight, by the first ranking, among them.
    pub heaviest_left_out: u64,
}

/// Keeps all entries where they fit into `room` bytes; else each ranking fills an equal part with what is heaviest by it and
/// is not kept already. Entries that weigh the same go in the order given.
pub fn fit<T>(entries: Vec<T>, room: usize, size: impl Fn(&T) -> usize, rankings: &[Ranking<'_, T>]) -> Fitted<T> {
    let total: usize = entries.iter().map(&size).sum();
    if total <= room {
        return Fitted { kept: entries, left_out: 0, heaviest_left_out: 0 };
    }
    let mut is_kept = vec![false; entries.len()];
    for ranking in rankings {
        let mut left = room / rankings.len().max(1);
        let mut order: Vec<(Reverse<u64>, usize)> =
            entries.iter().enumerate().map(|(index, entry)| (Reverse(ranking(entry)), index)).collect();
        order.sort_unstable();
        for (Reverse(weight), index) in order {
            let bytes = size(&entries[index]);
            if weight == 0 || bytes > left {
                break;
            }
            if !std::mem::replace(&mut is_kept[index], true) {
                left -= bytes;
            }
        }
    }
    let mut fitted = Fitted { kept: Vec::new(), left_out: 0, heaviest_left_out: 0 };
    for (entry, is_kept) in entries.into_iter().zip(is_kept) {
        if is_kept {
            fitted.kept.push(entry);
            continue;
        }
        fitted.left_out += 1;
        let weight = rankings.first().map_or(0, |ranking| ranking(&entry));
        fitted.heaviest_left_out = fitted.heaviest_left_out.max(weight);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entry = (u32, u64, u64);

    const SIZE: usize = 10;

    fn fit_entries(entries: Vec<Entry>, room: usize) -> Fitted<Entry> {
        fit(entries, room, |_| SIZE, &[&|entry: &Entry| entry.1, &|entry: &Entry| entry.2])
    }

    #[test]
    fn each_ranking_has_its_part() {
        let entries = vec![(0, 5, 0), (1, 9, 0), (2, 1, 7), (3, 9, 1), (4, 0, 8)];
        assert_eq!(fit_entries(entries.clone(), 50).kept, entries);
        let fitted = fit_entries(entries, 40);
        assert_eq!(fitted.kept, [(1, 9, 0), (2, 1, 7), (3, 9, 1), (4, 0, 8)]);
        assert_eq!((fitted.left_out, fitted.heaviest_left_out), (1, 5));
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_outweighs_the_rest(
            weights in prop::collection::vec((0_u64..20, 0_u64..20), 0..60),
            room in 0_usize..700,
        ) {
            let entries: Vec<Entry> = weights.iter().zip(0..).map(|((one, other), key)| (key, *one, *other)).collect();
            let fitted = fit_entries(entries.clone(), room);
            prop_assert!(fitted.kept.len() * SIZE <= room);
            prop_assert_eq!(fitted.kept.len() as u64 + fitted.left_out, entries.len() as u64);
            prop_assert!(fitted.kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            if fitted.left_out > 0 {
                let heaviest = entries.iter().filter(|entry| !fitted.kept.contains(entry)).map(|entry| entry.1).max();
                prop_assert_eq!(heaviest, Some(fitted.heaviest_left_out));
                // What the first ranking had room for is at least as heavy as anything left out.
                let best = room / 2 / SIZE;
                let mut by_weight: Vec<u64> = entries.iter().map(|entry| entry.1).collect();
                by_weight.sort_unstable_by(|left, right| right.cmp(left));
                for weight in by_weight.iter().take(best).filter(|weight| **weight > fitted.heaviest_left_out) {
                    prop_assert!(fitted.kept.iter().any(|entry| entry.1 == *weight));
                }
            }
        }
    }
}
