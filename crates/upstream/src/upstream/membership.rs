//! Endpoints that come and go while the upstream is used: nothing that is under way is disturbed, and whoever picks
//! next knows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Upstream;
use crate::endpoint::Endpoint;
use crate::members::{Key, Listed, Lists, Member, OPERATOR_MAX, OperatorMembers, Origin, Removal, key};

/// So many removed endpoints are no reason yet to make the upstream anew.
const REMOVED_MIN: usize = 64;

/// How a set of endpoints was changed, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersChange {
    /// New, or there again.
    pub added: Vec<u32>,
    /// There no more.
    pub removed: Vec<u32>,
    /// Listed with another weight, or another tier, zone or labels.
    pub reweighted: Vec<u32>,
}

/// What there is beside an upstream whose set is changed.
enum Beside<'a> {
    /// Nothing: it serves.
    Nothing,
    /// The endpoints of the upstream that it follows; none if it follows none. It does not serve yet.
    Before(HashMap<Key<'a>, &'a Endpoint>),
}

impl MembersChange {
    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.reweighted.is_empty()
    }
}

/// Why the operator's endpoints were not added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// The upstream has them.
    AlreadyThere {
        /// The name of the first.
        name: Arc<str>,
        /// Who lists it.
        origin: Option<Origin>,
    },
    /// The operator has changed too much at this upstream already.
    TooMany,
}

impl fmt::Display for NotAdded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyThere { name, origin: None } => write!(f, "`{name}` is there already"),
            Self::AlreadyThere { name, origin: Some(origin) } => {
                write!(f, "`{name}` is there already, from: {origin}")
            }
            Self::TooMany => write!(f, "{OPERATOR_MAX} changes by hand are kept at most; write the document"),
        }
    }
}

impl std::error::Error for NotAdded {}

/// Why an endpoint is in the set, or is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who lists it; `None` if nobody does any more.
    pub origin: Option<Origin>,
    /// Whether the operator has removed it.
    pub is_removed_by_operator: bool,
}

impl Upstream {
    /// Takes what a discovery source has found, all of it, in place of what it had found before. `None` if the
    /// upstream has no such source. What stays is not disturbed; where nothing changes, nobody notices.
    pub fn set_found(&self, source: &str, found: Vec<Member>, now_ms: u64) -> Option<MembersChange> {
        let mut lists = self.lists();
        let index = self.settings.sources.iter().position(|known| *known.key == *source)?;
        *lists.found.get_mut(index)? = found;
        Some(self.apply(&lists, &Beside::Nothing, now_ms))
    }

    /// Takes what its sources, by their keys, have found at first, and becomes as the upstream that it follows is now, of
    /// which nothing is changed: endpoints that are there are the same here, and of sources that stay the same it is
    /// known there what they have found. For before it is used; [`Upstream::catch_up`] is due when it is put into force.
    pub fn begin_with(&self, found: Vec<(Arc<str>, Vec<Member>)>, before: Option<&Self>, now_ms: u64) {
        let mut lists = self.lists();
        for (source, found) in found {
            let index = self.settings.sources.iter().position(|known| known.key == source);
            if let Some(list) = index.and_then(|index| lists.found.get_mut(index)) {
                *list = found;
            }
        }
        match before {
            None => drop(self.apply(&lists, &Beside::before(None), now_ms)),
            Some(before) => {
                drop(lists);
                self.take_over(before, now_ms);
            }
        }
    }

    /// Adds endpoints by the operator's hand. Those that the operator had removed are there again as they are listed,
    /// with `weight` set as by [`Upstream::set_weight`] if one is given.
    ///
    /// # Errors
    ///
    /// Where all are there already, or the operator has changed too much. Then nothing is changed.
    pub fn operator_add(
        &self,
        members: &[Member],
        weight: Option<u32>,
        now_ms: u64,
    ) -> Result<MembersChange, NotAdded> {
        let mut lists = self.lists();
        let there: HashMap<_, _> = self.live_endpoints().map(|(i, e)| (e.address(), (i, e))).collect();
        let new: Vec<&Member> = members.iter().filter(|m| !there.contains_key(&m.address)).collect();
        if new.is_empty() {
            let first = members.iter().find_map(|member| there.get(&member.address));
            let name = first.map_or_else(|| "".into(), |(_, endpoint)| endpoint.name().clone());
            let origin = first.and_then(|(_, endpoint)| self.origin(&lists, endpoint));
            return Err(NotAdded::AlreadyThere { name, origin });
        }
        if lists.operator.len() + new.len() > OPERATOR_MAX {
            return Err(NotAdded::TooMany);
        }
        let addresses: HashSet<_> = new.iter().map(|member| member.address).collect();
        lists.operator.removed.retain(|removal| !addresses.contains(&removal.address));
        let listed: HashSet<_> = lists.merged().iter().map(|(_, member)| member.address).collect();
        for member in new {
            if !listed.contains(&member.address) {
                lists.operator.added.push(member.clone());
            }
        }
        let change = self.apply(&lists, &Beside::Nothing, now_ms);
        if let Some(weight) = weight {
            let added = change.added.iter().filter_map(|index| self.endpoint(*index));
            // What the operator has added is listed with it.
            let others = added.filter(|e| listed.contains(&e.address()));
            let set = others.fold(false, |set, endpoint| set | endpoint.set_weight(Some(weight)));
            self.directed(set);
        }
        Ok(change)
    }

