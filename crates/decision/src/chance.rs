//! Chance that can be had again: random decisions about an exchange, made from its seed.
//!
//! The seed's own bits choose the upstream and endpoints. What is decided here is mixed anew for each question, so that
//! the answers depend neither on those nor on each other.

/// A number for one question about the exchange with this seed. Questions are told apart by their numbers.
#[inline]
pub fn draw(seed: u64, question: u64) -> u64 {
    let mut mixed = seed ^ question.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Whether the exchange with this seed is one of a share, in hundredths of a percent: 10,000 is all.
#[inline]
pub fn falls(seed: u64, question: u64, share: u16) -> bool {
    (u128::from(draw(seed, question)) * 10_000) >> 64 < u128::from(share)
}

#[cfg(test)]
mod tests {
    use super::{draw, falls};

    #[test]
    fn shares_are_met_and_do_not_depend_on_each_other() {
        let seeds: Vec<u64> = (0..100_000).map(|number| draw(number, 99)).collect();
        let count = |takes: &dyn Fn(u64) -> bool| seeds.iter().filter(|seed| takes(**seed)).count();
        assert_eq!(count(&|seed| falls(seed, 0, 0)), 0);
        assert_eq!(count(&|seed| falls(seed, 0, 10_000)), seeds.len());
        for question in 0..4 {
            let taken = count(&|seed| falls(seed, question, 2_500));
            assert!((24_400..25_600).contains(&taken), "{question}: {taken}");
            let both = count(&|seed| falls(seed, question, 2_500) && falls(seed, question + 1, 2_500));
            assert!((5_900..6_600).contains(&both), "{question}: {both}");
        }
        // Neither do they depend on what the seed's highest bits have chosen.
        let upper = count(&|seed| seed >> 63 == 1 && falls(seed, 1, 5_000));
        assert!((24_000..26_000).contains(&upper), "{upper}");
    }
}
