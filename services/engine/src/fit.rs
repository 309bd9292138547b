//! What of a table fits into a number of bytes: the heaviest entries, by each of several rankings.

use std::cmp::Reverse;

/// What a ranking weighs.
pub type Ranking<'a, T> = &'a dyn Fn(&T) -> u64;

/// Entries that fit, in order of key, and what did not.
#[derive(Debug, PartialEq, Eq)]
pub struct Fitted<T> {
    /// Kept.
    pub kept: Vec<T>,
    /// How many were left out.
    pub left_out: u64,
    /// Greatest weight, by the last ranking, among them.
    pub heaviest_left_out: u64,
}

/// Keeps all entries where they fit into `room` bytes; else what is heaviest by each ranking: the first fills its equal part
/// of the room, the last what the others left. Of entries that weigh the same those with the smallest key go first. No entry is
/// smaller than `least_size` bytes. The order of `entries` makes no difference.
pub fn fit<K: Ord, V>(
    mut entries: Vec<(K, V)>,
    room: usize,
    least_size: usize,
    size: impl Fn(&(K, V)) -> usize,
    rankings: &[Ranking<'_, (K, V)>],
) -> Fitted<(K, V)> {
    let total: usize = entries.iter().map(&size).sum();
    if total <= room {
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        return Fitted { kept: entries, left_out: 0, heaviest_left_out: 0 };
    }
    let mut is_kept = vec![false; entries.len()];
    let mut left = room;
    for (done, ranking) in rankings.iter().enumerate() {
        let part = left / (rankings.len() - done);
        left -= fill(&entries, &mut is_kept, part, least_size, &size, ranking);
    }
    let mut fitted = Fitted { kept: Vec::new(), left_out: 0, heaviest_left_out: 0 };
    for (entry, is_kept) in entries.into_iter().zip(is_kept) {
        if is_kept {
            fitted.kept.push(entry);
            continue;
        }
        fitted.left_out += 1;
        let weight = rankings.last().map_or(0, |ranking| ranking(&entry));
        fitted.heaviest_left_out = fitted.heaviest_left_out.max(weight);
    }
    fitted.kept.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    fitted
}

/// Marks the heaviest entries that are not kept yet until the next does not fit; returns the bytes they take.
fn fill<K: Ord, V>(
    entries: &[(K, V)],
    is_kept: &mut [bool],
    room: usize,
    least_size: usize,
    size: &impl Fn(&(K, V)) -> usize,
    ranking: Ranking<'_, (K, V)>,
) -> usize {
    let mut order: Vec<(Reverse<u64>, &K, usize)> = entries
        .iter()
        .enumerate()
        .filter(|(index, _)| !is_kept[*index])
        .map(|(index, entry)| (Reverse(ranking(entry)), &entry.0, index))
        .filter(|(Reverse(weight), _, _)| *weight > 0)
        .collect();
    let most = room / least_size.max(1);
    if most < order.len() {
        order.select_nth_unstable(most);
        order.truncate(most);
    }
    order.sort_unstable();
    let mut used = 0;
    for (_, _, index) in order {
        let bytes = size(&entries[index]);
        if used + bytes > room {
            break;
        }
        used += bytes;
        is_kept[index] = true;
    }
    used
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entry = (u32, (u64, u64));

    const SIZE: usize = 10;

    fn fit_entries(entries: Vec<Entry>, room: usize) -> Fitted<Entry> {
        fit(entries, room, SIZE, |_| SIZE, &[&|entry: &Entry| entry.1.1, &|entry: &Entry| entry.1.0])
    }

    #[test]
    fn each_ranking_has_its_part() {
        let entries = vec![(0, (5, 0)), (1, (9, 0)), (2, (1, 7)), (3, (9, 1)), (4, (0, 8))];
        assert_eq!(fit_entries(entries.clone(), 50).kept, entries);
        let fitted = fit_entries(entries, 40);
        assert_eq!(fitted.kept, [(1, (9, 0)), (2, (1, 7)), (3, (9, 1)), (4, (0, 8))]);
        assert_eq!((fitted.left_out, fitted.heaviest_left_out), (1, 5));
    }

    #[test]
    fn what_a_ranking_does_not_need_the_last_one_has() {
        let entries = (0..6).map(|key| (key, (u64::from(key), 0))).collect();
        assert_eq!(fit_entries(entries, 40).kept, [(2, (2, 0)), (3, (3, 0)), (4, (4, 0)), (5, (5, 0))]);
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_outweighs_the_rest(
            weights in prop::collection::vec((0_u64..20, 0_u64..20), 0..60),
            room in 0_usize..700,
        ) {
            let entries: Vec<Entry> = weights.iter().zip(0..).map(|(weights, key)| (key, *weights)).collect();
            let fitted = fit_entries(entries.clone(), room);
            prop_assert!(fitted.kept.len() * SIZE <= room);
            prop_assert_eq!(fitted.kept.len() as u64 + fitted.left_out, entries.len() as u64);
            prop_assert!(fitted.kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let reversed: Vec<Entry> = entries.iter().rev().copied().collect();
            prop_assert_eq!(&fit_entries(reversed, room), &fitted);
            if fitted.left_out > 0 {
                let heaviest = entries.iter().filter(|entry| !fitted.kept.contains(entry)).map(|entry| entry.1.0).max();
                prop_assert_eq!(heaviest, Some(fitted.heaviest_left_out));
                // What the last ranking had room for is at least as heavy as anything left out.
                let best = room / 2 / SIZE;
                let mut by_weight: Vec<u64> = entries.iter().map(|entry| entry.1.0).collect();
                by_weight.sort_unstable_by(|left, right| right.cmp(left));
                for weight in by_weight.iter().take(best).filter(|weight| **weight > fitted.heaviest_left_out) {
                    prop_assert!(fitted.kept.iter().any(|entry| entry.1.0 == *weight));
                }
            }
        }
    }
}
