//! Sets of addresses, made to be large.

use std::net::IpAddr;

use super::AddressBlock;

/// A set of addresses: sorted ranges that do not touch, found by halving what an index leaves of them. A range of
/// IPv4 takes 8 bytes and one of IPv6 32, and 4 to 8 more for the index. Blocks that overlap or touch are one range.
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
        self.v4.ranges.len() + self.v6.ranges.len()
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
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }
}

/// Ranges of numbers. Looking touches two cache lines, mostly: one of the index, one of the ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges<T> {
    /// First and last number of each.
    ranges: Box<[(T, T)]>,
    /// The numbers from the first to the last beginning are cut into stretches of 2^`shift` numbers. This is how
    /// many ranges begin before each stretch, and at the end how many there are.
    before: Box<[u32]>,
    shift: u32,
}

impl<T: Copy + Ord + Into<u128>> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|(first, last), (_, before)| {
            // The first is not below the one before, so that neither side overflows where they touch.
            let touches = *first <= *before || (*first).into() - (*before).into() == 1;
            if touches {
                *before = (*before).max(*last);
            }
            touches
        });
        let (before, shift) = index(&ranges);
        Self { ranges: ranges.into(), before, shift }
    }

    #[inline]
    fn contains(&self, number: T) -> bool {
        let Some((lowest, _)) = self.ranges.first() else { return false };
        let Some(offset) = number.into().checked_sub((*lowest).into()) else { return false };
        let last = self.before.len() - 2;
        let stretch = usize::try_from(offset >> self.shift).unwrap_or(last).min(last);
        let (from, to) = (self.before[stretch] as usize, self.before[stretch + 1] as usize);
        let begun = from + self.ranges[from..to].partition_point(|(first, _)| *first <= number);
        begun.checked_sub(1).is_some_and(|at| number <= self.ranges[at].1)
    }
}

/// Cuts the numbers from the first to the last into about as many stretches as there are numbers.
fn index<T: Copy + Into<u128>>(sorted: &[(T, T)]) -> (Box<[u32]>, u32) {
    let (Some((lowest, _)), Some((highest, _))) = (sorted.first(), sorted.last()) else {
        return Default::default();
    };
    let (lowest, span) = ((*lowest).into(), (*highest).into() - (*lowest).into());
    let bits = |number: u128| u128::BITS - number.leading_zeros();
    let shift = bits(span).saturating_sub(bits(sorted.len() as u128));
    let stretches = (span >> shift) as usize + 1;
    let mut before = vec![0; stretches + 1];
    for (number, _) in sorted {
        before[(((*number).into() - lowest) >> shift) as usize + 1] += 1;
    }
    for stretch in 0..stretches {
        before[stretch + 1] += before[stretch];
    }
    (before.into(), shift)
}
