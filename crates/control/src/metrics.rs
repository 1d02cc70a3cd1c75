//! The process's metrics as text.

use tollgate_proxy::Snapshot;
use tollgate_runtime::Clock;
use tollgate_telemetry::exposition::{EndpointState, Names, Writer, write_endpoints, write_shards};
use tollgate_upstream::Health;

use crate::process::Process;

/// All metrics in the Prometheus text format.
pub fn text(process: &Process) -> String {
    let current = process.current();
    let snapshot = &current.snapshot;
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
    write_recorder(&mut writer, process);
    write_shards(&mut writer, &current.shards, &names);
    write_endpoints(&mut writer, &endpoints(snapshot));
    writer.finish()
}

fn write_recorder(writer: &mut Writer, process: &Process) {
    let counts = process.recorder().counts();
    for (name, kind, help, value) in [
        ("tollgate_recorder_entries", "gauge", "Exchanges in the flight recorder.", counts.entries),
        ("tollgate_recorder_bytes", "gauge", "Bytes that the flight recorder holds.", counts.bytes),
        (
            "tollgate_recorder_dropped_total",
            "counter",
            "Exchanges that the flight recorder should have kept and could not.",
            counts.dropped,
        ),
    ] {
        writer.family(name, kind, help);
        writer.series(name, &[], value);
    }
}

fn endpoints(snapshot: &Snapshot) -> Vec<EndpointState> {
    let now = Clock::new().now_ms();
    let upstreams = snapshot.upstreams.iter();
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
