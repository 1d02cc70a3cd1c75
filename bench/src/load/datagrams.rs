//! A load of datagrams: a fixed number of sockets, each of which sends its next one once the reply has come
//! back, byte for byte.

use super::{Errors, Fault, Handshakes, Latency, Outcome, sample, usage};
use crate::histogram::Histogram;
use crate::sys::epoll::Epoll;
use anyhow::Result;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How often sockets are looked through for lost replies.
const SWEEP: Duration = Duration::from_millis(100);
/// From this many faults on, going on tells nothing more.
const TOO_MANY: u64 = 1_000;
/// The sequence number in front.
const NUMBER: usize = 8;

/// What to send where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The proxy, or an origin that echoes.
    pub(crate) target: SocketAddr,
    /// Bytes of each datagram, at least eight.
    pub(crate) size: usize,
    /// Sockets, each with an address of its own and one datagram under way.
    pub(crate) sockets: usize,
    /// Load before the measured window.
    pub(crate) warm_up: Duration,
    /// The measured window.
    pub(crate) window: Duration,
    /// A reply that takes longer is lost.
    pub(crate) patience: Duration,
    /// The process whose tree's CPU time and memory are sampled at the window's ends.
    pub(crate) account: Option<i32>,
}

/// Loads the target for the warm-up and the window, and reports on the window. Faults count from the start.
pub(crate) fn run(settings: &Settings) -> Result<Outcome> {
    let mut load = Load::open(settings)?;
    load.drive_until(Instant::now() + settings.warm_up)?;
    let before = sample(settings.account)?;
    let start = Instant::now();
    load.latencies = Histogram::new();
    load.drive_until(start + settings.window)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = sample(settings.account)?;
    Ok(Outcome {
        requests: load.latencies.total(),
        seconds,
        latency: Latency::of(&load.latencies),
        handshakes: Handshakes::default(),
        usage: usage(settings.account, before, after)?,
        errors: load.errors,
        held: None,
        timeline: None,
    })
}

struct Load {
    epoll: Epoll,
    senders: Vec<Sender>,
    latencies: Histogram,
    errors: Errors,
    patience: Duration,
    scratch: Vec<u8>,
}

/// One socket and the datagram that is under way.
struct Sender {
    socket: UdpSocket,
    payload: Vec<u8>,
    number: u64,
    since: Instant,
}

impl Load {
    fn open(settings: &Settings) -> Result<Self> {
        let epoll = Epoll::new()?;
        let mut senders = Vec::new();
        for slot in 0..settings.sockets {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(settings.target)?;
            socket.set_nonblocking(true)?;
            epoll.add(&socket, slot as u64)?;
            let payload = (0..settings.size).map(|index| b"0123456789abcdef"[index % 16]).collect();
            let mut sender = Sender { socket, payload, number: 0, since: Instant::now() };
            sender.send()?;
            senders.push(sender);
        }
        Ok(Self {
            epoll,
            senders,
            latencies: Histogram::new(),
            errors: Errors::default(),
            patience: settings.patience,
            scratch: vec![0; settings.size + 1],
        })
    }

    fn drive_until(&mut self, deadline: Instant) -> Result<()> {
        let mut sweep = Instant::now() + SWEEP;
        loop {
            let now = Instant::now();
            if now >= deadline || self.errors.total() >= TOO_MANY {
                return Ok(());
            }
            if now >= sweep {
                self.give_up_lost(now)?;
                sweep = now + SWEEP;
            }
            for index in 0..self.epoll.wait(Some((deadline - now).min(SWEEP)))? {
                let ready = self.epoll.ready(index);
                if ready.readable {
                    self.receive(ready.token as usize)?;
                }
            }
        }
    }

    fn receive(&mut self, slot: usize) -> Result<()> {
        let Some(sender) = self.senders.get_mut(slot) else { return Ok(()) };
        loop {
            match sender.socket.recv(&mut self.scratch) {
                Ok(count) => match sender.judge(&self.scratch[..count]) {
                    Ok(latency) => self.latencies.record(latency),
                    Err(fault) => self.errors.count(&fault),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => self.errors.count(&Fault::Closed(error.to_string())),
            }
            sender.send()?;
            if self.errors.total() >= TOO_MANY {
                return Ok(());
            }
        }
    }

    /// Counts replies that do not come any more, and sends again.
    fn give_up_lost(&mut self, now: Instant) -> Result<()> {
        for sender in &mut self.senders {
            if now.saturating_duration_since(sender.since) > self.patience {
                self.errors.count(&Fault::Late);
                sender.send()?;
            }
        }
        Ok(())
    }
}

impl Sender {
    /// Sends the next datagram.
    fn send(&mut self) -> io::Result<()> {
        self.number += 1;
        self.payload[..NUMBER].copy_from_slice(&self.number.to_be_bytes());
        self.since = Instant::now();
        match self.socket.send(&self.payload) {
            // A full queue, or a refusal that an earlier datagram met: the reply is missed and counted then.
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::ConnectionRefused].contains(&error.kind()) => {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    fn judge(&self, reply: &[u8]) -> Result<Duration, Fault> {
        if reply.len() != self.payload.len() {
            let (got, wanted) = (reply.len(), self.payload.len());
            return Err(Fault::Length(format!("{got} bytes instead of {wanted}")));
        }
        if reply != self.payload {
            return Err(Fault::Protocol("a reply with other bytes than the datagram".to_owned()));
        }
        Ok(self.since.elapsed())
    }
}

/// Whether one datagram comes back in time.
pub(crate) fn answers(target: SocketAddr, size: usize, patience: Duration) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(patience))?;
    let payload = vec![b'?'; size];
    socket.send(&payload)?;
    let mut reply = vec![0; size + 1];
    let count = socket.recv(&mut reply)?;
    Ok(reply[..count] == payload)
}
