//! Tracing of a document.

use std::sync::Arc;

use tollgate_config::Document;
use tollgate_telemetry::trace::{Collector, Sampling, Tracing, TracingSettings};

pub(super) fn tracing(document: &Document) -> Option<Arc<Tracing>> {
    let tracing = document.tracing.as_ref()?;
    let headers =
        tracing.headers.iter().map(|(name, value)| (name.value.to_string(), value.reveal().to_owned()));
    let settings = TracingSettings {
        collector: Collector {
            host: tracing.otlp.value.host().to_owned(),
            port: tracing.otlp.value.port(),
            path: tracing.otlp.value.path().to_owned(),
            headers: headers.collect(),
        },
        sampling: Sampling::new(tracing.sample.basis_points(), tracing.by_parent),
        service_name: tracing.service_name.clone(),
        batch: tracing.batch.get() as usize,
        interval: tracing.interval.get(),
        queue: tracing.queue.bytes() as usize,
        timeout: tracing.timeout.get(),
    };
    Some(Arc::new(Tracing::new(settings)))
}
