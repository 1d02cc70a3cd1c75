//! A client's TCP connection from its first byte to its last. The steps stand here in their order.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_runtime::TimerKey;
use tollgate_runtime::wheel::NEVER;
use tollgate_tls::Session;

use super::account::account;
use super::carry::Carry;
use super::hello::Hello;
use super::{connect, hello, names, prelude, proxy_header, tls};
use crate::decide;
use crate::exchange::Exchange;
use crate::http::forwarded::make_id;
use crate::listen::ConnectionGuard;
use crate::listening::Listening;
use crate::snapshot::{Listener, Service, TcpService};
use crate::socket::Socket;
use crate::worker::{Published, Worker};

/// A client's connection that is carried to an upstream.
pub struct Caller {
    /// The connection.
    pub socket: Socket,
    /// Its other end.
    pub peer: SocketAddr,
    /// Who the client is: the peer, or whom its PROXY header names.
    pub client: SocketAddr,
    /// What the client connected to, by that header.
    pub destination: Option<SocketAddr>,
    /// The listener that took it.
    pub listener: Rc<Listening>,
    /// What the document said about that listener when it took it.
    pub settings: Arc<Listener>,
    /// What was received and not sent on yet.
    pub received: Vec<u8>,
    /// The connection's deadline.
    pub timer: TimerKey,
    /// Counts the connection at its listener.
    pub guard: ConnectionGuard,
}

impl Caller {
    /// A connection that was just accepted.
    pub fn new(socket: Socket, peer: SocketAddr, listener: Rc<Listening>, guard: ConnectionGuard) -> Self {
        let worker = listener.worker();
        let timer = worker.wheel.borrow_mut().insert();
        worker.open.connections.set(worker.open.connections.get() + 1);
        let settings = listener.settings().clone();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (client, received) = (peer, Vec::new());
        Self { socket, peer, client, destination: None, listener, settings, received, timer, guard }
    }

    /// The worker that carries it.
    pub fn worker(&self) -> &Rc<Worker> {
        self.listener.worker()
    }

    /// The address of the peer.
    pub fn peer_address(&self) -> IpAddr {
        self.peer.ip()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let worker = self.worker();
        worker.wheel.borrow_mut().remove(self.timer);
        worker.connection_ended();
    }
}

/// Carries a connection to its end.
///
/// Not an `async fn`: one would hold its argument twice, as it came and as the variable it becomes, and this future
/// is what an idle connection costs.
pub fn connection(mut caller: Caller) -> impl Future<Output = ()> {
    // Now, and not when the task first runs: its settings speak of the upstreams of this snapshot.
    let published = caller.listener.published();
    async move {
        caller.worker().clock.refresh();
        let mut exchange = begin(&caller, published);
        // Boxed: this state would lie in every connection's future for as long as that is open.
        let reason = match Box::pin(reach(&mut caller, &mut exchange)).await {
            Ok((mut upstream, announced)) => {
                let mut carry = Carry::new(&mut caller, &mut exchange, announced);
                poll_fn(|cx| carry.poll(cx, &mut caller, &mut upstream, &mut exchange)).await
            }
            Err(reason) => {
                // Nobody may take this for an end that the upstream wanted.
                caller.socket.reset_on_close();
                reason
            }
        };
        account(&caller, &mut exchange, reason);
        caller.worker().recycle(exchange);
        caller.listener.series.closed.add(1);
    }
}

/// The exchange of a connection.
fn begin(caller: &Caller, published: Rc<Published>) -> Box<Exchange> {
    let worker = caller.worker();
    let mut exchange = worker.new_exchange();
    exchange.published = Some(published);
    exchange.times.started_us = worker.clock.now_us();
    // Nobody has said when a connection must be over.
    exchange.times.total_deadline_ms = NEVER;
    exchange.record.seed = worker.random.borrow_mut().next_u64();
    exchange.notes.wanted = worker.log.borrow().is_wanted();
    exchange.notes.client = Some(caller.client.ip());
    exchange.notes.keep([&make_id(worker), b"", b"", b""]);
    if worker.records() {
        exchange.evidence.begin(b"");
    }
    exchange
}

