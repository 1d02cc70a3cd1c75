//! Opening connections to endpoints, and streams on those that many exchanges share.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tollgate_decision::Reason;
use tollgate_http2::{ClientSettings, Connection};
use tollgate_telemetry::shard::UpstreamSeries;
use tollgate_upstream::Endpoint;

use crate::http::Refusal;
use crate::link::Link;
use crate::multiplexed::Turn;
use crate::snapshot::Transport;
use crate::socket::Socket;
use crate::worker::Worker;

/// A limit beyond a year is none; tokio's timer does not reach that far.
const LONGEST_MS: u64 = 31_536_000_000;

/// Where a connection goes.
pub struct Place<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// How it is spoken to.
    pub transport: &'a Transport,
    /// What is sent before anything else, TLS too.
    pub opening: &'a [u8],
    /// How long a connection may be without exchanges, in milliseconds.
    pub idle_ms: u64,
}

/// Opens a connection, with TLS where the endpoint wants it.
pub async fn open(place: &Place<'_>) -> Result<Socket, Refusal> {
    let connecting = async {
        let stream = TcpStream::connect(place.endpoint.address()).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(Socket::new(stream))
    };
    let mut socket =
        connecting.await.map_err(|e| Refusal { reason: Reason::ConnectFailed, detail: describe(&e) })?;
    if !place.opening.is_empty() {
        announce(&mut socket, place.opening).await?;
    }
    let Some(connector) = &place.transport.tls else { return Ok(socket) };
    let failed = |failure: tollgate_tls::HandshakeFailure| Refusal {
        reason: failure.reason,
        detail: Some(failure.detail),
    };
    let session = connector.connect(host(place.endpoint.name())).map_err(failed)?;
    socket.secure(session, Vec::new());
    poll_fn(|cx| socket.poll_handshake(cx)).await.map_err(failed)?;
    Ok(socket)
}

/// Waits for a connection, but not for ever.
pub async fn within<T>(
    limit_ms: u64,
    opening: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let limited = tokio::time::timeout(Duration::from_millis(limit_ms.min(LONGEST_MS)), opening).await;
    limited.unwrap_or(Err(Reason::ConnectTimeout.into()))
}

/// Sends what the connection begins with.
async fn announce(socket: &mut Socket, mut opening: &[u8]) -> Result<(), Refusal> {
    while !opening.is_empty() {
        let sent = poll_fn(|cx| socket.poll_send(cx, opening)).await;
        match sent {
            Ok(sent) if sent > 0 => opening = &opening[sent..],
            _ => return Err(Reason::UpstreamClosed.into()),
        }
    }
    Ok(())
}

/// The host of an endpoint's name, which is a host and a port.
fn host(name: &str) -> &str {
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A stream on a connection that others share; opens one where none has room. Only one is opened at a time to
/// an endpoint, so that a crowd of requests does not open as many connections. The document has no PROXY header for
/// such upstreams, which would name one client.
pub async fn stream(
    worker: &Rc<Worker>,
    place: &Place<'_>,
    series: &UpstreamSeries,
) -> Result<Link, Refusal> {
    let key = (place.endpoint.id(), place.transport.id);
    loop {
        let now = worker.clock.now_ms();
        if let Some(stream) = worker.links.multiplexed.borrow_mut().stream(key, now) {
            return Ok(stream.into());
        }
        let turn = worker.links.multiplexed.borrow_mut().turn(key);
        match turn {
            Turn::Wait(opened) => opened.notified().await,
            Turn::Open(_) => {
                // Also where this future is dropped: the others must not wait for nobody.
                let _turn = Opening { worker, key };
                let connection = speak(worker, place, open(place).await?).await?;
                worker.links.multiplexed.borrow_mut().keep(
                    key,
                    connection,
                    worker.clock.now_ms(),
                    place.idle_ms,
                );
                series.connections_opened.add(1);
            }
        }
    }
}

struct Opening<'a> {
    worker: &'a Worker,
    key: (tollgate_upstream::EndpointId, u64),
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.worker.links.multiplexed.borrow_mut().opened(self.key);
    }
}

/// Speaks HTTP/2 on a connection.
async fn speak(worker: &Rc<Worker>, place: &Place<'_>, socket: Socket) -> Result<Connection, Refusal> {
    let settings = ClientSettings {
        max_streams: place.transport.max_streams as usize,
        max_head_size: worker.published.borrow().snapshot.http.response_head.head_size,
        https: place.transport.tls.is_some(),
        ..ClientSettings::default()
    };
    let (connection, driver) = tollgate_http2::connect(socket, settings)
        .await
        .map_err(|_| Refusal { reason: Reason::UpstreamClosed, detail: Some(NOT_HTTP2) })?;
    tokio::task::spawn_local(async move {
        // How it ended, its streams have heard.
        let _ = driver.await;
    });
    connection.settled().await;
    if !connection.is_usable() {
        return Err(Refusal { reason: Reason::UpstreamClosed, detail: Some(NOT_HTTP2) });
    }
    Ok(connection)
}

const NOT_HTTP2: &str = "the endpoint closed the connection instead of speaking HTTP/2";

/// Why no connection could be opened, where that says more than the reason.
fn describe(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::CONNREFUSED => Some("the endpoint refused the connection: nothing listens there"),
        Errno::HOSTUNREACH => Some("the endpoint's host cannot be reached"),
        Errno::NETUNREACH => Some("the endpoint's network cannot be reached"),
        Errno::TIMEDOUT => Some("the endpoint's host does not answer"),
        Errno::ACCESS | Errno::PERM => Some("this machine does not allow connections to the endpoint"),
        Errno::MFILE | Errno::NFILE => Some("this process or machine has no descriptors left"),
        Errno::ADDRNOTAVAIL => Some("this machine has no port left for connections to the endpoint"),
        _ => None,
    }
}
