//! Names to addresses, by the system's resolver.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::Error;
use crate::url::Url;

/// So many of a name's addresses are used.
const ADDRESSES_MAX: usize = 8;

type Answer = Result<Arc<[SocketAddr]>, Error>;
type Lookups = HashMap<(Box<str>, u16), watch::Receiver<Option<Answer>>>;

/// Looks names up, each once at a time. The system's resolver cannot be stopped and takes a thread for as long as it
/// takes: when it does not answer, calls that were given up must not pile up behind it.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    lookups: Arc<Mutex<Lookups>>,
    runtime: Handle,
}

impl Resolver {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { lookups: Arc::default(), runtime }
    }

    /// The addresses of a URL's host; at least one.
    pub(crate) async fn resolve(&self, url: &Url) -> Answer {
        if let Ok(address) = url.host().parse::<IpAddr>() {
            return Ok(Arc::new([(address, url.port()).into()]));
        }
        let mut lookup = self.lookup(url);
        let found = lookup.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).unwrap_or(Err(Error::Stopped))
    }

    /// The lookup that is under way, or a new one.
    fn lookup(&self, url: &Url) -> watch::Receiver<Option<Answer>> {
        let key = (Box::from(url.host()), url.port());
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = lookups.get(&key) {
            return lookup.clone();
        }
        let (sender, lookup) = watch::channel(None);
        lookups.insert(key.clone(), lookup.clone());
        let all = self.lookups.clone();
        // Goes on if nobody waits any more.
        self.runtime.spawn(async move {
            let found = ask_system(&key.0, key.1).await;
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            sender.send_replace(Some(found));
        });
        lookup
    }
}

async fn ask_system(host: &str, port: u16) -> Answer {
    let failed = |why: &str| Error::Resolve { host: host.into(), why: why.into() };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| failed(&error.to_string()))?;
    let found: Arc<[_]> = found.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(failed("the name has no address")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::Resolver;
    use crate::url::Url;

    #[test]
    fn a_name_is_looked_up_once_at_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolver = Resolver::new(runtime.handle().clone());
        let url: Url = "http://localhost:81/".parse().unwrap();
        let lookups: Vec<_> = (0..3).map(|_| resolver.lookup(&url)).collect();
        assert!(lookups.iter().all(|lookup| lookup.same_channel(&lookups[0])));
        let found = runtime.block_on(resolver.resolve(&url)).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 81), "{found:?}");
        // The next one asks anew.
        assert!(resolver.lookups.lock().unwrap().is_empty());
        let address: Url = "http://[::1]:82".parse().unwrap();
        let found = runtime.block_on(resolver.resolve(&address)).unwrap();
        assert_eq!(*found, ["[::1]:82".parse().unwrap()]);
    }
}
