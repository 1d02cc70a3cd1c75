//! Posting to a collector over one connection, which is kept.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::queue::Collector;

/// Bytes of an answer that are read. It says next to nothing.
const ANSWER_MAX: usize = 64 * 1024;

/// What a collector answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// The message.
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum PostError {
    /// No connection could be opened.
    Connect(std::io::Error),
    /// The connection broke.
    Broken(String),
    /// It took too long.
    Timeout,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

/// Posts to one collector.
#[derive(Debug)]
pub(super) struct Poster {
    collector: Collector,
    timeout: Duration,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Poster {
    pub(super) fn new(collector: Collector, timeout: Duration) -> Self {
        Self { collector, timeout, connection: None }
    }

    /// Posts a body, in the time that is allowed. A connection that did not bring an answer is not used again.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<Answer, PostError> {
        let kept = self.connection.take().filter(|c| !c.sender.is_closed());
        let (collector, reused) = (&self.collector, kept.is_some());
        let posting = async {
            let connection = match kept {
                Some(connection) => connection,
                None => connect(collector).await?,
            };
            match exchange(collector, connection, body.clone()).await {
                // Perhaps it was closed just now, as an idle connection may be at any time.
                Err(_) if reused => exchange(collector, connect(collector).await?, body.clone()).await,
                done => done,
            }
        };
        let (answer, connection) =
            tokio::time::timeout(self.timeout, posting).await.unwrap_or(Err(PostError::Timeout))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

async fn connect(collector: &Collector) -> Result<Connection, PostError> {
    let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await;
    let stream = stream.map_err(PostError::Connect)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // How it ends shows where it is used.
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Connection { sender, task })
}

async fn exchange(
    collector: &Collector,
    mut connection: Connection,
    body: Bytes,
) -> Result<(Answer, Connection), PostError> {
    let authority = collector.to_string();
    let authority = authority.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut request = Request::post(&collector.path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/x-protobuf");
    for (name, value) in &collector.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).map_err(|error| PostError::Broken(error.to_string()))?;
    connection.sender.ready().await.map_err(broken)?;
    let response = connection.sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await;
    let body = body.map_err(|error| PostError::Broken(error.to_string()))?.to_bytes();
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let answer = Answer { status: head.status, retry_after: seconds.map(Duration::from_secs), body };
    Ok((answer, connection))
}

fn broken(error: hyper::Error) -> PostError {
    PostError::Broken(error.to_string())
}
