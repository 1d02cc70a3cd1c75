//! One server, and a connection to it that is there or known not to be.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tollgate_runtime::{Clock, Random};

use super::connect::{Opened, Server, connect};
use super::settings::RedisSettings;
use super::unavailable::{Unavailable, UnavailableKind};

/// So many decisions in a row without an answer in time, and the connection is given up.
const TIMEOUTS_TO_TRIP: u32 = 3;
/// How long to wait before connecting again: at first, and at most. Half of it is left to chance.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// A server. Its connection is made, driven and made again by a task of its own, so a request never connects: it finds
/// a connection or is told at once that there is none.
#[derive(Debug)]
pub(super) struct Node {
    state: watch::Receiver<State>,
    timeouts: AtomicU32,
    tripped: Arc<Notify>,
    keeper: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum State {
    /// About to have one: worth waiting for, for as long as a decision may take.
    Connecting,
    Up(MultiplexedConnection),
    Down(Unavailable),
}

impl Node {
    pub(super) fn start(settings: Arc<RedisSettings>, server: Server, runtime: &Handle) -> Arc<Self> {
        let (sender, state) = watch::channel(State::Connecting);
        let tripped = Arc::new(Notify::new());
        let keeper = Keeper { settings, server, state: sender, tripped: Arc::clone(&tripped) };
        let keeper = runtime.spawn(keeper.run());
        Arc::new(Self { state, timeouts: AtomicU32::new(0), tripped, keeper })
    }

    /// Sends a command and awaits its answer. Not limited in time.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Result<Value, RedisError>, Unavailable> {
        let mut connection = self.connection().await?;
        Ok(self.judged(connection.send_packed_command(command).await))
    }

    /// Sends several commands at once, and awaits the answer to the last.
    pub(super) async fn call_last(
        &self,
        commands: &Pipeline,
    ) -> Result<Result<Value, RedisError>, Unavailable> {
        let mut connection = self.connection().await?;
        let before = commands.len().saturating_sub(1);
        let answers = connection.send_packed_commands(commands, before, 1).await;
        Ok(self.judged(answers.map(|mut answers| answers.pop().unwrap_or_default())))
    }

    /// Says that a decision got no answer in time.
    pub(super) fn timed_out(&self) {
        if self.timeouts.fetch_add(1, Relaxed) + 1 >= TIMEOUTS_TO_TRIP {
            self.trip();
        }
    }

    /// Gives the connection up: the server there cannot decide.
    pub(super) fn trip(&self) {
        // Nothing to give up if there is none: the permit would be for the next one.
        if matches!(*self.state.borrow(), State::Up(_)) {
            self.tripped.notify_one();
        }
    }

    /// Why there is no connection; `None` if there is one, or soon will be.
    pub(super) fn problem(&self) -> Option<Unavailable> {
        match &*self.state.borrow() {
            State::Down(problem) => Some(problem.clone()),
            _ => None,
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Unavailable> {
        let known = |state: &State| match state {
            State::Connecting => None,
            State::Up(connection) => Some(Ok(connection.clone())),
            State::Down(problem) => Some(Err(problem.clone())),
        };
        if let Some(known) = known(&self.state.borrow()) {
            return known;
        }
        let mut state = self.state.clone();
        let gone = |_| Unavailable::new(UnavailableKind::Unreachable, "the store was closed");
        let found = state.wait_for(|state| !matches!(state, State::Connecting)).await.map_err(gone)?;
        known(&found).unwrap_or_else(|| Err(Unavailable::timed_out()))
    }

    fn judged(&self, answer: Result<Value, RedisError>) -> Result<Value, RedisError> {
        if self.timeouts.load(Relaxed) != 0 {
            self.timeouts.store(0, Relaxed);
        }
        let answer = answer.and_then(Value::extract_error);
        // A master that was deposed will not become one by asking again.
        let deposed = |error: &RedisError| matches!(error.code(), Some("READONLY" | "MASTERDOWN"));
        if answer.as_ref().is_err_and(deposed) {
            self.trip();
        }
        answer
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// How a connection came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Broken,
    GivenUp,
}

impl Ended {
    fn problem(self) -> Unavailable {
        match self {
            Self::Broken => Unavailable::new(UnavailableKind::Unreachable, "the connection was closed"),
            Self::GivenUp => {
                Unavailable::new(UnavailableKind::TimedOut, "it did not decide, and was given up for now")
            }
        }
    }
}

struct Keeper {
    settings: Arc<RedisSettings>,
    server: Server,
    state: watch::Sender<State>,
    tripped: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let (mut random, clock) = (Random::from_machine(), Clock::new());
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect().await {
                Ok((connection, driver)) => {
                    let begun_ms = clock.now_ms();
                    self.state.send_replace(State::Up(connection));
                    let ended = tokio::select! {
                        () = driver => Ended::Broken,
                        () = self.tripped.notified() => Ended::GivenUp,
                    };
                    let lived = Duration::from_millis(clock.now_ms() - begun_ms);
                    if lived > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                        if ended == Ended::Broken {
                            // Most often the server was restarted, and another connection can be had at once.
                            self.state.send_replace(State::Connecting);
                            continue;
                        }
                    }
                    self.state.send_replace(State::Down(ended.problem()));
                }
                Err(problem) => drop(self.state.send_replace(State::Down(problem))),
            }
            let ms = pause.as_millis() as u64;
            sleep(Duration::from_millis(ms / 2 + random.next_u64() % (ms / 2 + 1))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects. Nobody is kept waiting for it longer than for an answer.
    async fn connect(&self) -> Result<Opened, Unavailable> {
        let attempt = timeout(CONNECT_PATIENCE, connect(&self.settings, &self.server));
        tokio::pin!(attempt);
        let opened = match timeout(self.settings.timeout, &mut attempt).await {
            Ok(opened) => opened,
            Err(_) => {
                self.state.send_if_modified(|state| {
                    let waited_for = matches!(state, State::Connecting);
                    if waited_for {
                        *state = State::Down(Unavailable::timed_out());
                    }
                    waited_for
                });
                attempt.await
            }
        };
        opened.unwrap_or_else(|_| {
            Err(Unavailable::new(UnavailableKind::TimedOut, "it does not answer a connection"))
        })
    }
}
