//! Receiving many datagrams with one system call.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::control::{self, Control, PacketAddress, Said};
use super::name::{self, Name};

/// Room for each: the largest datagram has 65,507 bytes over IPv4, joined ones together have less than this.
const SLOT: usize = 65_536;

/// What is wanted of each datagram besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Who sent it and where to: of a listening socket.
    Addresses,
    /// Whether the kernel joined several, on a connected socket.
    Joins,
    /// Nothing.
    Nothing,
}

/// Room for received datagrams, used again and again. Pages that no datagram was large enough to reach
/// take no memory.
pub struct Inbox {
    bytes: Box<[u8]>,
    arrived: Box<[Arrived]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

#[derive(Clone, Copy, Default)]
struct Arrived {
    length: usize,
    truncated: bool,
    said: Said,
    from: Option<SocketAddr>,
}

/// A received datagram, or several of one sender that the kernel joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its slot in the inbox.
    pub slot: usize,
    /// How many bytes it has.
    pub length: usize,
    /// The size of each of those that were joined, but for the last, which may be smaller; 0 where there is one.
    pub segment: u16,
    /// It did not fit, and the rest of it is lost.
    pub truncated: bool,
    /// Who sent it, where that was wanted.
    pub from: Option<SocketAddr>,
    /// Which address it was sent to, where that was wanted and the socket is bound to all.
    pub to: Option<PacketAddress>,
}

impl Datagram {
    /// How many datagrams it stands for.
    pub fn count(&self) -> u64 {
        match self.segment {
            0 => 1,
            size => self.length.div_ceil(usize::from(size)).max(1) as u64,
        }
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("slots", &self.slots()).finish()
    }
}

impl Inbox {
    /// Room for so many datagrams.
    pub fn new(slots: usize) -> Self {
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            bytes: vec![0; slots * SLOT].into_boxed_slice(),
            arrived: vec![Arrived::default(); slots].into_boxed_slice(),
            names: vec![Name::EMPTY; slots].into_boxed_slice(),
            controls: vec![Control::EMPTY; slots].into_boxed_slice(),
            vectors: vec![vector; slots].into_boxed_slice(),
            headers: vec![empty_header(); slots].into_boxed_slice(),
        }
    }

    /// How many datagrams it has room for.
    pub fn slots(&self) -> usize {
        self.arrived.len()
    }

    /// Takes what waits at a socket into these slots; how many it was. Fewer than there is room for means that
    /// no more waited. Never waits itself.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing waits; what the socket has to report, such as a refusal.
    #[expect(unsafe_code, reason = "no safe crate has recvmmsg")]
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
        wanted: Wanted,
    ) -> io::Result<usize> {
        let slots = slots.start.min(self.slots())..slots.end.min(self.slots());
        let (bytes, names) = (self.bytes.as_mut_ptr(), self.names.as_mut_ptr());
        let (controls, vectors) = (self.controls.as_mut_ptr(), self.vectors.as_mut_ptr());
        for slot in slots.clone() {
            let base = bytes.wrapping_add(slot * SLOT).cast();
            let vector = vectors.wrapping_add(slot);
            // SAFETY: `vectors` has an element for each slot, and `slot` is one.
            unsafe { vector.write(libc::iovec { iov_base: base, iov_len: SLOT }) };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            (header.msg_name, header.msg_namelen) = match wanted {
                Wanted::Addresses => (names.wrapping_add(slot).cast(), name::ROOM as _),
                Wanted::Joins | Wanted::Nothing => (ptr::null_mut(), 0),
            };
            (header.msg_control, header.msg_controllen) = match wanted {
                Wanted::Addresses | Wanted::Joins => (controls.wrapping_add(slot).cast(), control::ROOM as _),
                Wanted::Nothing => (ptr::null_mut(), 0),
            };
        }
        let headers = &mut self.headers[slots.clone()];
        // SAFETY: the descriptor is open as long as it is borrowed. `headers` are as many initialised headers as
        // the call is told. Each points to one vector, and to a name and control messages of exactly the room
        // that it gives, or to none; the vector points to SLOT bytes. All of these lie in boxes of `self`, which
        // is borrowed for the whole call, so that nothing else reads or writes them, each slot has its own, and
        // the kernel keeps none of the pointers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as _,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for slot in slots.take(count) {
            self.note(slot, wanted);
        }
        Ok(count)
    }

    fn note(&mut self, slot: usize, wanted: Wanted) {
        let libc::mmsghdr { msg_hdr, msg_len } = &self.headers[slot];
        let said = match wanted {
            Wanted::Nothing => Said::default(),
            _ => self.controls[slot].read(msg_hdr.msg_controllen),
        };
        let from = match wanted {
            Wanted::Addresses => self.names[slot].read(msg_hdr.msg_namelen as usize),
            _ => None,
        };
        let truncated = msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        self.arrived[slot] = Arrived { length: (*msg_len as usize).min(SLOT), truncated, said, from };
    }

    /// What was received last into a slot.
    pub fn datagram(&self, slot: usize) -> Datagram {
        let Arrived { length, truncated, said, from } = self.arrived[slot];
        // One datagram that was not joined with any may be marked with its own size.
        let segment = if usize::from(said.segment) < length { said.segment } else { 0 };
        Datagram { slot, length, segment, truncated, from, to: said.to }
    }

    /// The bytes that were received last into a slot.
    pub fn bytes(&self, slot: usize) -> &[u8] {
        let start = slot * SLOT;
        &self.bytes[start..start + self.arrived[slot].length]
    }
}

/// A header that points nowhere.
#[expect(unsafe_code, reason = "some platforms pad the struct, so it cannot be written out")]
pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: it consists of integers and raw pointers, for which all zeroes are a value.
    unsafe { std::mem::zeroed() }
}
