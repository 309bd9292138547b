//! Mutations of seed files: the kinds that break parsers of lengths, offsets and text.

use weir_tests::chance::Chance;

/// Inputs grow no longer than this, bytes.
const LONGEST: usize = 1 << 16;
/// Values at the edges of the integers that headers hold.
const EDGES: [u64; 12] = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// One to eight mutations of one of the seeds; now and then of nothing at all.
pub fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = if seeds.is_empty() || chance.percent(1) {
        (0..chance.below(256)).map(|_| chance.bits() as u8).collect()
    } else {
        seeds[chance.index(seeds.len())].clone()
    };
    for _ in 0..chance.between(1, 8) {
        mutate(&mut input, seeds, chance);
        input.truncate(LONGEST);
    }
    input
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) {
    if input.is_empty() {
        input.push(chance.bits() as u8);
        return;
    }
    let place = chance.index(input.len());
    match chance.below(9) {
        0 => input[place] ^= 1 << chance.below(8),
        1 => input[place] = chance.bits() as u8,
        2 => input.truncate(place),
        3 => overwrite(input, place, chance),
        4 => {
            let until = (place + chance.index(64)).min(input.len());
            input.drain(place..until);
        }
        5 => {
            let until = (place + chance.index(64)).min(input.len());
            let piece = input[place..until].to_vec();
            input.splice(place..place, piece);
        }
        6 => {
            let bytes: Vec<u8> = (0..chance.between(1, 16)).map(|_| chance.bits() as u8).collect();
            input.splice(place..place, bytes);
        }
        7 => {
            // Zeros: lengths, counts and absent values in most formats.
            input.splice(place..place, std::iter::repeat_n(0, chance.between(1, 64) as usize));
        }
        _ => splice_tail(input, place, seeds, chance),
    }
}

/// Puts an edge value of one, two, four or eight bytes in either byte order.
fn overwrite(input: &mut [u8], place: usize, chance: &mut Chance) {
    let value = EDGES[chance.index(EDGES.len())].wrapping_sub(chance.below(2));
    let width = 1 << chance.below(4);
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    let bytes = if chance.percent(50) { &little[..width] } else { &big[8 - width..] };
    for (target, byte) in input[place..].iter_mut().zip(bytes) {
        *target = *byte;
    }
}

/// The beginning of this input with the end of a seed.
fn splice_tail(input: &mut Vec<u8>, place: usize, seeds: &[Vec<u8>], chance: &mut Chance) {
    let Some(other) = seeds.get(chance.index(seeds.len())) else { return };
    if other.is_empty() {
        return;
    }
    input.truncate(place);
    input.extend_from_slice(&other[chance.index(other.len())..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let seeds = vec![b"one seed".to_vec(), b"another seed".to_vec()];
        let inputs = |seed| {
            let mut chance = Chance::new(seed);
            (0..200).map(|_| mutated(&seeds, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(3), inputs(3));
        assert_ne!(inputs(3), inputs(4));
    }

    #[test]
    fn mutations_are_bounded_and_differ() {
        let seeds = vec![vec![7; LONGEST]];
        let mut chance = Chance::new(5);
        let inputs: Vec<_> = (0..50).map(|_| mutated(&seeds, &mut chance)).collect();
        assert!(inputs.iter().all(|input| input.len() <= LONGEST));
        assert!(inputs.iter().any(|input| *input != seeds[0]));
    }
}
