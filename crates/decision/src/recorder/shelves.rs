//! Where entries lie: a shelf for each class, and the bytes that entries share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Class, Kept};

#[derive(Debug)]
pub(super) struct Shelves<E> {
    shelves: Box<[Shelf<E>]>,
    /// By identity: how many entries share it, and its bytes.
    shared: HashMap<usize, (u32, usize)>,
    shared_bytes: usize,
    bytes: usize,
    entries: usize,
}

#[derive(Debug)]
struct Shelf<E> {
    entries: VecDeque<(Class, usize, Arc<E>)>,
    bytes: usize,
}

impl<E: Kept> Shelves<E> {
    pub(super) fn new(classes: usize) -> Self {
        let shelf = |_| Shelf { entries: VecDeque::new(), bytes: 0 };
        Self {
            shelves: (0..classes).map(shelf).collect(),
            shared: HashMap::new(),
            shared_bytes: 0,
            bytes: 0,
            entries: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.shared_bytes
    }

    /// Puts an entry in, and takes out others until all fits the budget again. Whether the entry stayed.
    pub(super) fn put(&mut self, class: Class, entry: E, budget: usize) -> bool {
        let bytes = entry.bytes() + size_of::<(Class, usize, Arc<E>)>();
        let shared: usize = entry.shared().map(|(_, bytes)| bytes).sum();
        if bytes.saturating_add(shared) > budget {
            return false;
        }
        for (identity, bytes) in entry.shared() {
            let held = self.shared.entry(identity).or_insert((0, bytes));
            held.0 += 1;
            if held.0 == 1 {
                self.shared_bytes += bytes;
            }
        }
        let shelf = &mut self.shelves[class.index()];
        shelf.entries.push_back((class, bytes, Arc::new(entry)));
        shelf.bytes += bytes;
        self.bytes += bytes;
        self.entries += 1;
        self.make_room(budget, 1);
        true
    }

    /// Takes out entries until what is left fits the budget, or only so many are left.
    pub(super) fn make_room(&mut self, budget: usize, least: usize) {
        while self.bytes() > budget && self.entries > least {
            let Some(fullest) = self.shelves.iter_mut().max_by_key(|shelf| shelf.bytes) else { return };
            let Some((_, bytes, entry)) = fullest.entries.pop_front() else { return };
            fullest.bytes -= bytes;
            self.bytes -= bytes;
            self.entries -= 1;
            for (identity, bytes) in entry.shared() {
                if let Some(held) = self.shared.get_mut(&identity) {
                    held.0 -= 1;
                    if held.0 == 0 {
                        self.shared_bytes -= bytes;
                        self.shared.remove(&identity);
                    }
                }
            }
        }
    }

    pub(super) fn all(&self) -> Vec<(Class, Arc<E>)> {
        let entries = self.shelves.iter().flat_map(|shelf| &shelf.entries);
        entries.map(|(class, _, entry)| (*class, Arc::clone(entry))).collect()
    }
}
