//! The API's connections, within bounds: how many there are, how long a head may take, how long a client
//! may leave a response lying.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// Connections of one listener at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 128;
/// For a request head, from the first moment on; so also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// For a client to take any part of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Buffer of a connection, and with it the largest head.
const BUFFER_MAX: usize = 64 << 10;

/// Serves connections until `ending` is closed, and then what these have begun. Those that run end with the future
/// if it is dropped.
pub(crate) async fn serve(mut listener: impl Listener, router: Router, mut ending: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut running = JoinSet::new();
    // Nobody closes the semaphore.
    while let Ok(place) = places.clone().acquire_owned().await {
        let (io, _) = tokio::select! {
            // The end first: what the kernel has queued may be for another process that has the listener, too.
            biased;
            () = closed(&mut ending) => break,
            accepted = listener.accept() => accepted,
        };
        let (router, ending) = (router.clone(), ending.clone());
        running.spawn(async move {
            serve_one(io, router, ending).await;
            drop(place);
        });
        while running.try_join_next().is_some() {}
    }
    drop(listener);
    while running.join_next().await.is_some() {}
}

async fn closed(ending: &mut watch::Receiver<()>) {
    while ending.changed().await.is_ok() {}
}

async fn serve_one(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut ending: watch::Receiver<()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(Hurried::new(io)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // What ends a connection early is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closed(&mut ending) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A connection whose writes fail when the other side takes nothing for [`WRITE_TIMEOUT`].
struct Hurried<Io> {
    io: Io,
    /// Runs from the first write that has to wait until one that need not.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<Io> Hurried<Io> {
    fn new(io: Io) -> Self {
        Self { io, waiting: None }
    }

    fn hurry<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let deadline = || Box::pin(tokio::time::sleep(WRITE_TIMEOUT));
        ready!(self.waiting.get_or_insert_with(deadline).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Hurried<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Hurried<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.hurry(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.hurry(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.hurry(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD_TIMEOUT, WRITE_TIMEOUT, serve_one};
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;
    use tokio::time::Instant;

    /// Nobody ends it.
    fn never() -> watch::Receiver<()> {
        let (sender, receiver) = watch::channel(());
        std::mem::forget(sender);
        receiver
    }

    fn router() -> Router {
        Router::new().route("/", get(|| async { vec![b'x'; 1 << 20] }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_head_is_left() {
        let (mut client, server) = tokio::io::duplex(1024);
        let serving = tokio::spawn(serve_one(server, router(), never()));
        let began = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        serving.await.unwrap();
        assert!((HEAD_TIMEOUT..2 * HEAD_TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_its_response_lying_is_left() {
        let (mut client, server) = tokio::io::duplex(1024);
        let serving = tokio::spawn(serve_one(server, router(), never()));
        let began = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        serving.await.unwrap();
        assert!((WRITE_TIMEOUT..2 * WRITE_TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_response_slowly_gets_all_of_it() {
        let (mut client, server) = tokio::io::duplex(1024);
        let serving = tokio::spawn(serve_one(server, router(), never()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let (mut total, mut part) = (0, vec![0; 32 << 10]);
        loop {
            tokio::time::sleep(WRITE_TIMEOUT / 2).await;
            match client.read(&mut part).await.unwrap() {
                0 => break,
                read => total += read,
            }
        }
        serving.await.unwrap();
        assert!(total > 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_what_has_begun_is_finished_and_idle_connections_are_closed() {
        let (sender, ending) = watch::channel(());
        let (mut idle, server) = tokio::io::duplex(1024);
        let idle_serving = tokio::spawn(serve_one(server, router(), ending.clone()));
        let (mut busy, server) = tokio::io::duplex(1024);
        let busy_serving = tokio::spawn(serve_one(server, router(), ending));
        busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        busy.read_exact(&mut first).await.unwrap();
        drop(sender);
        assert_eq!(idle.read(&mut first).await.unwrap(), 0);
        idle_serving.await.unwrap();
        let mut rest = Vec::new();
        busy.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() > 1 << 20);
        busy_serving.await.unwrap();
    }
}
