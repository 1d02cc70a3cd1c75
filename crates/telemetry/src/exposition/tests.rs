use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_message::Method;

use super::{
    EndpointState, Names, ProcessState, Recents, RecorderState, ReloadState, SpanState, Usage, Writer,
    write_endpoints, write_process, write_shards,
};
use crate::families;
use crate::outcomes::Outcome;
use crate::shard::Shard;

fn names() -> Names {
    Names { routes: vec!["a\"b".into()], upstreams: vec!["u".into()], listeners: vec![":8080".into()] }
}

fn traffic() -> [Arc<Shard>; 2] {
    let shards = [Arc::new(Shard::new(1, 1, 1)), Arc::new(Shard::new(1, 1, 1))];
    let found = |reason| Outcome::new(Method::Get, 200, reason);
    for shard in &shards {
        shard.route(Some(0)).record(found(Reason::Forwarded), 1_500, 3, 4);
        shard.reason(Reason::Forwarded).add(1);
        shard.listeners[0].accepted.add(2);
        shard.listeners[0].closed.add(1);
        shard.listeners[0].begun.add(1);
        let upstream = &shard.upstreams[0];
        upstream.outcomes.record(found(Reason::ResponseIncomplete), 2_000_000);
        upstream.first_byte.record(700);
        let endpoint = upstream.endpoints.open(9, 1, [9].into_iter());
        endpoint.ended(Reason::ResponseIncomplete, Some(700));
    }
    shards[0].route(None).record(Outcome::new(Method::Other, 404, Reason::NoRoute), 10, 0, 0);
    shards
}

fn endpoint(healthy: bool, weight: u32, id: u64) -> EndpointState {
    let (upstream, endpoint) = ("u".to_owned(), format!("127.0.0.1:{id}"));
    EndpointState { upstream, upstream_index: 0, endpoint, id, weight, drained: false, in_flight: 1, healthy }
}

fn text() -> String {
    let shards = traffic();
    shards[1].pulse.beat(90, 1_500_000);
    let mut writer = Writer::default();
    let reload = ReloadState { hash: "abc".into(), ..ReloadState::started(Duration::from_millis(1_500)) };
    let state = ProcessState {
        version: "1.2.3",
        started_at: Duration::from_secs(1_700_000_000),
        now_ms: 100,
        usage: Usage::default(),
        draining: false,
        log_lost: 7,
        recorder: RecorderState { entries: 3, bytes: 4_096, dropped: 1 },
        spans: SpanState { exported: 11, dropped: 12, failed: 13 },
        reload: &reload,
    };
    write_process(&mut writer, &state, &shards);
    write_shards(&mut writer, &shards, &names(), &Recents::default(), 100);
    write_endpoints(
        &mut writer,
        &shards,
        &[endpoint(true, 1, 9), endpoint(false, 1, 8), endpoint(true, 0, 7)],
    );
    writer.finish()
}

#[test]
fn shards_are_added_up_and_labels_escaped() {
    let text = text();
    let get = "http_request_method=\"GET\",http_response_status_code=\"200\"";
    for line in [
        &format!("http_server_request_duration_seconds_count{{http_route=\"a\\\"b\",{get}}} 2"),
        &format!("http_server_request_duration_seconds_sum{{http_route=\"a\\\"b\",{get}}} 0.003"),
        &format!(
            "http_server_request_duration_seconds_bucket{{http_route=\"a\\\"b\",{get},le=\"0.0025\"}} 2"
        ),
        &format!("http_server_request_duration_seconds_bucket{{http_route=\"a\\\"b\",{get},le=\"0.001\"}} 0"),
        "http_server_request_duration_seconds_count{http_request_method=\"_OTHER\",\
         http_response_status_code=\"404\",error_type=\"no_route\"} 1",
        "tollgate_route_duration_seconds{http_route=\"a\\\"b\",quantile=\"0.99\"} 0.001495",
        "tollgate_route_duration_seconds_count{http_route=\"a\\\"b\"} 2",
        "tollgate_route_duration_seconds_count 1",
        "http_server_request_body_size_bytes_sum{http_route=\"a\\\"b\"} 6",
        "http_server_response_body_size_bytes_sum{http_route=\"a\\\"b\"} 8",
        "tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"} 2",
        "tollgate_connections_open{listener=\":8080\"} 2",
        "http_server_active_requests{listener=\":8080\"} 2",
        &format!(
            "http_client_request_duration_seconds_bucket{{upstream=\"u\",{get},\
             error_type=\"response_incomplete\",le=\"2.5\"}} 2"
        ),
        "tollgate_upstream_first_byte_seconds{upstream=\"u\",quantile=\"0.5\"} 0.000699",
        "tollgate_endpoint_attempts_total{upstream=\"u\",endpoint=\"127.0.0.1:9\",reason=\"response_incomplete\"} 2",
        "tollgate_endpoint_first_byte_seconds_count{upstream=\"u\",endpoint=\"127.0.0.1:9\"} 2",
        "tollgate_upstream_endpoints{upstream=\"u\"} 2",
        "tollgate_upstream_endpoints_usable{upstream=\"u\"} 1",
        "tollgate_endpoint_weight{upstream=\"u\",endpoint=\"127.0.0.1:7\"} 0",
        "tollgate_worker_cpu_seconds_total{worker=\"1\"} 1.5",
        "tollgate_worker_silent_seconds{worker=\"1\"} 0.01",
        "tollgate_config_hash_info{hash=\"abc\"} 1",
        "tollgate_config_last_reload_success_timestamp_seconds 1.5",
        "process_start_time_seconds 1700000000",
        "tollgate_access_log_lost_total 7",
        "tollgate_trace_spans_exported_total 11",
        "tollgate_trace_spans_dropped_total 12",
        "tollgate_trace_spans_failed_total 13",
        "tollgate_recorder_bytes 4096",
        "process_max_fds +Inf",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn families_are_begun_once_in_the_order_of_the_list() {
    let text = text();
    let begun: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // Some are written elsewhere, from what is not known here.
    let listed = families::ALL.iter().map(|family| family.name).filter(|name| begun.contains(name));
    assert_eq!(begun, listed.collect::<Vec<_>>());
    assert!(begun.len() > 30);
}
