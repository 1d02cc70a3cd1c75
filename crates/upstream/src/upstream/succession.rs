//! What exchanges that stay long at an upstream of an earlier document learn of the one that took its place.
//!
//! An exchange ends on the snapshot that it began with. One that is held since there is no endpoint for it would never hear
//! of those that a later document brings, or of those that come back after it: nobody probes the earlier upstream any more.
//! So it asks who is last in line, waits for changes there, and lets its own upstream become as that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Upstream;
use crate::endpoint::{Endpoint, EndpointId};

/// Who took the place of an upstream, and what is known of that.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// Points to later ones only, so that nothing keeps itself alive.
    next: OnceLock<Arc<Upstream>>,
    /// The version of the last in line that was taken over last.
    taken_over: Mutex<u64>,
}

impl Upstream {
    /// From now on `next` serves in its place. Only for one that is connected to in the same way, and made later. Wakes
    /// whoever waits for changes.
    pub fn succeeded_by(&self, next: Arc<Self>) {
        // There is one already if it is told twice.
        let _ = self.succession.next.set(next);
        self.version.rise();
    }

    /// The last of those that took its place, one after the other; `None` where it serves itself.
    pub fn latest(&self) -> Option<&Arc<Self>> {
        let mut latest = self.succession.next.get()?;
        while let Some(next) = latest.succession.next.get() {
            latest = next;
        }
        Some(latest)
    }

    /// Becomes as the last in line is now: endpoints that are new there can be picked here too, those that it has no more
    /// cannot, and what its probes say holds. Costs a lock and little else where nothing has changed there.
    pub fn keep_up(&self) {
        let Some(latest) = self.latest() else { return };
        // One at a time, as adding an endpoint demands.
        let mut taken_over = self.succession.taken_over.lock().unwrap_or_else(PoisonError::into_inner);
        let version = latest.version();
        if *taken_over == version {
            return;
        }
        *taken_over = version;
        // Nobody else changes the set meanwhile.
        let _lists = self.lists();
        let mut known: HashMap<EndpointId, &Endpoint> = self.endpoints().map(|(_, e)| (e.id(), e)).collect();
        for (_, theirs) in latest.live_endpoints() {
            match known.remove(&theirs.id()) {
                Some(ours) => {
                    ours.set_document_weight(theirs.document_weight());
                    ours.set_probe_health(theirs.probe_health());
                    ours.set_traits(&theirs.traits());
                }
                None => self.add_as(theirs),
            }
        }
        // Those that are left were retired already.
        for gone in known.values() {
            gone.set_removed(true);
        }
        self.directed(true);
    }

    fn add_as(&self, theirs: &Endpoint) {
        let mut added = theirs
            .successor(theirs.document_weight())
            .capped(theirs.cap())
            .with(theirs.traits())
            .not_ejected();
        added.count_in(self.balancing.total().cloned());
        // Without room it is not picked here, which is how it was.
        let _ = self.endpoints.push(added);
    }
}

#[cfg(test)]
#[path = "succession/tests.rs"]
mod tests;
