//! What the tests share: streams used like sockets, a served connection, and a writer of raw frames.

#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::task::{LocalSet, spawn_local};
use tollgate_http2::{
    ClientSettings, Connection, Ended, PREFACE, Server, ServerSettings, ServerStream, connect,
};
use tollgate_streams::MessageStream;

/// Runs a test on one thread, as a worker would.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test)
}

pub async fn recv(stream: &mut dyn MessageStream, max: usize) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let received = poll_fn(|cx| stream.poll_recv(cx, &mut buf)).await?;
    buf.truncate(received);
    Ok(buf)
}

/// Receives a head; body bytes never come with it.
pub async fn recv_head(stream: &mut dyn MessageStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let part = recv(stream, 4096).await?;
        assert!(!part.is_empty(), "no head");
        head.extend(part);
    }
    Ok(String::from_utf8(head).expect("text"))
}

pub async fn recv_body(stream: &mut dyn MessageStream) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let part = recv(stream, 5000).await?;
        if part.is_empty() {
            return Ok(body);
        }
        body.extend(part);
    }
}

pub async fn send(stream: &mut dyn MessageStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| stream.poll_send(cx, bytes)).await?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

pub async fn finish(stream: &mut dyn MessageStream, trailers: &[u8]) -> io::Result<()> {
    poll_fn(|cx| stream.poll_finish(cx, trailers)).await
}

/// How a served connection ended, once it has.
pub type Outcome = Rc<RefCell<Option<Option<Ended>>>>;

/// Serves a connection in a task, each request in one more, and lingers when it has ended.
pub fn serve<T, H, F>(io: T, settings: ServerSettings, handler: H) -> tokio::task::JoinHandle<Option<Ended>>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(ServerStream) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    spawn_local(async move {
        let start = tokio::time::Instant::now();
        let now = Rc::new(move || start.elapsed().as_millis() as u64);
        let mut server = match Server::handshake(io, settings, Bytes::new(), now).await {
            Ok(server) => server,
            Err(ended) => return Some(ended),
        };
        let outcome = loop {
            match poll_fn(|cx| server.poll_accept(cx)).await {
                Some(Ok(stream)) => drop(spawn_local(handler(stream))),
                Some(Err(ended)) => break Some(ended),
                None => break None,
            }
        };
        poll_fn(|cx| server.poll_linger(cx)).await;
        outcome
    })
}

/// A client connection of this crate, driven in a task.
pub async fn client(io: DuplexStream, settings: ClientSettings) -> Connection {
    let (connection, driver) = connect(io, settings).await.expect("connected");
    spawn_local(driver);
    connection.settled().await;
    connection
}

/// A raw frame (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The start of a raw client's connection.
pub fn preface() -> Vec<u8> {
    [PREFACE.to_vec(), frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()
}

/// A header block without Huffman coding or the table: GET https://a/ and these fields.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0x82, 0x87, 0x84];
    for (name, value) in [(":authority", "a")].iter().chain(fields) {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(text.len() as u8);
            out.extend(text.as_bytes());
        }
    }
    out
}

/// The frames in bytes that were read: kind, flags, stream, payload.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut out = Vec::new();
    while bytes.len() >= 9 {
        let len = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
        let end = (9 + len).min(bytes.len());
        out.push((bytes[3], bytes[4], stream, bytes[9..end].to_vec()));
        bytes = &bytes[end..];
    }
    out
}
