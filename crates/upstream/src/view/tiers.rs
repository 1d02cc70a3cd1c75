//! Tiers: how much of the traffic goes to the endpoints of each priority.

/// All of the traffic. Shares are counted in millionths, in whole numbers, so that everybody comes to the same.
pub(super) const WHOLE: u32 = 1_000_000;

/// The endpoints of one priority that are meant to take part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tier {
    /// How many there are, and their weights together.
    pub count: u64,
    pub weight: u64,
    /// How many of them are usable, and their weights together.
    pub usable: u64,
    pub usable_weight: u64,
}

/// What a tier gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Its part of the traffic, in millionths.
    pub share: u32,
    /// So few of its endpoints are usable that all are used.
    pub panicking: bool,
}

/// Spreads the traffic over tiers, the first first.
///
/// A tier gets as much as its usable endpoints can carry: their part of its weight times `overprovisioning`, in
/// percent, at most all. What is left goes to the next. Where all together cannot carry everything, each gets its
/// part of what they can. A tier that is short of endpoints panics only then, and all of them if each is.
pub(super) fn spread(tiers: &[Tier], overprovisioning: u32, panic_threshold: u32) -> Vec<Part> {
    let is_short = |tier: &Tier| {
        tier.usable < tier.count
            && u128::from(tier.usable) * 100 < u128::from(tier.count) * u128::from(panic_threshold)
    };
    if let [tier] = tiers {
        let panicking = is_short(tier);
        return vec![Part { share: if panicking || tier.usable > 0 { WHOLE } else { 0 }, panicking }];
    }
    let able: Vec<u32> = tiers.iter().map(|tier| carries(tier, overprovisioning)).collect();
    let together: u64 = able.iter().map(|able| u64::from(*able)).sum();
    if together < u64::from(WHOLE) && !tiers.is_empty() && tiers.iter().all(is_short) {
        let shares = portions(tiers.iter().map(|tier| tier.weight));
        return shares.into_iter().map(|share| Part { share, panicking: true }).collect();
    }
    let capacity = together.min(u64::from(WHOLE));
    let mut left = if capacity == 0 { 0 } else { WHOLE };
    let mut parts = Vec::with_capacity(tiers.len());
    for (tier, able) in tiers.iter().zip(able) {
        let of_capacity = u64::from(able) * u64::from(WHOLE);
        let share = of_capacity.checked_div(capacity).map_or(0, |share| share.min(u64::from(left)) as u32);
        left -= share;
        parts.push(Part { share, panicking: capacity < u64::from(WHOLE) && is_short(tier) });
    }
    // Millionths that were lost in rounding.
    if let Some(first) = parts.iter_mut().find(|part| part.share > 0) {
        first.share += left;
    }
    parts
}

/// How much of the whole traffic a tier can carry.
fn carries(tier: &Tier, overprovisioning: u32) -> u32 {
    let able = u128::from(tier.usable_weight) * u128::from(overprovisioning) * u128::from(WHOLE / 100);
    able.checked_div(u128::from(tier.weight)).map_or(0, |able| able.min(u128::from(WHOLE)) as u32)
}

/// Parts of the whole by weight.
fn portions(weights: impl Iterator<Item = u64> + Clone) -> Vec<u32> {
    let total: u128 = weights.clone().map(u128::from).sum();
    let part = |weight| (u128::from(weight) * u128::from(WHOLE)).checked_div(total).unwrap_or(0) as u32;
    weights.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::{Part, Tier, WHOLE, spread};
    use crate::random::Random;

    fn tier(usable: u64, count: u64) -> Tier {
        Tier { count, weight: count, usable, usable_weight: usable }
    }

    /// Shares in percent, and who panics.
    fn told(tiers: &[(u64, u64)], panic: u32) -> Vec<(u32, bool)> {
        let tiers: Vec<Tier> = tiers.iter().map(|(usable, count)| tier(*usable, *count)).collect();
        let rounded = |part: Part| ((part.share + 5_000) / 10_000, part.panicking);
        spread(&tiers, 140, panic).into_iter().map(rounded).collect()
    }

    #[test]
    fn the_next_tier_gets_what_the_one_before_cannot_carry() {
        assert_eq!(told(&[(10, 10), (10, 10)], 50), [(100, false), (0, false)]);
        assert_eq!(told(&[(72, 100), (1, 1)], 50), [(100, false), (0, false)]);
        assert_eq!(told(&[(5, 7), (1, 1)], 50), [(100, false), (0, false)], "exactly all of it");
        assert_eq!(told(&[(50, 100), (1, 1)], 50), [(70, false), (30, false)]);
        assert_eq!(told(&[(0, 100), (1, 1)], 50), [(0, false), (100, false)]);
        assert_eq!(told(&[(25, 100), (25, 100), (1, 1)], 50), [(35, false), (35, false), (30, false)]);
    }

    #[test]
    fn what_all_together_cannot_carry_is_shared_by_what_they_can() {
        assert_eq!(told(&[(20, 100), (20, 100)], 0), [(50, false), (50, false)]);
        assert_eq!(told(&[(10, 100), (50, 100)], 50), [(17, true), (83, false)]);
        assert_eq!(told(&[(0, 100), (10, 100)], 0), [(0, false), (100, false)]);
        assert_eq!(told(&[(0, 3), (0, 4)], 0), [(0, false), (0, false)]);
    }

    #[test]
    fn all_panic_together_by_their_weight() {
        assert_eq!(told(&[(0, 30), (1, 10)], 50), [(75, true), (25, true)]);
        assert_eq!(told(&[(0, 30), (0, 10)], 10), [(75, true), (25, true)]);
        assert_eq!(told(&[(1, 10)], 50), [(100, true)]);
        assert_eq!(told(&[(6, 10)], 80), [(100, true)], "nobody stands behind it");
        assert_eq!(told(&[(0, 10)], 0), [(0, false)]);
        assert!(told(&[], 50).is_empty());
    }

    #[test]
    fn shares_come_to_the_whole_and_only_to_those_who_can() {
        for seed in 0..5000 {
            let mut random = Random::new(seed);
            let tiers: Vec<Tier> = (0..1 + random.below(5))
                .map(|_| {
                    let count = 1 + random.below(20);
                    let usable = random.below(count + 1);
                    let scale = 1 + random.below(1 << 40);
                    Tier { count, usable, weight: count * scale, usable_weight: usable * scale }
                })
                .collect();
            let (over, panic) = (100 + random.below(300) as u32, random.below(101) as u32);
            let parts = spread(&tiers, over, panic);
            let sum: u64 = parts.iter().map(|part| u64::from(part.share)).sum();
            let anybody = tiers.iter().any(|tier| tier.usable > 0) || parts.iter().any(|p| p.panicking);
            let lost = if anybody { u64::from(WHOLE) - sum } else { sum };
            assert!(lost < 5, "seed {seed}: {tiers:?} {parts:?}");
            let total_panic = parts.iter().all(|part| part.panicking);
            for (at, (tier, part)) in tiers.iter().zip(&parts).enumerate() {
                assert!(
                    part.share == 0 || tier.usable > 0 || total_panic,
                    "seed {seed}: {tiers:?} {parts:?}"
                );
                // Nobody behind one that suffices.
                let suffices = tier.usable * u64::from(over) >= tier.count * 100;
                let behind = parts[at + 1..].iter().all(|part| part.share == 0);
                assert!(!suffices || behind, "seed {seed}: {tiers:?} {parts:?}");
            }
        }
    }
}
