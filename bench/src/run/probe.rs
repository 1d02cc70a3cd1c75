//! Whether a program that was just started answers yet: one request in the protocol that it is measured with.

use super::child::Child;
use super::plan::{Protocol, Shape};
use super::scenarios::udp::DATAGRAM;
use crate::identity::Identity;
use crate::load::{Tickets, datagrams, http3, secure};
use crate::{grpc, identity};
use anyhow::{Context, Result, bail, ensure};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to answer its first request. Very many routes take a moment.
const START: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(2);
/// A datagram to a port that nobody listens on yet may vanish.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(200);
const BETWEEN: Duration = Duration::from_millis(20);

/// What is asked of whom.
pub(crate) struct Probe<'a> {
    /// The load that comes.
    pub(crate) shape: Shape,
    /// Where the program listens.
    pub(crate) address: SocketAddr,
    /// What it presents.
    pub(crate) identity: &'a Identity,
    /// The request's path.
    pub(crate) path: &'a str,
    /// Lines of its head besides the necessary ones.
    pub(crate) lines: &'a str,
}

impl Probe<'_> {
    /// Asks until the answer is good.
    pub(crate) fn wait_for_answer(&self, child: &mut Child) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            child.ensure_running()?;
            let Err(problem) = self.ask() else { return Ok(()) };
            if Instant::now() > deadline {
                bail!("no good answer within {START:?}: {problem:#}; {}", child.complaints());
            }
            thread::sleep(BETWEEN);
        }
    }

    /// Fails unless a request without credentials is refused: a gate that lets everybody pass costs nothing.
    pub(crate) fn ensure_guarded(&self) -> Result<()> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        let status = status_line(stream, self.address, self.path, "")?;
        ensure!(status.starts_with("HTTP/1.1 401"), "it answered `{status}` to a stranger");
        Ok(())
    }

    /// Asks once.
    pub(crate) fn ask(&self) -> Result<()> {
        match self.shape.protocol() {
            Protocol::Http1 | Protocol::Tcp => {
                self.http1(TcpStream::connect_timeout(&self.address, PATIENCE)?)
            }
            Protocol::Tls => self.http1(self.tls("http/1.1")?),
            Protocol::Http2 => self.tls("h2").map(drop),
            Protocol::Grpc => grpc::call(self.address),
            Protocol::Udp => {
                let whole = datagrams::answers(self.address, DATAGRAM, DATAGRAM_PATIENCE)?;
                ensure!(whole, "the reply differs from the datagram");
                Ok(())
            }
            Protocol::Http3 => self.http3(),
        }
    }

    fn http1(&self, stream: impl Read + Write) -> Result<()> {
        let status = status_line(stream, self.address, self.path, self.lines)?;
        ensure!(status.starts_with("HTTP/1.1 200"), "it answered `{status}` to GET {}", self.path);
        Ok(())
    }

    /// A connection on which `protocol` was agreed.
    fn tls(&self, protocol: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        limit(&stream)?;
        let config = secure::client(&self.identity.certificate(), Tickets::Refused, &[protocol])?;
        let mut stream = StreamOwned::new(secure::session(&config)?, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let agreed = stream.conn.alpn_protocol();
        ensure!(agreed == Some(protocol.as_bytes()), "ALPN brought {agreed:?} instead of {protocol}");
        Ok(stream)
    }

    fn http3(&self) -> Result<()> {
        let outcome = http3::run(&http3::Settings {
            target: self.address,
            certificate: self.identity.certificate(),
            path: self.path.to_owned(),
            body: self.shape.body(),
            connections: 1,
            streams: 1,
            warm_up: Duration::ZERO,
            window: BETWEEN,
            patience: PATIENCE,
            account: None,
        })?;
        ensure!(outcome.requests > 0 && outcome.errors.total() == 0, "errors: {}", outcome.errors);
        Ok(())
    }
}

fn limit(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// The status line of the answer to one request.
fn status_line(
    mut stream: impl Read + Write,
    address: SocketAddr,
    path: &str,
    lines: &str,
) -> Result<String> {
    let host = format!("{}:{}", identity::NAME, address.port());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // TLS that ends without a word.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        other => drop(other.context("no answer")?),
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}
