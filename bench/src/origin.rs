//! The origin server: one thread, epoll, bodies of the size that the last path segment names, each
//! response one preformatted block. It answers requests without a body, which is all the load sends.

use crate::sys::epoll::{Epoll, Ready};
use crate::sys::sockets::{self, Moved};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

const LISTENER: u64 = u64::MAX;
/// Larger bodies are refused with a 404, so that a stray request cannot take all memory.
const LARGEST_BODY: usize = 64 << 20;
const LARGEST_HEAD: usize = 64 << 10;
const MOST_FIELDS: usize = 64;

/// Serves until the process is ended. Says `listening ADDRESS` on stdout first.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let listener = sockets::listen(address).with_context(|| format!("cannot listen on {address}"))?;
    announce(&listener)?;
    let mut origin =
        Origin { responses: HashMap::new(), connections: Vec::new(), scratch: vec![0; 64 << 10] };
    let mut epoll = Epoll::new()?;
    epoll.add_listener(&listener, LISTENER)?;
    loop {
        for index in 0..epoll.wait(None)? {
            let ready = epoll.ready(index);
            if ready.token == LISTENER {
                origin.accept(&listener, &epoll)?;
            } else {
                origin.advance(ready);
            }
        }
    }
}

/// Tells who started this program where it listens.
pub(crate) fn announce(listener: &OwnedFd) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening {}", sockets::local_address(listener)?)?;
    Ok(out.flush()?)
}

struct Origin {
    /// By body size.
    responses: HashMap<usize, Rc<[u8]>>,
    /// By descriptor: the kernel hands out the lowest free number, so this stays as long as the peak.
    connections: Vec<Option<Connection>>,
    scratch: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    /// The start of a head whose end has not arrived.
    partial: Vec<u8>,
    /// The rest of a response that did not fit, by offset.
    unsent: Option<(Rc<[u8]>, usize)>,
    close_after: bool,
}

impl Origin {
    fn accept(&mut self, listener: &OwnedFd, epoll: &Epoll) -> Result<()> {
        let Some(socket) = sockets::accept(listener)? else { return Ok(()) };
        let slot = socket.as_raw_fd() as usize;
        epoll.add(&socket, slot as u64)?;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        let connection = Connection { socket, partial: Vec::new(), unsent: None, close_after: false };
        self.connections[slot] = Some(connection);
        Ok(())
    }

    /// Takes the connection out, works on it, and puts it back if it lives on.
    fn advance(&mut self, ready: Ready) {
        let slot = ready.token as usize;
        let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) else { return };
        // A broken connection concerns its own client only, and that one will count the error.
        if self.exchange(&mut connection, ready).unwrap_or(false) {
            self.connections[slot] = Some(connection);
        }
    }

    /// Does all that can be done now; whether the connection lives on.
    fn exchange(&mut self, connection: &mut Connection, ready: Ready) -> io::Result<bool> {
        loop {
            if !connection.flush()? {
                return Ok(true);
            }
            if connection.close_after {
                return Ok(false);
            }
            if self.answer_next(connection)? {
                continue;
            }
            match sockets::receive(&connection.socket, &mut self.scratch)? {
                Moved::End => return Ok(false),
                Moved::Later => return Ok(true),
                Moved::Bytes(count) => {
                    connection.partial.extend_from_slice(&self.scratch[..count]);
                    if connection.partial.len() > LARGEST_HEAD {
                        return Ok(false);
                    }
                    let drained = count < self.scratch.len() && !ready.closing;
                    if !self.answer_next(connection)? && drained {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Answers the first whole request of what has arrived; whether there was one.
    fn answer_next(&mut self, connection: &mut Connection) -> io::Result<bool> {
        if connection.partial.is_empty() || connection.unsent.is_some() {
            return Ok(false);
        }
        let Some(request) = Request::parse(&connection.partial)? else { return Ok(false) };
        connection.partial.drain(..request.length);
        connection.close_after = request.close;
        let response = self.response(request.body_size);
        connection.unsent = Some((response, 0));
        connection.flush()?;
        Ok(true)
    }

    fn response(&mut self, body_size: Option<usize>) -> Rc<[u8]> {
        let Some(size) = body_size.filter(|size| *size <= LARGEST_BODY) else {
            return Rc::from(&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..]);
        };
        Rc::clone(self.responses.entry(size).or_insert_with(|| preformatted(size)))
    }
}

impl Connection {
    /// Sends the rest of the response; whether nothing is left.
    fn flush(&mut self) -> io::Result<bool> {
        while let Some((response, offset)) = &mut self.unsent {
            match sockets::send(&self.socket, &response[*offset..])? {
                Moved::Bytes(count) => *offset += count,
                Moved::Later | Moved::End => return Ok(false),
            }
            if *offset == response.len() {
                self.unsent = None;
            }
        }
        Ok(true)
    }
}

struct Request {
    /// Bytes of its head.
    length: usize,
    /// What the last path segment asks for, if it is a number.
    body_size: Option<usize>,
    close: bool,
}

impl Request {
    /// None while the head is not complete.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let path = request.path.unwrap_or("/");
        let segment = path.rsplit('/').next().unwrap_or("");
        let asks_to_close = |field: &httparse::Header<'_>| {
            field.name.eq_ignore_ascii_case("connection") && field.value.eq_ignore_ascii_case(b"close")
        };
        let close = request.version == Some(0) || request.headers.iter().any(asks_to_close);
        Ok(Some(Self { length, body_size: segment.parse().ok(), close }))
    }
}

fn preformatted(size: usize) -> Rc<[u8]> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {size}\r\n\
         Cache-Control: max-age=60\r\nETag: \"{size:016x}\"\r\n\r\n"
    )
    .into_bytes();
    response.extend((0..size).map(|index| b"0123456789abcdef"[index % 16]));
    Rc::from(response)
}

#[cfg(test)]
mod tests {
    use super::{Request, preformatted};

    #[test]
    fn the_last_segment_is_the_size_of_the_body() {
        let head = b"GET /r000042/128 HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\nGET";
        let request = Request::parse(head).expect("valid").expect("complete");
        assert_eq!((request.length, request.body_size, request.close), (head.len() - 3, Some(128), true));
        let missing = Request::parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("valid").expect("complete");
        assert_eq!((missing.body_size, missing.close), (None, false));
        assert!(Request::parse(&head[..40]).expect("valid so far").is_none());
        assert!(Request::parse(b"\0\0\0").is_err());
    }

    #[test]
    fn a_preformatted_response_ends_with_its_body() {
        let response = preformatted(20);
        assert!(response.ends_with(b"\r\n\r\n0123456789abcdef0123"));
    }
}
