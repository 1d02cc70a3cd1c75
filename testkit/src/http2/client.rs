//! A client.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use http::{Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::sides::{Cut, Receiving, Sending};
use super::{RUNTIME, fields, pairs, wait};
use crate::PATIENCE;
use crate::message::{Framing, Head, Response};

/// What a client announces.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// How much of a body may be under way before it is read.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { stream_window: 1 << 20, connection_window: 16 << 20 }
    }
}

#[derive(Debug, Default)]
struct Ended {
    /// The code of the GOAWAY that ended the connection, if one did; the outer one once it has ended.
    code: Mutex<Option<Option<h2::Reason>>>,
    changed: Condvar,
}

/// A client's connection. Streams may be used from several threads.
#[derive(Clone, Debug)]
pub struct Http2Client {
    requests: SendRequest<Bytes>,
    ended: Arc<Ended>,
    scheme: &'static str,
}

impl Http2Client {
    /// Connects with prior knowledge.
    pub fn connect(address: SocketAddr) -> Self {
        Self::with(address, ClientSettings::default())
    }

    /// Connects with other settings.
    pub fn with(address: SocketAddr, settings: ClientSettings) -> Self {
        wait("a connection", async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            Self::over(stream, settings, "http").await
        })
    }

    /// Connects with TLS, and must agree on `h2`.
    pub fn over_tls(address: SocketAddr, config: Arc<rustls::ClientConfig>, name: &str) -> Self {
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        wait("a TLS connection", async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            Self::over(stream, ClientSettings::default(), "https").await
        })
    }

    async fn over<T>(stream: T, settings: ClientSettings, scheme: &'static str) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.connection_window)
            .max_send_buffer_size(64 * 1024);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        let ended = Arc::new(Ended::default());
        let told = ended.clone();
        RUNTIME.spawn(async move {
            let code = connection.await.err().and_then(|error| error.reason());
            *told.code.lock().unwrap() = Some(code);
            told.changed.notify_all();
        });
        Self { requests, ended, scheme }
    }

    /// Begins a request; `path` may have a query.
    pub fn begin(&self, method: &str, path: &str, list: &[(&str, &str)]) -> Exchange {
        self.try_begin(method, path, list, false).unwrap()
    }

    /// Sends a request without a body.
    pub fn ask(&self, method: &str, path: &str, list: &[(&str, &str)]) -> Exchange {
        self.try_begin(method, path, list, true).unwrap()
    }

    /// A simple GET, whose response must be complete.
    pub fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[]).response()
    }

    /// Begins a request, and ends it where `end` says so.
    ///
    /// # Errors
    /// The connection takes no more.
    pub fn try_begin(
        &self,
        method: &str,
        path: &str,
        list: &[(&str, &str)],
        end: bool,
    ) -> Result<Exchange, Cut> {
        let authority = list.iter().find(|(name, _)| *name == ":authority").map_or("a.example", |(_, v)| v);
        let rest: Vec<_> = list.iter().filter(|(name, _)| !name.starts_with(':')).copied().collect();
        let path = if path == "*" { "/" } else { path };
        let mut request = Request::new(());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() =
            Uri::builder().scheme(self.scheme).authority(authority).path_and_query(path).build().unwrap();
        *request.headers_mut() = fields(&rest);
        if let Some((_, protocol)) = list.iter().find(|(name, _)| *name == ":protocol") {
            request.extensions_mut().insert(Protocol::from(*protocol));
        }
        self.start(request, end)
    }

    fn start(&self, request: Request<()>, end: bool) -> Result<Exchange, Cut> {
        let mut requests = wait("room for a stream", self.requests.clone().ready())?;
        // Runs on the runtime's thread or here; h2 is safe in both.
        let (response, sender) = requests.send_request(request, end)?;
        let reply = Reply { coming: Some(response), receiving: None };
        Ok(Exchange { sending: Sending(sender), reply })
    }

    /// Whether the server offers WebSockets over streams. To be asked after a response.
    pub fn offers_extended_connect(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.code.lock().unwrap().is_some()
    }

    /// Waits until the connection has ended; the code of the GOAWAY that ended it with an error.
    pub fn ending(&self) -> Option<h2::Reason> {
        let code = self.ended.code.lock().unwrap();
        let (code, _) = self.ended.changed.wait_timeout_while(code, PATIENCE, |c| c.is_none()).unwrap();
        code.expect("the connection did not end")
    }
}

/// One request with its response. Both may be used at once, each in a thread.
#[derive(Debug)]
pub struct Exchange {
    /// The request's body.
    pub sending: Sending,
    /// The response.
    pub reply: Reply,
}

impl Exchange {
    /// The whole response, which must be complete.
    pub fn response(mut self) -> Response {
        self.try_response().unwrap_or_else(|cut| panic!("the response is cut: {cut:?}"))
    }

    /// Cancels it.
    pub fn cancel(mut self) {
        self.sending.reset(h2::Reason::CANCEL);
    }
}

impl Deref for Exchange {
    type Target = Reply;

    fn deref(&self) -> &Reply {
        &self.reply
    }
}

impl DerefMut for Exchange {
    fn deref_mut(&mut self) -> &mut Reply {
        &mut self.reply
    }
}

/// The response to a request.
#[derive(Debug)]
pub struct Reply {
    coming: Option<ResponseFuture>,
    receiving: Option<Receiving>,
}

impl Reply {
    /// Waits for an interim response.
    pub fn interim(&mut self) -> Response {
        let coming = self.coming.as_mut().expect("the final head was received");
        let interim = wait("an interim response", std::future::poll_fn(|cx| coming.poll_informational(cx)));
        response_of(&interim.expect("an interim response").unwrap())
    }

    /// Waits for the final head.
    ///
    /// # Errors
    /// The stream ended before.
    pub fn head(&mut self) -> Result<Response, Cut> {
        let coming = self.coming.take().expect("the final head was received");
        let (parts, body) = wait("a response", coming)?.into_parts();
        let ended = body.is_end_stream();
        self.receiving = Some(Receiving(body));
        let mut response = response_of(&http::Response::from_parts(parts, ()));
        response.framing = match response.head.framing() {
            Some(framing) => framing,
            None if ended => Framing::None,
            None => Framing::UntilClose,
        };
        Ok(response)
    }

    /// The response's body, once its head has come.
    pub fn body(&mut self) -> &mut Receiving {
        self.receiving.as_mut().expect("the head has come")
    }

    /// The whole response.
    ///
    /// # Errors
    /// What there is of it.
    pub fn try_response(&mut self) -> Result<Response, Cut> {
        let response = self.head()?;
        self.try_body(response)
    }

    /// The rest of a response whose head has come.
    ///
    /// # Errors
    /// What there is of it.
    pub fn try_body(&mut self, mut response: Response) -> Result<Response, Cut> {
        match self.body().rest(&mut response.body) {
            Ok(trailers) => {
                response.trailers = trailers;
                Ok(response)
            }
            Err(cut) => Err(Cut { partial: Some(Box::new(response)), ..cut }),
        }
    }
}

fn response_of(response: &http::Response<()>) -> Response {
    let line = format!("HTTP/2.0 {}", response.status().as_u16());
    Response::of(Head { line, fields: pairs(response.headers()) })
}
