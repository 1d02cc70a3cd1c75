//! What a run of load brought, as it is handed to the driver.

use super::timeline::Timeline;
use crate::histogram::Histogram;
use crate::sys::accounting::{CpuSample, Memory};
use anyhow::Result;
use rustls::HandshakeKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The figures of one measured window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Whole, right responses inside the window.
    pub(crate) requests: u64,
    /// Length of the window.
    pub(crate) seconds: f64,
    /// All faults since the start, the warm-up included.
    pub(crate) errors: Errors,
    /// From the first byte sent (with a connection per request: from its connect) to the last received.
    pub(crate) latency: Latency,
    /// TLS handshakes inside the window.
    pub(crate) handshakes: Handshakes,
    /// The accounted processes over the window.
    pub(crate) usage: Option<Usage>,
    /// Idle connections, where they were the load.
    pub(crate) held: Option<Held>,
    /// Latencies over time, where they were asked for.
    pub(crate) timeline: Option<Timeline>,
}

/// TLS handshakes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Handshakes {
    /// With a key exchange and the certificate.
    pub(crate) full: u64,
    /// With a ticket of an earlier connection.
    pub(crate) resumed: u64,
}

impl Handshakes {
    /// Counts one, if there was one.
    pub(crate) fn count(&mut self, kind: Option<HandshakeKind>) {
        match kind {
            None => {}
            Some(HandshakeKind::Resumed) => self.resumed += 1,
            Some(_) => self.full += 1,
        }
    }
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of the requests took at most this.
    pub(crate) p50_ms: f64,
    /// 99 of 100 took at most this.
    pub(crate) p99_ms: f64,
    /// 999 of 1,000 took at most this.
    pub(crate) p999_ms: f64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        let ms = |quantile| histogram.quantile(quantile).as_secs_f64() * 1e3;
        Self { p50_ms: ms(0.5), p99_ms: ms(0.99), p999_ms: ms(0.999) }
    }
}

/// What the accounted process tree used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system time over the window.
    pub(crate) cpu_seconds: f64,
    /// The part of it in user mode, 0 to 1, from ticks of 10 ms.
    pub(crate) user_share: f64,
    /// Sum of the processes' highest resident sets, in KiB.
    pub(crate) peak_kib: u64,
    /// How much more resident user memory (PSS) there was at the end of the window than at its beginning, in KiB.
    pub(crate) grown_kib: f64,
    /// A process started or ended inside the window: the CPU time is not to be trusted.
    pub(crate) processes_changed: bool,
}

impl Usage {
    pub(crate) fn between(root: i32, before: &CpuSample, after: &CpuSample) -> Result<Self> {
        Ok(Self {
            cpu_seconds: after.total.saturating_sub(before.total).as_secs_f64(),
            user_share: after.user_share_since(before),
            peak_kib: Memory::of_tree(root)?.peak_kib,
            grown_kib: 0.0,
            processes_changed: before.processes != after.processes,
        })
    }
}

/// What idle connections cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Connections that had one exchange each and then stayed open.
    pub(crate) connections: u64,
    /// Resident user memory (PSS) that came with them, in KiB.
    pub(crate) grown_kib: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 };
        writeln!(f, "requests  {} in {:.2} s, {rate:.0} per second", self.requests, self.seconds)?;
        let Latency { p50_ms, p99_ms, p999_ms } = self.latency;
        writeln!(f, "latency   p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, p99.9 {p999_ms:.2} ms")?;
        if let Some(usage) = &self.usage {
            let each = usage.cpu_seconds * 1e6 / (self.requests.max(1) as f64);
            let (user, peak) = (usage.user_share * 100.0, usage.peak_kib);
            writeln!(
                f,
                "accounted {each:.2} us of CPU per request, {user:.0} % user; peak memory {peak} KiB"
            )?;
        }
        if self.handshakes.full + self.handshakes.resumed > 0 {
            let Handshakes { full, resumed } = self.handshakes;
            writeln!(f, "TLS       {full} full handshakes, {resumed} resumed")?;
        }
        if let Some(held) = &self.held {
            let each = held.grown_kib / (held.connections.max(1) as f64);
            writeln!(f, "held      {} connections, {each:.2} KiB of user memory each", held.connections)?;
        }
        write!(f, "errors    {}", self.errors)
    }
}

/// What can go wrong with one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection came about.
    Connect(String),
    /// The connection ended before the response was complete.
    Closed(String),
    /// A status other than 200.
    Status(u16),
    /// A length other than the expected one, or none.
    Length(String),
    /// Not an HTTP response, or bytes that nobody asked for.
    Protocol(String),
    /// No complete response in time.
    Late,
}

impl Fault {
    fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Closed(_) => "closed",
            Self::Status(_) => "status",
            Self::Length(_) => "length",
            Self::Protocol(_) => "protocol",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(detail) => write!(f, "no connection: {detail}"),
            Self::Closed(detail) => write!(f, "connection ended too early: {detail}"),
            Self::Status(status) => write!(f, "status {status} instead of 200"),
            Self::Length(detail) => write!(f, "wrong body length: {detail}"),
            Self::Protocol(detail) => write!(f, "not a valid response: {detail}"),
            Self::Late => write!(f, "no complete response in time"),
        }
    }
}

/// Faults by kind, with one example.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Errors {
    by_kind: BTreeMap<String, u64>,
    first: Option<String>,
}

impl Errors {
    /// Counts a fault.
    pub(crate) fn count(&mut self, fault: &Fault) {
        *self.by_kind.entry(fault.kind().to_owned()).or_default() += 1;
        self.first.get_or_insert_with(|| fault.to_string());
    }

    /// Counts the faults of another run as well.
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, count) in &other.by_kind {
            *self.by_kind.entry(kind.clone()).or_default() += count;
        }
        self.first = self.first.take().or_else(|| other.first.clone());
    }

    /// All faults.
    pub(crate) fn total(&self) -> u64 {
        self.by_kind.values().sum()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.by_kind.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(f, "{}", if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") })?;
        self.first.as_ref().map_or(Ok(()), |first| write!(f, " (the first: {first})"))
    }
}
