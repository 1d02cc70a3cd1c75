//! Two processes at one UDP port, while the old one finishes what it has begun.
//!
//! Both have the same sockets, and a packet comes to whichever reads it. So the old process stops reading when it
//! leaves; the new one knows packets of the old one's connections by the instance in their ids, and passes them on to
//! it over a channel that belongs to the socket. The channels to the processes before that one go with the sockets, so
//! that no process is needed for the connections of another. Replies need no detour.
//!
//! While this is not going on, it costs a load and a branch for each batch of packets.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Socket, Type};

use crate::relay_frame::{self, HEADER};
use crate::steering::{Instance, instance_of, is_short};

/// Bytes that a channel may hold of packets on their way; more are lost, as anywhere on the net.
const CHANNEL_BUFFER: usize = 1 << 20;

/// There are connections of a process before this one.
const HAS_BEFORE: u8 = 1;
/// Another process may be reading from the socket, too.
const OFFERED: u8 = 2;
/// Another process reads from the socket, and this one does not.
const LEFT: u8 = 4;

/// A process before this one at a socket, whose connections may still be open.
#[derive(Debug)]
pub struct Before {
    /// What stands in the ids of its connections.
    pub instance: Instance,
    /// The way to it.
    pub channel: OwnedFd,
}

/// What one socket has to do with the processes before and after this one. Cheap to clone; a clone is the same.
#[derive(Clone)]
pub struct Relay(Arc<Shared>);

struct Shared {
    own: Instance,
    mode: AtomicU8,
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    before: Vec<(Instance, UnixDatagram)>,
    /// Where the next process puts packets for this one.
    after: Option<UnixDatagram>,
    /// The same, once this one has left.
    left: Option<Arc<tokio::net::UnixDatagram>>,
}

impl Relay {
    /// Of a socket that takes packets for this instance.
    ///
    /// # Errors
    /// A channel is none.
    pub fn new(own: Instance, before: Vec<Before>) -> io::Result<Self> {
        let channel = |Before { instance, channel }| {
            let channel = UnixDatagram::from(channel);
            // Whoever does not take its packets must not keep this process from its own.
            channel.set_nonblocking(true)?;
            Ok((instance, channel))
        };
        let before: Vec<_> = before.into_iter().map(channel).collect::<io::Result<_>>()?;
        let mode = AtomicU8::new(if before.is_empty() { 0 } else { HAS_BEFORE });
        let ends = Mutex::new(Ends { before, ..Ends::default() });
        Ok(Self(Arc::new(Shared { own, mode, ends })))
    }

    /// Makes a way from the next process to this one, and adds those to the processes before that still serve. Until
    /// the next one serves, or [`Relay::stay`] is called, packets of connections that are not this process's own are
    /// left unanswered.
    ///
    /// # Errors
    /// There is no descriptor left for it.
    pub fn offer(&self) -> io::Result<Vec<Before>> {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        ours.set_nonblocking(true)?;
        // The sender's buffer counts.
        let _ = theirs.set_send_buffer_size(CHANNEL_BUFFER);
        let mut ends = self.ends();
        ends.before.retain(|(_, channel)| is_open(channel));
        let mut ways = vec![Before { instance: self.0.own, channel: theirs.into() }];
        for (instance, channel) in &ends.before {
            ways.push(Before { instance: *instance, channel: channel.try_clone()?.into() });
        }
        ends.after = Some(OwnedFd::from(ours).into());
        self.0.mode.fetch_or(OFFERED, Ordering::Relaxed);
        Ok(ways)
    }

    /// There will be no other process.
    pub fn stay(&self) {
        self.ends().after = None;
        self.0.mode.fetch_and(!OFFERED, Ordering::Relaxed);
    }

