//! Tracing of a document.

use std::sync::Arc;

use tollgate_config::Document;
use tollgate_telemetry::trace::{Collector, Sampling, Tracing, TracingSettings};

use super::Predecessor;

/// The document's tracing; the one that runs, if it has the same settings.
pub(super) fn tracing(document: &Document, before: &Predecessor) -> Option<Arc<Tracing>> {
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
    let same = before.tracing().filter(|tracing| *tracing.settings() == settings);
    Some(same.cloned().unwrap_or_else(|| Arc::new(Tracing::new(settings))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate_config::{MemoryFiles, parse_str};
    use tollgate_proxy::Snapshot;
    use tollgate_upstream::HealthEvents;

    use super::super::{Plans, Predecessor, compile_after};
    use crate::resolve::SystemResolver;

    fn after(before: &Predecessor, tracing: &str) -> Arc<Snapshot> {
        let text = format!("version: 1\nlisten: ':80'\n{tracing}\nroutes: [{{ path: /, respond: 200 }}]\n");
        let document = parse_str("t.yaml", &text, &MemoryFiles::default(), &|_| None).document.unwrap();
        compile_after(before, &document, &SystemResolver, &HealthEvents::unheard()).snapshot.unwrap()
    }

    #[test]
    fn tracing_goes_on_where_its_settings_stay_and_only_there() {
        let text = "tracing: { otlp: 'http://[::1]:4318', headers: { x-key: a } }";
        let first = after(&Predecessor::default(), text);
        let before = Predecessor::of(&first, &Plans::default());
        let same = |text: &str| {
            let snapshot = after(&before, text);
            let (one, other) = (first.tracing.as_ref().unwrap(), snapshot.tracing.as_ref().unwrap());
            Arc::ptr_eq(one, other)
        };
        assert!(same(text));
        assert!(same(&text.replace("4318'", "4318/v1/traces'")), "the same in other words");
        for (from, to) in [("4318", "4319"), (": a }", ": b }"), ("{ otlp", "{ sample: 1%, otlp")] {
            assert!(!same(&text.replacen(from, to, 1)), "{to}");
        }
        assert!(after(&before, "").tracing.is_none());
    }
}
