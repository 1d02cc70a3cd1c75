//! A load over HTTP/3: a few connections with many streams each, all on one thread.

use super::{Errors, Fault, Handshakes, Latency, Outcome, Tickets, sample, secure, usage};
use crate::histogram::Histogram;
use crate::identity;
use anyhow::{Context, Result};
use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::{Method, Request, Version};
use quinn::crypto::rustls::QuicClientConfig;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{LocalSet, spawn_local};
use tokio::time;

/// From this many faults on, going on tells nothing more.
const TOO_MANY: u64 = 1_000;

/// What to send where.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The server's UDP address.
    pub(crate) target: SocketAddr,
    /// The certificate that it must present.
    pub(crate) certificate: PathBuf,
    /// The request's path.
    pub(crate) path: String,
    /// The body length that each response must have, in bytes.
    pub(crate) body: u64,
    /// QUIC connections.
    pub(crate) connections: usize,
    /// Requests under way on each.
    pub(crate) streams: usize,
    /// Load before the measured window.
    pub(crate) warm_up: Duration,
    /// The measured window.
    pub(crate) window: Duration,
    /// How long a connect or a response may take.
    pub(crate) patience: Duration,
    /// The process whose tree's CPU time and memory are sampled at the window's ends.
    pub(crate) account: Option<i32>,
}

/// Loads the target for the warm-up and the window, and reports on the window. Faults count from the start.
pub(crate) fn run(settings: &Settings) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive(settings))
}

/// What all streams write down together.
struct Books {
    latencies: RefCell<Histogram>,
    errors: RefCell<Errors>,
    ended: Cell<bool>,
}

impl Books {
    fn fault(&self, fault: &Fault) {
        let mut errors = self.errors.borrow_mut();
        errors.count(fault);
        if errors.total() >= TOO_MANY {
            self.ended.set(true);
        }
    }
}

async fn drive(settings: &Settings) -> Result<Outcome> {
    let books = Rc::new(Books {
        latencies: RefCell::new(Histogram::new()),
        errors: RefCell::new(Errors::default()),
        ended: Cell::new(false),
    });
    let request = request(settings)?;
    let mut connections = Vec::new();
    for _ in 0..settings.connections {
        let connecting = Connection::open(settings, &books);
        connections.push(time::timeout(settings.patience, connecting).await.context("no connection")??);
    }
    for connection in &connections {
        for _ in 0..settings.streams {
            let sender = connection.sender.clone();
            spawn_local(ask_on(sender, request.clone(), settings.clone(), Rc::clone(&books)));
        }
    }
    time::sleep(settings.warm_up).await;
    let before = sample(settings.account)?;
    *books.latencies.borrow_mut() = Histogram::new();
    let start = Instant::now();
    time::sleep(settings.window).await;
    let seconds = start.elapsed().as_secs_f64();
    let after = sample(settings.account)?;
    books.ended.set(true);
    let latencies = books.latencies.borrow();
    Ok(Outcome {
        requests: latencies.total(),
        seconds,
        errors: books.errors.borrow().clone(),
        latency: Latency::of(&latencies),
        handshakes: Handshakes::default(),
        usage: usage(settings.account, before, after)?,
        held: None,
        timeline: None,
    })
}

/// A connection on a socket of its own.
struct Connection {
    sender: SendRequest<OpenStreams, Bytes>,
    /// Keeps the socket.
    _endpoint: quinn::Endpoint,
}

impl Connection {
    async fn open(settings: &Settings, books: &Rc<Books>) -> Result<Self> {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let tls = secure::client(&settings.certificate, Tickets::Refused, &["h3"])?;
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let connection = endpoint.connect_with(config, settings.target, identity::NAME)?.await?;
        // Nginx 1.26 resets a stream that ends with a frame of a reserved type.
        let mut builder = h3::client::builder();
        let building = builder.send_grease(false).build(h3_quinn::Connection::new(connection));
        let (mut driver, sender) = building.await?;
        let books = Rc::clone(books);
        spawn_local(async move {
            let end = poll_fn(|context| driver.poll_close(context)).await;
            if !books.ended.get() {
                books.fault(&Fault::Closed(end.to_string()));
            }
        });
        Ok(Self { sender, _endpoint: endpoint })
    }
}

