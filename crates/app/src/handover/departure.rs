//! The old process of a hand-over: it starts the new one, offers it everything, and waits until that is ready.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tollgate_control::inherited::Passed;
use tollgate_runtime::passing;

use super::program::Program;
use super::wire::{self, Offer, PROTOCOL, SocketNote, State, Word};
use crate::exit;

/// Tells a process that its standard input is the socket of a hand-over.
pub const VARIABLE: &str = "TOLLGATE_HANDOVER";

/// For a process that has closed its side to end, so that it can be told how.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const END_LOOK: Duration = Duration::from_millis(5);

/// A hand-over under way. Dropping it gives up: the new process is killed.
pub struct Departure {
    stream: UnixStream,
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
        let (told, arrived) = oneshot::channel();
        // Nothing here waits on the control thread: the new process may take its time, or not answer at all.
        std::thread::Builder::new().name("hand-over".to_owned()).spawn(move || {
            let result = run(&program, ours, theirs.into(), passed, state, timeout);
            // Who does not wait any more has given up, and another process would be one too many.
            if let Err(Ok(mut arrived)) = told.send(result) {
                end(&mut arrived.child);
            }
        })?;
        Ok(Self { stream, arrived })
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
}

impl Drop for Departure {
    fn drop(&mut self) {
        // The thread takes this for the end of the new process, and sees to it that it is. Of one that has arrived
        // this is another descriptor of a conversation that is to go on.
        if !self.arrived.is_terminated() {
            let _ = self.stream.shutdown(Shutdown::Both);
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

/// All of it, on a thread of its own.
fn run(
    program: &Program,
    stream: UnixStream,
    theirs: OwnedFd,
    passed: Vec<Passed>,
    state: State,
    timeout: Duration,
) -> Result<Arrived, Failure> {
    let deadline = Instant::now() + timeout;
    let mut child = start(program, theirs).map_err(|error| Failure::Start(program.path.clone(), error))?;
    match converse(&stream, passed, state, deadline) {
        Ok(()) => Ok(Arrived { child, stream }),
        Err(error) => Err(fail(&mut child, error, timeout)),
    }
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
fn converse(stream: &UnixStream, passed: Vec<Passed>, state: State, deadline: Instant) -> io::Result<()> {
    // A time-out of nothing would be none.
    let left = || Some(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    stream.set_write_timeout(left())?;
    let note = |passed: &Passed| SocketNote {
        wanted: passed.wanted,
        listener: passed.listener.clone(),
        quic: passed.quic.as_ref().map(|key| key.0),
    };
    let sockets = passed.iter().map(note).collect();
    wire::write(stream, &Offer { protocol: PROTOCOL, pid: std::process::id(), sockets, state })?;
    let descriptors: Vec<_> = passed.iter().map(|passed| passed.socket.as_fd()).collect();
    passing::send(stream, &descriptors)?;
    // They are the new process's now.
    drop(passed);
    stream.set_read_timeout(left())?;
    match wire::read(stream)? {
        Word::Ready => Ok(()),
        Word::Yours => Err(io::Error::new(io::ErrorKind::InvalidData, "it says what it should be told")),
    }
}

/// What has become of a new process that is not ready. It has ended then.
fn fail(child: &mut Child, error: io::Error, timeout: Duration) -> Failure {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        end(child);
        return Failure::Late(timeout);
    }
    // It has closed its side, and most likely it is ending.
    let until = Instant::now() + END_TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Failure::Ended(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(END_LOOK),
            _ => {
                end(child);
                return Failure::Talk(error);
            }
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
#[path = "departure_tests.rs"]
mod tests;
