//! The exporter: one task of control that puts blocks together and posts them to the collector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tollgate_runtime::random::uuid_v7;
use tollgate_runtime::{Clock, Random};

use super::post::{Answer, PostError, Poster};
use super::protobuf::{Value, find};
use super::queue::{ExportCounts, Receiver, SpanBlock, Tracing, TracingSettings};
use super::span::Envelope;

/// The wait before a batch is posted again, at first; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(250);
/// The longest wait, also where the collector asks for a longer one.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// How long a batch is tried. What is older is worth less than what is waiting behind it.
const TRY_FOR: Duration = Duration::from_secs(60);
/// What is left at the end is sent in this time or lost.
const FINISH: Duration = Duration::from_secs(3);

/// A running exporter. Dropped, it goes on until all spans of its [`Tracing`] are sent and the last reference
/// to that is gone; so after a reload nothing has to be waited for.
#[derive(Debug)]
pub struct Exporting {
    finish: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Starts the exporter of `tracing` on the current runtime; `None` if it has one already. `report` hears
    /// when the collector begins to fail, and when it works again.
    pub fn start(
        tracing: &Tracing,
        counts: &Arc<ExportCounts>,
        report: impl Fn(&str) + Send + 'static,
    ) -> Option<Self> {
        let receiver = tracing.receive(counts)?;
        let (finish, asked) = watch::channel(false);
        let exporter = Exporter::new(tracing.settings(), receiver, asked, Box::new(report));
        let task = tokio::spawn(exporter.run());
        Some(Self { finish, task })
    }

    /// Whether it has sent all it will ever send.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks it to send what is left, for a few seconds at the most, and to end.
    pub fn ask_to_end(&self) {
        self.finish.send_replace(true);
    }

    /// The same, and waits for that.
    pub async fn finish(self) {
        self.ask_to_end();
        // A task that has panicked has nothing left to send.
        let _ = self.task.await;
    }
}

struct Exporter {
    receiver: Receiver,
    /// Whether it is asked to end.
    finish: watch::Receiver<bool>,
    envelope: Envelope,
    poster: Poster,
    batch: usize,
    interval: Duration,
    random: Random,
    /// The collector did not take the last batch.
    failing: bool,
    report: Box<dyn Fn(&str) + Send>,
    name: String,
}

/// What waits to be sent, at most a batch.
#[derive(Default)]
struct Batch {
    blocks: Vec<SpanBlock>,
    spans: usize,
    /// A block that did not fit any more.
    next: Option<SpanBlock>,
}

/// Why a batch was not taken.
enum Refusal {
    /// It may be taken later, after this time if the collector said so.
    Later(String, Option<Duration>),
    /// It will never be taken.
    Never(String),
}

impl Exporter {
    fn new(
        settings: &TracingSettings,
        receiver: Receiver,
        finish: watch::Receiver<bool>,
        report: Box<dyn Fn(&str) + Send>,
    ) -> Self {
        Self {
            receiver,
            finish,
            envelope: Envelope::new(&settings.service_name, instance(), env!("CARGO_PKG_VERSION")),
            poster: Poster::new(settings.collector.clone(), settings.timeout),
            batch: settings.batch,
            interval: settings.interval,
            random: Random::from_machine(),
            failing: false,
            report,
            name: settings.collector.to_string(),
        }
    }

