//! The process's metrics as text.

use std::sync::atomic::Ordering;

use tollgate_runtime::Clock;
use tollgate_telemetry::exposition::{EndpointState, Names, Writer, write_endpoints, write_shards};
use tollgate_upstream::Health;

use crate::process::Process;

/// All metrics in the Prometheus text format.
pub fn text(process: &Process) -> String {
    let snapshot = process.snapshot();
    let names = Names {
        routes: snapshot.routes.iter().map(|r| r.name.clone()).collect(),
        upstreams: snapshot.upstreams.iter().map(|u| u.name().to_string()).collect(),
        listeners: snapshot.listeners.iter().map(|l| l.name.clone()).collect(),
    };
    let mut writer = Writer::default();
    writer.family("tollgate_build_info", "gauge", "The running version.");
    writer.series("tollgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    writer.family("tollgate_workers", "gauge", "Worker threads.");
    writer.series("tollgate_workers", &[], process.workers());
    writer.family("tollgate_draining", "gauge", "Whether the process is draining.");
    writer.series("tollgate_draining", &[], u8::from(process.is_draining()));
    writer.family(
        "tollgate_access_log_lost_total",
        "counter",
        "Access records lost because their destination did not keep up.",
    );
    writer.series("tollgate_access_log_lost_total", &[], process.log_lines_lost());
    exports(&mut writer, process);
    write_shards(&mut writer, process.shards(), &names);
    write_endpoints(&mut writer, &endpoints(process));
    writer.finish()
}

fn exports(writer: &mut Writer, process: &Process) {
    let counts = process.exports();
    for (name, help, count) in [
        ("tollgate_trace_spans_exported_total", "Spans that the collector took.", &counts.exported),
        (
            "tollgate_trace_spans_dropped_total",
            "Spans that were never sent: too many waited.",
            &counts.dropped,
        ),
        ("tollgate_trace_spans_failed_total", "Spans that the collector did not take.", &counts.failed),
    ] {
        writer.family(name, "counter", help);
        writer.series(name, &[], count.load(Ordering::Relaxed));
    }
}

fn endpoints(process: &Process) -> Vec<EndpointState> {
    let now = Clock::new().now_ms();
    let upstreams = process.snapshot().upstreams.iter();
    let states = upstreams.flat_map(|upstream| {
        upstream.endpoints().iter().map(move |endpoint| EndpointState {
            upstream: upstream.name().to_string(),
            endpoint: endpoint.name().to_string(),
            in_flight: u64::from(endpoint.in_flight()),
            healthy: endpoint.health(now) == Health::Usable,
        })
    });
    states.collect()
}
