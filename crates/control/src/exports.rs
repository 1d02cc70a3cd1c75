//! The exporters of spans: one for each tracing that was put into force and still has spans to send.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_proxy::Snapshot;
use tollgate_telemetry::trace::{ExportCounts, Exporting};

/// The exporters of a process.
pub struct Exports {
    counts: Arc<ExportCounts>,
    running: Mutex<Vec<Exporting>>,
    report: fn(&str),
}

impl Exports {
    /// None yet. `report` hears when a collector begins to fail, and when it works again.
    pub fn new(report: fn(&str)) -> Self {
        Self { counts: Arc::default(), running: Mutex::default(), report }
    }

    /// Starts to send the spans of a snapshot, if it traces and they are not sent already. To be called before
    /// a worker has the snapshot, so that no span comes too early, and on the control runtime. Exporters of
    /// snapshots before it go on until nobody can hand them spans any more and all are sent.
    pub fn adopt(&self, snapshot: &Snapshot) {
        let mut running = self.running();
        running.retain(|exporting| !exporting.has_ended());
        let start = |tracing| Exporting::start(tracing, &self.counts, self.report);
        running.extend(snapshot.tracing.as_deref().and_then(start));
    }

    /// What became of spans, whichever exporter had them.
    pub fn counts(&self) -> &ExportCounts {
        &self.counts
    }

    /// Sends what is left, for a few seconds at the most, and ends all exporters.
    pub async fn finish(&self) {
        let running = std::mem::take(&mut *self.running());
        // All are asked first, so that together they take no longer than one.
        running.iter().for_each(Exporting::ask_to_end);
        for exporting in running {
            exporting.finish().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Exporting>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exports").field("counts", &self.counts).finish_non_exhaustive()
    }
}