fn request(settings: &Settings) -> Result<Request<()>> {
    let uri = format!("https://{}:{}{}", identity::NAME, settings.target.port(), settings.path);
    let mut request = Request::builder().method(Method::GET).version(Version::HTTP_3).uri(uri);
    for (name, value) in super::request::FIELDS {
        request = request.header(*name, *value);
    }
    Ok(request.body(())?)
}

/// One request after the other on one of a connection's streams.
async fn ask_on(
    mut sender: SendRequest<OpenStreams, Bytes>,
    request: Request<()>,
    settings: Settings,
    books: Rc<Books>,
) {
    while !books.ended.get() {
        let since = Instant::now();
        let outcome = time::timeout(settings.patience, ask(&mut sender, &request, settings.body)).await;
        match outcome.unwrap_or(Err(Fault::Late)) {
            Ok(()) => books.latencies.borrow_mut().record(since.elapsed()),
            Err(_) if books.ended.get() => {}
            Err(fault) => {
                books.fault(&fault);
                // A connection that is gone fails at once, again and again.
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn ask(
    sender: &mut SendRequest<OpenStreams, Bytes>,
    request: &Request<()>,
    body: u64,
) -> Result<(), Fault> {
    let broken = |error: h3::error::StreamError| Fault::Closed(error.to_string());
    let mut stream = sender.send_request(request.clone()).await.map_err(broken)?;
    stream.finish().await.map_err(broken)?;
    let response = stream.recv_response().await.map_err(broken)?;
    if response.status() != http::StatusCode::OK {
        return Err(Fault::Status(response.status().as_u16()));
    }
    let mut length = 0;
    while let Some(piece) = stream.recv_data().await.map_err(broken)? {
        length += piece.remaining() as u64;
    }
    if length == body { Ok(()) } else { Err(Fault::Length(format!("{length} bytes instead of {body}"))) }
}

#[cfg(test)]
mod tests {
    use super::{Settings, run};
    use crate::identity::{self, Identity};
    use bytes::Bytes;
    use http::Response;
    use quinn::crypto::rustls::QuicServerConfig;
    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    fn endpoint(identity: &Identity) -> quinn::Endpoint {
        let certificate = identity::read(&identity.certificate()).expect("is one");
        let key = PrivateKeyDer::from_pem_file(identity.key()).expect("is one");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
        let mut config = config.expect("fits");
        config.alpn_protocols = vec![b"h3".to_vec()];
        let config = QuicServerConfig::try_from(config).expect("fits");
        let config = quinn::ServerConfig::with_crypto(Arc::new(config));
        quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).expect("binds")
    }

    /// Answers each request with five bytes.
    async fn serve(connection: quinn::Incoming) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let connection = h3_quinn::Connection::new(connection.await?);
        let mut connection = h3::server::Connection::<_, Bytes>::new(connection).await?;
        while let Some(resolver) = connection.accept().await? {
            let mut stream = resolver.resolve_request().await?.1;
            stream.send_response(Response::new(())).await?;
            stream.send_data(Bytes::from_static(b"hello")).await?;
            stream.finish().await?;
        }
        Ok(())
    }

    fn start(identity: Identity) -> SocketAddr {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
            builder.expect("starts").block_on(async {
                let endpoint = endpoint(&identity);
                sender.send(endpoint.local_addr().expect("has one")).expect("is awaited");
                while let Some(connection) = endpoint.accept().await {
                    // The load counts what goes wrong.
                    tokio::spawn(async { drop(serve(connection).await) });
                }
            });
        });
        receiver.recv().expect("starts")
    }

    #[test]
    fn whole_answers_count_and_others_are_faults() {
        let directory = tempfile::tempdir().expect("a folder");
        let identity = Identity::make(directory.path()).expect("is made");
        let target = start(identity.clone());
        let settings = |body| Settings {
            target,
            certificate: identity.certificate(),
            path: "/5".to_owned(),
            body,
            connections: 2,
            streams: 3,
            warm_up: Duration::ZERO,
            window: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            account: None,
        };
        let outcome = run(&settings(5)).expect("runs");
        assert!(outcome.requests > 0 && outcome.errors.total() == 0, "{outcome}");
        let outcome = run(&settings(6)).expect("runs");
        assert!(outcome.requests == 0 && outcome.errors.total() > 0, "{outcome}");
    }
}