    async fn run(mut self) {
        let mut finish = self.finish.clone();
        let limit = async {
            asked_to_end(&mut finish).await;
            tokio::time::sleep(FINISH).await;
        };
        let mut batch = Batch::default();
        let done = tokio::select! {
            () = self.work(&mut batch) => true,
            () = limit => false,
        };
        if !done {
            self.receiver.blocks.close();
            let mut lost = batch.spans as u64 + batch.next.as_ref().map_or(0, |b| u64::from(b.spans));
            while let Ok(block) = self.receiver.blocks.try_recv() {
                lost += u64::from(block.spans);
            }
            self.receiver.counts.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Sends batches until nobody can hand over spans any more and all are sent.
    async fn work(&mut self, batch: &mut Batch) {
        loop {
            let more = self.fill(batch).await;
            self.deliver(batch).await;
            batch.clear();
            if !more {
                return;
            }
        }
    }

    /// Collects a batch; whether there may be another. Loses nothing where it is given up in the middle.
    async fn fill(&mut self, batch: &mut Batch) -> bool {
        if let Some(block) = batch.next.take() {
            batch.add(block, self.batch);
        }
        if batch.blocks.is_empty() {
            match self.receive().await {
                Some(block) => batch.add(block, self.batch),
                None => return false,
            }
        }
        let interval = self.interval;
        let rest = async {
            while batch.spans < self.batch && batch.next.is_none() {
                match self.receive().await {
                    Some(block) => batch.add(block, self.batch),
                    None => return false,
                }
            }
            true
        };
        timeout(interval, rest).await.unwrap_or(true)
    }

    /// The next block. Once the exporter is asked to end nobody can hand over more, but what waits is taken.
    async fn receive(&mut self) -> Option<SpanBlock> {
        if !self.receiver.blocks.is_closed() {
            tokio::select! {
                block = self.receiver.blocks.recv() => return block,
                () = asked_to_end(&mut self.finish) => self.receiver.blocks.close(),
            }
        }
        self.receiver.blocks.recv().await
    }

    /// Posts a batch until it is taken, refused for good, or too old; counts what became of it.
    async fn deliver(&mut self, batch: &Batch) {
        if batch.spans == 0 {
            return;
        }
        let body = Bytes::from(self.envelope.enclose(batch.blocks.iter().map(|block| &*block.bytes)));
        let spans = batch.spans as u64;
        let rejected = timeout(TRY_FOR, self.post(body)).await.ok().flatten();
        let failed = rejected.unwrap_or(spans).min(spans);
        let add = |count: &AtomicU64, spans| count.fetch_add(spans, Ordering::Relaxed);
        add(&self.receiver.counts.exported, spans - failed);
        add(&self.receiver.counts.failed, failed);
        self.receiver.forget(&batch.blocks);
    }

    /// Posts until there is an answer that stands. How many spans the collector took but rejected; `None` if it
    /// did not take the batch.
    async fn post(&mut self, body: Bytes) -> Option<u64> {
        let mut wait = BACK_OFF;
        loop {
            match judge(self.poster.post(body.clone()).await) {
                Ok(rejected) => {
                    self.tell(None);
                    return Some(rejected);
                }
                Err(Refusal::Never(why)) => {
                    self.tell(Some(why));
                    return None;
                }
                Err(Refusal::Later(why, asked)) => {
                    self.tell(Some(why));
                    // Between half of it and all, so that programs that lost the same collector spread out.
                    let spread = 0.5 + self.random.next_u64() as f64 / u64::MAX as f64 / 2.0;
                    let delay =
                        asked.map_or(wait.mul_f64(spread), |asked| asked.clamp(BACK_OFF, BACK_OFF_MAX));
                    tokio::time::sleep(delay).await;
                    wait = (wait * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }

    /// Tells of a change between failing and working, not of each failure.
    fn tell(&mut self, failure: Option<String>) {
        let (before, name) = (self.failing, &self.name);
        self.failing = failure.is_some();
        match failure {
            Some(why) if !before => (self.report)(&format!("traces are not taken by {name}: {why}")),
            None if before => (self.report)(&format!("traces are taken by {name} again")),
            _ => {}
        }
    }
}

impl Batch {
    fn add(&mut self, block: SpanBlock, max: usize) {
        let sum = self.spans + block.spans as usize;
        if sum > max && !self.blocks.is_empty() {
            self.next = Some(block);
        } else {
            self.spans = sum;
            self.blocks.push(block);
        }
    }

    /// Forgets what was sent.
    fn clear(&mut self) {
        self.blocks.clear();
        self.spans = 0;
    }
}

/// Which of the programs with the same name this is: the same for all exporters of a process.
fn instance() -> &'static str {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let wall_ms = Clock::new().wall().as_millis() as u64;
        String::from_utf8_lossy(&uuid_v7(wall_ms, &mut Random::from_machine())).into_owned()
    })
}

/// Waits until the exporter is asked to end: for ever, if whoever could ask is gone.
async fn asked_to_end(finish: &mut watch::Receiver<bool>) {
    if finish.wait_for(|asked| *asked).await.is_err() {
        std::future::pending().await
    }
}

/// What an answer means (OTLP/HTTP response): how many spans of the batch were rejected, or why it was not taken.
fn judge(answer: Result<Answer, PostError>) -> Result<u64, Refusal> {
    let answer = answer.map_err(|error| Refusal::Later(error.to_string(), None))?;
    if answer.status.is_success() {
        return Ok(rejected(&answer.body));
    }
    let why = format!("it answers {}", answer.status.as_u16());
    Err(match answer.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Refusal::Later(why, answer.retry_after),
        _ => Refusal::Never(why),
    })
}

/// `partial_success.rejected_spans` of an `ExportTraceServiceResponse`.
fn rejected(body: &[u8]) -> u64 {
    let Some(Value::Bytes(partial)) = find(body, 1) else { return 0 };
    match find(partial, 1) {
        Some(Value::Number(count)) => count,
        _ => 0,
    }
}

#[cfg(test)]
#[path = "export/tests.rs"]
mod tests;