    /// Removes endpoints by the operator's hand, and with them what else the operator has set at them. They stay away,
    /// whoever lists them, until the operator adds them or a document concerns them:
    /// [`OperatorMembers::under`]. Nothing happens to those that are not there.
    ///
    /// # Errors
    ///
    /// Where the operator has changed too much. Then nothing is changed.
    pub fn operator_remove(&self, endpoints: &[u32], now_ms: u64) -> Result<MembersChange, NotAdded> {
        let mut lists = self.lists();
        let endpoints = endpoints.iter().filter_map(|index| self.endpoint(*index));
        let endpoints: Vec<&Endpoint> = endpoints.filter(|endpoint| !endpoint.is_removed()).collect();
        if lists.operator.removed.len() + endpoints.len() > OPERATOR_MAX {
            return Err(NotAdded::TooMany);
        }
        for endpoint in &endpoints {
            let is_this = |member: &Member| key(member) == key_of(endpoint);
            lists.operator.added.retain(|member| !is_this(member));
            let listed = lists.document.iter().find(|member| is_this(member)).map(|member| member.weight);
            if listed.is_some() || lists.found.iter().flatten().any(is_this) {
                let (name, address) = (endpoint.name().clone(), endpoint.address());
                lists.operator.removed.push(Removal { name, address, listed });
            }
        }
        let change = self.apply(&lists, &Beside::Nothing, now_ms);
        for endpoint in endpoints {
            endpoint.set_drained(false);
            endpoint.set_weight(None);
        }
        Ok(change)
    }

    /// What the operator has changed in the set.
    pub fn operator_members(&self) -> OperatorMembers {
        self.lists().operator.clone()
    }

    /// Changes the set as the operator had changed it elsewhere, as far as the document leaves that to the operator.
    pub fn set_operator_members(&self, members: &OperatorMembers, now_ms: u64) -> MembersChange {
        let mut lists = self.lists();
        lists.operator = members.under(&lists.document);
        self.apply(&lists, &Beside::Nothing, now_ms)
    }

    /// Why each endpoint is in the set or not, by index.
    pub fn standings(&self) -> Vec<Standing> {
        let lists = self.lists();
        let origins = lists.origins();
        let removed: HashSet<Key<'_>> =
            lists.operator.removed.iter().map(|removal| (&*removal.name, removal.address)).collect();
        let standing = |(_, endpoint): (u32, &Endpoint)| Standing {
            origin: origins.get(&key_of(endpoint)).map(|listed| self.told(*listed)),
            is_removed_by_operator: endpoint.is_removed() && removed.contains(&key_of(endpoint)),
        };
        self.endpoints().map(standing).collect()
    }

    /// Waits until endpoints come or go. Only one may wait; it misses nothing between two waits.
    pub(crate) async fn members_changed(&self) {
        self.members_changed.notified().await;
    }

    /// Whether so many endpoints were removed, and are kept for what still refers to them, that it should be made
    /// anew by [`Upstream::renewed`].
    pub fn is_worn(&self) -> bool {
        let live = self.live_endpoints().count();
        self.slots() - live > REMOVED_MIN.max(2 * live)
    }

