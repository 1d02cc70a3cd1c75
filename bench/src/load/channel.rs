//! What carries the bytes of a connection: a socket, or TLS on one.

use super::{Fault, secure};
use crate::sys::sockets::{self, Moved};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A connected or connecting channel.
pub(crate) struct Channel {
    socket: OwnedFd,
    session: Option<Box<ClientConnection>>,
}

impl Channel {
    /// Begins to connect, with TLS if there is a configuration for it.
    pub(crate) fn open(target: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let socket = sockets::connect(target)?;
        sockets::reset_on_close(&socket)?;
        let session = tls.map(secure::session).transpose().map_err(io::Error::other)?;
        Ok(Self { socket, session: session.map(Box::new) })
    }

    /// The socket, to register it.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Whether a read that did not fill the buffer took all there was.
    pub(crate) fn short_read_drains(&self) -> bool {
        self.session.is_none()
    }

    /// How the handshake went; none without TLS.
    pub(crate) fn handshake(&self) -> Result<Option<HandshakeKind>, Fault> {
        let kind = self.session.as_deref().map(secure::handshake).transpose();
        kind.map_err(|error| Fault::Protocol(format!("{error:#}")))
    }

    /// Sends what fits. With TLS it is kept until the handshake is complete.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<Moved> {
        let Some(session) = &mut self.session else { return sockets::send(&self.socket, bytes) };
        let count = session.writer().write(bytes)?;
        self.flush()?;
        Ok(if count == 0 { Moved::Later } else { Moved::Bytes(count) })
    }

    /// Sends what TLS still holds, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        while session.wants_write() {
            match session.write_tls(&mut Raw(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what is there, up to the room in `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Moved> {
        if self.session.is_none() {
            return sockets::receive(&self.socket, buffer);
        }
        loop {
            if let Some(moved) = self.decrypted(buffer)? {
                return Ok(moved);
            }
            let Some(session) = &mut self.session else { return Ok(Moved::Later) };
            match session.read_tls(&mut Raw(&self.socket)) {
                Ok(0) => return Ok(Moved::End),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Moved::Later),
                Err(error) => return Err(error),
            }
            session.process_new_packets().map_err(io::Error::other)?;
            self.flush()?;
        }
    }

    /// Drops up to `buffer.len()` received bytes: inside the kernel, where nothing is to be decrypted.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<Moved> {
        if self.session.is_some() { self.receive(buffer) } else { sockets::discard(&self.socket, buffer) }
    }

    fn decrypted(&mut self, buffer: &mut [u8]) -> io::Result<Option<Moved>> {
        let Some(session) = &mut self.session else { return Ok(None) };
        match session.reader().read(buffer) {
            Ok(0) => Ok(Some(Moved::End)),
            Ok(count) => Ok(Some(Moved::Bytes(count))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            // Closed without a word: for HTTP with a length no more than a FIN.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(Moved::End)),
            Err(error) => Err(error),
        }
    }
}

/// The socket as rustls wants it.
struct Raw<'a>(&'a OwnedFd);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match sockets::receive(self.0, buffer)? {
            Moved::Bytes(count) => Ok(count),
            Moved::Later => Err(ErrorKind::WouldBlock.into()),
            Moved::End => Ok(0),
        }
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match sockets::send(self.0, bytes)? {
            Moved::Bytes(count) => Ok(count),
            Moved::Later | Moved::End => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
