//! The order of turns of a weighted round robin, worked out before it is needed.

use std::collections::BTreeMap;

/// How many turns a schedule has at least before weights are made coarser to keep it short.
const TURNS: usize = 4096;
/// With many endpoints it may have this many turns for each, or their weights would all become alike.
const TURNS_PER_ENDPOINT: usize = 16;

/// Fills `schedule` with one cycle of turns for `members`, which have these `weights` (all above 0).
///
/// Each member has its weight's number of turns, and they are evenly spaced: between two turns of one
/// member another one gets at most ⌈its weight / the first one's weight⌉ turns. Members of the same weight
/// take turns in their order.
///
/// Weights are divided by their greatest common divisor. If the cycle would still be longer than 4096 turns
/// (or 16 for each member), weights are scaled down and rounded to the nearest turn, at least one: a share
/// is then off by half a turn, and the cycle longer than the bound by at most one turn for each member.
pub(crate) fn build(members: &[u32], weights: &[u32], schedule: &mut Vec<u32>) {
    schedule.clear();
    if weights.windows(2).all(|pair| pair[0] == pair[1]) {
        schedule.extend_from_slice(members);
        return;
    }
    let counts = turns_of(weights);
    let mut classes: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for &count in &counts {
        classes.entry(count).or_default().0 += 1;
    }
    let mut turns: Vec<(u64, u32)> = Vec::with_capacity(counts.iter().sum::<u64>() as usize);
    for (&member, &count) in members.iter().zip(&counts) {
        let Some((size, rank)) = classes.get_mut(&count) else { continue };
        turns.extend((0..count).map(|turn| (moment(turn, count, *rank, *size), member)));
        *rank += 1;
    }
    turns.sort_unstable();
    schedule.extend(turns.into_iter().map(|(_, member)| member));
}

/// How many turns each weight is worth.
fn turns_of(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let total: u64 = weights.iter().map(|&weight| u64::from(weight / divisor)).sum();
    let most = TURNS.max(TURNS_PER_ENDPOINT * weights.len()) as u64;
    let scaled = |weight: u32| {
        let weight = u64::from(weight / divisor);
        if total <= most { weight } else { ((weight * most + total / 2) / total).max(1) }
    };
    weights.iter().map(|&weight| scaled(weight)).collect()
}

/// When in the cycle (from 0 to 2^60) a turn is due. The turns of one member are `1 / count` of the cycle
/// apart; members of the same count are shifted against each other by their rank, so that light ones do not
/// come in a clump. Different fractions of this size differ by more than 2^-60, so their order is exact.
fn moment(turn: u64, count: u64, rank: u64, size: u64) -> u64 {
    let due = u128::from(turn) * u128::from(2 * size) + u128::from(2 * rank + 1);
    ((due << 60) / (u128::from(2 * size) * u128::from(count))) as u64
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::{TURNS, TURNS_PER_ENDPOINT, build};
    use crate::random::Random;

    fn schedule(weights: &[u32]) -> Vec<u32> {
        let members: Vec<u32> = (0..weights.len() as u32).collect();
        let mut schedule = Vec::new();
        build(&members, weights, &mut schedule);
        schedule
    }

    #[test]
    fn turns_are_spread() {
        assert_eq!(schedule(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(schedule(&[2, 1]), [0, 1, 0]);
        assert_eq!(schedule(&[5, 1, 1]), [0, 1, 0, 0, 0, 2, 0]);
        assert_eq!(schedule(&[40, 20]), [0, 1, 0]);
        assert_eq!(schedule(&[]), []);
        assert_eq!(schedule(&[u32::MAX]), [0]);
    }

    /// Longest number of turns of `i` between two neighbouring turns of `j`, around the cycle.
    fn most_between(schedule: &[u32], j: u32, i: u32) -> usize {
        let start = schedule.iter().position(|m| *m == j).unwrap();
        let (mut most, mut count) = (0, 0);
        for member in schedule[start..].iter().chain(&schedule[..=start]) {
            count = if *member == j { 0 } else { count + usize::from(*member == i) };
            most = most.max(count);
        }
        most
    }

    #[test]
    fn shares_are_exact_and_turns_evenly_spaced() {
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let count = 1 + random.below(7) as usize;
            let weights: Vec<u32> = (0..count).map(|_| 1 + random.below(100) as u32).collect();
            let schedule = schedule(&weights);
            for (i, &weight) in weights.iter().enumerate() {
                let turns = schedule.iter().filter(|m| **m == i as u32).count();
                let total: u32 = weights.iter().sum();
                assert_eq!(
                    turns * total as usize,
                    weight as usize * schedule.len(),
                    "seed {seed}: {weights:?}"
                );
                for (j, &other) in weights.iter().enumerate().filter(|(j, _)| *j != i) {
                    let most = most_between(&schedule, j as u32, i as u32);
                    assert!(most <= weight.div_ceil(other) as usize, "seed {seed}: {weights:?} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn coarse_schedules_are_short_and_nearly_fair() {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let count = 2 + random.below(800) as usize;
            let mut weights: Vec<u32> =
                (0..count).map(|_| 1 + random.below(1 << (1 + seed % 32)) as u32).collect();
            weights[0] = 1; // so that there is no common divisor
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let schedule = schedule(&weights);
            let most = TURNS.max(TURNS_PER_ENDPOINT * count);
            assert!(schedule.len() <= most + count, "seed {seed}: {}", schedule.len());
            let mut turns = vec![0u64; count];
            schedule.iter().for_each(|m| turns[*m as usize] += 1);
            for (i, &weight) in weights.iter().enumerate() {
                let ideal = weight as f64 * most as f64 / total as f64;
                let whole = total as usize <= most && turns[i] == u64::from(weight);
                let near = (turns[i] as f64 - ideal).abs() <= 0.501 || turns[i] == 1 && ideal < 1.0;
                assert!(whole || near, "seed {seed}: {i} has {} of {ideal}", turns[i]);
            }
        }
    }
}
