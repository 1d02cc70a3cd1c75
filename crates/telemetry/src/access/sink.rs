//! The logs as one worker writes them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::headers::HeaderSet;
use super::outputs::LogHandle;
use super::plan::LogPlan;
use super::text::{Moment, TimeCache};
use super::{Entry, json};
use crate::log_writer::LogSender;
use crate::tail::TailReader;

/// Lines are handed to the writer when their block has this many bytes, or when the sink is flushed.
const BLOCK: usize = 32 * 1024;

/// A worker's side of the access logs and of live tails.
#[derive(Debug)]
pub struct LogSink {
    plan: Arc<LogPlan>,
    headers: Rc<HeaderSet>,
    /// One for each log of the plan.
    outputs: Vec<Output>,
    tail: TailReader,
    /// The line for live tails, made once for all of them.
    line: Vec<u8>,
    time: TimeCache,
}

#[derive(Debug)]
struct Output {
    sender: LogSender,
    block: Vec<u8>,
    lines: u64,
}

impl LogSink {
    /// A sink for the logs that a process has now.
    pub fn new(handle: LogHandle) -> Self {
        let outputs = handle.senders.into_iter().map(|sender| Output { sender, block: Vec::new(), lines: 0 });
        Self {
            headers: Rc::new(handle.plan.headers().clone()),
            plan: handle.plan,
            outputs: outputs.collect(),
            tail: handle.tail.reader(),
            line: Vec::new(),
            time: TimeCache::default(),
        }
    }

    /// Goes over to other logs. What was written for the old ones is handed over first.
    pub fn replace(&mut self, handle: LogHandle) {
        self.flush();
        *self = Self::new(handle);
    }

    /// Whether anybody wants to hear of the exchanges that begin now. Without logs and tails this is all
    /// that an exchange costs.
    pub fn is_wanted(&self) -> bool {
        !self.outputs.is_empty() || self.tail.has_subscribers()
    }

    /// What is to be kept of an exchange's heads; `None` where nothing is.
    pub fn headers(&self) -> Option<&Rc<HeaderSet>> {
        (!self.headers.is_empty()).then_some(&self.headers)
    }

    /// The wall-clock time (since 1970) with its texts.
    pub fn moment(&mut self, wall: Duration) -> Moment {
        self.time.at(wall)
    }

    /// Tells everybody who wants to hear of this exchange.
    pub fn write(&mut self, entry: &Entry<'_>) {
        for (rules, output) in self.plan.logs().iter().zip(&mut self.outputs) {
            if !rules.wants(entry) {
                continue;
            }
            rules.write(&mut output.block, entry);
            output.lines += 1;
            if output.block.len() >= BLOCK {
                output.flush();
            }
        }
        let line = &mut self.line;
        self.tail.tell(entry, || {
            line.clear();
            json::write_json(line, entry);
            line
        });
    }

    /// Hands over what is written. To be called several times a second.
    pub fn flush(&mut self) {
        self.outputs.iter_mut().for_each(Output::flush);
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Output {
    fn flush(&mut self) {
        if !self.block.is_empty() {
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK + BLOCK / 8));
            self.sender.send(block, std::mem::take(&mut self.lines));
        }
    }
}
