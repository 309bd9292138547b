//! A keyed 64-bit hash that is the same on every machine and in every run.
//!
//! Keys are chosen by attackers, so the hash is keyed with a secret seed; state and sketches outlive a process, so its
//! output is fixed by this file and not by a library's version. The mixing step is the folded 64×64→128 bit multiply of
//! wyhash (Wang Yi, "Modern Non-Cryptographic Hash Function and Pseudorandom Number Generator", 2019).

use std::hash::{BuildHasher, Hash, Hasher};

/// The secret that keys a deployment's hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSeed {
    first: u64,
    second: u64,
}

impl HashSeed {
    /// The seed made of 16 octets.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| half.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        Self { first: word(low) | 1, second: word(high) | 1 }
    }

    /// Names the seed in a checkpoint without giving it away.
    #[must_use]
    pub fn fingerprint(self) -> u64 {
        self.hash_of(&0x7765_6972_u64)
    }

    /// Hash of one value.
    pub fn hash_of<T: Hash + ?Sized>(self, value: &T) -> u64 {
        self.hash_one(value)
    }
}

impl Default for HashSeed {
    /// The public seed of single runs (`analyze`, `demo`), where no deployment has a secret to keep.
    fn default() -> Self {
        Self { first: 0x2d35_8dcc_aa6c_78a5, second: 0x8bb8_4b93_962e_acc9 }
    }
}

impl BuildHasher for HashSeed {
    type Hasher = StableHasher;

    fn build_hasher(&self) -> StableHasher {
        StableHasher { state: self.first, key: self.second }
    }
}

/// The hasher of one value.
#[derive(Clone, Debug)]
pub struct StableHasher {
    state: u64,
    key: u64,
}

fn folded_multiply(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

impl StableHasher {
    fn word(&mut self, word: u64) {
        self.state = folded_multiply(self.state ^ word, self.key ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(self.key);
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        folded_multiply(self.state ^ self.key, 0xa076_1d64_78bd_642f)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if rest.is_empty() {
            return;
        }
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.word(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::Host;

    #[test]
    fn hashes_are_fixed_for_ever() {
        let seed = HashSeed::default();
        let hashes = [
            seed.hash_of(&0_u64),
            seed.hash_of("weir"),
            seed.hash_of(&Host::parse("10.0.0.1")),
            seed.hash_of(&Host::parse("2001:db8::1")),
        ];
        assert_eq!(
            hashes,
            [
                3_151_949_247_820_559_894,
                1_611_392_305_229_158_765,
                16_059_180_100_680_993_902,
                14_609_779_671_113_953_855
            ],
            "a changed hash makes every stored sketch and state slot wrong"
        );
    }

    #[test]
    fn seeds_differ() {
        let other = HashSeed::from_bytes([7; 16]);
        assert_ne!(other.hash_of("weir"), HashSeed::default().hash_of("weir"));
        assert_ne!(other.fingerprint(), HashSeed::default().fingerprint());
    }

    #[test]
    fn low_bits_spread_over_sequential_addresses() {
        let seed = HashSeed::default();
        let mut buckets = [0_u32; 64];
        for address in 0..6_400_u32 {
            buckets[(seed.hash_of(&Host::V4(address.into())) % 64) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (50..=150).contains(count)), "{buckets:?}");
    }
}
