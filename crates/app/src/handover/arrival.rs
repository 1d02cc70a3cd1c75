//! The new process of a hand-over: what it is given, and when everything is its own.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;
use tollgate_control::inherited::{Before, Inherited, Passed, PassedQuic, SecretKey};
use tollgate_runtime::passing;
use tollgate_runtime::sockets::Passable;

use super::departure::VARIABLE;
use super::wire::{self, Offer, PROTOCOL, QuicNote, SocketNote, State, Word};
use crate::serving::note;

/// For what the old process has to say at once.
const OFFER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a process begins with that it did not make itself.
#[derive(Default)]
pub struct Arrival {
    /// The sockets of listeners.
    pub inherited: Inherited,
    /// Listening unix sockets: those of the admin API.
    pub unix: Vec<UnixListener>,
    /// What the process before knew; nothing where there was none.
    pub state: State,
    before: Option<Predecessor>,
}

/// The process before this one.
struct Predecessor {
    pid: u32,
    stream: UnixStream,
}

impl Arrival {
    /// What this process is given: by the one before it, by a service manager, or nothing. To be called before it
    /// opens anything.
    pub fn receive() -> Result<Self> {
        if std::env::var_os(VARIABLE).is_none() {
            let sockets =
                tollgate_runtime::activation::sockets().context("cannot take the sockets passed")?;
            let passed = sockets.into_iter().map(|socket| Passed {
                socket,
                wanted: None,
                listener: String::new(),
                quic: None,
            });
            return Self::sorted(passed.collect());
        }
        let stream = passing::take_standard_input().context("cannot take the hand-over")?;
        let Some(stream) = stream else {
            bail!("{VARIABLE} is set, but standard input is not the socket of a hand-over; unset it");
        };
        stream.set_read_timeout(Some(OFFER_TIMEOUT))?;
        let offer: Offer = wire::read(&stream).context("the old process does not say what it offers")?;
        if offer.protocol != PROTOCOL {
            bail!("the old process hands over by protocol {}, this one knows {PROTOCOL}", offer.protocol);
        }
        let count = offer.sockets.iter().map(SocketNote::descriptors).sum();
        let sockets = passing::receive(&stream, count).context("the sockets did not come")?;
        let mut sockets = sockets.into_iter();
        let passed = offer.sockets.into_iter().map_while(|note| passed(note, &mut sockets));
        let before = Some(Predecessor { pid: offer.pid, stream });
        Ok(Self { state: offer.state, before, ..Self::sorted(passed.collect())? })
    }

    fn sorted(passed: Vec<Passed>) -> Result<Self> {
        let (inherited, others) = Inherited::new(passed).context("cannot take the sockets passed")?;
        let mut unix = Vec::new();
        for other in others {
            match other {
                Passable::Unix(listener) => unix.push(listener),
                _ => note("a socket was passed that does not listen; it is closed"),
            }
        }
        Ok(Self { inherited, unix, ..Self::default() })
    }

    /// Says that all listeners accept. What is left of the sockets is closed. The receiver is told when the process
    /// before leaves everything to this one; at once where there was none.
    ///
    /// # Errors
    ///
    /// Where a thread to wait in cannot be started.
    pub fn ready(self) -> Result<oneshot::Receiver<()>> {
        let (told, yours) = oneshot::channel();
        for address in self.inherited.tcp_addresses().iter().chain(&self.inherited.udp_addresses()) {
            note(&format!("{address} was passed to this process, but no listener of the document wants it"));
        }
        let Some(Predecessor { pid, stream }) = self.before else {
            // Nobody waits yet.
            let _ = told.send(());
            return Ok(yours);
        };
        stream.set_read_timeout(None)?;
        let waiting = std::thread::Builder::new().name("hand-over".to_owned()).spawn(move || {
            let answer = wire::write(&stream, &Word::Ready).and_then(|()| wire::read::<Word>(&stream));
            match answer {
                Ok(_) => note(&format!("taken over from process {pid}")),
                // Where it has given this one up it kills it.
                Err(_) => {
                    note(&format!("process {pid} has ended in the middle of its hand-over; going on alone"))
                }
            }
            // The process may be ending already.
            let _ = told.send(());
        });
        waiting.context("cannot start a thread")?;
        Ok(yours)
    }
}

/// The socket of a note, with what comes for it.
fn passed(note: SocketNote, sockets: &mut impl Iterator<Item = OwnedFd>) -> Option<Passed> {
    let SocketNote { wanted, listener, quic } = note;
    let socket = sockets.next()?;
    let quic = match quic {
        None => None,
        Some(QuicNote { key, instances }) => {
            let mut way = |instance| Some(Before { instance, channel: sockets.next()? });
            let before = instances.into_iter().map(&mut way).collect::<Option<_>>()?;
            Some(PassedQuic { key: SecretKey(key), before })
        }
    };
    Some(Passed { socket, wanted, listener, quic })
}
