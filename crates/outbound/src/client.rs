//! The client.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tollgate_tls::Problem;

use crate::connect::{Dialer, Security};
use crate::error::Error;
use crate::message::{Request, Response};
use crate::pool::{Connection, Pool};
use crate::url::Url;

/// A connection is ready for the next call as soon as an answer is complete, unless the server answered before it
/// had the whole request. Waiting longer costs more than another connection.
const READY_WAIT: Duration = Duration::from_millis(50);

/// What a client may use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For name, connection and handshake together.
    pub connect_timeout: Duration,
    /// For a call from its beginning to the last byte of its answer, connecting included.
    pub timeout: Duration,
    /// Bytes of an answer's body.
    pub body_max: usize,
    /// Bytes of an answer's head; at least 8 KiB.
    pub head_max: usize,
    /// Connections that wait for the next call, for each place and in all.
    pub idle: (usize, usize),
    /// How long they wait. Servers commonly close after 5 s or more.
    pub idle_timeout: Duration,
    /// Calls under way at once; a further one fails.
    pub calls_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            body_max: 1024 * 1024,
            head_max: 32 * 1024,
            idle: (8, 64),
            idle_timeout: Duration::from_secs(30),
            calls_max: 256,
        }
    }
}

/// Calls HTTP servers. Copies share connections and bounds.
#[derive(Clone, Debug)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    dialer: Dialer,
    pool: Pool,
    calls: Arc<Semaphore>,
    runtime: Handle,
}

impl HttpClient {
    /// A client whose connections live on `runtime`, which must have drivers of time and I/O.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn new(settings: Settings, security: Security, runtime: Handle) -> Result<Self, Problem> {
        let dialer = Dialer::new(security, b"http/1.1", false, settings.connect_timeout, &runtime)?;
        let (per_place, in_all) = settings.idle;
        let pool = Pool::new(per_place, in_all, settings.idle_timeout, runtime.clone());
        let calls = Arc::new(Semaphore::new(settings.calls_max.min(Semaphore::MAX_PERMITS)));
        Ok(Self { shared: Arc::new(Shared { settings, dialer, pool, calls, runtime }) })
    }

    /// The runtime that its connections live on.
    pub fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    /// Makes a call. It may be awaited on any runtime; dropping the future ends the call.
    ///
    /// # Errors
    /// There is no complete answer. Statuses that tell of failures are answers.
    pub fn call(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send + 'static {
        let permit = self.shared.calls.clone().try_acquire_owned();
        let shared = self.shared.clone();
        async move {
            let permit = permit.map_err(|_| Error::Busy)?;
            let runtime = shared.runtime.clone();
            run_on(&runtime, async move {
                let _permit = permit;
                let after = request.timeout.unwrap_or(shared.settings.timeout);
                let calling = tokio::time::timeout(after, shared.follow(request));
                calling.await.unwrap_or(Err(Error::Timeout { what: "complete answer", after }))
            })
            .await
        }
    }
}

/// Runs a call where its connections live, for as long as somebody waits for it.
pub(crate) async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    struct AbortOnDrop(AbortHandle);
    impl Drop for AbortOnDrop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let task = runtime.spawn(call);
    let _guard = AbortOnDrop(task.abort_handle());
    task.await.unwrap_or(Err(Error::Stopped))
}

impl Shared {
    async fn follow(&self, mut request: Request) -> Result<Response, Error> {
        loop {
            let response = self.ask(&request).await?;
            let Some(next) = redirection(&request, &response)? else { return Ok(response) };
            if !next.same_origin(&request.url) {
                for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                    request.headers.remove(secret);
                }
            }
            request.redirects -= 1;
            request.url = next;
        }
    }

    async fn ask(&self, request: &Request) -> Result<Response, Error> {
        if let Some(connection) = self.pool.take(&request.url) {
            match self.exchange(connection, request).await {
                // The server closed it while it was idle, as it may at any time.
                Err(Failure { is_repeatable: true, .. }) => {}
                done => return done.map_err(|failure| failure.error),
            }
        }
        let connection = self.connect(&request.url).await?;
        self.exchange(connection, request).await.map_err(|failure| failure.error)
    }

    async fn connect(&self, url: &Url) -> Result<Connection, Error> {
        let stream = self.dialer.dial(url).await?;
        let handshake = http1::Builder::new()
            .max_buf_size(self.settings.head_max.max(8192))
            .max_header_size(self.settings.head_max)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await.map_err(|error| Error::broken(&error))?;
        // How it ends shows where it is used.
        let driver = self.runtime.spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Connection { sender, driver })
    }

    async fn exchange(&self, mut connection: Connection, request: &Request) -> Result<Response, Failure> {
        let not_sent = |error: &hyper::Error| Failure { error: Error::broken(error), is_repeatable: true };
        connection.sender.ready().await.map_err(|error| not_sent(&error))?;
        let wire = request.to_wire().map_err(|error| Failure::last(Error::protocol(error)))?;
        let response = connection.sender.try_send_request(wire).await.map_err(|mut unsent| {
            let was_sent = unsent.take_message().is_none();
            self.no_head(unsent.error(), was_sent, request)
        })?;
        let (head, body) = response.into_parts();
        if head.status.is_informational() {
            let why = format!("the server switched the protocol unasked ({})", head.status.as_u16());
            return Err(Failure::last(Error::protocol(why)));
        }
        let body = self.body(body, request).await.map_err(Failure::last)?;
        if matches!(tokio::time::timeout(READY_WAIT, connection.sender.ready()).await, Ok(Ok(()))) {
            self.pool.put(&request.url, connection);
        }
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// Why there is no head. A connection that ended without a word leaves open whether the request was worked on.
    fn no_head(&self, error: &hyper::Error, was_sent: bool, request: &Request) -> Failure {
        if error.is_parse_too_large() {
            return Failure::last(Error::TooLarge { what: "head", limit: self.settings.head_max });
        }
        let is_repeatable = !was_sent || (request.repeatable && !error.is_parse() && !error.is_user());
        Failure { error: Error::broken(error), is_repeatable }
    }

    async fn body(&self, body: hyper::body::Incoming, request: &Request) -> Result<Bytes, Error> {
        let limit = request.body_max.unwrap_or(self.settings.body_max);
        match Limited::new(body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { what: "body", limit }),
            Err(error) => Err(Error::broken(&*error)),
        }
    }
}

/// Why an exchange on a connection failed.
#[derive(Debug)]
struct Failure {
    error: Error,
    /// Whether the request may go out once more.
    is_repeatable: bool,
}

impl Failure {
    fn last(error: Error) -> Self {
        Self { error, is_repeatable: false }
    }
}

/// Where a response leads, if the request goes there.
fn redirection(request: &Request, response: &Response) -> Result<Option<Url>, Error> {
    let leads = matches!(
        response.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let follows = request.redirects > 0 && (request.method == Method::GET || request.method == Method::HEAD);
    let Some(location) = response.header(&LOCATION).filter(|_| leads && follows) else { return Ok(None) };
    let next = request.url.join(location);
    let next = next.map_err(|why| Error::protocol(format!("the redirection leads nowhere: {why}")))?;
    if next.scheme() < request.url.scheme() {
        return Err(Error::protocol("the redirection leads from TLS to the clear"));
    }
    Ok(Some(next))
}
