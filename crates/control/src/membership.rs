//! The sets of endpoints that change while the document stays: what discovery finds and what the operator adds and
//! removes by hand.
//!
//! The upstreams in force hold the sets, so that a reload hands them on:
//! [`Upstream::catch_up`](tollgate_upstream::Upstream::catch_up). Here is the way to change them at any time, also
//! while another document is put into force.

mod changes;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use tollgate_proxy::Snapshot;
use tollgate_runtime::Clock;
use tollgate_upstream::{EndpointId, Member, MembersChange, NotAdded, Upstream};

use crate::instance::Instance;
use crate::process::Process;

pub use changes::{ListedEndpoint, OperatorChanges, RemovedEndpoint, UpstreamChanges};

/// How many endpoints a line of the process's log names.
const NAMED: usize = 10;

/// Changes the sets of endpoints of the upstreams in force. Every call may come from any thread at any time, and is
/// done when it returns: the next pick is from the new set, and what runs at a removed endpoint finishes.
pub struct Membership {
    process: Arc<Process>,
    say: fn(&str),
    /// An upstream has many slots of removed endpoints.
    worn: Notify,
}

/// Why the operator's change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotChanged<E> {
    /// There is no such upstream.
    NoUpstream,
    /// The set cannot be changed so.
    Refused(NotAdded),
    /// The endpoints could not be chosen.
    Unchosen(E),
}

impl Membership {
    /// For the upstreams of a process. `say` writes a line of its log.
    pub fn new(process: Arc<Process>, say: fn(&str)) -> Self {
        Self { process, say, worn: Notify::new() }
    }

    /// Takes what a discovery source of an upstream has found, all of it, in place of what it had found before. The
    /// source is known by its key in [`UpstreamSettings::sources`](tollgate_upstream::UpstreamSettings::sources).
    /// Whether there is such an upstream with such a source: after a reload there may be none.
    ///
    /// What a source has found last stays over reloads for as long as each next document has the same source.
    pub fn found(&self, upstream: &str, source: &str, found: Vec<Member>) -> bool {
        let change = self.process.with_upstream(upstream, |upstream| {
            let change = upstream.set_found(source, found, Clock::new().now_ms())?;
            let known = upstream.settings().sources.iter().find(|known| *known.key == *source);
            let kind = known.map_or_else(|| "discovery".into(), |source| source.kind.clone());
            self.took_effect(upstream, &change, &kind);
            Some(())
        });
        change.flatten().is_some()
    }

    /// Adds endpoints by the operator's hand: [`Upstream::operator_add`]. The indexes of those that are there now and
    /// were not before.
    ///
    /// # Errors
    ///
    /// Where there is no such upstream, or all are there already.
    pub fn add(
        &self,
        upstream: &str,
        members: &[Member],
        weight: Option<u32>,
    ) -> Result<MembersChange, NotChanged<std::convert::Infallible>> {
        let added = self.process.with_upstream(upstream, |upstream| {
            let change = upstream.operator_add(members, weight, Clock::new().now_ms())?;
            self.took_effect(upstream, &change, "the operator");
            Ok(change)
        });
        added.ok_or(NotChanged::NoUpstream)?.map_err(NotChanged::Refused)
    }

    /// Removes endpoints by the operator's hand: [`Upstream::operator_remove`]. `choose` says which, by index.
    ///
    /// # Errors
    ///
    /// Where there is no such upstream, or as `choose` says.
    pub fn remove<E>(
        &self,
        upstream: &str,
        choose: impl FnOnce(&Upstream) -> Result<Vec<u32>, E>,
    ) -> Result<MembersChange, NotChanged<E>> {
        let removed = self.process.with_upstream(upstream, |upstream| {
            let chosen = choose(upstream).map_err(NotChanged::Unchosen)?;
            let change = upstream.operator_remove(&chosen, Clock::new().now_ms());
            let change = change.map_err(NotChanged::Refused)?;
            self.took_effect(upstream, &change, "the operator");
            Ok(change)
        });
        removed.ok_or(NotChanged::NoUpstream)?
    }

    /// Closes what is of no use any more, and tells the log.
    fn took_effect(&self, upstream: &Upstream, change: &MembersChange, by: &str) {
        if change.is_empty() {
            return;
        }
        let endpoints = |indexes: &[u32]| -> Vec<_> {
            indexes.iter().filter_map(|index| upstream.endpoint(*index)).collect()
        };
        let gone: Vec<EndpointId> = endpoints(&change.removed).iter().map(|endpoint| endpoint.id()).collect();
        if !gone.is_empty() {
            self.process.forget(gone.into());
        }
        let mut parts = Vec::new();
        for (what, indexes) in
            [("added", &change.added), ("removed", &change.removed), ("reweighted", &change.reweighted)]
        {
            if !indexes.is_empty() {
                let names =
                    endpoints(indexes).iter().map(|e| Named(e.name(), e.address()).to_string()).collect();
                parts.push(format!("{what} {}", some_of(names)));
            }
        }
        let left = upstream.live_endpoints().count();
        let left =
            if left == 0 { "; it has no endpoint any more".to_owned() } else { format!("; it has {left}") };
        (self.say)(&format!("endpoints of {}, by {by}: {}{left}", upstream.name(), parts.join("; ")));
        if upstream.is_worn() {
            self.worn.notify_one();
        }
    }
}

struct Named<'a>(&'a str, std::net::SocketAddr);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, address) = self;
        match *name == address.to_string() {
            true => f.write_str(name),
            false => write!(f, "{name} ({address})"),
        }
    }
}

fn some_of(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    names.join(", ") + &more
}

/// Makes upstreams anew whose slots are mostly those of removed endpoints, for ever: so a set that always changes does
/// not grow. To run on the control runtime.
pub async fn renew(instance: Arc<Instance>) {
    loop {
        instance.membership().worn.notified().await;
        instance.renew_worn().await;
    }
}

/// The same snapshot with worn upstreams made anew; `None` where none is worn. It has the same number, since it is the
/// same document.
pub(crate) fn renewed(snapshot: &Snapshot) -> Option<Arc<Snapshot>> {
    if !snapshot.upstreams.iter().any(|upstream| upstream.is_worn()) {
        return None;
    }
    let upstreams = snapshot.upstreams.iter().map(|upstream| match upstream.is_worn() {
        true => Arc::new(upstream.renewed()),
        false => upstream.clone(),
    });
    Some(Arc::new(Snapshot { upstreams: upstreams.collect(), ..snapshot.clone() }))
}

#[cfg(test)]
mod tests {
    use super::{Named, some_of};

    #[test]
    fn a_name_with_addresses_is_told_with_the_one_and_many_are_counted() {
        let address = "10.0.0.1:80".parse().unwrap();
        assert_eq!(Named("10.0.0.1:80", address).to_string(), "10.0.0.1:80");
        assert_eq!(Named("a:80", address).to_string(), "a:80 (10.0.0.1:80)");
        let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert_eq!(some_of(names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
