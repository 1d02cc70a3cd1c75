//! A tiny generator for choices that need to be spread, not secret.

/// splitmix64 (Steele, Lea, Flood 2014): one addition and a mix per number, any seed is good.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `bound`, or 0 where `bound` is 0. Multiply and shift: the bias is at most
    /// `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let mut seen = [0u32; 7];
            for _ in 0..1000 {
                seen[random.below(7) as usize] += 1;
            }
            assert!(seen.iter().all(|&n| (80..220).contains(&n)), "seed {seed}: {seen:?}");
        }
        assert_eq!(Random::new(1).below(0), 0);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Random::new(42), Random::new(42));
        assert!((0..100).all(|_| a.next() == b.next()));
    }
}
