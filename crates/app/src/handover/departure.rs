//! The old process of a hand-over: it starts the new one, offers it everything, and waits until that is ready.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tollgate_control::inherited::Passed;
use tollgate_runtime::{Clock, passing};

use super::program::Program;
use super::wire::{self, Offer, PROTOCOL, QuicNote, SocketNote, State, Word};
use crate::exit;

/// Tells a process that its standard input is the socket of a hand-over.
pub const VARIABLE: &str = "TOLLGATE_HANDOVER";

/// For a process that has closed its side to end, so that it can be told how.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const END_LOOK: Duration = Duration::from_millis(5);

/// A hand-over under way.
pub struct Departure {
    stream: UnixStream,
    given_up: Arc<AtomicBool>,
    arrived: oneshot::Receiver<Result<Arrived, Failure>>,
}

/// A new process that is ready.
#[derive(Debug)]
pub struct Arrived {
    child: Child,
    stream: UnixStream,
}

/// Why there is no new process.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started.
    Start(PathBuf, io::Error),
    /// It ended before it was ready.
    Ended(ExitStatus),
    /// It was not ready in time, and was killed.
    Late(Duration),
    /// It could not be talked to, and was killed.
    Talk(io::Error),
}

impl Failure {
    /// Whether the new process found the document wrong.
    pub fn is_document(&self) -> bool {
        matches!(self, Self::Ended(status) if status.code() == Some(exit::INVALID_DOCUMENT.into()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(path, error) => write!(f, "cannot start {}: {error}", path.display()),
            Self::Ended(_) if self.is_document() => {
                f.write_str("the new process finds the document wrong; what it found is in its log")
            }
            Self::Ended(status) => {
                write!(f, "the new process ended before it was ready ({status}); its log says more")
            }
            Self::Late(timeout) => {
                write!(f, "the new process was not ready in {}s, and was killed", timeout.as_secs_f64())
            }
            Self::Talk(error) => write!(f, "cannot talk to the new process, which was killed: {error}"),
        }
    }
}

impl Departure {
    /// Starts `program` and offers it these sockets and this state. `timeout` is for everything until it is ready.
    ///
    /// # Errors
    ///
    /// Where it cannot even be begun.
    pub fn begin(program: Program, passed: Vec<Passed>, state: State, timeout: Duration) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let stream = ours.try_clone()?;
        let given_up = Arc::new(AtomicBool::new(false));
        let attempt = Attempt { stream: ours, timeout, given_up: given_up.clone() };
        let (told, arrived) = oneshot::channel();
        // Nothing here waits on the control thread: the new process may take its time, or not answer at all.
        std::thread::Builder::new().name("hand-over".to_owned()).spawn(move || {
            let result = attempt.run(&program, theirs.into(), passed, state);
            // Who does not wait any more has given up, and another process would be one too many.
            if let Err(Ok(mut arrived)) = told.send(result) {
                end(&mut arrived.child);
            }
        })?;
        Ok(Self { stream, given_up, arrived })
    }

    /// Waits until the new process is ready.
    ///
    /// # Errors
    ///
    /// Where it does not come to that. It has ended by then.
    pub async fn arrived(&mut self) -> Result<Arrived, Failure> {
        let died = |_| Err(Failure::Talk(io::Error::other("the thread that does it has died")));
        (&mut self.arrived).await.unwrap_or_else(died)
    }

    /// Gives up, and waits until the new process has ended.
    pub async fn give_up(self) {
        self.given_up.store(true, Ordering::Relaxed);
        // The thread takes this for the end of the new process. If that has just said that it is ready, it ends when
        // the answer is dropped.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Ok(Ok(mut arrived)) = self.arrived.await {
            end(&mut arrived.child);
        }
    }
}

impl Arrived {
    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves everything to it. It has the sockets, and needs this process no more.
    pub fn leave(self) {
        // If it has ended meanwhile, that is for the service manager to see: the sockets here are on their way to
        // being closed.
        let _ = wire::write(&self.stream, &Word::Yours);
    }
}

/// What the thread does that hands over.
struct Attempt {
    stream: UnixStream,
    timeout: Duration,
    given_up: Arc<AtomicBool>,
}

impl Attempt {
    /// All of it.
    fn run(
        self,
        program: &Program,
        theirs: OwnedFd,
        passed: Vec<Passed>,
        state: State,
    ) -> Result<Arrived, Failure> {
        let deadline_ms = end_of(self.timeout);
        let mut child =
            start(program, theirs).map_err(|error| Failure::Start(program.path.clone(), error))?;
        match converse(&self.stream, passed, state, deadline_ms) {
            Ok(()) => Ok(Arrived { child, stream: self.stream }),
            Err(error) => Err(self.fail(&mut child, error)),
        }
    }

    /// What has become of a new process that is not ready. It has ended then.
    fn fail(&self, child: &mut Child, error: io::Error) -> Failure {
        let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        // It has closed its side, so most likely it is ending, and can tell how.
        let until_ms = end_of(END_TIMEOUT);
        while !late && !self.given_up.load(Ordering::Relaxed) && Clock::new().now_ms() < until_ms {
            match child.try_wait() {
                Ok(Some(status)) => return Failure::Ended(status),
                Ok(None) => std::thread::sleep(END_LOOK),
                Err(_) => break,
            }
        }
        end(child);
        if late { Failure::Late(self.timeout) } else { Failure::Talk(error) }
    }
}

/// What travels for a socket: itself, and the channels to the processes before the new one.
fn descriptors(passed: &Passed) -> impl Iterator<Item = BorrowedFd<'_>> {
    let channels = passed.quic.iter().flat_map(|quic| &quic.before).map(|before| before.channel.as_fd());
    std::iter::once(passed.socket.as_fd()).chain(channels)
}

/// Starts it. Its side of the pair is open nowhere else then, so that its end is heard.
fn start(program: &Program, theirs: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env(VARIABLE, "1").stdin(Stdio::from(theirs));
    // What a service manager has passed to this process it has passed to no other.
    command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS").env_remove("LISTEN_FDNAMES");
    command.spawn()
}

/// Offers everything, and waits for the word that it is taken.
fn converse(stream: &UnixStream, passed: Vec<Passed>, state: State, deadline_ms: u64) -> io::Result<()> {
    // A time-out of nothing would be none.
    let left = || Some(Duration::from_millis(deadline_ms.saturating_sub(Clock::new().now_ms()).max(1)));
    stream.set_write_timeout(left())?;
    let note = |passed: &Passed| SocketNote {
        wanted: passed.wanted,
        listener: passed.listener.clone(),
        quic: passed.quic.as_ref().map(|quic| QuicNote {
            key: quic.key.0,
            instances: quic.before.iter().map(|before| before.instance).collect(),
        }),
    };
    let sockets = passed.iter().map(note).collect();
    wire::write(stream, &Offer { protocol: PROTOCOL, pid: std::process::id(), sockets, state })?;
    let descriptors: Vec<_> = passed.iter().flat_map(descriptors).collect();
    passing::send(stream, &descriptors)?;
    // They are the new process's now.
    drop(passed);
    stream.set_read_timeout(left())?;
    match wire::read(stream)? {
        Word::Ready => Ok(()),
        Word::Yours => Err(io::Error::new(io::ErrorKind::InvalidData, "it says what it should be told")),
    }
}

/// When a span is over that begins now, by the clock.
fn end_of(span: Duration) -> u64 {
    Clock::new().now_ms().saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
#[path = "departure_tests.rs"]
mod tests;
