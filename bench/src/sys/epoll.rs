//! A thin epoll: each descriptor is registered once, edge-triggered, for both directions.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const BATCH: usize = 512;

/// An epoll instance with room for one batch of events.
pub(crate) struct Epoll {
    descriptor: OwnedFd,
    events: Vec<Event>,
}

/// What happened to one registered descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The number that it was registered with.
    pub(crate) token: u64,
    /// The peer sent its last byte, or the connection is broken: a short read does not mean drained.
    pub(crate) closing: bool,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// There may be room to write.
    pub(crate) writable: bool,
}

impl Epoll {
    /// A new instance.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { descriptor: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(BATCH) })
    }

    /// Registers a socket, edge-triggered, under `token`. Closing its last descriptor ends that.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.descriptor, socket, EventData::new_u64(token), flags)?)
    }

    /// Registers a listening socket under `token`, level-triggered: one accept an event is enough then.
    pub(crate) fn add_listener(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.descriptor, socket, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits for the next batch and says how many events it has: none when the time is over.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        self.events.clear();
        match epoll::wait(&self.descriptor, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Event `index` of the batch that the last wait brought.
    pub(crate) fn ready(&self, index: usize) -> Ready {
        let Event { flags, data } = self.events[index];
        let broken = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let closing = flags.intersects(broken);
        Ready {
            token: data.u64(),
            closing,
            readable: closing || flags.contains(EventFlags::IN),
            writable: flags.contains(EventFlags::OUT),
        }
    }
}
