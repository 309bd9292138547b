//! Doubly linked lists threaded through slab entries: order by time without scans or allocation.

use super::slab::{NONE, Slab};

/// An entry's place in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    previous: u32,
    next: u32,
}

impl Links {
    pub(super) const NOWHERE: Self = Self { previous: NONE, next: NONE };

    /// The entry behind this one, or [`NONE`].
    pub(super) fn next(self) -> u32 {
        self.next
    }
}

/// A list's two ends. `links` says which of an entry's places belongs to this list.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// The first entry, or [`NONE`].
    pub(super) fn head(self) -> u32 {
        self.head
    }

    /// The last entry, or [`NONE`].
    pub(super) fn tail(self) -> u32 {
        self.tail
    }

    pub(super) fn push_back<T>(&mut self, slab: &mut Slab<T>, id: u32, links: impl Fn(&mut T) -> &mut Links) {
        *links(slab.get_mut(id)) = Links { previous: self.tail, next: NONE };
        if self.tail == NONE {
            self.head = id;
        } else {
            links(slab.get_mut(self.tail)).next = id;
        }
        self.tail = id;
    }

    pub(super) fn remove<T>(&mut self, slab: &mut Slab<T>, id: u32, links: impl Fn(&mut T) -> &mut Links) {
        let place = *links(slab.get_mut(id));
        if place.previous == NONE {
            self.head = place.next;
        } else {
            links(slab.get_mut(place.previous)).next = place.next;
        }
        if place.next == NONE {
            self.tail = place.previous;
        } else {
            links(slab.get_mut(place.next)).previous = place.previous;
        }
        *links(slab.get_mut(id)) = Links::NOWHERE;
    }
}
