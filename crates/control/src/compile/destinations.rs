//! Where routes send to: upstreams, and subsets of their endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_config::{self as config, Destination as To, Located};
use tollgate_proxy::snapshot::{Destination, Target, UpstreamSubset};
use tollgate_upstream::{IfNone, Labels, Subset};

use super::Compiler;

/// The subsets that routes ask for, each once.
#[derive(Default)]
pub struct Subsets {
    list: Vec<UpstreamSubset>,
    known: HashMap<(u32, Arc<Subset>), u32>,
}

impl Subsets {
    /// All of them, by index.
    pub fn take(&mut self) -> Vec<UpstreamSubset> {
        std::mem::take(&mut self.list)
    }

    /// The endpoints of an upstream with these labels; all without any.
    fn target(&mut self, upstream: u32, labels: &config::Labels, if_none: config::IfNone) -> Target {
        if labels.is_empty() || upstream == u32::MAX {
            return Target::whole(upstream);
        }
        let if_none = match if_none {
            config::IfNone::Fail => IfNone::Fail,
            config::IfNone::Any => IfNone::Any,
        };
        let subset = Arc::new(Subset { labels: labels_of(labels), if_none });
        let next = self.list.len() as u32;
        let index = *self.known.entry((upstream, Arc::clone(&subset))).or_insert(next);
        if index == next {
            self.list.push(UpstreamSubset { upstream, subset });
        }
        Target { upstream, subset: Some(index) }
    }
}

/// Labels as endpoints and subsets have them.
pub fn labels_of(labels: &config::Labels) -> Labels {
    Labels::new(labels.iter().map(|(name, value)| (name.value.as_str(), value.as_str())))
}

impl<'d> Compiler<'d> {
    /// Where a route sends to, and the upstream whose settings it takes over.
    pub(super) fn one_target(&mut self, to: &config::Target) -> (Destination, Option<&'d config::Upstream>) {
        match &to.upstream.value {
            To::Upstream(name) => {
                let index = self.by_name.get(name.as_str()).copied().unwrap_or(u32::MAX);
                let target = self.shared.subsets.target(index, &to.labels, to.if_none);
                let upstream = self.document.upstreams.get(name.as_str()).map(|u| &u.value);
                (Destination::Upstream(target), upstream)
            }
            To::Inline(address) => {
                let address = Located { value: address.clone(), origin: to.upstream.origin };
                (Destination::Upstream(Target::whole(self.inline(&address))), None)
            }
        }
    }

    /// The same for a route that shares its requests out. Those of a split have the settings of one: the first's.
    pub(super) fn split_target(
        &mut self,
        shares: &config::Table<config::Name, config::Brief<config::Share>>,
    ) -> (Destination, Option<&'d config::Upstream>) {
        let mut sum = 0u64;
        let mut cumulative: Vec<(u64, Target)> = Vec::with_capacity(shares.len());
        for (name, share) in shares.iter() {
            sum += u64::from(share.weight.get());
            if let Some(index) = self.by_name.get(share.upstream(name).as_str()) {
                let target = self.shared.subsets.target(*index, &share.labels, share.if_none);
                cumulative.push((sum, target));
            }
        }
        let first = shares.iter().next().map(|(name, share)| share.upstream(name).as_str());
        let first = first.and_then(|name| self.document.upstreams.get(name));
        (Destination::Split(cumulative.into()), first.map(|upstream| &upstream.value))
    }
}
