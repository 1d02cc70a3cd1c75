//! What a view knows of endpoints that get no new exchanges, but may go on to serve those that they served before.

use super::{Exclusion, View};
use crate::endpoint::Endpoint;
use crate::health::Health;

/// Such an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    endpoint: u32,
    drained_since_ms: Option<u64>,
    healthy: bool,
}

impl View {
    /// Whether an endpoint may go on to serve those that it has served before: it is used; or it is healthy, and out
    /// only for new ones (drained, without weight). How long a drained one may is for who asks, by
    /// [`View::drained_since_ms`].
    pub fn may_keep(&self, endpoint: u32) -> bool {
        self.members.binary_search(&endpoint).is_ok() || self.keeping(endpoint).is_some_and(|k| k.healthy)
    }

    /// Since when the endpoint is drained, as far as this view and those before it know, in milliseconds since the
    /// process started; `None` if it is not.
    pub fn drained_since_ms(&self, endpoint: u32) -> Option<u64> {
        self.keeping(endpoint)?.drained_since_ms
    }

    /// Notes an endpoint that is out for this reason. `before` is what was noted last time.
    pub(super) fn note_keeping(
        &mut self,
        (index, endpoint): (u32, &Endpoint),
        exclusion: Option<Exclusion>,
        before: &[Keeping],
        now_ms: u64,
    ) {
        let drained = exclusion == Some(Exclusion::Drained);
        if drained || exclusion == Some(Exclusion::WeightZero) {
            let known = before.iter().find(|known| known.endpoint == index);
            let since_ms = known.and_then(|known| known.drained_since_ms).unwrap_or(now_ms);
            let drained_since_ms = drained.then_some(since_ms);
            let healthy = endpoint.health(now_ms) == Health::Usable;
            self.keeping.push(Keeping { endpoint: index, drained_since_ms, healthy });
        }
    }

    fn keeping(&self, endpoint: u32) -> Option<&Keeping> {
        let at = self.keeping.binary_search_by_key(&endpoint, |keeping| keeping.endpoint).ok()?;
        self.keeping.get(at)
    }
}
