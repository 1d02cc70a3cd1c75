//! Moving bytes between two sockets inside the kernel (splice(2)), through a pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags};

/// How many bytes a pipe should hold; the kernel may give less.
const PIPE_SIZE: usize = 512 * 1024;

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    capacity: usize,
}

impl Pipe {
    /// A new empty pipe.
    pub fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A larger pipe means fewer calls; where a user's quota forbids it the default does.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
        let capacity = rustix::pipe::fcntl_getpipe_size(&write).unwrap_or(64 * 1024);
        Ok(Self { read, write, held: 0, capacity })
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves at most `limit` bytes from a socket into the pipe. 0 means the peer closed its side.
    /// `WouldBlock` means that the socket has no bytes; callers drain the pipe before they fill it.
    pub fn fill(&mut self, from: impl AsFd, limit: u64) -> io::Result<usize> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(self.capacity);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = rustix::pipe::splice(from, None, &self.write, None, limit, flags)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves bytes from the pipe into a socket. Never says that more will follow: the kernel would hold
    /// the last packet back for it, up to a fifth of a second if the sender is slow.
    pub fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = rustix::pipe::splice(&self.read, None, to, None, self.held, flags)?;
        self.held -= moved;
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::Pipe;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (a, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_pass_unchanged_and_the_end_is_seen() {
        let ((mut sender, from), (to, mut receiver)) = (pair(), pair());
        sender.write_all(b"hello").unwrap();
        drop(sender);
        let mut pipe = Pipe::new().unwrap();
        assert_eq!(pipe.fill(&from, 3).unwrap(), 3);
        assert_eq!(pipe.fill(&from, 100).unwrap(), 2);
        assert_eq!(pipe.fill(&from, 100).unwrap(), 0);
        assert_eq!(pipe.drain(&to).unwrap(), 5);
        assert_eq!(pipe.held(), 0);
        drop(to);
        let mut text = String::new();
        receiver.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
