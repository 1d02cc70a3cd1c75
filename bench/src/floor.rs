//! The floor: what a proxy on sockets cannot go below. Receive, send, receive, send on epoll; nothing is
//! parsed, and each client connection owns one connection to the origin.

use crate::origin::announce;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::sockets::{self, Moved};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

const LISTENER: u64 = u64::MAX;

/// Forwards until the process is ended. Says `listening ADDRESS` on stdout first.
pub(crate) fn serve(address: SocketAddr, origin: SocketAddr) -> Result<()> {
    let listener = sockets::listen(address).with_context(|| format!("cannot listen on {address}"))?;
    announce(&listener)?;
    let mut floor = Floor { ends: Vec::new(), scratch: vec![0; 64 << 10] };
    let mut epoll = Epoll::new()?;
    epoll.add_listener(&listener, LISTENER)?;
    loop {
        for index in 0..epoll.wait(None)? {
            let ready = epoll.ready(index);
            if ready.token == LISTENER {
                floor.accept(&listener, origin, &epoll)?;
            } else if ready.readable {
                floor.forward(ready);
            }
        }
    }
}

/// One end of a pair: its socket, and the slot of the other end.
struct End {
    socket: OwnedFd,
    other: usize,
}

struct Floor {
    /// By descriptor.
    ends: Vec<Option<End>>,
    scratch: Vec<u8>,
}

impl Floor {
    fn accept(&mut self, listener: &OwnedFd, origin: SocketAddr, epoll: &Epoll) -> Result<()> {
        let Some(client) = sockets::accept(listener)? else { return Ok(()) };
        let upstream = sockets::connect(origin)?;
        let (near, far) = (client.as_raw_fd() as usize, upstream.as_raw_fd() as usize);
        epoll.add(&client, near as u64)?;
        epoll.add(&upstream, far as u64)?;
        if self.ends.len() <= near.max(far) {
            self.ends.resize_with(near.max(far) + 1, || None);
        }
        self.ends[near] = Some(End { socket: client, other: far });
        self.ends[far] = Some(End { socket: upstream, other: near });
        Ok(())
    }

    /// Moves what has arrived at one end to the other. A pair with an end that is closed or broken is dropped.
    fn forward(&mut self, ready: Ready) {
        let slot = ready.token as usize;
        let Some(Some(from)) = self.ends.get(slot) else { return };
        let other = from.other;
        let Some(Some(to)) = self.ends.get(other) else { return };
        if !matches!(pump(&from.socket, &to.socket, &mut self.scratch, ready.closing), Ok(true)) {
            self.ends[slot] = None;
            self.ends[other] = None;
        }
    }
}

/// Whether the sending side lives on.
fn pump(from: &OwnedFd, to: &OwnedFd, scratch: &mut [u8], closing: bool) -> io::Result<bool> {
    loop {
        match sockets::receive(from, scratch)? {
            Moved::End => return Ok(false),
            Moved::Later => return Ok(true),
            Moved::Bytes(count) => {
                send_all(to, &scratch[..count])?;
                if count < scratch.len() && !closing {
                    return Ok(true);
                }
            }
        }
    }
}

/// Small messages always fit. Should one not, waiting for this socket alone is right here: the load and
/// the origin always read on, so nobody waits for anybody in a circle.
fn send_all(to: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sockets::send(to, bytes)? {
            Moved::Bytes(count) => bytes = &bytes[count..],
            Moved::Later | Moved::End => {
                poll(&mut [PollFd::new(to, PollFlags::OUT)], None)?;
            }
        }
    }
    Ok(())
}
