//! A quantile of a stream of figures, in one number.

/// An estimate of a quantile that follows what it sees: a step up with each figure above it, a step down with each below,
/// in such sizes that it rests where the wanted share is below (Ma, Muthukrishnan, Sandler 2013, "Frugal Streaming"). Steps
/// are a share of the estimate, so that it needs no idea of the scale: it is right to some per cent. It follows
/// a rise within hundreds of figures; a fall takes a high quantile thousands, since few of its figures say much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantile {
    estimate: f64,
}

/// How much of the estimate a step is, at the most.
const STEP: f64 = 0.04;

impl Quantile {
    /// Takes a figure in, of which so many thousandths are to be below.
    pub fn observe(&mut self, figure: u64, thousandths: u32) {
        let (figure, share) = (figure.max(1) as f64, f64::from(thousandths.min(999)) / 1000.0);
        if self.estimate == 0.0 {
            self.estimate = figure;
        } else if figure > self.estimate {
            self.estimate *= 1.0 + STEP * share;
        } else if figure < self.estimate {
            self.estimate *= 1.0 - STEP * (1.0 - share);
        }
    }

    /// The estimate; 0 before anything was seen.
    pub fn get(self) -> u64 {
        self.estimate as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Quantile;
    use crate::random::Random;

    #[test]
    fn estimates_come_near_and_follow() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            for thousandths in [500, 900, 990] {
                let mut quantile = Quantile::default();
                for scale in [10_000u64, 100_000, 1_000] {
                    for _ in 0..40_000 {
                        quantile.observe(random.below(scale), thousandths);
                    }
                    // By how much of the figures it lies beside the quantile.
                    let off = quantile.get() as f64 / scale as f64 - f64::from(thousandths) / 1000.0;
                    assert!(off.abs() < 0.15, "seed {seed}: {thousandths} of {scale} is off by {off}");
                }
            }
        }
    }

    #[test]
    fn nothing_seen_is_nothing_and_nothing_overflows() {
        let mut quantile = Quantile::default();
        assert_eq!(quantile.get(), 0);
        for _ in 0..10_000 {
            quantile.observe(u64::MAX, 1000);
        }
        quantile.observe(0, 0);
        assert!(quantile.get() > 0);
    }
}
