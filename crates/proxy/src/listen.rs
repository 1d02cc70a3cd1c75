//! Accepting connections, within the limits of their listener.

mod readiness;

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tollgate_decision::Reason;
use tollgate_http3::Seat;

use crate::http::forwarded::make_id;
use crate::http::http3;
use crate::http::{Client, respond, serve};
use crate::listening::Listening;
use crate::recorder;
use crate::snapshot::{HttpService, Listener, Service};
use crate::socket::Socket;
use crate::stream;
use crate::stream::tcp::Caller;

/// How many batches a draining worker takes: as many connections as the kernel queues at the most. More
/// are a flood, which must not keep the process.
const DRAIN_BATCHES: usize = 65_536 / BATCH;

/// A worker's sockets of a listener, none of them blocking.
#[derive(Debug)]
pub struct ListenSocket {
    /// Those that take connections; usually one.
    pub tcp: Vec<TcpListener>,
    /// Those that take datagrams; usually one.
    pub udp: Vec<DatagramSocket>,
    /// The index of the listener in the snapshot.
    pub listener: u32,
    /// What the workers' sockets of this listener share.
    pub limits: Arc<ConnectionLimits>,
}

/// A socket that takes datagrams.
#[derive(Debug)]
pub struct DatagramSocket {
    /// The socket.
    pub socket: UdpSocket,
    /// Its place among the listener's sockets, where it takes HTTP/3.
    pub seat: Option<Seat>,
}

/// Counts the connections of a listener over all workers, or its flows. Touched when a connection opens and when it
/// closes, not per request. The table holds one entry for each address that is connected now.
#[derive(Debug)]
pub struct ConnectionLimits {
    /// `u32::MAX` for no limit; a connection counts only towards limits that there were when it came.
    max: AtomicU32,
    max_per_address: AtomicU32,
    open: AtomicU32,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

impl ConnectionLimits {
    /// The limits of a listener, with no connection open.
    pub fn new(listener: &Listener) -> Arc<Self> {
        let limits = Self {
            max: AtomicU32::new(u32::MAX),
            max_per_address: AtomicU32::new(u32::MAX),
            open: AtomicU32::new(0),
            by_address: Mutex::default(),
        };
        limits.set(listener);
        Arc::new(limits)
    }

