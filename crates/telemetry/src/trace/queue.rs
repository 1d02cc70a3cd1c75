//! From the workers to the exporter: blocks of spans, bounded by their bytes, handed over without waiting.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::sampling::Sampling;

/// Where spans go and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// Who takes them.
    pub collector: Collector,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// What this program is called in traces.
    pub service_name: String,
    /// So many spans are sent at once, at the most.
    pub batch: usize,
    /// The longest that a span waits for others.
    pub interval: Duration,
    /// Bytes of spans that may wait; what does not fit is lost, and counted.
    pub queue: usize,
    /// For the collector to take a batch and answer.
    pub timeout: Duration,
}

/// The receiver of spans over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path that spans are posted to.
    pub path: String,
    /// Fields of each post besides its own. Their values are secrets.
    pub headers: Vec<(String, String)>,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "http://{open}{}{close}:{}{}", self.host, self.port, self.path)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What became of spans, over all exporters of a process.
#[derive(Debug, Default)]
pub struct ExportCounts {
    /// A collector took them.
    pub exported: AtomicU64,
    /// The queue was full, or the process ended before they were sent.
    pub dropped: AtomicU64,
    /// They were sent, and a collector refused them or could not be reached for too long.
    pub failed: AtomicU64,
}

/// Spans as bytes, some of one worker's.
#[derive(Debug, Default)]
pub struct SpanBlock {
    /// The spans, one behind the other.
    pub bytes: Vec<u8>,
    /// How many they are.
    pub spans: u32,
}

/// Tracing as the workers see it: what is sampled, and where spans go. Belongs to a snapshot, so that another
/// document brings another; what its exporter has taken is still sent then.
#[derive(Debug)]
pub struct Tracing {
    settings: TracingSettings,
    running: OnceLock<Running>,
}

#[derive(Debug)]
struct Running {
    blocks: UnboundedSender<SpanBlock>,
    queued: Arc<AtomicUsize>,
    counts: Arc<ExportCounts>,
}

impl Tracing {
    /// Tracing with these settings. Spans go nowhere until it has an exporter.
    pub fn new(settings: TracingSettings) -> Self {
        Self { settings, running: OnceLock::new() }
    }

    /// The settings.
    pub fn settings(&self) -> &TracingSettings {
        &self.settings
    }

    /// Hands over a block. Where too much is waiting already its spans are lost, and counted.
    pub fn send(&self, block: SpanBlock) {
        let Some(running) = self.running.get() else { return };
        let (length, spans) = (block.bytes.capacity(), u64::from(block.spans));
        let fits = |queued: usize| queued.checked_add(length).filter(|sum| *sum <= self.settings.queue);
        let reserved = running.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        // An exporter that has ended takes nothing more.
        if !reserved || running.blocks.send(block).is_err() {
            running.counts.dropped.fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// The other end, for the one exporter; `None` if there is one already.
    pub(super) fn receive(&self, counts: &Arc<ExportCounts>) -> Option<Receiver> {
        let (sender, blocks) = unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let running = Running { blocks: sender, queued: queued.clone(), counts: counts.clone() };
        self.running.set(running).ok()?;
        Some(Receiver { blocks, queued, counts: counts.clone() })
    }
}

/// The exporter's end.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) blocks: UnboundedReceiver<SpanBlock>,
    pub(super) counts: Arc<ExportCounts>,
    queued: Arc<AtomicUsize>,
}

impl Receiver {
    /// These blocks no longer wait: there is room for others.
    pub(super) fn forget(&self, blocks: &[SpanBlock]) {
        self.queued.fetch_sub(blocks.iter().map(|block| block.bytes.capacity()).sum(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::super::sampling::Sampling;
    use super::{Collector, ExportCounts, SpanBlock, Tracing, TracingSettings};

    fn tracing(queue: usize) -> Tracing {
        let headers = vec![("authorization".to_owned(), "hunter2".to_owned())];
        let collector = Collector { host: "::1".into(), port: 4318, path: "/v1/traces".into(), headers };
        let second = Duration::from_secs(1);
        Tracing::new(TracingSettings {
            collector,
            sampling: Sampling::new(10_000, true),
            service_name: "a".into(),
            batch: 64,
            interval: second,
            queue,
            timeout: second,
        })
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes_and_the_rest_is_counted() {
        let counts = Arc::new(ExportCounts::default());
        let tracing = tracing(1000);
        let block = || SpanBlock { bytes: vec![0; 300], spans: 7 };
        // Nobody takes them yet: nothing is kept.
        tracing.send(block());
        let mut receiver = tracing.receive(&counts).unwrap();
        assert!(tracing.receive(&counts).is_none(), "a second exporter");
        (0..5).for_each(|_| tracing.send(block()));
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 14);
        let first = receiver.blocks.try_recv().unwrap();
        tracing.send(block());
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 21, "what the exporter holds counts on");
        receiver.forget(&[first]);
        tracing.send(block());
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 21);
        drop(receiver);
        tracing.send(block());
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 28);
    }

    #[test]
    fn headers_are_not_shown() {
        assert_eq!(tracing(1).settings().collector.to_string(), "http://[::1]:4318/v1/traces");
        assert!(!format!("{:?}", tracing(1)).contains("hunter2"));
    }
}
