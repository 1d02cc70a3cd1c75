//! Sets of endpoints that change while the document stays.

use std::io;
use std::net::SocketAddr;

use super::Instance;
use crate::membership::{Membership, renewed};
use crate::prepare::aside;

impl Instance {
    /// The way to change the sets of endpoints of the upstreams in force.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// All addresses that a name has now, each once. Asks name servers, off the control thread.
    ///
    /// # Errors
    ///
    /// Where the name has none, or nobody could be asked.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let (resolver, host) = (self.surroundings.resolver.clone(), host.to_owned());
        let mut addresses = aside("resolve", move || resolver.resolve(&host, port)).await??;
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Makes upstreams anew whose slots are mostly those of removed endpoints. It is the same document, so it has the
    /// same number; what runs ends on the snapshot that it began with.
    pub(crate) async fn renew_worn(&self) {
        let _turn = self.turn.lock().await;
        let Some(snapshot) = renewed(&self.process.snapshot()) else { return };
        match self.process.publish(snapshot.clone()) {
            Ok(published) => published.await,
            // A process that drains needs no other. Another reason is tried again when the sets change next.
            Err(error) => return self.say(&format!("upstreams cannot be made anew: {error}")),
        }
        {
            let mut state = self.state();
            state.probes.adopt(&snapshot.upstreams);
            state.history.renew(&snapshot);
        }
        self.free(());
    }
}
