//! What reloads brought, as figures and claims.

use super::Signal;
use crate::load::{Outcome, Timeline};
use crate::run::plan::Reload;
use crate::run::results::{Spread, Verdict};
use crate::sys::accounting::Memory;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// The quiet seconds before a signal that it is compared with; the last one ends a little before it.
const QUIET_SECONDS: u64 = 3;
const GAP_US: u64 = 200_000;
const QUANTILE: f64 = 0.999;
/// Where a quiet second's p99.9 is longer, in milliseconds, others use the machine, and what a reload does
/// is lost in that.
const NOISY_MS: f64 = 10.0;

/// A row with what came of it.
pub(crate) struct Reloaded {
    /// The row.
    pub(crate) row: &'static Reload,
    /// The figures, or why there are none.
    pub(crate) outcome: Result<Figures, String>,
}

/// A claim and how it came out.
#[derive(Debug, Serialize)]
pub(crate) struct Claim {
    /// The figure it is about.
    pub(crate) figure: &'static str,
    /// The largest value that still passes.
    pub(crate) limit: f64,
    /// What was measured.
    pub(crate) measured: Option<Spread>,
    /// How it came out.
    pub(crate) verdict: Verdict,
}

impl Reloaded {
    /// The p99.9 of a quiet second in milliseconds, where that is too long to say anything about reloads.
    pub(crate) fn noise_ms(&self) -> Option<f64> {
        let latencies = self.outcome.as_ref().ok()?.latencies?;
        Some(latencies.quiet_ms.median).filter(|quiet| *quiet > NOISY_MS)
    }

    /// What is claimed for the row.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let figures = self.outcome.as_ref().ok();
        let claim = |figure, limit: Option<f64>, measured: Option<Spread>, noisy: bool| {
            let verdict = |limit| match &self.outcome {
                Ok(_) if !noisy => Verdict::of(measured, limit),
                _ => Verdict::Invalid,
            };
            limit.map(|limit| Claim { figure, limit, measured, verdict: verdict(limit) })
        };
        let ratio = figures.and_then(|figures| Some(figures.latencies.as_ref()?.ratio));
        [
            claim("p99.9 of its quiet second", self.row.latency_limit, ratio, self.noise_ms().is_some()),
            claim("seconds", self.row.seconds_limit, figures.map(|figures| figures.seconds), false),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The figures of one row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// How many reloads there were.
    pub(crate) reloads: usize,
    /// From the signal to the new document's first answer.
    pub(crate) seconds: Spread,
    /// What the exchanges meanwhile felt, if there were any.
    pub(crate) latencies: Option<Latencies>,
    /// The process's memory.
    pub(crate) memory: MemoryMib,
}

/// Latencies of a load while its server reloads, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latencies {
    /// Requests per second, over the whole run.
    pub(crate) rate: f64,
    /// p99.9 of a quiet second.
    pub(crate) quiet_ms: Spread,
    /// p99.9 of the second that begins with the signal; of a longer reload, that of its worst second.
    pub(crate) around_ms: Spread,
    /// The one by the other, for each reload.
    pub(crate) ratio: Spread,
    /// The longest of all, in those seconds.
    pub(crate) longest_ms: f64,
    /// Requests of those seconds to those of quiet ones.
    pub(crate) throughput: Spread,
}

/// One reload with the seconds before it.
struct Felt {
    quiet_ms: f64,
    quiet_requests: f64,
    around_ms: f64,
    around_requests: f64,
    longest_ms: f64,
}

impl Latencies {
    /// Looks up what an outcome's timeline says of the reloads. An outcome with errors is no good.
    pub(super) fn of(outcome: &Outcome, signals: &[Signal]) -> Result<Self> {
        ensure!(outcome.errors.total() == 0, "errors: {}", outcome.errors);
        let timeline = outcome.timeline.as_ref().context("the load kept no timeline")?;
        let felt: Vec<Felt> = signals.iter().map(|signal| felt(timeline, signal)).collect::<Result<_>>()?;
        let spread = |value: fn(&Felt) -> f64| {
            Spread::of(felt.iter().map(value).collect()).context("there was no reload")
        };
        Ok(Self {
            rate: outcome.requests as f64 / outcome.seconds,
            quiet_ms: spread(|felt| felt.quiet_ms)?,
            around_ms: spread(|felt| felt.around_ms)?,
            ratio: spread(|felt| felt.around_ms / felt.quiet_ms)?,
            longest_ms: spread(|felt| felt.longest_ms)?.high,
            throughput: spread(|felt| felt.around_requests / felt.quiet_requests)?,
        })
    }
}

