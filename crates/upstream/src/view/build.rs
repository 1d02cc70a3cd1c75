//! Building a view: who takes part, and with which weight.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::locality::Zones;
use super::tiers::{self, Tier, WHOLE};
use super::{Exclusion, IfNone, Locality, Standing, Subset, View};
use crate::endpoint::Endpoint;
use crate::health::Health;
use crate::schedule;
use crate::upstream::{Upstream, UpstreamSettings};

/// What the largest of weights becomes that are folded: as fine as leaves room in 32 bits.
const FINEST: f64 = (1u32 << 30) as f64;

/// Endpoints that share one part of the traffic by their weights.
struct Group {
    /// Their part together.
    share: f64,
    members: Vec<u32>,
}

impl View {
    pub(super) fn rebuild(&mut self, upstream: &Upstream, now_ms: u64) {
        upstream.settle(now_ms);
        // The version is read before what it stands for: what changes meanwhile makes the view old again.
        let version = upstream.version();
        self.go_on_with_sessions(upstream, version);
        self.version = version;
        self.look(upstream, now_ms);
        self.keep_to_subset();
        let groups = self.groups(upstream.settings());
        self.fold(&groups);
        schedule::build(&self.members, &self.weights, &mut self.schedule);
        self.look_up(upstream);
    }

    /// What is known of each endpoint by itself.
    fn look(&mut self, upstream: &Upstream, now_ms: u64) {
        self.valid_until_ms = u64::MAX;
        self.standings.clear();
        let slow_start = upstream.settings().slow_start;
        for (_, endpoint) in upstream.endpoints() {
            let standing =
                Standing::of(endpoint, upstream.settings(), self.subset().map(|subset| &**subset), now_ms);
            // Also one that is excluded for another reason ends, or the mark would stay.
            if let Some(until_ms) = endpoint.ejection().until_ms() {
                self.valid_until_ms = self.valid_until_ms.min(until_ms);
            }
            if let Some(slow_start) = slow_start.filter(|_| standing.warmth < 1.0) {
                self.valid_until_ms = self.valid_until_ms.min(slow_start.next_step_ms(now_ms));
            }
            self.standings.push(standing);
        }
    }

    /// What finds endpoints by the tokens of sessions changes with the set of endpoints only, and goes on from view to
    /// view. `version`: the one that the view will have.
    fn go_on_with_sessions(&mut self, upstream: &Upstream, version: u64) {
        if !Self::same_upstream(self.version, version) {
            self.session_numbers.take();
        }
        let numbers = self.session_numbers.get_mut().filter(|numbers| numbers.len() < upstream.slots());
        if let Some(numbers) = numbers {
            Arc::make_mut(numbers).catch_up(upstream);
        }
    }

    /// Leaves out the endpoints that are not of the subset, if this is a view of one.
    fn keep_to_subset(&mut self) {
        let Some(part) = &mut self.part else { return };
        let any = self.standings.iter().any(|standing| standing.exclusion.is_none() && standing.in_subset);
        part.beside = !any && part.subset.if_none == IfNone::Any;
        if part.beside {
            return;
        }
        for standing in &mut self.standings {
            if !standing.in_subset && standing.exclusion != Some(Exclusion::Removed) {
                standing.exclusion = Some(Exclusion::OtherLabels);
            }
        }
    }

    /// Who is used, in groups; and marks those that are spare.
    fn groups(&mut self, settings: &UpstreamSettings) -> Vec<Group> {
        let mut by_priority: BTreeMap<u32, (Tier, Vec<u32>)> = BTreeMap::new();
        for (index, standing) in (0..).zip(&self.standings) {
            if standing.exclusion.is_some_and(Exclusion::is_meant) {
                continue;
            }
            let (tier, endpoints) = by_priority.entry(standing.priority).or_default();
            tier.add(standing);
            endpoints.push(index);
        }
        let (tiers, endpoints): (Vec<_>, Vec<_>) = by_priority.into_values().unzip();
        let parts =
            tiers::spread(&tiers, settings.overprovisioning_percent, settings.panic_threshold_percent);
        let mut groups = Vec::new();
        self.panicking = false;
        self.spares.clear();
        for (part, mut endpoints) in parts.iter().zip(endpoints) {
            let standing = |index: &u32| self.standings[*index as usize].exclusion;
            if part.share == 0 {
                self.spare(&endpoints, Exclusion::Standby);
                continue;
            }
            if part.panicking {
                self.panicking = true;
                groups.push(Group { share: f64::from(part.share), members: endpoints });
                continue;
            }
            endpoints.retain(|index| standing(index).is_none());
            match &settings.locality {
                Some(locality) => self.by_zone(locality, (part.share, endpoints), &mut groups),
                None => groups.push(Group { share: f64::from(part.share), members: endpoints }),
            }
        }
        groups
    }

