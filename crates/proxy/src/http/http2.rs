//! A client's HTTP/2 connection: each of its streams is served as an exchange of its own.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_http2::{Ended, Server, ServerSettings, ServerStream};
use tollgate_message::Version;

use super::client::Client;
use super::forwarded::make_id;
use super::{Refusal, serve};
use crate::recorder;
use crate::socket::Socket;
use crate::worker::Worker;

/// How long a client may take to read why its connection ends.
const LINGER_MS: u64 = 1_000;

/// What happens next on a connection.
enum Event {
    /// A request has begun.
    Stream(Box<ServerStream>),
    /// The client has closed it, or all that was left of it is done.
    Over,
    /// It has carried nothing for too long.
    Idle,
    /// The client, or a guard against it, has ended it.
    Ended(Ended),
}

/// Serves all streams of a connection. What has been read of it already is the client's leftover.
pub async fn connection(client: &mut Client) {
    let worker = client.worker().clone();
    let Some(socket) = client.take_socket() else { return };
    let received = std::mem::take(&mut client.leftover);
    let clock = worker.clone();
    let now = Rc::new(move || clock.clock.now_ms());
    let handshake = Server::handshake(socket, settings(&worker), received.into(), now);
    let mut server = match in_time(&worker, client, handshake).await {
        Some(Ok(server)) => server,
        Some(Err(ended)) => return tell(client, &ended),
        None => return,
    };
    let (mut draining, mut idle) = (false, false);
    loop {
        let event = poll_fn(|cx| {
            worker.clock.refresh();
            if !draining && (client.draining_since().is_some() || client.is_worn()) {
                draining = true;
                server.graceful_shutdown();
            }
            poll_event(cx, &worker, client, &mut server, &mut idle)
        });
        match event.await {
            Event::Stream(stream) => {
                client.served = client.served.saturating_add(1);
                idle = false;
                let exchange = client.stream(stream, Version::Http2);
                tokio::task::spawn_local(serve::stream(exchange));
            }
            Event::Idle if !draining => {
                draining = true;
                server.graceful_shutdown();
            }
            Event::Ended(ended) => {
                tell(client, &ended);
                return linger(&worker, client, &mut server).await;
            }
            Event::Idle | Event::Over => return,
        }
    }
}

/// Waits for the client's first frames, as long as a head may take. `None` where they did not come in time.
async fn in_time<T>(worker: &Worker, client: &Client, first: impl Future<Output = T>) -> Option<T> {
    let mut first = pin!(first);
    let head_ms = worker.published.borrow().snapshot.http.client.head_ms;
    worker.wheel.borrow_mut().set(client.timer, worker.clock.now_ms().saturating_add(head_ms));
    poll_fn(|cx| {
        worker.clock.refresh();
        match first.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => poll_due(cx, worker, client).map(|()| None),
        }
    })
    .await
}

/// Ready when the connection's deadline has passed.
fn poll_due(cx: &mut Context<'_>, worker: &Worker, client: &Client) -> Poll<()> {
    let mut wheel = worker.wheel.borrow_mut();
    wheel.register(client.timer, cx.waker());
    match wheel.is_due(client.timer, worker.clock.now_ms()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

/// Gives the client a moment to read why its connection ends.
async fn linger(worker: &Worker, client: &Client, server: &mut Server<Socket>) {
    worker.wheel.borrow_mut().set(client.timer, worker.clock.now_ms().saturating_add(LINGER_MS));
    poll_fn(|cx| {
        worker.clock.refresh();
        match server.poll_linger(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => poll_due(cx, worker, client),
        }
    })
    .await;
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
        Poll::Ready(Some(Ok(stream))) => return Poll::Ready(Event::Stream(Box::new(stream))),
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
    let detail = match &ended.detail {
        Cow::Borrowed(detail) => Some(*detail),
        Cow::Owned(_) => None,
    };
    let refusal = Refusal { reason: ended.reason, detail };
    let server_name = client.secured.as_ref().and_then(|secured| secured.server_name.as_deref());
    recorder::ended_connection(&client.listener, client.peer, refusal, server_name, &make_id(worker));
}
