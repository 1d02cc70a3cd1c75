//! Accepting connections, within the limits of their listener.

mod readiness;

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tollgate_decision::Reason;

use crate::http::forwarded::make_id;
use crate::http::{Client, respond, serve};
use crate::recorder;
use crate::snapshot::Listener;
use crate::socket::Socket;
use crate::worker::Worker;

/// How many batches a draining worker takes: as many connections as the kernel queues at the most. More
/// are a flood, which must not keep the process.
const DRAIN_BATCHES: usize = 65_536 / BATCH;

/// A worker's socket of a listener.
#[derive(Debug)]
pub struct ListenSocket {
    /// The socket, not blocking.
    pub socket: std::net::TcpListener,
    /// The index of the listener in the snapshot.
    pub listener: u32,
    /// What the workers' sockets of this listener share.
    pub limits: Arc<ConnectionLimits>,
}

/// Counts the connections of a listener over all workers. Touched when a connection opens and when it
/// closes, not per request. The table holds one entry for each address that is connected now.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: Option<u32>,
    max_per_address: Option<u32>,
    open: AtomicU32,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

impl ConnectionLimits {
    /// The limits of a listener, with no connection open.
    pub fn new(listener: &Listener) -> Arc<Self> {
        Arc::new(Self {
            max: listener.max_connections,
            max_per_address: listener.max_connections_per_address,
            open: AtomicU32::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Counts a connection, or says which limit it would pass.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionGuard, Reason> {
        if self.max.is_none() && self.max_per_address.is_none() {
            return Ok(ConnectionGuard { _counted: None });
        }
        if let Some(max) = self.max {
            let admitted = self
                .open
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < max).then_some(open + 1));
            admitted.map_err(|_| Reason::ListenerFull)?;
        }
        // From here on this gives back what was counted, also when the next limit refuses.
        let mut counted = Counted { limits: self.clone(), address: None };
        if let Some(max) = self.max_per_address {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(peer).or_insert(0);
            if *count >= max {
                // The table is free again before `counted` is dropped: it has no address yet.
                return Err(Reason::ClientAddressFull);
            }
            *count += 1;
            counted.address = Some(peer);
        }
        Ok(ConnectionGuard { _counted: Some(Box::new(counted)) })
    }
}

/// A connection that counts towards its listener's limits as long as this lives. Nothing where there
/// are none.
#[derive(Debug)]
pub struct ConnectionGuard {
    _counted: Option<Box<Counted>>,
}

#[derive(Debug)]
struct Counted {
    limits: Arc<ConnectionLimits>,
    address: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let limits = &self.limits;
        if limits.max.is_some() {
            limits.open.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(address) = self.address {
            let mut by_address = limits.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

/// Accepts connections until the worker drains; then takes what the kernel has queued, and closes.
pub async fn accept(worker: Rc<Worker>, socket: ListenSocket) {
    let (index, limits) = (socket.listener, socket.limits);
    let Ok(listener) = readiness::watched(socket.socket) else { return };
    let mut batches = 0;
    loop {
        let drained = worker.is_draining();
        batches += usize::from(drained);
        match accept_batch(&worker, listener.get_ref(), index, &limits) {
            Ok(Accepted::Some) if batches < DRAIN_BATCHES => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(_) if drained => return,
            Ok(_) => {}
            Err(error) => {
                pause_after(error).await;
                continue;
            }
        }
        tokio::select! {
            ready = listener.readable() => match ready {
                // Everything was taken, so what comes next is news.
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return,
            },
            () = worker.changed.notified() => {}
        }
    }
}

/// How many connections are accepted before those that are there get their turn.
const BATCH: usize = 64;

/// Whether more connections may be waiting.
enum Accepted {
    Some,
    All,
}

/// Takes the connections that are waiting, up to a batch. They are not made known to the reactor here; see
/// [`Socket`].
fn accept_batch(
    worker: &Rc<Worker>,
    listener: &TcpListener,
    index: u32,
    limits: &Arc<ConnectionLimits>,
) -> Result<Accepted, Errno> {
    for _ in 0..BATCH {
        match rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, peer)) => {
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                // A peer without an address has gone already.
                if let Some(peer) = peer {
                    admit(worker, socket.into(), peer, index, limits);
                }
            }
            Err(Errno::AGAIN) => return Ok(Accepted::All),
            Err(error) => return Err(error),
        }
    }
    Ok(Accepted::Some)
}

fn admit(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    index: u32,
    limits: &Arc<ConnectionLimits>,
) {
    let published = worker.published();
    let series = &published.shard.listeners[index as usize];
    series.accepted.add(1);
    let peer = peer.ip().to_canonical();
    match limits.admit(peer) {
        Ok(guard) => {
            let client = Client::new(worker.clone(), Socket::fresh(stream), peer, index, guard);
            tokio::task::spawn_local(serve::connection(client));
        }
        Err(reason) => {
            published.shard.reason(reason).add(1);
            series.closed.add(1);
            // Cheap on purpose: one write that may get lost, no waiting, since this is a flood or near one.
            let request_id = make_id(worker);
            recorder::refused_connection(worker, peer, index, reason, &request_id);
            let _ = (&stream).write(&respond::bare(reason, &request_id));
        }
    }
}

/// Errors of one connection that ended before it was accepted are nothing; those of the process (no
/// descriptors, no memory) will be there again at once, so the loop must not spin on them.
async fn pause_after(error: Errno) {
    if !matches!(error, Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionLimits, Reason};
    use crate::snapshot::Listener;

    fn limits(max: Option<u32>, per_address: Option<u32>) -> std::sync::Arc<ConnectionLimits> {
        ConnectionLimits::new(&Listener {
            name: "a".into(),
            address: "127.0.0.1:0".parse().unwrap(),
            max_connections: max,
            max_connections_per_address: per_address,
            defer_accept: false,
            trusted: Default::default(),
        })
    }

    #[test]
    fn connections_are_counted_and_given_back() {
        let limits = limits(Some(3), Some(2));
        let (a, b) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let first = limits.admit(a).unwrap();
        let _second = limits.admit(a).unwrap();
        assert_eq!(limits.admit(a).unwrap_err(), Reason::ClientAddressFull);
        let _third = limits.admit(b).unwrap();
        assert_eq!(limits.admit(b).unwrap_err(), Reason::ListenerFull);
        drop(first);
        assert!(limits.admit(a).is_ok());
        assert_eq!(limits.by_address.lock().unwrap().len(), 2);
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let limits = limits(None, None);
        let guards: Vec<_> = (0..10).map(|_| limits.admit("127.0.0.1".parse().unwrap()).unwrap()).collect();
        assert!(guards.iter().all(|g| g._counted.is_none()));
    }
}
