//! What comes on a client's connection before its first request: a PROXY header, a TLS handshake.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tollgate_decision::Reason;
use tollgate_runtime::TimerKey;
use tollgate_telemetry::handshakes::Shaken;
use tollgate_tls::{Acceptor, Session, client_cert_field};

use super::Refusal;
use super::client::Client;
use super::forwarded::make_id;
use super::secured::Secured;
use crate::link::Link;
use crate::listening::Listening;
use crate::recorder;
use crate::snapshot::{HttpService, Service};
use crate::socket::Socket;
use crate::stream::{prelude, proxy_header};
use crate::worker::Worker;

/// What the client will speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1, or HTTP/2 by prior knowledge.
    Http1,
    /// HTTP/2, as agreed in the handshake.
    Http2,
}

/// Whether something comes on connections of this client before their first request.
pub fn has_prelude(client: &Client) -> bool {
    let settings = client.listener.settings();
    let secured = matches!(&settings.service, Service::Http(HttpService { tls: Some(_), .. }));
    secured || settings.proxy_header_from.contains(client.peer)
}

/// Takes the client's address from the PROXY header, where its peer must send one.
async fn identify(client: &mut Client) -> Result<(), Refusal> {
    let worker = client.worker().clone();
    if !client.listener.settings().proxy_header_from.contains(client.peer) {
        return Ok(());
    }
    let head_ms = worker.published.borrow().snapshot.http.client.head_ms;
    worker.wheel.borrow_mut().set(client.timer, worker.clock.now_ms().saturating_add(head_ms));
    let Link::Bytes(socket) = &mut client.link else { return Ok(()) };
    let header =
        prelude::receive(&worker, socket, client.timer, &mut client.leftover, proxy_header::read).await?;
    let header =
        header.map_err(|problem| Refusal { reason: Reason::BadProxyHeader, detail: Some(problem) })?;
    client.leftover.drain(..header.length);
    client.leftover.shrink_to_fit();
    if let Some(addresses) = header.addresses {
        client.peer = addresses.source.ip();
        client.peer_port = addresses.source.port();
        client.told_destination = Some(Box::new(addresses.destination));
    }
    client.guard.count_address(&client.listener.limits, client.peer).map_err(Refusal::from)
}

/// Brings a connection to where requests can be read. `None` where it ended before that; what there is to tell
/// of it has been told.
pub async fn shake(client: &mut Client) -> Option<Spoken> {
    if let Err(refusal) = identify(client).await {
        tell(client, refusal);
        return None;
    }
    let (acceptor, limit_ms, hsts) = match &client.listener.settings().service {
        Service::Http(HttpService { tls: Some(acceptor), handshake_ms, hsts, .. }) => {
            (acceptor.clone(), *handshake_ms, hsts.clone())
        }
        _ => return Some(Spoken::Http1),
    };
    let shaken = handshake(client, &acceptor, limit_ms).await;
    if let Link::Bytes(socket) = &client.link {
        count(&client.listener, socket, &shaken);
    }
    match shaken {
        Ok(()) => {
            let spoken = agreed(client, acceptor, hsts);
            Some(spoken)
        }
        Err(refusal) => {
            tell(client, refusal);
            None
        }
    }
}

async fn handshake(client: &mut Client, acceptor: &Arc<Acceptor>, limit_ms: u64) -> Result<(), Refusal> {
    let worker = client.worker().clone();
    let Link::Bytes(socket) = &mut client.link else { return Ok(()) };
    socket.secure(acceptor.accept(), std::mem::take(&mut client.leftover));
    worker.wheel.borrow_mut().set(client.timer, worker.clock.now_ms().saturating_add(limit_ms));
    within(&worker, socket, client.timer).await
}

/// Counts a handshake that has ended.
pub fn count(listener: &Listening, socket: &Socket, result: &Result<(), Refusal>) {
    if !listener.worker().counts {
        return;
    }
    let shaken = match (result, socket.session()) {
        (Err(refusal), _) => Shaken::Failed(refusal.reason),
        (Ok(()), Some(session)) => {
            Shaken::Agreed { is_tls13: session.version() == Some("TLSv1.3"), resumed: session.resumed() }
        }
        (Ok(()), None) => return,
    };
    listener.series.handshakes.get_or_init(Box::default).count(shaken);
}

/// Waits for the handshake of a client's connection until the timer's deadline.
pub async fn within(worker: &Worker, socket: &mut Socket, timer: TimerKey) -> Result<(), Refusal> {
    poll_fn(|cx| {
        worker.clock.refresh();
        match socket.poll_handshake(cx) {
            Poll::Ready(result) => Poll::Ready(
                result.map_err(|failure| Refusal { reason: failure.reason, detail: Some(failure.detail) }),
            ),
            Poll::Pending => {
                let mut wheel = worker.wheel.borrow_mut();
                wheel.register(timer, cx.waker());
                match wheel.is_due(timer, worker.clock.now_ms()) {
                    true => Poll::Ready(Err(Reason::TlsHandshakeTimeout.into())),
                    false => Poll::Pending,
                }
            }
        }
    })
    .await
}

/// Takes note of what was agreed upon.
fn agreed(client: &mut Client, acceptor: Arc<Acceptor>, hsts: Option<Arc<str>>) -> Spoken {
    let Link::Bytes(socket) = &client.link else { return Spoken::Http1 };
    let Some(session) = socket.session() else { return Spoken::Http1 };
    let spoken = if session.alpn() == Some(b"h2") { Spoken::Http2 } else { Spoken::Http1 };
    let settings = client.listener.settings();
    let speaks_http3 = matches!(&settings.service, Service::Http(http) if http.versions.http3);
    let alt_svc = speaks_http3.then(|| match settings.address.port() {
        0 => tollgate_http3::alt_svc(socket.local_port()),
        port => tollgate_http3::alt_svc(port),
    });
    let secured = Secured {
        acceptor,
        server_name: session.server_name().map(Into::into),
        certificate: session.peer_certificate().map(Into::into),
        client_cert: session.peer_certificate().map(|leaf| client_cert_field(leaf).into()),
        hsts,
        alt_svc: alt_svc.map(Into::into),
    };
    drop(settings);
    client.secured = Some(Rc::new(secured));
    spoken
}

/// A handshake that failed is counted and recorded, but no exchange.
fn tell(client: &Client, refusal: Refusal) {
    let worker = client.worker();
    worker.published.borrow().shard.reason(refusal.reason).add(1);
    let Link::Bytes(socket) = &client.link else { return };
    let server_name = socket.session().and_then(Session::server_name);
    let request_id = make_id(worker);
    recorder::ended_connection(&client.listener, client.peer, refusal, server_name, &request_id);
}
