//! A list that grows while others read it, and in which nothing ever moves.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many the first chunk of later ones has; each further chunk has twice as many as the one before.
const FIRST_CHUNK: u32 = 8;
/// Enough for 2³¹, far more than an upstream can have.
const CHUNKS: usize = 28;

/// A list that can be read without a lock and added to at the same time: what is in it stays where it is for as
/// long as the list lives. What it was made with lies in one piece and costs one comparison to find.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    first: Box<[T]>,
    later: OnceLock<Box<[Chunk<T>; CHUNKS]>>,
    len: AtomicU32,
}

type Chunk<T> = OnceLock<Box<[OnceLock<T>]>>;

impl<T> Slots<T> {
    pub(crate) fn new(first: Vec<T>) -> Self {
        let len = AtomicU32::new(first.len() as u32);
        Self { first: first.into_boxed_slice(), later: OnceLock::new(), len }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    /// The one of this index; `None` if there is none.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match self.first.get(index as usize) {
            Some(found) => Some(found),
            None => self.get_later(index - self.first.len() as u32),
        }
    }

    /// All, in the order of their indexes, as many as there are now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> + Clone {
        (0..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// Adds one and gives its index; `None` if there is no room for another. Only one thread at a time may call
    /// this: of two at once, one may find its place taken and add nothing.
    pub(crate) fn push(&self, value: T) -> Option<u32> {
        let index = self.len();
        let (chunk, place) = place_of(index - self.first.len() as u32);
        let later = self.later.get_or_init(|| Box::new([const { OnceLock::new() }; CHUNKS]));
        let room = || (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect();
        later.get(chunk)?.get_or_init(room).get(place)?.set(value).ok()?;
        self.len.store(index + 1, Ordering::Release);
        Some(index)
    }

    fn get_later(&self, index: u32) -> Option<&T> {
        let (chunk, place) = place_of(index);
        self.later.get()?.get(chunk)?.get()?.get(place)?.get()
    }
}

/// The chunk and the place in it of a later one.
fn place_of(index: u32) -> (usize, usize) {
    let chunk = (index / FIRST_CHUNK).saturating_add(1).ilog2();
    let start = FIRST_CHUNK * ((1 << chunk) - 1);
    (chunk as usize, (index - start) as usize)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::Slots;

    #[test]
    fn what_is_added_is_found_where_it_was_put() {
        for first in [0, 1, 7, 100] {
            let slots = Slots::new((0..first).collect());
            for value in first..first + 5000 {
                assert_eq!(slots.get(value), None);
                assert_eq!(slots.push(value), Some(value));
            }
            assert!(slots.iter().all(|(index, value)| index == *value));
            assert_eq!((slots.len(), slots.iter().count()), (first + 5000, first as usize + 5000));
            for index in [first + 5000, 1 << 30, u32::MAX] {
                assert_eq!(slots.get(index), None);
            }
        }
    }

    #[test]
    fn nothing_moves_while_others_read() {
        let slots = Slots::new(vec![0_u32]);
        let before = std::ptr::from_ref(slots.get(0).unwrap());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let len = slots.len();
                        assert!((0..len).all(|index| slots.get(index) == Some(&index)));
                    }
                });
            }
            (1..3000).for_each(|value| assert_eq!(slots.push(value), Some(value)));
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(before, std::ptr::from_ref(slots.get(0).unwrap()));
    }
}
