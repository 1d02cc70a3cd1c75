//! How long to wait before the next attempt.

use crate::random::Random;

/// Exponential back-off with full jitter: the wait before retry `n` is uniform between 1 ms and `base_ms` ×
/// 2^(n-1), at most `cap_ms`. Jitter keeps requests that failed together from coming back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Longest wait before the first retry, in milliseconds.
    pub base_ms: u64,
    /// Longest wait before any retry, in milliseconds.
    pub cap_ms: u64,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { base_ms: 25, cap_ms: 250 }
    }
}

impl BackOff {
    /// Milliseconds to wait before retry number `retry` (the first is 1). 0 only where base or cap is 0.
    pub fn delay_ms(&self, retry: u32, seed: u64) -> u64 {
        let doublings = retry.saturating_sub(1).min(63);
        let longest = self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms);
        if longest == 0 { 0 } else { 1 + Random::new(seed).below(longest) }
    }
}

#[cfg(test)]
mod tests {
    use super::BackOff;

    #[test]
    fn delays_double_up_to_the_cap_and_fill_their_range() {
        let back_off = BackOff::default();
        for (retry, longest) in
            [(0, 25), (1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (99, 250), (u32::MAX, 250)]
        {
            let delays: Vec<u64> = (0..2000).map(|seed| back_off.delay_ms(retry, seed)).collect();
            assert!(delays.iter().all(|d| (1..=longest).contains(d)), "retry {retry}");
            assert!(*delays.iter().min().unwrap() <= longest / 10 + 1, "retry {retry}");
            assert!(*delays.iter().max().unwrap() > longest * 9 / 10, "retry {retry}");
        }
    }

    #[test]
    fn nothing_overflows_and_zero_means_at_once() {
        let huge = BackOff { base_ms: u64::MAX, cap_ms: u64::MAX };
        assert!((0..100).all(|seed| huge.delay_ms(u32::MAX, seed) >= 1));
        assert_eq!(BackOff { base_ms: 0, cap_ms: 250 }.delay_ms(3, 7), 0);
    }
}
