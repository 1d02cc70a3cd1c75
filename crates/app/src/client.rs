//! The way to the running instance: a small HTTP client that waits, over its unix socket or TCP.

mod lines;
mod place;
mod unreachable;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tollgate_admin::problem::Problem;

use place::{Place, Stream};
pub use unreachable::Unreachable;

/// For a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For a response, its body included.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a response may have.
const RESPONSE_MAX: usize = 256 << 20;

/// How a verb reaches the running instance.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// The unix socket of the running instance; else TOLLGATE_SOCKET, else the default place
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The admin address of the running instance instead, such as http://127.0.0.1:9901
    #[arg(long, value_name = "URL", env = "TOLLGATE_ADDRESS")]
    address: Option<String>,
    /// The token of its document (`admin.token`), with --address
    #[arg(long, value_name = "TOKEN", env = "TOLLGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Sends requests, each on a connection of its own.
pub struct Client {
    places: Vec<Place>,
    token: Option<String>,
    response_timeout: Duration,
    runtime: Runtime,
}

impl Reach {
    /// The client for it.
    pub fn client(&self) -> Result<Client> {
        let places = match (&self.socket, &self.address) {
            (Some(socket), _) => vec![Place::Socket(socket.clone())],
            (None, Some(address)) => vec![Place::parse(address)?],
            (None, None) => crate::admin::default_places().into_iter().map(Place::Socket).collect(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        Ok(Client { places, token: self.token.clone(), response_timeout: RESPONSE_TIMEOUT, runtime })
    }
}

impl Client {
    /// Waits so much longer for each response than it would.
    #[must_use]
    pub fn waiting_longer(mut self, by: Duration) -> Self {
        self.response_timeout = self.response_timeout.saturating_add(by);
        self
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(Method::GET, path, Bytes::new())
    }

    /// Has something done.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        let body = body.map_or(Ok(Vec::new()), serde_json::to_vec).context("cannot write the request")?;
        self.send(Method::POST, path, body.into())
    }

    /// Has something removed.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(Method::DELETE, path, Bytes::new())
    }

    /// Has something done that the instance may refuse for what was sent (422).
    pub fn post_or_refused<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Result<T, Problem>> {
        let body = body.map_or(Ok(Vec::new()), serde_json::to_vec).context("cannot write the request")?;
        let answer = self.ask(Method::POST, path, body.into())?;
        match answer {
            Err(problem) if problem.status != 422 => bail!("{}", problem.detail),
            answer => Ok(answer),
        }
    }

    fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T> {
        match self.ask(method, path, body)? {
            Ok(value) => Ok(value),
            Err(problem) => bail!("{}", problem.detail),
        }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Result<T, Problem>> {
        let (status, bytes) = self.runtime.block_on(self.exchange(method, path, body))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map(Ok)
                .context("the running instance answers something else than this version understands");
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Ok(Err(problem)),
            Err(_) => Err(problem(status, &bytes)),
        }
    }

    /// Asks for something that comes line by line, until its end or until `line` breaks.
    pub fn lines(&self, path: &str, mut line: impl FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        self.runtime.block_on(async {
            let (place, response) = self.respond(Method::GET, path, Bytes::new()).await?;
            if !response.status().is_success() {
                let (status, bytes) = collect(place, response).await?;
                return Err(problem(status, &bytes));
            }
            lines::read(response.into_body(), &place.to_string(), &mut line).await
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let (place, response) = self.respond(method, path, body).await?;
        collect(place, response).await
    }

    /// Sends a request and waits for the head of its response.
    async fn respond(&self, method: Method, path: &str, body: Bytes) -> Result<(&Place, Response<Incoming>)> {
        let (place, stream) = self.connect().await?;
        let broken = |problem: String| Unreachable::one(place.to_string(), problem);
        let mut request = Request::builder().method(method).uri(path).header(HOST, place.host());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).context("this is no token that can be sent")?;
        let whole = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the response, or with the runtime.
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        let answered = tokio::time::timeout(self.response_timeout, whole).await;
        let response: Response<Incoming> = answered
            .map_err(|_| broken(format!("it did not answer in {}s", self.response_timeout.as_secs())))?
            .map_err(|error| broken(format!("it was there, but did not answer: {error}")))?;
        Ok((place, response))
    }

    /// The first place where somebody listens.
    async fn connect(&self) -> Result<(&Place, Stream), Unreachable> {
        let mut unreachable = Unreachable::default();
        for place in &self.places {
            match tokio::time::timeout(CONNECT_TIMEOUT, place.connect()).await {
                Ok(Ok(stream)) => return Ok((place, stream)),
                Ok(Err(error)) => unreachable.add_io(place.to_string(), &error),
                Err(_) => {
                    let seconds = CONNECT_TIMEOUT.as_secs();
                    unreachable
                        .add(place.to_string(), format!("it did not take the connection in {seconds}s"));
                }
            }
        }
        Err(unreachable)
    }
}

/// What an answer other than success says.
fn problem(status: StatusCode, bytes: &[u8]) -> Error {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => anyhow!("{}", problem.detail),
        Err(_) => anyhow!("the running instance answers {status}"),
    }
}

/// A response with its whole body.
async fn collect(place: &Place, response: Response<Incoming>) -> Result<(StatusCode, Bytes)> {
    let broken = |problem: String| Unreachable::one(place.to_string(), problem);
    let status = response.status();
    let body = Limited::new(response.into_body(), RESPONSE_MAX).collect();
    let body = tokio::time::timeout(RESPONSE_TIMEOUT, body)
        .await
        .map_err(|_| broken("its answer did not come whole in time".to_owned()))?
        .map_err(|error| broken(format!("its answer broke off: {error}")))?;
    Ok((status, body.to_bytes()))
}

/// A path with a query of these pairs, each spelled so that it stays one.
pub fn path_with_query<'p>(path: &str, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut text = path.to_owned();
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        spell(&mut text, value);
    }
    text
}

/// A path of these parts, each spelled so that it stays one part.
pub fn path(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        spell(&mut path, part);
    }
    path
}

fn spell(text: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                text.push(byte.into());
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{path, path_with_query};

    #[test]
    fn values_of_a_query_stay_values() {
        assert_eq!(path_with_query("/a", []), "/a");
        assert_eq!(path_with_query("/a", [("b", "c d&e=f"), ("g", "")]), "/a?b=c%20d%26e%3Df&g=");
    }

    #[test]
    fn parts_of_a_path_stay_parts() {
        assert_eq!(path(&["api", "a/b?c", "[::1]:80", "é"]), "/api/a%2Fb%3Fc/%5B::1%5D:80/%C3%A9");
    }
}
