//! rustls' state machine for one connection, fed with what came in and asked for what must go out.
//!
//! The unbuffered interface of rustls is used: it keeps no buffers of its own, reads as much at once as the
//! caller received, and puts all records of one send side by side. The loop below is the only place that knows
//! its states.

use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, WriteTraffic};

use crate::wire::Outbox;

/// Either side's connection.
pub(super) enum Engine {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Where decrypted bytes go: into the caller's buffer, and what does not fit into the session's.
pub(super) struct Sink<'a> {
    pub(super) buf: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) rest: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) {
        // Once bytes wait in the rest, later ones must queue behind them.
        let room = if self.rest.is_empty() { self.buf.len() - self.filled } else { 0 };
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.buf[self.filled..self.filled + now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.rest.extend_from_slice(later);
    }
}

/// What is to be sent once all that came in is looked at.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    Close,
}

/// What stopped the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// More bytes from the peer are needed before anything else.
    Blocked,
    /// The connection carries traffic; the task, if there was one, is done.
    Traffic,
    /// The peer has closed its side in an orderly way. Told once.
    PeerClosed,
    /// Both sides are closed.
    Closed,
    /// The keys have been used as often as they may; nothing more can be sent.
    Exhausted,
}

/// What came of one state.
enum Step {
    /// Data was decrypted; there may be more to look at.
    Data,
    /// rustls is to be asked again.
    Again,
    Stop(Stop),
}

impl Engine {
    /// What both sides know of a connection.
    pub(super) fn common(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }

    /// Looks at all of `input`, appends what must go out to `out`, then does the task if traffic may flow.
    /// How many bytes of the input are done with (the others must be given again, with more behind them),
    /// and what stopped it.
    pub(super) fn run(
        &mut self,
        input: &mut [u8],
        sink: &mut Sink<'_>,
        task: Task<'_>,
        out: &mut Outbox,
    ) -> (usize, Result<Stop, rustls::Error>) {
        let mut used = 0;
        loop {
            let rest = &mut input[used..];
            let (discard, stop) = match self {
                Self::Server(connection) => {
                    let status = connection.process_tls_records(rest);
                    step(status.discard, status.state, sink, task, out)
                }
                Self::Client(connection) => {
                    let status = connection.process_tls_records(rest);
                    step(status.discard, status.state, sink, task, out)
                }
            };
            used += discard;
            match stop {
                // The common case: all that came in are records of data, and rustls has nothing to add. Anything
                // else that there is to know would be in bytes that are still to be looked at.
                Ok(Step::Data)
                    if used == input.len()
                        && matches!(task, Task::Nothing)
                        && !self.common().wants_write() =>
                {
                    return (used, Ok(Stop::Traffic));
                }
                Ok(Step::Data | Step::Again) => {}
                Ok(Step::Stop(stop)) => return (used, Ok(stop)),
                Err(error) => {
                    self.alerts(out);
                    return (used, Err(error));
                }
            }
        }
    }

    /// Appends the alerts that tell the peer of an error.
    fn alerts(&mut self, out: &mut Outbox) {
        // Asked before each step, since a step without anything to send would look at the input again.
        while self.common().wants_write() {
            let mut sink = Sink { buf: &mut [], filled: 0, rest: &mut Vec::new() };
            let (_, stop) = match self {
                Self::Server(connection) => {
                    let status = connection.process_tls_records(&mut []);
                    step(status.discard, status.state, &mut sink, Task::Nothing, out)
                }
                Self::Client(connection) => {
                    let status = connection.process_tls_records(&mut []);
                    step(status.discard, status.state, &mut sink, Task::Nothing, out)
                }
            };
            if !matches!(stop, Ok(Step::Again)) {
                return;
            }
        }
    }
}

/// Handles one state.
fn step<Data>(
    mut discard: usize,
    state: Result<ConnectionState<'_, '_, Data>, rustls::Error>,
    sink: &mut Sink<'_>,
    task: Task<'_>,
    out: &mut Outbox,
) -> (usize, Result<Step, rustls::Error>) {
    let state = match state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error)),
    };
    let stop = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        sink.take(record.payload);
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            Step::Data
        }
        // The peer may send early data only where it was told so, which no acceptor does.
        ConnectionState::ReadEarlyData(_) => {
            return (discard, Err(rustls::Error::General("early data was not asked for".into())));
        }
        ConnectionState::EncodeTlsData(mut data) => {
            encode(out, |space| match data.encode(space) {
                Ok(written) => Ok(written),
                Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
                Err(EncodeError::AlreadyEncoded) => Err(None),
            });
            Step::Again
        }
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Step::Again
        }
        ConnectionState::BlockedHandshake => Step::Stop(Stop::Blocked),
        ConnectionState::PeerClosed => Step::Stop(Stop::PeerClosed),
        ConnectionState::Closed => Step::Stop(Stop::Closed),
        ConnectionState::WriteTraffic(traffic) => Step::Stop(write(traffic, task, out)),
        _ => return (discard, Err(rustls::Error::General("a state that is not known".into()))),
    };
    (discard, Ok(stop))
}

/// Does the task, now that traffic may flow.
fn write<Data>(mut traffic: WriteTraffic<'_, Data>, task: Task<'_>, out: &mut Outbox) -> Stop {
    let space = |result| match result {
        Ok(written) => Ok(written),
        Err(EncryptError::InsufficientSize(size)) => Err(Some(size)),
        Err(EncryptError::EncryptExhausted) => Err(None),
    };
    let done = match task {
        Task::Nothing => true,
        Task::Encrypt(bytes) => encode(out, |out| space(traffic.encrypt(bytes, out))),
        Task::Close => encode(out, |out| space(traffic.queue_close_notify(out))),
    };
    if done { Stop::Traffic } else { Stop::Exhausted }
}

/// Appends what `write` makes, which says how much space it wants. False where it cannot make anything.
fn encode(
    out: &mut Outbox,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    loop {
        let space = out.space();
        let given = space.len();
        match write(space) {
            Ok(written) => {
                out.wrote(written);
                return true;
            }
            // The size asked for is always larger than the size given; if it ever is not, this must end.
            Err(Some(size)) if size.required_size > given => out.reserve(size.required_size),
            Err(_) => return false,
        }
    }
}
