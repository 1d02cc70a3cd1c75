//! What a client of a load speaks.

use std::net::SocketAddr;

use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Client, Response};

use super::Planned;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1: a connection for one request at a time.
    One,
    /// HTTP/2, with prior knowledge.
    Two,
}

/// A client's connection.
pub enum Connection {
    One(Client),
    Two(Http2Client),
}

impl Connection {
    pub fn open(address: SocketAddr, version: Version) -> Self {
        match version {
            Version::One => Self::One(Client::connect(address)),
            Version::Two => Self::Two(Http2Client::connect(address)),
        }
    }

    /// The response to a request, or why there is no whole one; and whether the connection can be used for another.
    pub fn exchange(&mut self, request: &Planned) -> (Result<Response, String>, bool) {
        let result = match self {
            Self::One(client) => one(client, request),
            Self::Two(client) => two(client, request),
        };
        let goes_on = result.as_ref().is_ok_and(|response| response.get("connection") != Some("close"));
        (result, goes_on)
    }
}

fn one(client: &mut Client, request: &Planned) -> Result<Response, String> {
    let (method, path, body) = (request.method(), &request.path, request.body());
    let length = if request.post { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let bytes = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{length}\r\n{body}");
    client.try_send(bytes).map_err(|error| format!("not sent: {error}"))?;
    client.try_response().map_err(|broken| format!("{broken:?}"))
}

fn two(client: &Http2Client, request: &Planned) -> Result<Response, String> {
    let exchange = client.try_begin(request.method(), &request.path, &[], !request.post);
    let mut exchange = exchange.map_err(|cut| format!("not sent: {cut:?}"))?;
    if request.post {
        exchange.sending.send(request.body());
        exchange.sending.finish();
    }
    exchange.try_response().map_err(|cut| format!("{cut:?}"))
}
