//! Passing sockets from one process to another over a unix socket (`SCM_RIGHTS`), and the way to give a new
//! process such a socket: as its standard input, the one descriptor that can be inherited without naming numbers.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketType, recvmsg, sendmsg, sockopt,
};

/// Descriptors that travel with one byte. The kernel takes at most 253.
const BATCH: usize = 64;

/// Sends descriptors, in their order. They stay open here.
///
/// # Errors
///
/// Where the other side has gone or does not take them in the stream's write time-out.
pub fn send(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for batch in descriptors.chunks(BATCH) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(batch)) {
            return Err(io::Error::other("there is no room for the descriptors"));
        }
        let byte = [u8::try_from(batch.len()).unwrap_or(u8::MAX)];
        while let Err(error) = sendmsg(stream, &[IoSlice::new(&byte)], &mut control, SendFlags::NOSIGNAL) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Receives so many descriptors. None of them is passed on to programs that this process starts.
///
/// # Errors
///
/// Where the other side ends before it has sent them, or does not send them in the stream's read time-out.
pub fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut received = Vec::with_capacity(count.min(4096));
    while received.len() < count {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut room = [IoSliceMut::new(&mut byte)];
        let message = match recvmsg(stream, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            message => message?,
        };
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = received.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                received.extend(descriptors);
            }
        }
        if received.len() - before != usize::from(byte[0]) {
            // The kernel drops those that do not fit below the limit of open files.
            return Err(io::Error::other("not all descriptors came; is the limit of open files too low?"));
        }
    }
    Ok(received)
}

/// The unix socket that this process was given as its standard input, which is `/dev/null` from then on. `None`
/// if it is none.
///
/// # Errors
///
/// Where the system refuses to put `/dev/null` in its place.
pub fn take_standard_input() -> io::Result<Option<UnixStream>> {
    let input = io::stdin();
    let is_stream = sockopt::socket_domain(&input) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(&input) == Ok(SocketType::STREAM);
    if !is_stream {
        return Ok(None);
    }
    let stream = UnixStream::from(input.as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Some(stream))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::{BATCH, receive, send};

    #[test]
    fn sockets_arrive_in_their_order_and_are_the_same() {
        let (here, there) = UnixStream::pair().unwrap();
        let sockets: Vec<_> = (0..2 * BATCH + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        send(&here, &descriptors).unwrap();
        (&here).write_all(b"and text").unwrap();
        let received = receive(&there, sockets.len()).unwrap();
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let last = TcpStream::connect(addresses[addresses.len() - 1]).unwrap();
        drop(sockets);
        let received: Vec<TcpListener> = received.into_iter().map(Into::into).collect();
        let arrived: Vec<_> = received.iter().map(|socket| socket.local_addr().unwrap()).collect();
        assert_eq!(arrived, addresses);
        // What was queued before is still there.
        let (_, peer) = received[received.len() - 1].accept().unwrap();
        assert_eq!(peer, last.local_addr().unwrap());
        let mut text = [0; 8];
        (&there).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"and text");
    }

    #[test]
    fn an_end_before_all_have_come_is_an_error() {
        let (here, there) = UnixStream::pair().unwrap();
        there.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        send(&here, &[socket.as_fd()]).unwrap();
        drop(here);
        let ended = |count| receive(&there, count).map(drop).map_err(|error| error.kind());
        assert_eq!(ended(2), Err(std::io::ErrorKind::UnexpectedEof));
        assert_eq!(ended(1), Err(std::io::ErrorKind::UnexpectedEof));
    }
}
