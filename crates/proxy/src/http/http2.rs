//! A client's HTTP/2 connection: each of its streams is served as an exchange of its own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http2::server::{Ended, Server, ServerSettings, ServerStream};
use tollgate_message::Version;

use super::client::Client;
use super::forwarded::make_id;
use super::{Refusal, serve};
use crate::recorder;
use crate::socket::Socket;
use crate::worker::Worker;

/// What happens next on a connection.
enum Event {
    /// A request has begun.
    Stream(ServerStream),
    /// The client has closed it, or all that was left of it is done.
    Over,
    /// It has carried nothing for too long.
    Idle,
    /// The client, or a guard against it, has ended it.
    Ended(Ended),
}

/// Serves all streams of a connection, of which `received` has been read already.
pub async fn connection(client: &mut Client, received: Vec<u8>) {
    let worker = client.worker().clone();
    let Some(socket) = client.take_socket() else { return };
    let mut server = Server::new(socket, settings(&worker), received.into());
    let (mut draining, mut idle) = (false, false);
    loop {
        let event = poll_fn(|cx| {
            worker.clock.refresh();
            if !draining && (client.draining_since().is_some() || is_worn(client)) {
                draining = true;
                server.graceful_shutdown();
            }
            poll_event(cx, &worker, client, &mut server, &mut idle)
        });
        match event.await {
            Event::Stream(stream) => {
                client.served = client.served.saturating_add(1);
                idle = false;
                let exchange = client.stream(Box::new(stream), Version::Http2);
                tokio::task::spawn_local(serve::stream(exchange));
            }
            Event::Idle if !draining => {
                draining = true;
                server.graceful_shutdown();
            }
            Event::Ended(ended) => return tell(client, &ended),
            Event::Idle | Event::Over => return,
        }
    }
}

fn poll_event(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &Client,
    server: &mut Server<Socket>,
    idle: &mut bool,
) -> Poll<Event> {
    match server.poll_accept(cx) {
        Poll::Ready(None) => return Poll::Ready(Event::Over),
        Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Event::Stream(stream)),
        Poll::Ready(Some(Err(ended))) => return Poll::Ready(Event::Ended(ended)),
        Poll::Pending => {}
    }
    let now = worker.clock.now_ms();
    let mut wheel = worker.wheel.borrow_mut();
    wheel.register(client.timer, cx.waker());
    if server.open_streams() > 0 {
        *idle = false;
    } else if !*idle {
        *idle = true;
        let idle_ms = worker.published.borrow().snapshot.http.client.idle_ms;
        wheel.set(client.timer, now.saturating_add(idle_ms));
    } else if wheel.is_due(client.timer, now) {
        return Poll::Ready(Event::Idle);
    }
    Poll::Pending
}

/// Whether it has carried as many requests as it may.
fn is_worn(client: &Client) -> bool {
    let published = client.worker().published.borrow();
    published.snapshot.http.requests_per_connection.is_some_and(|max| client.served >= max)
}

fn settings(worker: &Worker) -> ServerSettings {
    let published = worker.published.borrow();
    ServerSettings {
        max_head_size: published.snapshot.http.request_head.head_size,
        extended_connect: true,
        ..ServerSettings::default()
    }
}

/// A connection that was ended is counted and recorded, but no exchange. One that its client has just left is
/// nothing to tell.
fn tell(client: &Client, ended: &Ended) {
    if ended.reason == Reason::ClientClosed {
        return;
    }
    let worker = client.worker();
    worker.published.borrow().shard.reason(ended.reason).add(1);
    let refusal = Refusal { reason: ended.reason, detail: ended.detail };
    let server_name = client.secured.as_ref().and_then(|secured| secured.server_name.as_deref());
    recorder::ended_connection(&client.listener, client.peer, refusal, server_name, &make_id(worker));
}
