//! Requests to the directory: HTTP/1.1 over TLS, one connection that is kept while there is something to ask.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tollgate_tls::Connector;

use crate::tls_stream::TlsStream;

/// Bytes of an answer that are read. The longest are chains of certificates.
const ANSWER_MAX: usize = 512 * 1024;

/// A client of one directory. Copies share their connection and their notes.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Arc<Connector>,
    timeout: Duration,
    kept: Mutex<Option<Connection>>,
    notes: Mutex<Notes>,
}

/// What went wrong since the notes were taken last. The types of instant-acme do not carry it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The last answer that was no success.
    pub(crate) status: Option<StatusCode>,
    /// What it said about when to come again.
    pub(crate) retry_after: Option<RetryAfter>,
    /// Why there was no answer.
    pub(crate) no_answer: Option<String>,
}

/// When to come again (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    In(Duration),
    /// Since 1970.
    At(Duration),
}

impl RetryAfter {
    fn parse(value: &HeaderValue) -> Option<Self> {
        let value = value.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Self::In(Duration::from_secs(seconds)));
        }
        let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
        Some(Self::At(Duration::from_secs(date.unix_timestamp().try_into().ok()?)))
    }

    pub(crate) fn from(self, now: Duration) -> Duration {
        match self {
            Self::In(wait) => wait,
            Self::At(time) => time.saturating_sub(now),
        }
    }
}

impl Client {
    pub(crate) fn new(tls: Arc<Connector>, timeout: Duration) -> Self {
        let (kept, notes) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { tls, timeout, kept, notes }) }
    }

    /// What went wrong since the last call.
    pub(crate) fn take_notes(&self) -> Notes {
        std::mem::take(&mut *self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let asking = tokio::time::timeout(shared.timeout, shared.ask(request));
            let answered = asking.await.unwrap_or(Err(NoAnswer::Timeout));
            shared.note(&answered);
            let (parts, body) =
                answered.map_err(|why| instant_acme::Error::Other(Box::new(why)))?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

impl Shared {
    fn note(&self, answered: &Result<Response<Bytes>, NoAnswer>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Ok(response) if response.status().is_client_error() || response.status().is_server_error() => {
                notes.status = Some(response.status());
                notes.retry_after = response.headers().get(RETRY_AFTER).and_then(RetryAfter::parse);
            }
            Ok(_) => {}
            Err(why) => notes.no_answer = Some(why.to_string()),
        }
    }

    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let to = Authority::of(&parts.uri)?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let build = || {
            let mut request = Request::builder().method(parts.method.clone()).uri(path);
            if let Some(headers) = request.headers_mut() {
                headers.clone_from(&parts.headers);
            }
            let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"), " instant-acme/0.8");
            let request = request.header(HOST, to.to_string());
            let mut request = request.body(Full::new(body.clone()))?;
            request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
            Ok::<_, hyper::http::Error>(request)
        };
        let build = || build().map_err(|error| NoAnswer::Address(error.to_string()));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.filter(|connection| connection.to == to && !connection.sender.is_closed());
        if let Some(connection) = kept {
            match self.exchange(connection, build()?).await {
                // It was closed while it was idle, as may be at any time: nothing came of the request.
                Err(error) if error.is_canceled() || parts.method != Method::POST => {}
                done => return done.map_err(NoAnswer::Broken),
            }
        }
        let connection = connect(&to, &self.tls).await?;
        self.exchange(connection, build()?).await.map_err(NoAnswer::Broken)
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, ExchangeError> {
        connection.sender.ready().await?;
        let response: Response<Incoming> = connection.sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(ExchangeError::Body)?.to_bytes();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(Response::from_parts(parts, body))
    }
}

/// Host and port of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// RFC 8555 section 6.1: everything goes by HTTPS.
    fn of(uri: &Uri) -> Result<Self, NoAnswer> {
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(host)) => {
                Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(443) })
            }
            _ => Err(NoAnswer::Address(format!("{uri} is not an https address"))),
        }
    }

    /// The host as sockets and certificates want it: addresses of IPv6 without brackets.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            443 => f.write_str(&self.host),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

#[derive(Debug)]
struct Connection {
    to: Authority,
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(to: &Authority, tls: &Connector) -> Result<Connection, NoAnswer> {
    let failed = |why: String| NoAnswer::Connect(to.to_string(), why);
    let tcp = TcpStream::connect((to.bare_host(), to.port)).await;
    let tcp = tcp.map_err(|error| failed(error.to_string()))?;
    let tls = TlsStream::connect(tcp, tls, to.bare_host()).await.map_err(failed)?;
    let (sender, driver) =
        http1::handshake(TokioIo::new(tls)).await.map_err(|error| NoAnswer::Broken(error.into()))?;
    // How it ends shows where it is used.
    let task = tokio::spawn(async move { drop(driver.await) }).abort_handle();
    Ok(Connection { to: to.clone(), sender, task })
}

/// Why a request has no answer.
#[derive(Debug)]
enum NoAnswer {
    Address(String),
    Connect(String, String),
    Broken(ExchangeError),
    Timeout,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => f.write_str(why),
            Self::Connect(to, error) => write!(f, "cannot connect to {to}: {error}"),
            Self::Broken(ExchangeError::Hyper(error)) => write!(f, "the connection broke: {error}"),
            Self::Broken(ExchangeError::Body(error)) => write!(f, "the answer broke: {error}"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for NoAnswer {}

#[derive(Debug)]
enum ExchangeError {
    Hyper(hyper::Error),
    Body(Box<dyn std::error::Error + Send + Sync>),
}

impl ExchangeError {
    /// Whether the request was not sent.
    fn is_canceled(&self) -> bool {
        matches!(self, Self::Hyper(error) if error.is_canceled())
    }
}

impl From<hyper::Error> for ExchangeError {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper(error)
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, RetryAfter};
    use std::time::Duration;

    #[test]
    fn waits_are_seconds_or_dates() {
        let parse = |text: &'static str| RetryAfter::parse(&hyper::header::HeaderValue::from_static(text));
        assert_eq!(parse("120"), Some(RetryAfter::In(Duration::from_secs(120))));
        let date = parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date, RetryAfter::At(Duration::from_secs(784_111_777)));
        assert_eq!(date.from(Duration::from_secs(784_111_700)), Duration::from_secs(77));
        assert_eq!(date.from(Duration::from_secs(784_111_800)), Duration::ZERO);
        assert_eq!(
            [parse("soon"), parse(""), parse("-1"), parse("Sun, 06 Nov 1924 08:49:37 GMT")],
            [None; 4]
        );
    }

    #[test]
    fn only_https_is_asked() {
        let of = |text: &str| Authority::of(&text.parse().unwrap()).map(|to| to.to_string()).ok();
        assert_eq!(of("https://ca.example/directory").as_deref(), Some("ca.example"));
        assert_eq!(of("https://[::1]:14000/a").as_deref(), Some("[::1]:14000"));
        assert_eq!([of("http://ca.example/directory"), of("/directory")], [None, None]);
    }
}
