//! Zones: how much of the traffic stays in Tollgate's own.

use std::sync::Arc;

use super::tiers::WHOLE;

/// That endpoints in Tollgate's own zone are preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    /// The own zone.
    pub zone: Arc<str>,
    /// All traffic stays in the zone as long as this part of its endpoints is usable, in percent of their weight;
    /// below that, as much less of it stays.
    pub min_usable_percent: u32,
    /// The zone is not preferred with fewer usable endpoints than this. At least 1.
    pub min_endpoints: u32,
}

/// The endpoints of a tier by zone, those only that are meant to take part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Zones {
    /// The weights of those in the own zone.
    pub own_weight: u64,
    /// The usable ones of them, and their weights.
    pub own_usable: u64,
    pub own_usable_weight: u64,
    /// How many elsewhere are usable.
    pub other_usable: u64,
}

impl Locality {
    /// The part of a tier's traffic that stays in the own zone, in millionths; `None` where zones do not count.
    pub(super) fn own_share(&self, zones: &Zones) -> Option<u32> {
        if zones.own_usable < u64::from(self.min_endpoints.max(1)) || zones.other_usable == 0 {
            return None;
        }
        let able = u128::from(zones.own_usable_weight) * 100 * u128::from(WHOLE);
        let wanted = u128::from(zones.own_weight) * u128::from(self.min_usable_percent);
        Some(able.checked_div(wanted).map_or(WHOLE, |share| share.min(u128::from(WHOLE)) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::{Locality, Zones};

    #[test]
    fn traffic_stays_as_far_as_the_zone_can_carry_it() {
        let locality = Locality { zone: "a".into(), min_usable_percent: 50, min_endpoints: 2 };
        let share = |own_usable, other_usable| {
            locality.own_share(&Zones {
                own_weight: 10,
                own_usable,
                own_usable_weight: own_usable,
                other_usable,
            })
        };
        assert_eq!(
            [10, 5, 4, 2].map(|own| share(own, 3)),
            [1_000_000, 1_000_000, 800_000, 400_000].map(Some)
        );
        assert_eq!([share(1, 3), share(0, 3), share(2, 0)], [None; 3]);
        let always = Locality { min_usable_percent: 0, min_endpoints: 0, ..locality };
        let zones = Zones { own_weight: 9, own_usable: 1, own_usable_weight: 1, other_usable: 9 };
        assert_eq!(always.own_share(&zones), Some(1_000_000));
    }
}
