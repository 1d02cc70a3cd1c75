//! Which traces are recorded.

use super::context::{TraceId, TraceParent};

/// The rightmost 56 bits of a trace id are random (W3C Trace Context level 2), so they can decide.
const RANDOM_BITS: u32 = 56;

/// Which traces are recorded: those that their caller recorded, or a share of all trace ids, which is the same
/// in every program that decides by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    by_parent: bool,
    /// Trace ids whose random part is below this are not recorded.
    rejected_below: u64,
}

impl Sampling {
    /// Records a share of the traces, in hundredths of a percent; with `by_parent` only of those that begin
    /// here, the others as their caller does.
    pub fn new(basis_points: u16, by_parent: bool) -> Self {
        let rejected = 10_000 - u64::from(basis_points.min(10_000));
        let rejected_below = (u128::from(rejected) << RANDOM_BITS) / 10_000;
        Self { by_parent, rejected_below: rejected_below as u64 }
    }

    /// Whether a span with this parent, or the first of its trace, is recorded.
    pub fn samples(&self, trace_id: TraceId, parent: Option<&TraceParent>) -> bool {
        match parent {
            Some(parent) if self.by_parent => parent.sampled,
            _ => (trace_id.get() as u64) & ((1 << RANDOM_BITS) - 1) >= self.rejected_below,
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_runtime::Random;

    use super::super::context::{SpanId, TraceId, TraceParent};
    use super::Sampling;

    fn ids() -> impl Iterator<Item = TraceId> {
        let mut random = Random::from_seed(4);
        std::iter::repeat_with(move || u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
            .filter_map(TraceId::new)
    }

    #[test]
    fn the_share_is_kept_and_a_larger_one_holds_the_smaller() {
        let count =
            |points| ids().take(20_000).filter(|id| Sampling::new(points, true).samples(*id, None)).count();
        assert_eq!((count(0), count(10_000)), (0, 20_000));
        for points in [10, 100, 1_000, 5_000, 9_000] {
            let expected = usize::from(points) * 2;
            assert!(count(points).abs_diff(expected) < 40 + expected / 10, "{points}: {}", count(points));
        }
        for id in ids().take(2_000) {
            let small = Sampling::new(300, true).samples(id, None);
            assert!(!small || Sampling::new(3_000, true).samples(id, None), "{id:?}");
        }
    }

    #[test]
    fn a_parent_decides_only_where_it_may() {
        for id in ids().take(100) {
            for sampled in [false, true] {
                let parent = TraceParent { trace_id: id, span_id: SpanId::new(1).unwrap(), sampled };
                for points in [0, 5_000, 10_000] {
                    assert_eq!(Sampling::new(points, true).samples(id, Some(&parent)), sampled);
                    let alone = Sampling::new(points, false);
                    assert_eq!(alone.samples(id, Some(&parent)), alone.samples(id, None));
                }
            }
        }
    }
}
