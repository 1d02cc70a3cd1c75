//! A blocking connection, with or without TLS on it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::Connection;

/// A connection that can be read by one thread and written by another.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    socket: Arc<TcpStream>,
    secured: Option<Arc<Secured>>,
}

#[derive(Debug)]
struct Secured {
    connection: Mutex<Connection>,
    /// Decrypted and not asked for yet. rustls itself keeps little.
    plain: Mutex<VecDeque<u8>>,
    /// Held from the moment when bytes are encrypted until they are sent, so that records leave in their order.
    sending: Mutex<()>,
}

impl Wire {
    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self { socket: Arc::new(socket), secured: None }
    }

    /// Puts TLS on a connection and brings the handshake to its end.
    pub(crate) fn secure(socket: TcpStream, connection: Connection) -> io::Result<Self> {
        let secured =
            Secured { connection: Mutex::new(connection), plain: Mutex::default(), sending: Mutex::new(()) };
        let wire = Self { socket: Arc::new(socket), secured: Some(Arc::new(secured)) };
        while wire.tls().is_some_and(|connection| connection.is_handshaking()) {
            wire.flush_tls()?;
            if !wire.tls().is_some_and(|connection| connection.is_handshaking()) {
                break;
            }
            if wire.receive_tls()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        wire.flush_tls()?;
        Ok(wire)
    }

    /// What is below, for what is no reading or writing.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The TLS on it.
    pub(crate) fn tls(&self) -> Option<MutexGuard<'_, Connection>> {
        let secured = self.secured.as_ref()?;
        Some(secured.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends what TLS has to say of itself.
    pub(crate) fn flush_tls(&self) -> io::Result<()> {
        let Some(secured) = &self.secured else { return Ok(()) };
        let _sending = secured.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        if let Some(mut connection) = self.tls() {
            while connection.wants_write() {
                connection.write_tls(&mut bytes)?;
            }
        }
        (&*self.socket).write_all(&bytes)
    }

    /// Tells the other side that nothing more comes (`close_notify`), where there is TLS.
    pub(crate) fn close_tls(&self) -> io::Result<()> {
        if let Some(mut connection) = self.tls() {
            connection.send_close_notify();
        }
        self.flush_tls()
    }

    /// Receives once and decrypts. The lock is not held while waiting, so that another thread can send.
    fn receive_tls(&self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let received = (&*self.socket).read(&mut buffer)?;
        let Some(mut connection) = self.tls() else { return Ok(received) };
        let mut bytes = &buffer[..received];
        if bytes.is_empty() {
            connection.read_tls(&mut bytes)?;
        }
        while !bytes.is_empty() {
            connection.read_tls(&mut bytes)?;
            if let Err(error) = connection.process_new_packets() {
                drop(connection);
                // The alert.
                let _ = self.flush_tls();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.keep_plain(&mut connection);
        }
        drop(connection);
        // An answer to a change of keys, for example.
        let _ = self.flush_tls();
        Ok(received)
    }
}

impl Wire {
    fn plain_bytes(&self) -> Option<MutexGuard<'_, VecDeque<u8>>> {
        Some(self.secured.as_ref()?.plain.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep_plain(&self, connection: &mut Connection) {
        let Some(mut plain) = self.plain_bytes() else { return };
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = connection.reader().read(&mut buffer) {
            plain.extend(&buffer[..read]);
        }
    }
}

impl Read for Wire {
    /// `UnexpectedEof` where TLS ends without saying so.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.secured.is_none() {
            return (&*self.socket).read(buffer);
        }
        loop {
            if let Some(mut plain) = self.plain_bytes()
                && !plain.is_empty()
            {
                return plain.read(buffer);
            }
            let read = self.tls().map_or(Ok(0), |mut connection| connection.reader().read(buffer));
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.receive_tls()?;
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.secured.is_none() {
            return (&*self.socket).write(bytes);
        }
        let taken = self.tls().map_or(Ok(0), |mut connection| connection.writer().write(bytes))?;
        self.flush_tls()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_tls()
    }
}
