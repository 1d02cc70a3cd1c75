//! Clients, and a server around the crate, for its tests. All run on one thread, on the kind of runtime that workers have.
#![allow(dead_code, reason = "each test file takes its part")]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tollgate_http3::{Connection, Ended, Endpoint, Secret, ServerStream, Settings, steering};
use tollgate_streams::MessageStream;

pub type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
pub type ClientStream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Runs a test to its end, or fails it where it hangs.
pub fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
    });
}

/// A certificate for `localhost` with its key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        Self { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).unwrap()
    }

    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key())
            .unwrap();
        Arc::new(config)
    }

    pub fn client(&self, alpn: &[u8]) -> quinn::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
    }
}

/// One endpoint on a port of its own.
pub struct Server {
    pub endpoint: Rc<Endpoint>,
    pub identity: Identity,
    pub address: SocketAddr,
}

pub fn server(settings: Settings) -> Server {
    let identity = Identity::new();
    let mut group = steering::bind_group("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = group.sockets[0].local_addr().unwrap();
    let endpoint = Endpoint::new(
        group.sockets.remove(0),
        &identity.server(),
        settings,
        Secret::new(&identity.server()).unwrap(),
        0,
        1,
    )
    .unwrap();
    Server { endpoint: Rc::new(endpoint), identity, address }
}

/// How connections ended, in their order.
pub type Endings = Rc<RefCell<Vec<Ended>>>;

/// Serves all connections of an endpoint, each request with `serve`.
pub fn serve<F: Future<Output = ()> + 'static>(
    endpoint: Rc<Endpoint>,
    serve: fn(ServerStream) -> F,
) -> Endings {
    let endings = Endings::default();
    let told = endings.clone();
    tokio::task::spawn_local(async move {
        while let Some(handshake) = endpoint.accept().await {
            let told = told.clone();
            tokio::task::spawn_local(async move {
                let ended = match handshake.finish().await {
                    Ok(connection) => serve_connection(connection, serve).await,
                    Err(ended) => ended,
                };
                told.borrow_mut().push(ended);
            });
        }
    });
    endings
}

async fn serve_connection<F: Future<Output = ()> + 'static>(
    mut connection: Connection,
    serve: fn(ServerStream) -> F,
) -> Ended {
    loop {
        match connection.accept().await {
            Ok(stream) => drop(tokio::task::spawn_local(serve(stream))),
            Err(ended) => return ended,
        }
    }
}

/// Waits until `n` connections have ended; gives them.
pub async fn endings(endings: &Endings, n: usize) -> Vec<Ended> {
    until(|| endings.borrow().len() >= n).await;
    endings.borrow().clone()
}

/// Lets everything else run until `condition` holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub fn client_endpoint() -> quinn::Endpoint {
    quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

pub fn client_socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

impl Server {
    /// A QUIC connection without HTTP/3 on it.
    pub async fn quic(&self) -> quinn::Connection {
        self.quic_from(&client_endpoint()).await
    }

    pub async fn quic_from(&self, endpoint: &quinn::Endpoint) -> quinn::Connection {
        let connecting =
            endpoint.connect_with(self.identity.client(b"h3"), self.address, "localhost").unwrap();
        connecting.await.unwrap()
    }

    /// A connection with h3's client on it.
    pub async fn http(&self) -> (SendRequest, quinn::Connection) {
        let quic = self.quic().await;
        (http(&quic).await, quic)
    }
}

pub async fn http(quic: &quinn::Connection) -> SendRequest {
    let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
    tokio::task::spawn_local(async move { poll_fn(|cx| driver.poll_close(cx)).await });
    requests
}

pub fn post(length: Option<usize>) -> http::Request<()> {
    let mut request = http::Request::post("https://localhost/echo?x=1");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(()).unwrap()
}

pub fn get() -> http::Request<()> {
    http::Request::get("https://localhost/").body(()).unwrap()
}

/// Takes a response to its end: status, body and trailers.
pub async fn response(
    stream: &mut ClientStream,
) -> Result<(u16, Vec<u8>, http::HeaderMap), h3::error::StreamError> {
    let head = stream.recv_response().await?;
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await? {
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    let trailers = stream.recv_trailers().await?.unwrap_or_default();
    Ok((head.status().as_u16(), body, trailers))
}

/// Takes a message's head: its text, and what came with it of the body.
pub async fn head(stream: &mut ServerStream) -> std::io::Result<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut buf = [0; 1];
        let taken = poll_fn(|cx| stream.poll_recv(cx, &mut buf)).await?;
        assert_ne!(taken, 0, "the message ended inside its head");
        text.extend_from_slice(&buf[..taken]);
    }
    Ok(String::from_utf8(text).unwrap())
}

pub async fn body(stream: &mut ServerStream) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut buf = [0; 3000];
    loop {
        match poll_fn(|cx| stream.poll_recv(cx, &mut buf)).await? {
            0 => return Ok(body),
            taken => body.extend_from_slice(&buf[..taken]),
        }
    }
}

pub async fn send(stream: &mut ServerStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| stream.poll_send(cx, bytes)).await?;
        bytes = &bytes[sent..];
    }
    stream.flush();
    Ok(())
}

pub async fn finish(stream: &mut ServerStream, trailers: &[u8]) -> std::io::Result<()> {
    poll_fn(|cx| stream.poll_finish(cx, trailers)).await
}

/// Answers a request with its own body and trailers.
pub async fn echo(mut stream: ServerStream) {
    let _ = try_echo(&mut stream).await;
}

async fn try_echo(stream: &mut ServerStream) -> std::io::Result<()> {
    head(stream).await?;
    let body = body(stream).await?;
    let trailers = stream.take_trailers();
    send(stream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).await?;
    send(stream, &body).await?;
    finish(stream, &trailers).await
}

/// The reason inside an error of a stream.
pub fn reason(error: &std::io::Error) -> tollgate_decision::Reason {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Ended>()).expect("an error with a reason").reason
}

/// A field section by hand: GET or POST of `/` at `localhost`, perhaps with a `content-length`.
pub fn section(method_post: bool, content_length: Option<&str>) -> Vec<u8> {
    let mut out = vec![0, 0, if method_post { 0xd4 } else { 0xd1 }, 0xd7, 0xc1, 0x50, 9];
    out.extend_from_slice(b"localhost");
    if let Some(length) = content_length {
        out.extend_from_slice(&[0x54, length.len() as u8]);
        out.extend_from_slice(length.as_bytes());
    }
    out
}

/// A frame by hand.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&(payload.len() as u32 | 0x8000_0000).to_be_bytes());
    out.extend_from_slice(payload);
    out
}
