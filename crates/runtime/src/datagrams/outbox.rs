//! Sending many datagrams with one system call, from where they were received.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::control::{Control, PacketAddress};
use super::inbox::{Inbox, empty_header};
use super::name::Name;

/// A datagram to send, or several of one size but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where in the inbox its bytes are.
    pub slot: usize,
    /// The size of the datagrams that the bytes are cut into; 0 for one.
    pub segment: u16,
    /// Whom to; `None` on a connected socket.
    pub to: Option<SocketAddr>,
    /// The address to send from, where the socket is bound to all.
    pub from: Option<PacketAddress>,
}

/// Datagrams on their way out.
pub struct Outbox {
    waiting: Vec<Outgoing>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("waiting", &self.waiting).finish()
    }
}

impl Outbox {
    /// For at most so many at once.
    pub fn new(capacity: usize) -> Self {
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            waiting: Vec::with_capacity(capacity),
            names: vec![Name::EMPTY; capacity].into_boxed_slice(),
            controls: vec![Control::EMPTY; capacity].into_boxed_slice(),
            vectors: vec![vector; capacity].into_boxed_slice(),
            headers: vec![empty_header(); capacity].into_boxed_slice(),
        }
    }

    /// Adds one; whether there was room.
    pub fn push(&mut self, outgoing: Outgoing) -> bool {
        let fits = self.waiting.len() < self.headers.len();
        if fits {
            self.waiting.push(outgoing);
        }
        fits
    }

    /// What waits to be sent.
    pub fn waiting(&self) -> &[Outgoing] {
        &self.waiting
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Sends what waits, from this one on, as far as the socket takes it without waiting; how many that was.
    ///
    /// # Errors
    ///
    /// Why the first of them was not taken.
    pub fn send(&mut self, socket: BorrowedFd<'_>, inbox: &Inbox, from: usize) -> io::Result<usize> {
        let range = from.min(self.waiting.len())..self.waiting.len();
        let Some(first) = self.waiting.get(from).copied() else { return Ok(0) };
        match self.send_range(socket, inbox, range) {
            Err(error) if first.segment != 0 && is_about_segments(&error) => {
                self.send_cut(socket, inbox, first).map(|()| 1)
            }
            result => result,
        }
    }

    #[expect(unsafe_code, reason = "the safe sendmmsg wants its headers made anew for each call")]
    fn send_range(
        &mut self,
        socket: BorrowedFd<'_>,
        inbox: &Inbox,
        range: Range<usize>,
    ) -> io::Result<usize> {
        let (names, controls) = (self.names.as_mut_ptr(), self.controls.as_mut_ptr());
        let vectors = self.vectors.as_mut_ptr();
        for index in range.clone() {
            let outgoing = &self.waiting[index];
            let bytes = inbox.bytes(outgoing.slot);
            let header = &mut self.headers[index].msg_hdr;
            let (name, control, vector) =
                (names.wrapping_add(index), controls.wrapping_add(index), vectors.wrapping_add(index));
            // SAFETY: each box has an element for each index that `push` let in, and nothing else uses it.
            let (name_length, control_length) = unsafe {
                let iov_base = bytes.as_ptr().cast_mut().cast();
                vector.write(libc::iovec { iov_base, iov_len: bytes.len() });
                let control_length = (*control).write(outgoing.from, outgoing.segment);
                (outgoing.to.map_or(0, |to| (*name).write(to)), control_length)
            };
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = if name_length == 0 { ptr::null_mut() } else { name.cast() };
            header.msg_namelen = name_length as _;
            header.msg_control = if control_length == 0 { ptr::null_mut() } else { control.cast() };
            header.msg_controllen = control_length as _;
        }
        let headers = &mut self.headers[range];
        let flags = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _;
        // SAFETY: the descriptor is open as long as it is borrowed. `headers` are as many initialised headers as
        // the call is told. Each points to one vector, whose bytes are those of a slot of the inbox, which is
        // borrowed and only read; and to a name and control messages of the lengths that were written, in boxes
        // of `self`, which is borrowed for the whole call. The kernel keeps none of the pointers.
        let count =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as _, flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the datagrams of one that the kernel does not cut: it has none of the device's help for that, or
    /// they are too large for the way.
    fn send_cut(&mut self, socket: BorrowedFd<'_>, inbox: &Inbox, whole: Outgoing) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        for part in inbox.bytes(whole.slot).chunks(usize::from(whole.segment)) {
            let (mut name, mut control) = (Name::EMPTY, Control::EMPTY);
            let lengths = (whole.to.map_or(0, |to| name.write(to)), control.write(whole.from, 0));
            send_one(socket, part, (&mut name, &mut control), lengths, flags)?;
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "the control messages are bytes of our own")]
fn send_one(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    (name, control): (&mut Name, &mut Control),
    (name_length, control_length): (usize, usize),
    flags: SendFlags,
) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut header = empty_header().msg_hdr;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    if name_length > 0 {
        (header.msg_name, header.msg_namelen) = ((&raw mut name.0).cast(), name_length as _);
    }
    if control_length > 0 {
        (header.msg_control, header.msg_controllen) = ((&raw mut control.0).cast(), control_length as _);
    }
    // SAFETY: the descriptor is open as long as it is borrowed; the header points to one vector with bytes that
    // are only read, and to a name and control messages of the lengths that were written. All outlive the call,
    // which keeps none of the pointers.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags.bits() as i32) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether sending failed since the kernel was to cut it.
fn is_about_segments(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::IO | Errno::MSGSIZE | Errno::OPNOTSUPP))
}