fn felt(timeline: &Timeline, signal: &Signal) -> Result<Felt> {
    let second_us = SECOND.as_micros() as u64;
    let second = |from_us: u64| {
        let second = timeline.span(from_us, SECOND).filter(|second| second.total() > 0);
        second.context("the load has no latencies of a second that counts")
    };
    let (mut quiet_ms, mut quiet_requests) = (Vec::new(), Vec::new());
    for before in 1..=QUIET_SECONDS {
        let quiet = second(signal.at_us.saturating_sub(GAP_US + before * second_us))?;
        quiet_ms.push(milliseconds(quiet.quantile(QUANTILE)));
        quiet_requests.push(quiet.total() as f64);
    }
    let lasted = signal.took.as_micros() as u64 / second_us;
    let (mut around_ms, mut around_requests, mut longest_ms) = (0.0_f64, f64::INFINITY, 0.0_f64);
    for offset in 0..=lasted {
        let around = second(signal.at_us + offset * second_us)?;
        around_ms = around_ms.max(milliseconds(around.quantile(QUANTILE)));
        around_requests = around_requests.min(around.total() as f64);
        longest_ms = longest_ms.max(milliseconds(around.quantile(1.0)));
    }
    let median = |values| Spread::of(values).map_or(0.0, |spread| spread.median);
    Ok(Felt {
        quiet_ms: median(quiet_ms),
        quiet_requests: median(quiet_requests),
        around_ms,
        around_requests,
        longest_ms,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Memory of the process in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct MemoryMib {
    /// Resident before the first reload.
    pub(crate) before: f64,
    /// Resident after the last.
    pub(crate) after: f64,
    /// The most that was resident.
    pub(crate) peak: f64,
}

impl MemoryMib {
    pub(super) fn of(before: &Memory, after: &Memory) -> Self {
        let [before, after, peak] =
            [before.resident_kib, after.resident_kib, after.peak_kib].map(|kib| kib as f64 / 1024.0);
        Self { before, after, peak }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Latencies, MemoryMib, Reloaded, Signal};
    use crate::histogram::Histogram;
    use crate::load::{Errors, Fault, Outcome, Timeline};
    use crate::run::plan::RELOADS;
    use crate::run::results::{Spread, Verdict};
    use std::time::Duration;

    /// Ten seconds of 1 ms, but for one slice.
    fn outcome(slow_slice: usize, slow_ms: u64) -> Outcome {
        let slice = |index| {
            let mut histogram = Histogram::new();
            let latency = if index == slow_slice { slow_ms } else { 1 };
            (0..100).for_each(|_| histogram.record(Duration::from_millis(latency)));
            histogram.counts()
        };
        let timeline = Timeline { began_us: 1_000_000, slices: (0..100).map(slice).collect() };
        Outcome { requests: 10_000, seconds: 10.0, timeline: Some(timeline), ..Outcome::default() }
    }

    #[test]
    fn the_second_of_a_reload_is_held_against_those_before() {
        let signal = |seconds| Signal { at_us: 6_000_000, took: Duration::from_millis(seconds) };
        for (slow_slice, took_ms, ratio) in
            [(20, 300, 1.0), (50, 300, 6.0), (59, 300, 6.0), (60, 300, 1.0), (60, 1_100, 6.0)]
        {
            let felt = Latencies::of(&outcome(slow_slice, 6), &[signal(took_ms)]).expect("is valid");
            assert!((felt.ratio.median - ratio).abs() < 0.1, "{slow_slice} {took_ms}: {felt:?}");
            assert!((felt.throughput.median - 1.0).abs() < 1e-9, "{felt:?}");
        }
    }

    #[test]
    fn on_a_busy_machine_nothing_passes() {
        let verdict = |quiet: u64| {
            let signal = Signal { at_us: 6_000_000, took: Duration::from_millis(10) };
            let mut outcome = outcome(0, 1);
            let mut slice = Histogram::new();
            slice.record(Duration::from_millis(quiet));
            outcome.timeline.iter_mut().flat_map(|t| &mut t.slices).for_each(|s| *s = slice.counts());
            let seconds = Spread { median: 0.1, low: 0.1, high: 0.1 };
            let memory = MemoryMib { before: 1.0, after: 1.0, peak: 1.0 };
            let latencies = Some(Latencies::of(&outcome, &[signal]).expect("is valid"));
            let outcome = Ok(Figures { reloads: 1, seconds, latencies, memory });
            Reloaded { row: &RELOADS[0], outcome }.claims()[0].verdict
        };
        assert_eq!((verdict(9), verdict(11)), (Verdict::Pass, Verdict::Invalid));
    }

    #[test]
    fn errors_and_gaps_make_it_invalid() {
        let signal = |at_us| Signal { at_us, took: Duration::from_millis(10) };
        assert!(Latencies::of(&outcome(0, 1), &[signal(2_000_000)]).is_err());
        assert!(Latencies::of(&outcome(0, 1), &[signal(10_500_000)]).is_err());
        let mut errors = Errors::default();
        errors.count(&Fault::Status(503));
        assert!(Latencies::of(&Outcome { errors, ..outcome(0, 1) }, &[signal(6_000_000)]).is_err());
    }
}
