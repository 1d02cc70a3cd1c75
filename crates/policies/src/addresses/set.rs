//! Sets of addresses, made to be large.

use std::net::IpAddr;

use super::AddressBlock;

/// A set of addresses: sorted ranges that do not touch, found by halving. 8 bytes for a range of IPv4, 32 for one
/// of IPv6, whatever the number and size of the blocks that it was made from. Blocks that overlap or touch are
/// one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl AddressSet {
    /// Whether an address is in the set. IPv4 in the spelling of IPv6 is IPv4.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.contains(v4.into()),
            IpAddr::V6(v6) => self.v6.contains(v6.into()),
        }
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.v4.first.len() + self.v6.first.len()
    }

    /// Whether it holds no address.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<AddressBlock> for AddressSet {
    fn from_iter<T: IntoIterator<Item = AddressBlock>>(blocks: T) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in blocks {
            match (block.first(), block.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((u32::from(first), u32::from(last))),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((u128::from(first), u128::from(last))),
                // No block has two kinds of ends.
                _ => {}
            }
        }
        Self { v4: Ranges::new(v4, |a| a.checked_add(1)), v6: Ranges::new(v6, |a| a.checked_add(1)) }
    }
}

/// Ranges of numbers. Their beginnings lie side by side, so that looking touches few cache lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges<T> {
    first: Box<[T]>,
    last: Box<[T]>,
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|(first, last), (_, before)| {
            // Behind the last number there is nothing that would not touch it.
            let touches = next(*before).is_none_or(|next| *first <= next);
            if touches {
                *before = (*before).max(*last);
            }
            touches
        });
        let (first, last) = ranges.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        Self { first: first.into(), last: last.into() }
    }

    #[inline]
    fn contains(&self, number: T) -> bool {
        let begun = self.first.partition_point(|first| *first <= number);
        begun.checked_sub(1).and_then(|at| self.last.get(at)).is_some_and(|last| number <= *last)
    }
}
