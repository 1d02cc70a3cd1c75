//! The logs of a process: what is open, and how that changes while it runs.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::LogPlan;
use crate::log_writer::{Destination, LogSender, LogWriter};
use crate::tail::Tail;

/// The access logs of a process. Copies are the same logs.
#[derive(Clone, Debug, Default)]
pub struct AccessLogs(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lost: Arc<AtomicU64>,
    tail: Tail,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Arc<LogPlan>,
    outputs: Vec<Output>,
    /// Writers of logs that are no longer: they end when the workers have let go of them.
    ending: Vec<LogWriter>,
}

#[derive(Debug)]
struct Output {
    sender: LogSender,
    writer: LogWriter,
}

/// What a worker's sink is made from. Holds the writers open.
#[derive(Clone, Debug, Default)]
pub struct LogHandle {
    pub(super) plan: Arc<LogPlan>,
    /// One for each log of the plan.
    pub(super) senders: Vec<LogSender>,
    pub(super) tail: Tail,
}

/// Logs that are open and not in force yet.
#[derive(Debug)]
pub struct Opened {
    plan: Arc<LogPlan>,
    /// Those that were not open before.
    fresh: Vec<Output>,
}

/// A log could not be opened.
#[derive(Debug)]
pub struct OpenError {
    /// Which one.
    pub destination: Destination,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the access log {}: {}", self.destination, self.error)
    }
}

impl std::error::Error for OpenError {}

impl AccessLogs {
    /// Opens what a plan needs and is not open. Nothing changes until [`AccessLogs::adopt`].
    pub fn open(&self, plan: Arc<LogPlan>) -> Result<Opened, OpenError> {
        let state = self.state();
        let mut fresh: Vec<Output> = Vec::new();
        for log in plan.logs() {
            let destination = log.destination();
            let mut open = state.outputs.iter().chain(&fresh);
            if open.any(|output| output.writer.destination() == destination) {
                continue;
            }
            let (sender, writer) = LogWriter::start(destination, self.0.lost.clone())
                .map_err(|error| OpenError { destination: destination.clone(), error })?;
            fresh.push(Output { sender, writer });
        }
        Ok(Opened { plan, fresh })
    }

    /// Puts a plan in force. Logs that it does not have end once the workers have gone over to the handle.
    pub fn adopt(&self, opened: Opened) -> LogHandle {
        let mut state = self.state();
        let state = &mut *state;
        state.outputs.extend(opened.fresh);
        state.plan = opened.plan;
        let wanted = |output: &Output| {
            state.plan.logs().iter().any(|log| log.destination() == output.writer.destination())
        };
        let (kept, ended): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.outputs).into_iter().partition(wanted);
        state.outputs = kept;
        state.ending.retain(|writer| !writer.has_ended());
        state.ending.extend(ended.into_iter().map(|output| output.writer));
        self.handle_of(state)
    }

    /// What a worker's sink is made from.
    pub fn handle(&self) -> LogHandle {
        self.handle_of(&self.state())
    }

    /// Opens all files anew by their names, as after a rotation. Lines that are on their way go to the new
    /// files; none is lost. A file that cannot be opened stays the old one, which is said on standard error.
    pub fn reopen(&self) {
        for output in &self.state().outputs {
            output.sender.reopen();
        }
    }

    /// Lines lost so far, by all logs there ever were, because their destination did not take them.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Who watches exchanges as they end.
    pub fn tail(&self) -> &Tail {
        &self.0.tail
    }

    /// Ends live tails, and waits until all lines are written. All handles and sinks must be gone. A destination that takes
    /// nothing is given up after a few seconds.
    pub fn finish(&self) {
        self.0.tail.close();
        let State { outputs, ending, .. } = std::mem::take(&mut *self.state());
        let last = outputs.into_iter().map(|output| {
            drop(output.sender);
            output.writer
        });
        for writer in last.collect::<Vec<_>>().into_iter().chain(ending) {
            writer.finish();
        }
    }

    fn handle_of(&self, state: &State) -> LogHandle {
        let sender = |destination: &Destination| {
            let mut outputs = state.outputs.iter();
            outputs.find(|output| output.writer.destination() == destination).map(|o| o.sender.clone())
        };
        let senders = state.plan.logs().iter().filter_map(|log| sender(log.destination()));
        LogHandle { plan: state.plan.clone(), senders: senders.collect(), tail: self.0.tail.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::entry;
    use super::super::{Captured, Format, LogRules, LogSink};
    use super::*;

    fn plan(logs: &[(&std::path::Path, Format)]) -> Arc<LogPlan> {
        let rules = |(path, format): &(&std::path::Path, Format)| {
            LogRules::new(Destination::File(path.to_path_buf()), format.clone())
        };
        Arc::new(LogPlan::new(logs.iter().map(rules).collect()))
    }

    #[test]
    fn destinations_and_formats_change_while_lines_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (&*folder.path().join("a"), &*folder.path().join("b"));
        let logs = AccessLogs::default();
        let captured = Captured::default();
        let mut sink = LogSink::new(logs.handle());
        assert!(!sink.is_wanted());
        for (plan, lines) in [
            (plan(&[(a, Format::Common)]), 10),
            (plan(&[(a, Format::Json), (b, Format::Common)]), 20),
            (plan(&[(b, Format::Json), (b, Format::Common)]), 30),
        ] {
            sink.replace(logs.adopt(logs.open(plan).unwrap()));
            assert!(sink.is_wanted());
            for _ in 0..lines {
                sink.write(&entry(&captured));
            }
        }
        let wrong = plan(&[(a, Format::Json), (&folder.path().join("no/such"), Format::Json)]);
        assert!(logs.open(wrong).is_err_and(|error| error.to_string().contains("no/such")));
        drop(sink);
        logs.finish();
        let count = |path, json: bool| {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.ends_with('\n'));
            text.lines().filter(|line| line.starts_with('{') == json).count()
        };
        assert_eq!((count(a, false), count(a, true)), (10, 20));
        assert_eq!((count(b, false), count(b, true)), (50, 30));
        assert_eq!(logs.lost(), 0);
    }
}
