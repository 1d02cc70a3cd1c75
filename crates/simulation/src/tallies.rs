//! What is counted while a simulation runs.

use tollgate_telemetry::histogram::Histogram;
use tollgate_upstream::breaker::Circuit;

use crate::request::End;

/// Counts of one part of the run. A request counts where it arrived, whenever it ended.
#[derive(Debug, Default)]
pub(crate) struct Span {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    pub(crate) arrived: u64,
    pub(crate) answered: u64,
    pub(crate) retries: u64,
    /// By how they ended; few.
    pub(crate) ends: Vec<(End, u64)>,
    /// Of those that were answered.
    pub(crate) latency: Histogram,
    /// How long those waited in the queue that did.
    pub(crate) waited: Histogram,
    pub(crate) endpoints: Vec<Share>,
    pub(crate) callers: Vec<Share>,
}

/// What one endpoint or one group of callers had of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// Attempts, or requests.
    pub(crate) count: u64,
    pub(crate) failed: u64,
    /// The time of all attempts together.
    pub(crate) busy_us: u64,
}

/// What stood at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at_us: u64,
    pub(crate) queued: u64,
    pub(crate) in_flight: u64,
    pub(crate) retries: u32,
    pub(crate) circuit: Option<Circuit>,
}

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) phases: Vec<Span>,
    pub(crate) intervals: Vec<Span>,
    pub(crate) interval_us: u64,
    pub(crate) endpoint_latency: Vec<Histogram>,
    pub(crate) caller_latency: Vec<Histogram>,
    pub(crate) samples: Vec<Sample>,
    /// Retries that the budget refused.
    pub(crate) retries_refused: u64,
}

/// At most so many intervals are told apart, whatever the duration.
const INTERVALS: u64 = 600;
/// And none shorter than a second.
const SHORTEST_US: u64 = 1_000_000;

impl Tallies {
    /// For so many endpoints and groups of callers, and phases that begin then.
    pub(crate) fn new(duration_us: u64, begins: &[u64], endpoints: usize, callers: usize) -> Self {
        let span = |from_us, to_us| Span {
            from_us,
            to_us,
            endpoints: vec![Share::default(); endpoints],
            callers: vec![Share::default(); callers],
            ..Span::default()
        };
        let whole_seconds = duration_us.div_ceil(INTERVALS).div_ceil(SHORTEST_US);
        let interval_us = whole_seconds.max(1) * SHORTEST_US;
        let intervals = (0..duration_us.div_ceil(interval_us))
            .map(|number| span(number * interval_us, ((number + 1) * interval_us).min(duration_us)));
        let ends = begins.iter().skip(1).copied().chain([duration_us]);
        Self {
            phases: begins.iter().zip(ends).map(|(from, to)| span(*from, to)).collect(),
            intervals: intervals.collect(),
            interval_us,
            endpoint_latency: std::iter::repeat_with(Histogram::default).take(endpoints).collect(),
            caller_latency: std::iter::repeat_with(Histogram::default).take(callers).collect(),
            samples: Vec::new(),
            retries_refused: 0,
        }
    }

    /// The phase and the interval of a time.
    fn spans(&mut self, at_us: u64) -> impl Iterator<Item = &mut Span> {
        let phase = self.phases.partition_point(|phase| phase.from_us <= at_us).saturating_sub(1);
        let interval = (at_us / self.interval_us) as usize;
        self.phases.get_mut(phase).into_iter().chain(self.intervals.get_mut(interval))
    }

    pub(crate) fn arrived(&mut self, at_us: u64, caller: u32) {
        for span in self.spans(at_us) {
            span.arrived += 1;
            span.callers[caller as usize].count += 1;
        }
    }

    pub(crate) fn retried(&mut self, arrived_us: u64) {
        self.spans(arrived_us).for_each(|span| span.retries += 1);
    }

    /// An attempt that began then is over.
    pub(crate) fn attempted(&mut self, endpoint: u32, began_us: u64, took_us: u64, failed: bool) {
        for span in self.spans(began_us) {
            let share = &mut span.endpoints[endpoint as usize];
            share.count += 1;
            share.failed += u64::from(failed);
            share.busy_us += took_us;
        }
        if !failed {
            self.endpoint_latency[endpoint as usize].record(took_us);
        }
    }

    /// A request is over.
    pub(crate) fn ended(&mut self, caller: u32, arrived_us: u64, took_us: u64, queued_us: u64, end: End) {
        for span in self.spans(arrived_us) {
            span.count(end);
            if queued_us > 0 {
                span.waited.record(queued_us);
            }
            match end {
                End::Answered => {
                    span.answered += 1;
                    span.latency.record(took_us);
                }
                _ => span.callers[caller as usize].failed += 1,
            }
        }
        if end == End::Answered {
            self.caller_latency[caller as usize].record(took_us);
        }
    }
}

impl Span {
    fn count(&mut self, end: End) {
        match self.ends.iter_mut().find(|(known, _)| *known == end) {
            Some((_, count)) => *count += 1,
            None => self.ends.push((end, 1)),
        }
    }
}