    /// The same upstream for the next snapshot, without the endpoints that were removed. As for a reload,
    /// [`Upstream::catch_up`] is due before it is used.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let lists = self.lists().clone();
        let endpoints =
            self.live_endpoints().map(|(_, e)| e.successor(e.document_weight()).capped(e.cap())).collect();
        let (settings, events) = (self.settings.clone(), self.events.clone());
        let renewed = Self::balanced_by(
            self.name.clone(),
            endpoints,
            self.balancing.shared_balancer(),
            settings,
            events,
        );
        *renewed.lists() = lists;
        renewed.following(self)
    }

    /// Takes over what the sources that stay have found in the upstream that this one follows, and what the operator
    /// has changed there, as far as this one's document leaves that to the operator. Endpoints that were there are
    /// the same here.
    pub(super) fn inherit(&self, before: &Self, now_ms: u64) {
        let theirs = before.lists().clone();
        let mut lists = self.lists();
        for (source, found) in self.settings.sources.iter().zip(&mut lists.found) {
            let same = before.settings.sources.iter().position(|known| *known == *source);
            if let Some(theirs) = same.and_then(|index| theirs.found.get(index)) {
                found.clone_from(theirs);
            }
        }
        lists.operator = theirs.operator.under(&lists.document);
        self.apply(&lists, &Beside::before(Some(before)), now_ms);
    }

    /// Makes the set what the lists say.
    fn apply(&self, lists: &Lists, beside: &Beside<'_>, now_ms: u64) -> MembersChange {
        let mut change = MembersChange::default();
        let is_slow = self.settings.slow_start.is_some();
        // Where all are new, none has anybody to be slower than.
        let joins = is_slow && beside.has_others(self);
        let mut unwanted: HashMap<Key<'_>, (u32, &Endpoint)> = HashMap::new();
        let mut twice = Vec::new();
        for (index, endpoint) in self.endpoints() {
            match unwanted.entry(key_of(endpoint)) {
                Entry::Vacant(place) => drop(place.insert((index, endpoint))),
                Entry::Occupied(_) => twice.push((index, endpoint)),
            }
        }
        for (_, member) in lists.merged() {
            match unwanted.remove(&key(member)) {
                Some((index, endpoint)) => {
                    let reweighted =
                        endpoint.set_document_weight(member.weight) | endpoint.set_traits(&member.traits);
                    if endpoint.set_removed(false) {
                        self.outliers.forget_rows(endpoint);
                        if joins {
                            endpoint.is_back(None);
                        }
                        change.added.push(index);
                    } else if reweighted {
                        change.reweighted.push(index);
                    }
                }
                None => {
                    let endpoint = match beside.known(member) {
                        Some(before) => before.successor(member.weight),
                        None if joins => endpoint_of(member).joining(),
                        None => endpoint_of(member),
                    };
                    let mut endpoint =
                        endpoint.with(member.traits.clone()).capped(self.settings.admission.endpoint);
                    self.balancing.count_in(&mut endpoint);
                    change.added.extend(self.endpoints.push(endpoint));
                }
            }
        }
        for (index, endpoint) in unwanted.into_values().chain(twice) {
            if endpoint.set_removed(true) {
                // Its place under the cap of ejections is free for another.
                self.outliers.release(endpoint, now_ms);
                change.removed.push(index);
            }
        }
        change.removed.sort_unstable();
        self.directed(!change.is_empty());
        if !change.added.is_empty() || !change.removed.is_empty() {
            self.members_changed.notify_one();
        }
        change
    }

    fn origin(&self, lists: &Lists, endpoint: &Endpoint) -> Option<Origin> {
        lists.origins().get(&key_of(endpoint)).map(|listed| self.told(*listed))
    }

    fn told(&self, listed: Listed) -> Origin {
        match listed {
            Listed::Document => Origin::Document,
            Listed::Found(source) => {
                let source = self.settings.sources.get(source);
                Origin::Found(source.map_or_else(|| "found".into(), |source| source.kind.clone()))
            }
            Listed::Operator => Origin::Operator,
        }
    }

    /// What each origin lists. Whoever holds this changes the set, nobody else.
    pub(super) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Beside<'a> {
    fn before(upstream: Option<&'a Upstream>) -> Self {
        let endpoints = upstream.into_iter().flat_map(Upstream::live_endpoints);
        Self::Before(endpoints.map(|(_, endpoint)| (key_of(endpoint), endpoint)).collect())
    }

    /// The endpoint of this member that goes on here.
    fn known(&self, member: &Member) -> Option<&'a Endpoint> {
        match self {
            Self::Nothing => None,
            Self::Before(known) => known.get(&key(member)).copied(),
        }
    }

    /// Whether there are endpoints that serve already.
    fn has_others(&self, upstream: &Upstream) -> bool {
        match self {
            Self::Nothing => upstream.live_endpoints().next().is_some(),
            Self::Before(known) => !known.is_empty(),
        }
    }
}

fn endpoint_of(member: &Member) -> Endpoint {
    Endpoint::new(member.name.clone(), member.address, member.weight)
}

fn key_of(endpoint: &Endpoint) -> Key<'_> {
    (endpoint.name(), endpoint.address())
}

#[cfg(test)]
#[path = "membership/tests.rs"]
mod tests;
