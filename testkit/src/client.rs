//! A client that says exactly what it is told, and tells exactly what it got.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::PATIENCE;
use crate::message::{Framing, Head, Response};
use crate::sockets;
use crate::wire::Wire;

/// How the other side ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closed in order, after these bytes.
    Closed(Vec<u8>),
    /// Reset, or with TLS on it closed without saying so, after these bytes.
    Reset(Vec<u8>),
}

impl Ending {
    /// The bytes that came before the end.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Closed(bytes) | Self::Reset(bytes) => bytes,
        }
    }
}

/// A response that was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What there is of it; `None` if not even the head was complete.
    pub partial: Option<Box<Response>>,
    /// Whether the connection was reset, or its TLS cut, rather than closed.
    pub reset: bool,
}

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: Wire,
    received: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// Connects from an address of this machine, such as 127.0.0.2.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::new(socket.into())
    }

    /// Connects with small buffers, so that little is on its way when nobody reads.
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::over(Wire::plain(stream))
    }

    pub(crate) fn over(stream: Wire) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.stream
    }

    /// The socket, of a connection that has no TLS yet.
    pub(crate) fn into_socket(self) -> TcpStream {
        assert!(self.stream.tls().is_none(), "there is TLS on it");
        self.stream.socket().try_clone().unwrap()
    }

    /// Reads what there is, or waits for it.
    pub(crate) fn try_read_one(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        self.stream.read(&mut buffer).map(|read| buffer[..read].to_vec())
    }

    /// The address that the program sees.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.socket().local_addr().unwrap()
    }

    /// A second handle, for a thread that sends while this one receives.
    pub fn try_clone(&self) -> Self {
        Self::over(self.stream.clone())
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes to a side that may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes one by one, each in a packet of its own, until the other side takes no more.
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            if self.stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }

    /// Sends bytes and reads the response.
    pub fn request(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.response()
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        self.stream.close_tls().unwrap();
        self.stream.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// The same to a side that may have gone already.
    pub fn try_finish_sending(&mut self) {
        let _ = self.stream.close_tls();
        let _ = self.stream.socket().shutdown(Shutdown::Write);
    }

    /// Ends TLS in order (`close_notify`), but leaves the connection below as it is.
    pub fn finish_tls(&mut self) {
        self.stream.close_tls().unwrap();
    }

    /// Ends the sending side of the connection below, without a word from TLS.
    pub fn cut_short(&mut self) {
        self.stream.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Resets the connection.
    pub fn reset(self) {
        SockRef::from(self.stream.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads a final response with its body; it must be complete.
    pub fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|broken| panic!("the response is cut: {broken:?}"))
    }

    /// Reads a response, which may be an interim one.
    pub fn any_response(&mut self) -> Response {
        let response = self.head();
        if response.status < 200 { response } else { self.try_body(response).unwrap() }
    }

    /// Reads the response to a HEAD request.
    pub fn response_to_head(&mut self) -> Response {
        self.head()
    }

    /// Reads a response head only.
    pub fn head(&mut self) -> Response {
        self.try_head().unwrap_or_else(|broken| panic!("no response head: {broken:?}"))
    }

    /// Reads a final response with its body, or as much as there is of it.
    pub fn try_response(&mut self) -> Result<Response, Broken> {
        loop {
            let response = self.try_head()?;
            if response.status >= 200 {
                return self.try_body(response);
            }
            assert_ne!(response.status, 101, "an upgrade nobody expected");
        }
    }

    fn try_head(&mut self) -> Result<Response, Broken> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                let head = Head::parse(&self.received[..end]);
                self.received.drain(..end + 4);
                return Ok(Response::of(head));
            }
            if let Some(reset) = self.receive() {
                return Err(Broken { partial: None, reset });
            }
        }
    }

    /// Reads the body behind a head that was read before, or as much as there is of it.
    pub fn try_body(&mut self, mut response: Response) -> Result<Response, Broken> {
        let no_body = matches!(response.status, 204 | 304);
        response.framing = match response.head.framing() {
            _ if no_body => Framing::None,
            None => Framing::UntilClose,
            Some(framing) => framing,
        };
        let ended = match response.framing {
            Framing::None => None,
            Framing::Length(length) => self.take_body(&mut response.body, length as usize),
            Framing::Chunked => self.chunks(&mut response),
            Framing::UntilClose => self.until_close(&mut response.body),
        };
        match ended {
            Some(reset) => Err(Broken { partial: Some(Box::new(response)), reset }),
            None => Ok(response),
        }
    }

    /// Moves so many bytes to `body`; tells whether the connection was reset if it ended before.
    fn take_body(&mut self, body: &mut Vec<u8>, mut length: usize) -> Option<bool> {
        loop {
            let take = length.min(self.received.len());
            body.extend(self.received.drain(..take));
            length -= take;
            if length == 0 {
                return None;
            }
            if let Some(reset) = self.receive() {
                return Some(reset);
            }
        }
    }

    fn chunks(&mut self, response: &mut Response) -> Option<bool> {
        loop {
            let size = match self.line() {
                Ok(line) => {
                    usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"))
                }
                Err(reset) => return Some(reset),
            };
            if size == 0 {
                break;
            }
            if let Some(reset) = self.take_body(&mut response.body, size) {
                return Some(reset);
            }
            match self.line() {
                Ok(line) => assert_eq!(line, "", "a chunk does not end where it should"),
                Err(reset) => return Some(reset),
            }
        }
        loop {
            match self.line() {
                Err(reset) => return Some(reset),
                Ok(line) if line.is_empty() => return None,
                Ok(line) => {
                    let (name, value) = line.split_once(':').unwrap();
                    response.trailers.push((name.to_owned(), value.trim().to_owned()));
                }
            }
        }
    }

    fn line(&mut self) -> Result<String, bool> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                self.received.drain(..end + 2);
                return Ok(line);
            }
            if let Some(reset) = self.receive() {
                return Err(reset);
            }
        }
    }

    fn until_close(&mut self, body: &mut Vec<u8>) -> Option<bool> {
        loop {
            body.append(&mut self.received);
            match self.receive() {
                None => {}
                Some(true) => return Some(true),
                Some(false) => return None,
            }
        }
    }

    /// Reads exactly so many bytes.
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ended = self.take_body(&mut bytes, length);
        assert!(ended.is_none(), "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Reads exactly so many bytes; `None` where the connection ends before.
    pub fn try_exact(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take_body(&mut bytes, length).is_none().then_some(bytes)
    }

    /// Reads and throws away body bytes, keeping little in memory; tells how many came until the end.
    pub fn drain(&mut self) -> u64 {
        let mut count = self.received.len() as u64;
        self.received = Vec::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return count,
                Ok(read) => count += read as u64,
                Err(error) => panic!("after {count} bytes: {error}"),
            }
        }
    }

    /// Reads and throws away so many bytes, keeping little in memory.
    pub fn skip(&mut self, length: u64) {
        let held = self.received.len().min(length as usize);
        self.received.drain(..held);
        let mut missing = length - held as u64;
        let mut buffer = vec![0; 64 * 1024];
        while missing > 0 {
            let room = buffer.len().min(missing as usize);
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => panic!("closed with {missing} bytes missing"),
                Ok(read) => missing -= read as u64,
                Err(error) => panic!("with {missing} bytes missing: {error}"),
            }
        }
    }

    /// Reads the line with the size of the next chunk. `None` when the connection has ended.
    pub fn chunk_size(&mut self) -> Option<u64> {
        let line = self.line().ok()?;
        Some(u64::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}")))
    }

    /// Waits for the end of the connection.
    pub fn ending(&mut self) -> Ending {
        loop {
            match self.receive() {
                None => {}
                Some(false) => return Ending::Closed(std::mem::take(&mut self.received)),
                Some(true) => return Ending::Reset(std::mem::take(&mut self.received)),
            }
        }
    }

    /// Asserts that the other side closes the connection without another byte. A reset is fine too: it
    /// is what closing with bytes unread does.
    pub fn assert_ended(&mut self) {
        let ending = self.ending();
        assert!(ending.bytes().is_empty(), "more came: {:?}", String::from_utf8_lossy(ending.bytes()));
    }

    /// Asserts that nothing comes for a while. For what must not happen; it can only miss faults.
    pub fn assert_silent(&mut self, how_long: Duration) {
        assert!(self.received.is_empty(), "came: {:?}", String::from_utf8_lossy(&self.received));
        self.stream.socket().set_read_timeout(Some(how_long)).unwrap();
        let read = self.stream.read(&mut [0; 64]);
        self.stream.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            other => panic!("expected silence, got {other:?}"),
        }
    }

    /// Sends as much as the other side takes until it has taken nothing for `pause`, at most `max` bytes;
    /// tells how much that was.
    pub fn send_until_stuck(&mut self, pause: Duration, max: u64) -> u64 {
        self.stream.socket().set_write_timeout(Some(pause)).unwrap();
        let block = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < max {
            match self.stream.write(&block[..block.len().min((max - sent) as usize)]) {
                Ok(count) => sent += count as u64,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break;
                }
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        }
        self.stream.socket().set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// Receives some bytes. `Some` when the connection has ended: whether it was reset.
    fn receive(&mut self) -> Option<bool> {
        let mut buffer = [0; 16 * 1024];
        let began = Instant::now();
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(false),
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                None
            }
            Err(error) if is_cut(&error) => Some(true),
            Err(error) => panic!(
                "nothing came for {:?} ({error}); waiting with {:?} on {}; open connections:\n{}",
                began.elapsed(),
                String::from_utf8_lossy(&self.received),
                self.local_address(),
                sockets::open_connections()
            ),
        }
    }
}

fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof)
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}
