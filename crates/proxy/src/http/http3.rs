//! HTTP/3 on a listener: its endpoint on one worker, the connections, and each of their streams as an exchange of
//! its own.

use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_http3::{Connection, Ended, Endpoint, Handshake, Seat, Settings};
use tollgate_message::Version;
use tollgate_tls::{Acceptor, client_cert_field};

use super::client::Client;
use super::forwarded::make_id;
use super::secured::Secured;
use super::serve;
use crate::listen::{Accepting, ConnectionGuard};
use crate::listening::Listening;
use crate::recorder;
use crate::snapshot::{HttpService, Service};
use crate::socket::Socket;
use crate::worker::Worker;

/// Serves a listener's UDP socket until the worker drains or the listener goes.
pub fn accept(listening: Rc<Listening>, socket: UdpSocket, seat: Seat) -> impl Future<Output = ()> {
    // Counted from here on, not from when the task first runs.
    let accepting = Accepting::begin(listening.clone());
    async move {
        accept_all(&listening, socket, seat).await;
        drop(accepting);
    }
}

async fn accept_all(listening: &Rc<Listening>, socket: UdpSocket, seat: Seat) {
    let worker = listening.worker();
    let Some(mut acceptor) = acceptor(listening) else { return };
    let tls = acceptor.rustls_config_for_quic();
    let Ok(endpoint) = Endpoint::relaying(socket, &tls, settings(worker, listening), seat) else { return };
    loop {
        let changed = worker.changed.notified();
        if worker.is_draining() || listening.closing_since().is_some() {
            if worker.has_handed_over() {
                endpoint.leave_socket();
            }
            // Those that are open go on.
            return endpoint.stop_accepting();
        }
        tokio::select! {
            handshake = endpoint.accept() => match handshake {
                Some(handshake) => admit(listening, &acceptor, handshake),
                None => return,
            },
            () = changed => {}
        }
        // Another document may have other certificates for it.
        if let Some(now) = self::acceptor(listening).filter(|now| !Arc::ptr_eq(now, &acceptor)) {
            acceptor = now;
            // If it cannot be used, those that could be go on.
            let _ = endpoint.set_config(&acceptor.rustls_config_for_quic(), settings(worker, listening));
        }
    }
}

fn acceptor(listening: &Listening) -> Option<Arc<Acceptor>> {
    match &listening.settings().service {
        Service::Http(HttpService { tls, .. }) => tls.clone(),
        _ => None,
    }
}

fn settings(worker: &Worker, listening: &Listening) -> Settings {
    let published = worker.published.borrow();
    let http = &published.snapshot.http;
    let handshake_ms = match &listening.settings().service {
        Service::Http(service) => service.handshake_ms,
        _ => u64::MAX,
    };
    // QUIC counts in 62 bits; nobody waits for longer than a day.
    let span = |ms: u64| Duration::from_millis(ms.min(86_400_000));
    Settings {
        max_head: http.request_head.head_size.min(u32::MAX as usize) as u32,
        idle_timeout: span(http.client.idle_ms),
        handshake_timeout: span(handshake_ms),
        ..Settings::default()
    }
}

fn admit(listening: &Rc<Listening>, acceptor: &Arc<Acceptor>, handshake: Handshake) {
    listening.series.accepted.add(1);
    let peer = handshake.remote_address().ip().to_canonical();
    match listening.limits.admit(peer) {
        Ok(guard) => {
            let (listening, acceptor) = (listening.clone(), acceptor.clone());
            tokio::task::spawn_local(connection(listening, acceptor, handshake, guard));
        }
        Err(reason) => {
            handshake.refuse();
            let worker = listening.worker();
            worker.published.borrow().shard.reason(reason).add(1);
            listening.series.closed.add(1);
            recorder::refused_connection(listening, peer, reason.into(), &make_id(worker));
        }
    }
}

/// Serves a connection from its handshake to its end.
async fn connection(
    listening: Rc<Listening>,
    acceptor: Arc<Acceptor>,
    handshake: Handshake,
    guard: ConnectionGuard,
) {
    let peer = handshake.remote_address();
    let mut client = Client::new(Socket::lost(), peer, listening, guard);
    client.version = Some(Version::Http3);
    let ended = match handshake.finish().await {
        Ok(mut connection) => {
            client.secured = Some(Rc::new(secured(&client, acceptor, &connection)));
            client.port = client.listener.settings().address.port();
            serve_streams(&mut client, &mut connection).await
        }
        Err(ended) => ended,
    };
    client.worker().clock.refresh();
    tell(&client, &ended);
    client.listener.series.closed.add(1);
}

fn secured(client: &Client, acceptor: Arc<Acceptor>, connection: &Connection) -> Secured {
    let facts = connection.facts();
    let hsts = match &client.listener.settings().service {
        Service::Http(service) => service.hsts.clone(),
        _ => None,
    };
    Secured {
        acceptor,
        server_name: facts.server_name.as_deref().map(|name| name.to_ascii_lowercase().into()),
        certificate: facts.client_certificates.first().map(|leaf| leaf.as_ref().into()),
        client_cert: facts.client_certificates.first().map(|leaf| client_cert_field(leaf).into()),
        hsts,
        // It has come already.
        alt_svc: None,
    }
}

async fn serve_streams(client: &mut Client, connection: &mut Connection) -> Ended {
    let worker = client.worker().clone();
    loop {
        let changed = worker.changed.notified();
        if !connection.is_draining() && (client.draining_since().is_some() || client.is_worn()) {
            connection.start_drain();
        }
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = changed => continue,
        };
        worker.clock.refresh();
        match accepted {
            Ok(stream) => {
                client.served = client.served.saturating_add(1);
                // The client may have moved to another address meanwhile.
                let now = connection.remote_address();
                (client.peer, client.peer_port) = (now.ip().to_canonical(), now.port());
                let exchange = client.stream(Box::new(stream), Version::Http3);
                tokio::task::spawn_local(serve::stream(exchange));
            }
            Err(ended) => return ended,
        }
    }
}

/// A connection that was ended is counted and recorded, but no exchange. One that has just come to its end is
/// nothing to tell.
fn tell(client: &Client, ended: &Ended) {
    let quiet = [Reason::ClientClosed, Reason::ConnectionEnded, Reason::ConnectionIdle];
    if quiet.contains(&ended.reason) {
        return;
    }
    let worker = client.worker();
    worker.published.borrow().shard.reason(ended.reason).add(1);
    let server_name = client.secured.as_ref().and_then(|secured| secured.server_name.as_deref());
    recorder::ended_connection(
        &client.listener,
        client.peer,
        ended.reason.into(),
        server_name,
        &make_id(worker),
    );
}
