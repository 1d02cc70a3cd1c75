//! Two answers to one request, of which either may come first.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;

use super::super::client::Client;
use super::capture::Capture;
use crate::exchange::Exchange;
use crate::mirroring::comparer::{Captured, Job, Subject};
use crate::mirroring::{Compare, Mirror, MirrorSeries};
use crate::recorder::{self, Entry};
use crate::worker::Worker;

/// Two answers to one request. Whichever ends last hands both over.
#[derive(Debug)]
pub struct Pair {
    compare: Arc<Compare>,
    series: Arc<MirrorSeries>,
    subject: Subject,
    answers: RefCell<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    origin: Option<(Captured, Option<Entry>)>,
    mirror: Option<Result<Captured, Reason>>,
}

impl Pair {
    /// None of the answers has come.
    pub fn new(worker: &Worker, exchange: &Exchange, mirror: &Mirror, compare: &Arc<Compare>) -> Self {
        let upstreams = exchange.published.as_ref().map(|published| &published.snapshot.upstreams);
        let upstream = upstreams.and_then(|all| all.get(mirror.upstream as usize));
        let since = Duration::from_micros(exchange.since_start(worker.clock.now_us()));
        let subject = Subject {
            route: exchange.route().map_or_else(|| "".into(), |route| route.name.as_str().into()),
            upstream: upstream.map_or_else(|| "".into(), |upstream| upstream.name().clone()),
            request_id: exchange.notes.parts()[0].into(),
            began: worker.clock.wall().saturating_sub(since),
        };
        let (compare, series) = (compare.clone(), mirror.series.clone());
        Self { compare, series, subject, answers: RefCell::default() }
    }

    /// The copy has ended, for this reason.
    pub fn mirror_ended(&self, copied: &mut Exchange, reason: Reason) {
        let answer = match (reason, copied.response.mirroring.take_capture()) {
            (Reason::Forwarded, Some(capture)) => Ok(finished(capture, copied)),
            _ => Err(reason),
        };
        self.answers.borrow_mut().mirror = Some(answer);
        self.post_if_whole();
    }

    fn post_if_whole(&self) {
        let mut answers = self.answers.borrow_mut();
        let Answers { origin, mirror } = &mut *answers;
        if origin.is_none() || mirror.is_none() {
            return;
        }
        let (Some((origin, entry)), Some(mirror)) = (origin.take(), mirror.take()) else { return };
        let (compare, series) = (self.compare.clone(), self.series.clone());
        let job = Job { compare, series, subject: self.subject.clone(), origin, mirror, entry };
        self.compare.comparer.post(job);
    }
}

/// What was kept of a response that has ended.
fn finished(mut capture: Capture, exchange: &Exchange) -> Captured {
    // Those that are told beside the bytes.
    capture.trailers(&exchange.response.pending.trailers);
    capture.into_captured()
}

/// The exchange has ended. An answer that its client did not get whole is compared with nothing.
pub fn origin_ended(client: &Client, exchange: &mut Exchange) {
    let pairs = exchange.response.mirroring.take_pairs();
    let capture = exchange.response.mirroring.take_capture();
    let (Some(capture), Some(Reason::Forwarded)) = (capture, exchange.record.reason) else { return };
    let origin = finished(capture, exchange);
    for pair in pairs {
        let entry = recorder::entry_of(exchange, client);
        pair.answers.borrow_mut().origin = Some((origin.clone(), entry));
        pair.post_if_whole();
    }
}
