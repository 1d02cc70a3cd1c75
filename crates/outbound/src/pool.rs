//! Connections that wait for the next call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tollgate_runtime::Clock;

use crate::url::{Scheme, Url};

/// A connection with what drives it, which ends with it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    pub(crate) driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Where a connection leads.
type Place = (Scheme, Box<str>, u16);

fn place(url: &Url) -> Place {
    (url.scheme(), url.host().into(), url.port())
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// In milliseconds of the clock.
    until: u64,
}

#[derive(Debug, Default)]
struct Kept {
    places: HashMap<Place, Vec<Idle>>,
    /// Whether a task looks after those that have waited too long.
    is_watched: bool,
}

impl Kept {
    /// Closes what is useless; tells when the next will be.
    fn prune(&mut self, now: u64) -> Option<u64> {
        self.places.retain(|_, idle| {
            idle.retain(|idle| idle.until > now && !idle.connection.sender.is_closed());
            !idle.is_empty()
        });
        self.places.values().flatten().map(|idle| idle.until).min()
    }

    fn count(&self) -> usize {
        self.places.values().map(Vec::len).sum()
    }
}

/// Idle connections, bounded in number and time.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    kept: Arc<Mutex<Kept>>,
    per_place: usize,
    in_all: usize,
    lifetime: Duration,
    runtime: Handle,
    clock: Clock,
}

impl Pool {
    pub(crate) fn new(per_place: usize, in_all: usize, lifetime: Duration, runtime: Handle) -> Self {
        Self { kept: Arc::default(), per_place, in_all, lifetime, runtime, clock: Clock::new() }
    }

    /// The connection to this place that was used last.
    pub(crate) fn take(&self, url: &Url) -> Option<Connection> {
        let now = self.clock.now_ms();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = kept.places.get_mut(&place(url))?;
        idle.retain(|idle| idle.until > now && !idle.connection.sender.is_closed());
        idle.pop().map(|idle| idle.connection)
    }

    /// Keeps a connection for the next call, unless enough are kept.
    pub(crate) fn put(&self, url: &Url, connection: Connection) {
        let now = self.clock.now_ms();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.prune(now);
        if kept.count() >= self.in_all {
            return;
        }
        let idle = kept.places.entry(place(url)).or_default();
        if idle.len() >= self.per_place {
            return;
        }
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let until = now.saturating_add(lifetime);
        idle.push(Idle { connection, until });
        if !kept.is_watched {
            kept.is_watched = true;
            self.runtime.spawn(watch(Arc::downgrade(&self.kept), self.clock, until));
        }
    }
}

/// Closes connections whose time has come, for as long as there are any.
async fn watch(kept: Weak<Mutex<Kept>>, clock: Clock, mut next: u64) {
    loop {
        tokio::time::sleep(Duration::from_millis(next.saturating_sub(clock.now_ms()))).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.prune(clock.now_ms()) {
            Some(time) => next = time,
            None => {
                kept.is_watched = false;
                return;
            }
        }
    }
}