    /// The other process serves: packets for this one come from there only. To be called on the worker's runtime.
    pub(crate) fn leave(&self) {
        let mut ends = self.ends();
        let Some(after) = ends.after.take() else { return };
        if let Ok(after) = tokio::net::UnixDatagram::from_std(after) {
            ends.left = Some(Arc::new(after));
            self.0.mode.fetch_or(LEFT, Ordering::Relaxed);
        }
    }

    /// The socket as quinn is to see it.
    pub(crate) fn watch(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(Relayed { inner, relay: self.clone() }))
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those packets out of a batch that are not for this process.
    fn sift(&self, mode: u8, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) {
        let mut ends = self.ends();
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(packets) = buffer.get_mut(..meta.len) else { continue };
            // The kernel joins packets of one client's socket, which may have connections to several processes. All
            // but the last are of one length, and stay so.
            let (mut start, mut kept) = (0, 0);
            while start < packets.len() {
                let end = packets.len().min(start + meta.stride.max(1));
                if self.is_own(mode, &mut ends, &packets[start..end], meta) {
                    packets.copy_within(start..end, kept);
                    kept += end - start;
                }
                start = end;
            }
            meta.len = kept;
        }
    }

    /// Whether a packet is for this process; one for a process before is passed on.
    fn is_own(&self, mode: u8, ends: &mut Ends, packet: &[u8], meta: &RecvMeta) -> bool {
        match instance_of(packet) {
            None => true,
            Some(instance) if instance == self.0.own => true,
            Some(instance) => match ends.before.iter().position(|(before, _)| *before == instance) {
                Some(place) => !self.pass(ends, place, packet, meta),
                // Perhaps the next process's: a reset would end a connection that is well.
                None => mode & OFFERED == 0 || !is_short(packet),
            },
        }
    }

    /// Passes a packet on to a process before. False if that has no connection here any more: then this one answers it,
    /// which tells its client to connect again.
    fn pass(&self, ends: &mut Ends, place: usize, packet: &[u8], meta: &RecvMeta) -> bool {
        match ends.before[place].1.send(&relay_frame::write(packet, meta)) {
            Ok(_) => true,
            // It is too slow, and packets are lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(_) => {
                ends.before.swap_remove(place);
                if ends.before.is_empty() {
                    self.0.mode.fetch_and(!HAS_BEFORE, Ordering::Relaxed);
                }
                false
            }
        }
    }
}

/// Whether the other end of a channel is there. It never sends anything, so what is received is its end.
fn is_open(channel: &UnixDatagram) -> bool {
    let received = channel.recv(&mut [0]);
    received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relay in mode {}", self.0.mode.load(Ordering::Relaxed))
    }
}

/// A socket whose packets are sifted.
#[derive(Debug)]
struct Relayed {
    inner: Arc<dyn AsyncUdpSocket>,
    relay: Relay,
}

impl Relayed {
    /// What the next process has passed on.
    fn poll_passed(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let left = self.relay.ends().left.clone();
        let (Some(left), Some(buffer), Some(meta)) = (left, buffers.first_mut(), metas.first_mut()) else {
            return Poll::Pending;
        };
        let mut frame = vec![0; HEADER + buffer.len()];
        loop {
            ready!(left.poll_recv_ready(context))?;
            match left.try_recv(&mut frame) {
                // The next process has ended; nobody hears packets any more.
                Ok(0) => return Poll::Pending,
                Ok(length) => {
                    if relay_frame::read(&frame[..length], buffer, meta) {
                        return Poll::Ready(Ok(1));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Pending,
            }
        }
    }
}

impl AsyncUdpSocket for Relayed {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mode = self.relay.0.mode.load(Ordering::Relaxed);
        if mode == 0 {
            return self.inner.poll_recv(context, buffers, metas);
        }
        let count = match mode & LEFT {
            0 => ready!(self.inner.poll_recv(context, buffers, metas))?,
            _ => ready!(self.poll_passed(context, buffers, metas))?,
        };
        self.relay.sift(mode, buffers, &mut metas[..count]);
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