/// Everything up to the connection to an endpoint, and how many bytes of what it gets first are not the client's.
async fn reach(caller: &mut Caller, exchange: &mut Exchange) -> Result<(Socket, usize), Reason> {
    let settings = caller.settings.clone();
    let Service::Tcp(service) = &settings.service else { return Err(Reason::NoDestination) };
    let deadline = caller.worker().clock.now_ms().saturating_add(service.timeouts.prelude_ms);
    caller.worker().wheel.borrow_mut().set(caller.timer, deadline);
    if settings.proxy_header_from.contains(caller.peer.ip()) {
        identify(caller, exchange).await?;
    }
    let mut agreed = tls::Agreed::default();
    if let Some(acceptor) = &service.tls {
        agreed = tls::terminate(caller, acceptor).await.map_err(|refusal| {
            exchange.record.detail = refusal.detail;
            note_name(exchange, caller.socket.session().and_then(Session::server_name));
            refusal.reason
        })?;
    }
    let upstream = choose(caller, exchange, service, agreed.server_name.take()).await;
    let upstream = upstream?;
    exchange.record.upstream = Some(upstream);
    exchange.facts.key_hash = exchange
        .published
        .as_ref()
        .and_then(|published| decide::key::of_address(&published.snapshot, upstream, caller.client.ip()));
    let header = proxy_header::announcement(caller, exchange, agreed.alpn.as_deref());
    // Where TLS follows, the header goes before it; else it leaves with the client's first bytes.
    let before_tls = exchange.transport().is_some_and(|transport| transport.tls.is_some());
    let opening = if before_tls { header.as_slice() } else { b"" };
    let socket = connect::connect(caller.worker(), exchange, service, opening).await?;
    if before_tls {
        return Ok((socket, 0));
    }
    let announced = header.len();
    let received = std::mem::replace(&mut caller.received, header);
    caller.received.extend(received);
    Ok((socket, announced))
}

/// Takes the client's address from the PROXY header.
async fn identify(caller: &mut Caller, exchange: &mut Exchange) -> Result<(), Reason> {
    let worker = caller.worker().clone();
    let Caller { socket, timer, received, .. } = caller;
    let header = prelude::receive(&worker, socket, *timer, received, proxy_header::read).await?;
    let header = header.map_err(|problem| {
        exchange.record.detail = Some(problem);
        Reason::BadProxyHeader
    })?;
    caller.received.drain(..header.length);
    if let Some(addresses) = header.addresses {
        caller.client = addresses.source;
        caller.destination = Some(addresses.destination);
        exchange.notes.client = Some(caller.client.ip());
    }
    caller.guard.count_address(&caller.listener.limits, caller.client.ip())
}

/// Keeps the name that the client asked for, for logs and the recorder.
fn note_name(exchange: &mut Exchange, name: Option<&str>) {
    if let Some(name) = name {
        let id = exchange.notes.parts()[0].to_vec();
        exchange.notes.keep([&id, b"", b"", name.as_bytes()]);
    }
}

/// The upstream: by the name in the client's TLS hello, where that is asked for.
async fn choose(
    caller: &mut Caller,
    exchange: &mut Exchange,
    service: &TcpService,
    agreed_name: Option<String>,
) -> Result<u32, Reason> {
    let mut name = agreed_name;
    let mut is_tls = true;
    if !service.names.is_empty() && service.tls.is_none() {
        let worker = caller.worker().clone();
        let Caller { socket, timer, received, .. } = caller;
        match prelude::receive(&worker, socket, *timer, received, hello::read).await? {
            Hello::Asks(asked) => name = asked,
            Hello::Other => is_tls = false,
        }
    }
    note_name(exchange, name.as_deref());
    let chosen = names::upstream(service, name.as_deref());
    chosen.ok_or(if is_tls { Reason::UnknownServerName } else { Reason::NotTls })
}