    /// The usable endpoints of a tier, those of the own zone first, as far as they can carry its share.
    fn by_zone(&mut self, locality: &Locality, (share, usable): (u32, Vec<u32>), groups: &mut Vec<Group>) {
        let standing = |index: &u32| &self.standings[*index as usize];
        let share = f64::from(share);
        let Some(priority) = usable.first().map(|first| standing(first).priority) else { return };
        let (own, others): (Vec<u32>, Vec<u32>) =
            usable.iter().partition(|index| standing(index).in_own_zone);
        // Those of the tier that are down are part of what the zone could carry.
        let of_zone = (self.standings.iter())
            .filter(|standing| standing.in_own_zone && standing.priority == priority)
            .filter(|standing| !standing.exclusion.is_some_and(Exclusion::is_meant));
        let zones = Zones {
            own_weight: of_zone.map(|standing| u64::from(standing.own)).sum(),
            own_usable: own.len() as u64,
            own_usable_weight: own.iter().map(|index| u64::from(standing(index).own)).sum(),
            other_usable: others.len() as u64,
        };
        let Some(own_share) = locality.own_share(&zones) else {
            groups.push(Group { share, members: usable });
            return;
        };
        let stays = f64::from(own_share) / f64::from(WHOLE);
        groups.push(Group { share: share * stays, members: own });
        if own_share == WHOLE {
            self.spare(&others, Exclusion::OtherZone);
        } else {
            groups.push(Group { share: share * (1.0 - stays), members: others });
        }
    }

    /// Notes of the usable ones of these that others are preferred. The first that come are the nearest.
    fn spare(&mut self, endpoints: &[u32], exclusion: Exclusion) {
        let nearest = self.spares.is_empty();
        for index in endpoints {
            let standing = &mut self.standings[*index as usize].exclusion;
            if standing.is_none() {
                *standing = Some(exclusion);
                if nearest {
                    self.spares.push(*index);
                }
            }
        }
    }

    /// Makes the groups one list of members, with weights that give each group its share and each endpoint its part
    /// of it.
    fn fold(&mut self, groups: &[Group]) {
        let warming = |index: &u32| self.standings[*index as usize].warmth < 1.0;
        let cold = groups.iter().any(|group| group.members.iter().any(warming));
        self.plain = groups.len() <= 1 && !cold;
        let own = |index: &u32| f64::from(self.standings[*index as usize].own);
        let weights: Vec<(u32, u32)> = match groups {
            [group] if self.plain => {
                group.members.iter().map(|index| (*index, self.standings[*index as usize].own)).collect()
            }
            groups => folded(groups, |index| own(index) * self.standings[*index as usize].warmth),
        };
        self.lasting.clear();
        if cold {
            let lasting = match groups {
                [group] => group.members.iter().map(|i| (*i, self.standings[*i as usize].own)).collect(),
                groups => folded(groups, own),
            };
            self.lasting.extend(lasting.into_iter().map(|(_, weight)| weight));
        }
        self.members.clear();
        self.weights.clear();
        self.sums.clear();
        let mut sum = 0;
        for (index, weight) in weights {
            sum += u64::from(weight);
            self.members.push(index);
            self.weights.push(weight);
            self.sums.push(sum);
            self.standings[index as usize].weight = weight;
        }
        self.uniform = self.weights.windows(2).all(|pair| pair[0] == pair[1]);
    }
}

/// The members of all groups, ascending, with weights that give each group its share. None is 0.
fn folded(groups: &[Group], weight: impl Fn(&u32) -> f64) -> Vec<(u32, u32)> {
    let mut fine: Vec<(u32, f64)> = Vec::new();
    for group in groups {
        let total: f64 = group.members.iter().map(&weight).sum();
        fine.extend(group.members.iter().map(|index| (*index, weight(index) / total * group.share)));
    }
    fine.sort_unstable_by_key(|(index, _)| *index);
    let largest = fine.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
    let scaled = |weight: f64| ((weight / largest * FINEST).round() as u32).max(1);
    fine.into_iter().map(|(index, weight)| (index, scaled(weight))).collect()
}

impl Standing {
    fn of(endpoint: &Endpoint, settings: &UpstreamSettings, subset: Option<&Subset>, now_ms: u64) -> Self {
        // Asked once, since the operator may change it meanwhile; the version makes the view old then.
        let own = endpoint.weight();
        let drained_since_ms = endpoint.drained_since_ms(now_ms);
        let health = endpoint.health(now_ms);
        let traits = endpoint.traits();
        let exclusion = match health {
            _ if endpoint.is_removed() => Some(Exclusion::Removed),
            _ if drained_since_ms.is_some() => Some(Exclusion::Drained),
            _ if own == 0 => Some(Exclusion::WeightZero),
            Health::Usable => None,
            Health::Down => Some(Exclusion::ProbeDown),
            Health::Ejected { until_ms } => Some(Exclusion::Ejected { until_ms }),
        };
        let warmth = settings.slow_start.and_then(|slow_start| {
            let since_ms = endpoint.warming_since_ms(now_ms)?;
            Some(slow_start.warmth(since_ms, now_ms))
        });
        Self {
            exclusion,
            own,
            weight: 0,
            warmth: warmth.unwrap_or(1.0),
            healthy: health == Health::Usable,
            priority: traits.priority,
            in_own_zone: (settings.locality.as_ref())
                .is_some_and(|locality| traits.zone.as_ref() == Some(&locality.zone)),
            in_subset: subset.is_none_or(|subset| traits.labels.include(&subset.labels)),
            drained_since_ms,
        }
    }
}

impl Tier {
    fn add(&mut self, standing: &Standing) {
        let weight = u64::from(standing.own);
        self.count += 1;
        self.weight += weight;
        if standing.exclusion.is_none() {
            self.usable += 1;
            self.usable_weight += weight;
        }
    }
}
