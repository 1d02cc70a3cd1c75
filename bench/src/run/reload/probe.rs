//! Asks a server the same thing again and again, on one connection.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is longer.
const MOST: usize = 64 << 10;

/// A connection with a question.
pub(crate) struct Probe {
    stream: TcpStream,
    request: String,
}

impl Probe {
    /// Connects, to ask for `path`.
    pub(crate) fn connect(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n") })
    }

    /// The body of the answer, which must be a good one.
    pub(crate) fn ask(&mut self) -> Result<String> {
        self.stream.write_all(self.request.as_bytes())?;
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece)? {
                0 => bail!("the connection was closed while it was asked"),
                count => bytes.extend_from_slice(&piece[..count]),
            }
            ensure!(bytes.len() <= MOST, "an answer without an end");
            if let Some(body) = body(&bytes)? {
                return Ok(body);
            }
        }
    }
}

/// The body, once it is complete.
fn body(bytes: &[u8]) -> Result<Option<String>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    ensure!(response.code == Some(200), "it was answered with status {:?}", response.code);
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.context("a body without a length")?.value)?.parse()?;
    let body = head.checked_add(length).and_then(|end| bytes.get(head..end));
    Ok(body.map(|body| String::from_utf8_lossy(body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn a_body_is_taken_once_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n17";
        assert_eq!(body(&answer[..20]).expect("good so far"), None);
        assert_eq!(body(&answer[..answer.len() - 1]).expect("good so far"), None);
        assert_eq!(body(answer).expect("good").as_deref(), Some("17"));
        assert!(body(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
