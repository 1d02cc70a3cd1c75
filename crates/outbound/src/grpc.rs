//! Unary calls of gRPC (its protocol over HTTP/2) over one shared connection.

mod connection;
mod exchange;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tollgate_tls::Problem;

use crate::client::run_on;
use crate::connect::{Dialer, Security};
use crate::error::Error;
use crate::url::Url;

use connection::Shared;

/// What a client may use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For name, connection and handshake together.
    pub connect_timeout: Duration,
    /// For a call from its beginning to its status, connecting included.
    pub timeout: Duration,
    /// Bytes of an answer's message.
    pub message_max: usize,
    /// Bytes of an answer's fields and trailers.
    pub head_max: u32,
    /// Calls under way at once; a further one fails.
    pub calls_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            message_max: 1024 * 1024,
            head_max: 32 * 1024,
            calls_max: 1024,
        }
    }
}

/// Why a call brought no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// There is no complete answer.
    Transport(Error),
    /// The service answered with a status that is not OK.
    Status {
        /// The code, as in `google.rpc.Code`.
        code: u32,
        /// What the service says about it.
        message: Box<str>,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Status { code, message } if message.is_empty() => {
                write!(f, "the service failed with code {code}")
            }
            Self::Status { code, message } => write!(f, "the service failed with code {code}: {message}"),
        }
    }
}

impl std::error::Error for CallError {}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Transport(error)
    }
}

/// Calls methods of services at one place. Copies share the connection.
#[derive(Clone, Debug)]
pub struct GrpcClient {
    shared: Arc<Shared>,
    calls: Arc<Semaphore>,
    runtime: Handle,
}

impl GrpcClient {
    /// A client of the services at a URL, of which only scheme, host and port are used. Its connection, which is made
    /// by the first call, lives on `runtime`, which must have drivers of time and I/O.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn new(url: Url, settings: Settings, security: Security, runtime: Handle) -> Result<Self, Problem> {
        let dialer = Dialer::new(security, b"h2", true, settings.connect_timeout, &runtime)?;
        let calls = Arc::new(Semaphore::new(settings.calls_max.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared::new(url, settings, dialer, runtime.clone()));
        Ok(Self { shared, calls, runtime })
    }

    /// Calls a method, named as in `/package.Service/Method`, that may be called twice: it is repeated once where the
    /// shared connection broke before an answer. May be awaited on any runtime; dropping the future ends the call.
    ///
    /// # Errors
    /// There is no answer, or one that tells of a failure.
    pub fn call<A: Message + Default + 'static>(
        &self,
        method: &'static str,
        question: &impl Message,
    ) -> impl Future<Output = Result<A, CallError>> + Send + 'static {
        let permit = self.calls.clone().try_acquire_owned();
        let (shared, runtime, framed) = (self.shared.clone(), self.runtime.clone(), frame(question));
        async move {
            let permit = permit.map_err(|_| Error::Busy)?;
            let answered = run_on(&runtime, async move {
                let _permit = permit;
                Ok(shared.call(method, framed).await)
            });
            let answer = answered.await??;
            A::decode(answer).map_err(|error| Error::protocol(format!("malformed message: {error}")).into())
        }
    }
}

/// A message as it goes over the wire: not compressed, its length, itself.
fn frame(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut framed = Vec::with_capacity(encoded.len() + 5);
    framed.push(0);
    // Nobody asks with more than 4 GiB; the service would find the frame malformed.
    framed.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&encoded);
    framed.into()
}
