//! A store of entries with stable 32-bit ids. It grows by chunks, so growing never copies what is there.

/// Names no entry.
pub(super) const NONE: u32 = u32::MAX;

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Entries by id; freed ids are used again, the latest first.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    made: u32,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), made: 0 }
    }

    /// Entries in use.
    pub(super) fn len(&self) -> usize {
        self.made as usize - self.free.len()
    }

    /// Puts `value` in and names it.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            *self.get_mut(id) = value;
            return id;
        }
        if self.made as usize >> CHUNK_BITS == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let id = self.made;
        self.chunks[(id >> CHUNK_BITS) as usize].push(value);
        self.made += 1;
        id
    }

    /// Gives `id` back. Its value stays until the id is used again.
    pub(super) fn remove(&mut self, id: u32) {
        self.free.push(id);
    }

    pub(super) fn get(&self, id: u32) -> &T {
        &self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut T {
        &mut self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)]
    }
}
