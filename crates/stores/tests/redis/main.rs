//! Limits in a real Redis. `redis-server` is required: Debian's `redis-server` has it, and what makes a cluster and a
//! sentinel too. Without it all fails, unless `TOLLGATE_SKIP_MISSING_CLIENTS` is set.

mod exact;
mod failures;
mod leased;
mod topologies;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tollgate_stores::redis::{Address, Counting, RedisSettings, RedisStore, Take, Topology};
use tollgate_stores::{Decision, Gcra};
use tollgate_testkit::{PATIENCE, RedisServer, redis_is_missing};

/// A runtime on a thread of its own, that drives connections, as the program has one beside its workers.
struct Connections {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Connections {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

fn runtime() -> Connections {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
    std::thread::spawn(move || runtime.block_on(stopped));
    Connections { handle, _stop: stop }
}

/// Runs what a worker would.
fn on_a_worker<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn address(server: &RedisServer) -> Address {
    Address { host: "127.0.0.1".to_owned(), port: server.address().port() }
}

/// Patient, for tests of what is decided.
fn settings(server: &RedisServer) -> RedisSettings {
    patient(Topology::Single(address(server)))
}

fn patient(topology: Topology) -> RedisSettings {
    RedisSettings { timeout: PATIENCE, ..RedisSettings::new(topology) }
}

/// An hour apart, so that a test never sees one come back.
fn hourly(burst: u64) -> Counting {
    Counting::Gcra(Gcra::new(1, 3_600_000_000, burst))
}

fn take(key: &[u8], counting: Counting) -> Take<'_> {
    Take { limit: "minute", key, counting, cost: 1 }
}

async fn one(store: &RedisStore, take: Take<'_>) -> Decision {
    store.take(&[take]).await.unwrap()[0]
}

/// Waits until something holds, however long that takes, but not for ever.
async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
