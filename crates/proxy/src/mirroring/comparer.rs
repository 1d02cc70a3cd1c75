//! Compares the answers of origins and mirrors, on a thread beside the workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tollgate_comparison::{Answer, compare};
use tollgate_decision::Reason;
use tollgate_runtime::process::in_background;

use super::board::{Board, Differing, Outcome};
use super::{Compare, Compared, MirrorSeries};
use crate::recorder::Entry;

/// How many pairs of answers may wait.
const JOBS: usize = 1024;
/// How many bytes they may have together.
const BYTES: usize = 32 * 1024 * 1024;

/// A response as it was kept.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// The status.
    pub status: u16,
    /// The head as the upstream sent it: status line and field lines.
    pub head: Vec<u8>,
    /// The field lines of the trailers.
    pub trailers: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The body was larger than is kept.
    pub too_large: bool,
}

impl Captured {
    fn bytes(&self) -> usize {
        self.head.len() + self.trailers.len() + self.body.len()
    }

    fn answer(&self) -> Answer<'_> {
        // The status line is no field, whatever its phrase.
        let line_end = self.head.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Answer {
            status: self.status,
            head: &self.head[line_end..],
            trailers: &self.trailers,
            body: (!self.too_large).then_some(&self.body[..]),
        }
    }
}

/// Whose answers are compared.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The route's name.
    pub route: Arc<str>,
    /// The mirror's upstream.
    pub upstream: Arc<str>,
    /// The request id.
    pub request_id: Box<[u8]>,
    /// When the exchange began, by the wall clock.
    pub began: Duration,
}

/// Two answers to compare.
#[derive(Debug)]
pub struct Job {
    /// How.
    pub compare: Arc<Compare>,
    /// Where it is counted.
    pub series: Arc<MirrorSeries>,
    /// Whose they are.
    pub subject: Subject,
    /// The answer that the client got, as the origin sent it.
    pub origin: Captured,
    /// The mirror's, or why there is none.
    pub mirror: Result<Captured, Reason>,
    /// What the flight recorder would keep of the exchange, while there is one.
    pub entry: Option<Entry>,
}

impl Job {
    fn bytes(&self) -> usize {
        self.origin.bytes() + self.mirror.as_ref().map_or(0, Captured::bytes)
    }
}

/// Compares answers. Its thread begins with the first pair, and ends with it.
#[derive(Debug, Default)]
pub struct Comparer {
    board: Arc<Board>,
    waiting: Arc<AtomicUsize>,
    jobs: OnceLock<Option<SyncSender<Job>>>,
}

impl Comparer {
    /// What the comparisons came to.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Takes two answers to be compared. Never waits: where there are too many already, they are dropped.
    pub fn post(&self, job: Job) {
        let (bytes, series) = (job.bytes(), job.series.clone());
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let jobs = self.jobs.get_or_init(|| self.start());
        let room = waiting.saturating_add(bytes) <= BYTES;
        let taken = room && jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if !taken {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            series.compared(Compared::Dropped);
        }
    }

    /// `None` where the machine gives no thread: then nothing is compared, which is counted.
    fn start(&self) -> Option<SyncSender<Job>> {
        let (sender, receiver) = sync_channel(JOBS);
        let (board, waiting) = (self.board.clone(), self.waiting.clone());
        in_background("compare", move || work(&receiver, &board, &waiting)).ok().map(|_| sender)
    }
}

fn work(jobs: &Receiver<Job>, board: &Board, waiting: &AtomicUsize) {
    while let Ok(job) = jobs.recv() {
        let bytes = job.bytes();
        finish(job, board);
        waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn finish(job: Job, board: &Board) {
    let Job { compare: how, series, subject, origin, mirror, entry } = job;
    let (result, outcome) = match mirror {
        Err(reason) => (Compared::Unanswered, Outcome::Unanswered(reason)),
        Ok(mirror) => {
            let mut comparison = compare(&how.rules, &origin.answer(), &mirror.answer());
            if !how.values {
                for difference in &mut comparison.differences {
                    let hidden = |value: &mut Option<String>| {
                        value.iter_mut().for_each(|value| "(hidden)".clone_into(value));
                    };
                    hidden(&mut difference.first);
                    hidden(&mut difference.second);
                }
            }
            (Compared::Verdict(comparison.verdict()), Outcome::Compared(comparison))
        }
    };
    series.compared(result);
    board.add(result, Differing { subject, outcome, entry: entry.map(Arc::new) });
}
