//! An origin that follows a script, a thread a connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::PATIENCE;
use crate::client::find;
use crate::message::{Framing, Head, Request};
use crate::tls::TlsOrigin;
use crate::wire::Wire;

/// So much of what a connection received is kept for looking at.
const RECORD_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Records {
    /// What each connection received.
    received: Vec<Vec<u8>>,
    /// Complete requests, in the order in which they were complete.
    requests: Vec<Request>,
    /// How many connections have ended.
    ended: usize,
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Records>,
    changed: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        let result = change(&mut self.records.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn wait(&self, what: &str, until: impl Fn(&Records) -> bool) {
        let records = self.records.lock().unwrap();
        let (records, _) = self.changed.wait_timeout_while(records, PATIENCE, |r| !until(r)).unwrap();
        let (came, told) = (until(&records), format!("{records:?}"));
        drop(records);
        assert!(came, "the origin did not see {what} in {PATIENCE:?}: {told}");
    }
}

/// A server on a port of its own, for as long as this lives.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Origin {
    /// Runs `script` on each connection. The connection is closed when it returns.
    pub fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::listen(any_port(), Manner::default(), script)
    }

    /// The same at an address that is known before.
    pub fn start_at(address: SocketAddr, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::listen(address, Manner::default(), script)
    }

    /// The same with small buffers, so that little is on its way when the script does not read.
    pub fn start_narrow(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::listen(any_port(), Manner { buffer: Some(16 * 1024), tls: None }, script)
    }

    /// Runs `script` on what is inside each TLS connection. Those whose handshake fails are counted, too.
    pub fn start_secured(tls: &TlsOrigin, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::listen(any_port(), Manner { buffer: None, tls: Some(tls.clone()) }, script)
    }

    /// Answers each request with the bytes that `answer` returns, on connections that are kept open.
    pub fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |connection| {
            while let Some(request) = connection.request() {
                connection.send(answer(&request));
            }
        })
    }

    /// Answers each request with 200 and this body.
    pub fn saying(body: &str) -> Self {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self::answering(move |_| response.clone().into_bytes())
    }

    /// Answers each request with 200 and the request's body.
    pub fn echo() -> Self {
        Self::answering(|request| {
            let mut response =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).into_bytes();
            response.extend_from_slice(&request.body);
            response
        })
    }

    fn listen(
        address: SocketAddr,
        manner: Manner,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(size) = manner.buffer {
            socket.set_recv_buffer_size(size).unwrap();
            socket.set_send_buffer_size(size).unwrap();
        }
        // Connections of an earlier listener at this address may not have died down yet.
        socket.set_reuse_address(address.port() != 0).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (script, for_thread) = (Arc::new(script), shared.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let mut connection = Connection::new(stream, for_thread.clone());
                let (script, tls) = (script.clone(), manner.tls.clone());
                std::thread::spawn(move || {
                    if tls.is_none_or(|tls| connection.secure(&tls)) {
                        script(&mut connection);
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.records.lock().unwrap().received.len()
    }

    /// Everything that each connection received, its first mebibyte.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.shared.records.lock().unwrap().received.clone()
    }

    /// The requests that were read to their end by scripts that use [`Connection::request`].
    pub fn requests(&self) -> Vec<Request> {
        self.shared.records.lock().unwrap().requests.clone()
    }

    /// The only request.
    pub fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Waits until so many connections were accepted.
    pub fn wait_for_connections(&self, count: usize) {
        self.shared.wait("enough connections", |r| r.received.len() >= count);
    }

    /// Waits until so many connections have ended.
    pub fn wait_for_ended(&self, count: usize) {
        self.shared.wait("enough connections end", |r| r.ended >= count);
    }

    /// Waits until so many requests were complete.
    pub fn wait_for_requests(&self, count: usize) {
        self.shared.wait("enough requests", |r| r.requests.len() >= count);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if that fails it has ended already.
        let _ = TcpStream::connect(self.address);
    }
}

/// How an origin takes connections.
#[derive(Debug, Default)]
struct Manner {
    buffer: Option<usize>,
    tls: Option<TlsOrigin>,
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// One connection of an origin.
#[derive(Debug)]
pub struct Connection {
    stream: Wire,
    /// Ends with a reset.
    resets: bool,
    index: usize,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
}

impl Connection {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        // An idle connection of the pool must not end because the test takes long.
        stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let index = shared.change(|r| {
            r.received.push(Vec::new());
            r.received.len() - 1
        });
        let stream = Wire::plain(stream);
        Self { stream, resets: false, index, buffer: Vec::new(), shared }
    }

    /// Accepts TLS on it. False where that fails.
    fn secure(&mut self, tls: &TlsOrigin) -> bool {
        let Ok(socket) = self.stream.socket().try_clone() else { return false };
        let Ok(stream) = tls.accept(socket) else { return false };
        self.stream = stream;
        self.stream.socket().set_read_timeout(Some(4 * PATIENCE)).is_ok()
    }

    /// The name that the other side asked for in its TLS hello.
    pub fn server_name(&self) -> Option<String> {
        match &*self.stream.tls()? {
            rustls::Connection::Server(connection) => connection.server_name().map(str::to_owned),
            rustls::Connection::Client(_) => None,
        }
    }

    /// The certificate that the other side showed, as DER.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.stream.tls()?.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    /// Whether the other side resumed an earlier TLS session.
    pub fn is_resumed(&self) -> bool {
        let kind = self.stream.tls().and_then(|tls| tls.handshake_kind());
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    /// Changes the keys of TLS 1.3, of which the other side hears whenever it listens.
    pub fn change_keys(&mut self) {
        if let Some(mut tls) = self.stream.tls() {
            tls.refresh_traffic_keys().unwrap();
        }
        self.stream.flush_tls().unwrap();
    }

    /// Ends the connection without a word from TLS.
    pub fn cut_short(&mut self) {
        let _ = self.stream.socket().shutdown(Shutdown::Both);
    }

    /// Which connection this is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Reads a request with its body. `None` when the connection has ended before the end of one.
    pub fn request(&mut self) -> Option<Request> {
        let mut request = self.head()?;
        self.body_of(&mut request)?;
        self.shared.change(|r| r.requests.push(request.clone()));
        Some(request)
    }

    /// Reads the body and trailers of a request whose head was read. `None` when the connection has ended before.
    pub fn body_of(&mut self, request: &mut Request) -> Option<()> {
        match request.framing {
            Framing::Length(length) => request.body = self.bytes(usize::try_from(length).unwrap())?,
            Framing::Chunked => self.chunks(request)?,
            Framing::None | Framing::UntilClose => {}
        }
        Some(())
    }

    /// Receives some bytes of a body of this framing; empty at its end, `None` when the connection has ended before.
    /// What is left of a body of known length is noted in the framing.
    pub fn part_of(&mut self, framing: &mut Framing) -> Option<Vec<u8>> {
        let part = match framing {
            Framing::Length(0) | Framing::None | Framing::UntilClose => Vec::new(),
            Framing::Length(left) => {
                if self.buffer.is_empty() {
                    self.receive()?;
                }
                let count = self.buffer.len().min(usize::try_from(*left).unwrap());
                *left -= count as u64;
                self.buffer.drain(..count).collect()
            }
            Framing::Chunked => {
                let size = self.chunk_size()?;
                let part = self.bytes(usize::try_from(size).unwrap())?;
                // An empty line ends a chunk, and the trailers that are not there.
                assert_eq!(self.line()?, "");
                part
            }
        };
        if part.is_empty() {
            *framing = Framing::None;
        }
        Some(part)
    }

    /// Reads a request head.
    pub fn head(&mut self) -> Option<Request> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end]);
                self.buffer.drain(..end + 4);
                let framing = head.framing().unwrap_or(Framing::None);
                return Some(Request { head, body: Vec::new(), framing, trailers: Vec::new() });
            }
            self.receive()?;
        }
    }

    /// Reads so many bytes.
    pub fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.receive()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Reads and throws away so many bytes, keeping little in memory.
    pub fn skip(&mut self, length: u64) -> Option<()> {
        let held = self.buffer.len().min(length as usize);
        self.buffer.drain(..held);
        let mut missing = length - held as u64;
        let mut buffer = vec![0; 64 * 1024];
        while missing > 0 {
            let room = buffer.len().min(missing as usize);
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) | Err(_) => return None,
                Ok(read) => missing -= read as u64,
            }
        }
        Some(())
    }

    /// Reads the line with the size of the next chunk. `None` when the connection has ended.
    pub fn chunk_size(&mut self) -> Option<u64> {
        let line = self.line()?;
        Some(u64::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}")))
    }

    fn chunks(&mut self, request: &mut Request) -> Option<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
            if size == 0 {
                break;
            }
            request.body.extend(self.bytes(size)?);
            assert_eq!(self.line()?, "", "a chunk does not end where it should");
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            let (name, value) = line.split_once(':').unwrap();
            request.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Some(line);
            }
            self.receive()?;
        }
    }

    /// Reads until the other side closes or resets, and returns what was not read before.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive().is_some() {}
        std::mem::take(&mut self.buffer)
    }

    /// Sends bytes. That the other side has gone is no failure of the origin's.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends bytes one by one.
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Sends bytes, and tells whether all were taken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
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
                Err(_) => break,
            }
        }
        self.stream.socket().set_write_timeout(None).unwrap();
        sent
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.close_tls();
        let _ = self.stream.socket().shutdown(Shutdown::Write);
    }

    /// Makes the end of the script reset the connection instead of closing it.
    pub fn reset(&mut self) {
        self.resets = true;
    }

    /// Ends both directions, if no bytes are left unread; those make closing reset the connection.
    fn shut_down(&self) -> bool {
        let unread = || rustix::io::ioctl_fionread(self.stream.socket()).is_ok_and(|unread| unread > 0);
        // A connection that the other side has reset cannot be shut down, and has ended.
        !unread() && (self.stream.socket().shutdown(Shutdown::Both).is_err() || !unread())
    }

    /// Receives some bytes; `None` at the end of the connection.
    fn receive(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.buffer.extend_from_slice(&buffer[..read]);
                self.shared.change(|r| {
                    let record = &mut r.received[self.index];
                    let room = RECORD_MAX.saturating_sub(record.len()).min(read);
                    record.extend_from_slice(&buffer[..room]);
                });
                Some(())
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whoever hears that it has ended must find it so. Closing alone would not do: a process that is
        // being started by another test has a copy of the descriptor until it runs its program.
        if !self.resets {
            let _ = self.stream.close_tls();
        }
        if self.resets || !self.shut_down() {
            let _ = rustix::net::connect_unspec(self.stream.socket());
        }
        self.shared.change(|r| r.ended += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::process::Command;

    use super::Origin;
    use crate::run;

    /// A process that is being started has copies of all descriptors until it runs its program. A connection
    /// closed meanwhile would stay open.
    #[test]
    fn a_connection_that_has_ended_is_not_kept_open_by_processes_that_start() {
        let start = || (0..300).for_each(|_| drop(run(&mut Command::new("true"))));
        let starting = [std::thread::spawn(start), std::thread::spawn(start)];
        let origin = Origin::start(|_| {});
        for round in 1.. {
            let mut client = TcpStream::connect(origin.address()).unwrap();
            origin.wait_for_ended(round);
            client.set_nonblocking(true).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "round {round}");
            if starting.iter().all(|thread| thread.is_finished()) {
                return;
            }
        }
    }
}