    /// Takes the limits over that the document has now. Connections stay open, also where they are too many
    /// for the new limits.
    pub fn set(&self, listener: &Listener) {
        let (max, per_address) = match &listener.service {
            Service::Udp(service) => (Some(service.max_flows), Some(service.max_flows_per_address)),
            _ => (listener.max_connections, listener.max_connections_per_address),
        };
        self.max.store(max.unwrap_or(u32::MAX), Ordering::Relaxed);
        self.max_per_address.store(per_address.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Counts a connection, or says which limit it would pass.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionGuard, Reason> {
        let mut guard = self.admit_unnamed()?;
        guard.count_address(self, peer)?;
        Ok(guard)
    }

    /// Counts a connection whose client's address is still to be heard.
    pub fn admit_unnamed(self: &Arc<Self>) -> Result<ConnectionGuard, Reason> {
        let max = self.max.load(Ordering::Relaxed);
        if max == u32::MAX {
            return Ok(ConnectionGuard::uncounted());
        }
        let admitted = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < max).then_some(open + 1));
        admitted.map_err(|_| Reason::ListenerFull)?;
        let counted = Counted { limits: self.clone(), open: true, address: None };
        Ok(ConnectionGuard { counted: Some(Box::new(counted)) })
    }
}

impl ConnectionGuard {
    /// Counts the connection for the address of its client, or says that it would pass the limit.
    pub fn count_address(&mut self, limits: &Arc<ConnectionLimits>, address: IpAddr) -> Result<(), Reason> {
        let per_address = limits.max_per_address.load(Ordering::Relaxed);
        if per_address == u32::MAX {
            return Ok(());
        }
        let mut by_address = limits.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_insert(0);
        if *count >= per_address {
            if *count == 0 {
                by_address.remove(&address);
            }
            return Err(Reason::ClientAddressFull);
        }
        *count += 1;
        drop(by_address);
        let uncounted = || Box::new(Counted { limits: limits.clone(), open: false, address: None });
        self.counted.get_or_insert_with(uncounted).address = Some(address);
        Ok(())
    }
}

/// A connection that counts towards its listener's limits as long as this lives. Nothing where there
/// are none.
#[derive(Debug)]
pub struct ConnectionGuard {
    counted: Option<Box<Counted>>,
}

impl ConnectionGuard {
    /// For what is part of a connection that is counted already.
    pub fn uncounted() -> Self {
        Self { counted: None }
    }
}

#[derive(Debug)]
struct Counted {
    limits: Arc<ConnectionLimits>,
    open: bool,
    address: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let limits = &self.limits;
        if self.open {
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

/// How long accepting pauses when the process can take no connection.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// How many such pauses a drain makes: five seconds.
const DRAIN_FAILURES: usize = 100;

/// Serves a listener's sockets until the worker drains or the listener goes.
pub fn serve_all(listening: &Rc<Listening>, sockets: ListenSocket) {
    for socket in sockets.tcp {
        tokio::task::spawn_local(accept(listening.clone(), socket));
    }
    for DatagramSocket { socket, seat } in sockets.udp {
        match seat {
            Some(seat) => {
                tokio::task::spawn_local(http3::accept(listening.clone(), socket, seat));
            }
            None => {
                tokio::task::spawn_local(stream::udp::carry(listening.clone(), socket));
            }
        }
    }
}

/// Accepts connections until the worker drains or the listener goes; then takes what the kernel has queued,
/// and closes.
pub fn accept(listening: Rc<Listening>, socket: TcpListener) -> impl Future<Output = ()> {
    // Counted from here on, not from when the task first runs.
    let accepting = Accepting::begin(listening.clone());
    async move {
        accept_all(&listening, socket).await;
        drop(accepting);
    }
}

async fn accept_all(listening: &Rc<Listening>, socket: TcpListener) {
    let worker = listening.worker();
    let Ok(listener) = readiness::watched(socket) else { return };
    let (mut batches, mut failures) = (0, 0);
    loop {
        let drained = worker.is_draining() || listening.closing_since().is_some();
        batches += usize::from(drained);
        match accept_batch(listener.get_ref(), listening) {
            Ok(Accepted::Some) if batches < DRAIN_BATCHES => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(_) if drained => return,
            Ok(_) => {}
            Err(error) if is_passing(error) => continue,
            // A drain must end, also where no descriptor comes free.
            Err(_) if failures >= DRAIN_FAILURES => return,
            Err(_) => {
                failures += usize::from(drained);
                tokio::time::sleep(FAILURE_PAUSE).await;
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

/// Counts a socket that takes connections or datagrams, on whatever path that ends.
pub(crate) struct Accepting(Rc<Listening>);

impl Accepting {
    pub(crate) fn begin(listening: Rc<Listening>) -> Self {
        let worker = listening.worker();
        worker.open.accepting.set(worker.open.accepting.get() + 1);
        listening.accepts.set(listening.accepts.get() + 1);
        Self(listening)
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let worker = self.0.worker();
        self.0.accepts.set(self.0.accepts.get() - 1);
        worker.open.accepting.set(worker.open.accepting.get() - 1);
        worker.changed.notify_waiters();
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
fn accept_batch(listener: &TcpListener, listening: &Rc<Listening>) -> Result<Accepted, Errno> {
    for _ in 0..BATCH {
        match rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, peer)) => {
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                // A peer without an address has gone already.
                if let Some(peer) = peer {
                    admit(socket.into(), peer, listening);
                }
            }
            Err(Errno::AGAIN) => return Ok(Accepted::All),
            Err(error) => return Err(error),
        }
    }
    Ok(Accepted::Some)
}

fn admit(stream: TcpStream, address: SocketAddr, listening: &Rc<Listening>) {
    listening.series.accepted.add(1);
    let peer = address.ip().to_canonical();
    let settings = listening.settings().clone();
    // Whoever connects for others does not use up what one client may have.
    let admitted = match settings.proxy_header_from.contains(peer) {
        true => listening.limits.admit_unnamed(),
        false => listening.limits.admit(peer),
    };
    match (admitted, &settings.service) {
        (Ok(guard), Service::Tcp(_)) => carry(stream, address, listening, guard),
        (Ok(guard), Service::Http(_) | Service::Udp(_)) => {
            let client = Client::new(Socket::fresh(stream), address, listening.clone(), guard);
            tokio::task::spawn_local(serve::connection(client));
        }
        (Err(reason), service) => {
            // Over TLS there is nothing that could be said so early.
            let plain = matches!(service, Service::Http(HttpService { tls: None, .. }));
            refuse(&stream, peer, listening, reason, plain)
        }
    }
}

/// A connection that is carried as it is. It is made known to the reactor at once: it is going to wait for
/// both of its sides, however short it is.
fn carry(stream: TcpStream, peer: SocketAddr, listening: &Rc<Listening>, guard: ConnectionGuard) {
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
        listening.series.closed.add(1);
        return;
    };
    let caller = Caller::new(Socket::new(stream), peer, listening.clone(), guard);
    tokio::task::spawn_local(stream::tcp::connection(caller));
}

/// Cheap on purpose: one write that may get lost, no waiting, since this is a flood or near one.
fn refuse(stream: &TcpStream, peer: IpAddr, listening: &Rc<Listening>, reason: Reason, speaks_http: bool) {
    let mut stream = stream;
    let worker = listening.worker();
    worker.published.borrow().shard.reason(reason).add(1);
    listening.series.closed.add(1);
    let request_id = make_id(worker);
    recorder::refused_connection(listening, peer, reason.into(), &request_id);
    if speaks_http {
        let _ = stream.write(&respond::bare(reason, &request_id));
    }
}

/// Whether an error is about one connection, which ended before it was accepted. Others are about the process
/// (no descriptors, no memory) and will be there again at once, so the loop must not spin on them.
fn is_passing(error: Errno) -> bool {
    matches!(error, Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO)
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
            proxy_header_from: Default::default(),
            service: crate::snapshot::Service::Http(crate::snapshot::HttpService::plain()),
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
        assert!(guards.iter().all(|g| g.counted.is_none()));
    }
}
