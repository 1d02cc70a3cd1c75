//! The metrics list: one row for each family. The exposition writes no other, docs/metrics.md is made from it,
//! and a test holds both against what a running process shows.

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only rises while the process runs.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// Counts below rising bounds.
    Histogram,
    /// A sum and a count, perhaps with quantiles.
    Summary,
}

impl Kind {
    /// The word of the text format.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// A family of series: one name, told apart by labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Labels that its series may have. Those without a value are left out.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($($row:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $row: Family = Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )+
        /// All families, in the order in which they are written.
        pub static ALL: &[&Family] = &[$(&$row),+];
    };
}

families! {
    BUILD = Gauge "tollgate_build_info" ["version"]
        "The running version.";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
    UPTIME = Gauge "tollgate_uptime_seconds" []
        "How long the process has been running.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Processor time of the whole process.";
    RESIDENT = Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in RAM.";
    OPEN_FILES = Gauge "process_open_fds" []
        "Open file descriptors.";
    MAX_FILES = Gauge "process_max_fds" []
        "How many file descriptors the process may open.";
    WORKERS = Gauge "tollgate_workers" []
        "Worker threads.";
    WORKER_CPU = Counter "tollgate_worker_cpu_seconds_total" ["worker"]
        "Processor time of a worker; its rate is the share of a core that the worker is busy.";
    WORKER_SILENT = Gauge "tollgate_worker_silent_seconds" ["worker"]
        "Time since a worker's last sign of life, which it gives every 100 ms.";
    DRAINING = Gauge "tollgate_draining" []
        "Whether the process is draining.";
    CONFIG_NUMBER = Gauge "tollgate_config_number" []
        "The number of the running document; 1 is the one that the process was started with.";
    CONFIG_HASH = Gauge "tollgate_config_hash_info" ["hash"]
        "The hash of the running document.";
    RELOADS = Counter "tollgate_config_reloads_total" ["result"]
        "Documents that were to replace the running one; result ok or failed.";
    RELOAD_SUCCESS = Gauge "tollgate_config_last_reload_success" []
        "Whether the newest document was taken.";
    RELOAD_SUCCESS_AT = Gauge "tollgate_config_last_reload_success_timestamp_seconds" []
        "When a document was last taken, in seconds since 1970.";
    LOG_LOST = Counter "tollgate_access_log_lost_total" []
        "Access records lost because their destination did not keep up.";
    RECORDER_ENTRIES = Gauge "tollgate_recorder_entries" []
        "Exchanges in the flight recorder.";
    RECORDER_BYTES = Gauge "tollgate_recorder_bytes" []
        "Bytes that the flight recorder holds.";
    RECORDER_DROPPED = Counter "tollgate_recorder_dropped_total" []
        "Exchanges that the flight recorder should have kept and could not.";
    SPANS_EXPORTED = Counter "tollgate_trace_spans_exported_total" []
        "Spans that the collector took.";
    SPANS_DROPPED = Counter "tollgate_trace_spans_dropped_total" []
        "Spans that were never sent: too many waited, or the process ended.";
    SPANS_FAILED = Counter "tollgate_trace_spans_failed_total" []
        "Spans that were sent in vain: refused, rejected, or tried for too long.";
    ACME_NEXT_ORDER = Gauge "tollgate_acme_next_order_timestamp_seconds" ["name"]
        "When a certificate is ordered or renewed next by ACME, in seconds since 1970; in the past where others are before it.";
    ACME_FAILURES = Gauge "tollgate_acme_failures" ["name"]
        "Orders of a certificate by ACME that failed since the last one that did not.";
    DISCOVERY_ENDPOINTS = Gauge "tollgate_discovery_endpoints" ["upstream", "source"]
        "Endpoints in the last good answer of a source; 0 where there was none yet.";
    DISCOVERY_FAILURES = Counter "tollgate_discovery_failures_total" ["upstream", "source"]
        "Looks at a source of endpoints that failed; its endpoints stay as they were.";
    DISCOVERY_AGE = Gauge "tollgate_discovery_age_seconds" ["upstream", "source"]
        "Time since the last good answer of a source; absent where there was none yet.";
    STORE_UP = Gauge "tollgate_limit_store_up" ["store"]
        "Whether a Redis that limits count in can be asked.";
    ACCEPTED = Counter "tollgate_connections_accepted_total" ["listener"]
        "Client connections accepted.";
    OPEN = Gauge "tollgate_connections_open" ["listener"]
        "Client connections open now.";
    CARRIED_RECEIVED = Counter "tollgate_connections_received_bytes_total" ["listener"]
        "Bytes received from clients on connections that are carried as they are.";
    CARRIED_SENT = Counter "tollgate_connections_sent_bytes_total" ["listener"]
        "Bytes sent to clients on connections that are carried as they are.";
    ACTIVE = Gauge "http_server_active_requests" ["listener"]
        "Exchanges under way.";
    FLOWS = Counter "tollgate_udp_flows_total" ["listener"]
        "Flows begun: datagrams of one client address and port.";
    FLOWS_OPEN = Gauge "tollgate_udp_flows_open" ["listener"]
        "Flows open now.";
    DATAGRAMS = Counter "tollgate_udp_datagrams_total" ["listener", "direction"]
        "Datagrams carried on; direction upstream or client.";
    DATAGRAM_BYTES = Counter "tollgate_udp_bytes_total" ["listener", "direction"]
        "Bytes of the datagrams carried on, headers aside.";
    DATAGRAMS_DROPPED = Counter "tollgate_udp_dropped_total" ["listener", "reason"]
        "Datagrams that were not carried on.";
    HANDSHAKES = Counter "tollgate_tls_handshakes_total" ["listener", "result", "version", "resumed"]
        "TLS handshakes with clients over TCP that have ended; result ok or the reason of a failure, which has no version.";
    CERTIFICATE_EXPIRY = Gauge "tollgate_certificate_expiry_seconds" ["listener", "certificate", "names"]
        "When a certificate ends that a listener serves with, in seconds since 1970.";
    CERTIFICATE_STUCK = Gauge "tollgate_certificate_stuck" ["listener", "certificate", "names"]
        "Whether a certificate's files have changed to something that cannot be used, so that the one before serves on.";
    CERTIFICATES_REPLACED = Counter "tollgate_certificates_replaced_total" ["result"]
        "Certificates whose files had changed; result ok or failed.";
    POLICY_DECISIONS = Counter "tollgate_policy_decisions_total" ["policy", "route", "outcome"]
        "What policies decided: passed, stopped, would_stop (in shadow), waited. The route is empty where several routes share the policy.";
    MIRRORED = Counter "tollgate_mirrored_total" ["route", "upstream", "outcome"]
        "Requests that were chosen for a mirror: answered, failed, timed_out, cut (ended from here); not sent: busy (too many under way, or no place at the upstream), body_too_large.";
    MIRROR_COMPARED = Counter "tollgate_mirror_compared_total" ["route", "upstream", "result"]
        "Answers of mirrors beside those that clients got: same, or the first that differs of status, headers and body; unanswered; dropped (too many to compare).";
    CONSUMERS = Gauge "tollgate_consumers" []
        "Consumers in force, of the document and of its files.";
    FILES_STUCK = Gauge "tollgate_files_stuck" ["kind"]
        "Files beside the document that hold something that cannot be used by now, so that what they held before stays in force; by what is made from them.";
    EXCHANGES = Counter "tollgate_exchanges_total" ["reason", "side"]
        "Ended exchanges by reason and side at fault.";
    SERVER_DURATION = Histogram "http_server_request_duration_seconds"
        ["http_route", "http_request_method", "http_response_status_code", "error_type"]
        "Time from the end of a request's head to the last byte of its response; error_type is the reason of a failure.";
    ROUTE_DURATION = Summary "tollgate_route_duration_seconds" ["http_route", "quantile"]
        "The same by route, with quantiles of the last 30 to 60 seconds that are right to 1 %.";
    REQUEST_SIZE = Summary "http_server_request_body_size_bytes" ["http_route"]
        "Bytes of request bodies received.";
    RESPONSE_SIZE = Summary "http_server_response_body_size_bytes" ["http_route"]
        "Bytes of response bodies sent.";
    CLIENT_DURATION = Histogram "http_client_request_duration_seconds"
        ["upstream", "http_request_method", "http_response_status_code", "error_type"]
        "Time from the beginning of an attempt to its end; error_type is the reason of a failure.";
    FIRST_BYTE = Summary "tollgate_upstream_first_byte_seconds" ["upstream", "quantile"]
        "Time from the beginning of an attempt to the first byte of its response, with quantiles of the last 30 to 60 seconds that are right to 1 %.";
    UPSTREAM_RECEIVED = Counter "tollgate_upstream_connections_received_bytes_total" ["upstream"]
        "Bytes received from endpoints on connections that are carried as they are.";
    UPSTREAM_SENT = Counter "tollgate_upstream_connections_sent_bytes_total" ["upstream"]
        "Bytes sent to endpoints on connections that are carried as they are.";
    RETRIES = Counter "tollgate_upstream_retries_total" ["upstream"]
        "Attempts beyond the first of their exchange.";
    RETRIES_REFUSED = Counter "tollgate_upstream_retries_refused_total" ["upstream"]
        "Retries that the budget refused.";
    HEDGES = Counter "tollgate_upstream_hedges_total" ["upstream"]
        "Second attempts made beside one that had not answered in time.";
    HEDGES_WON = Counter "tollgate_upstream_hedges_won_total" ["upstream"]
        "Those of them that answered first.";
    CONNECTIONS_OPENED = Counter "tollgate_upstream_connections_opened_total" ["upstream"]
        "Connections opened.";
    CONNECTS_FAILED = Counter "tollgate_upstream_connects_failed_total" ["upstream"]
        "Connections that could not be opened.";
    CONNECTIONS_REUSED = Counter "tollgate_upstream_connections_reused_total" ["upstream"]
        "Attempts on an idle connection.";
    CONNECTIONS_STALE = Counter "tollgate_upstream_connections_stale_total" ["upstream"]
        "Idle connections that turned out to have ended; their attempts were made again and count as none.";
    SESSIONS = Counter "tollgate_sessions_total" ["upstream", "outcome"]
        "Exchanges of sessions that are kept at their endpoints: new, kept, moved, aside where the endpoint was full; and tokens that count as none, invalid.";
    UPSTREAM_FLOWS = Counter "tollgate_upstream_udp_flows_total" ["upstream"]
        "Flows begun to an upstream.";
    UPSTREAM_FLOWS_OPEN = Gauge "tollgate_upstream_udp_flows_open" ["upstream"]
        "Flows to an upstream that are open now.";
    UPSTREAM_DATAGRAMS = Counter "tollgate_upstream_udp_datagrams_total" ["upstream", "direction"]
        "Datagrams carried to and from an upstream; direction upstream or client.";
    UPSTREAM_DATAGRAM_BYTES = Counter "tollgate_upstream_udp_bytes_total" ["upstream", "direction"]
        "Bytes of those datagrams, headers aside.";
    UPSTREAM_HELD = Gauge "tollgate_upstream_held" ["upstream"]
        "Requests that are held since their upstream has no endpoint for them.";
    UPSTREAM_CAP = Gauge "tollgate_upstream_concurrency_limit" ["upstream"]
        "How many requests an upstream may have at once now, where that is limited.";
    UPSTREAM_TAKEN = Gauge "tollgate_upstream_concurrency_used" ["upstream"]
        "How many of those it has.";
    QUEUE_LENGTH = Gauge "tollgate_upstream_queue_length" ["upstream", "priority"]
        "Requests that wait for a place at an upstream.";
    QUEUE_WAIT = Histogram "tollgate_upstream_queue_wait_seconds" ["upstream"]
        "How long requests waited for a place at an upstream, also those that got none; who went straight on is not counted.";
    QUEUE_REFUSED = Counter "tollgate_upstream_queue_refused_total" ["upstream", "cause"]
        "Requests that got no place at an upstream; cause no_queue, queue_full, wait_too_long, pushed_out, shed or timed_out.";
    CIRCUIT = Gauge "tollgate_upstream_circuit" ["upstream", "state"]
        "The state of an upstream's circuit breaker: 1 for the one it is in; closed, half_open or open.";
    CIRCUIT_REFUSED = Counter "tollgate_upstream_circuit_refused_total" ["upstream"]
        "Requests that a circuit breaker refused, or would have refused in shadow.";
    ENDPOINTS = Gauge "tollgate_upstream_endpoints" ["upstream"]
        "Endpoints that have a weight.";
    ENDPOINTS_USABLE = Gauge "tollgate_upstream_endpoints_usable" ["upstream"]
        "Endpoints that have a weight, are not drained, and whose health allows to pick them.";
    ENDPOINTS_EJECTED = Gauge "tollgate_upstream_endpoints_ejected" ["upstream"]
        "Endpoints that outlier detection has taken out for now.";
    ENDPOINT_HEALTHY = Gauge "tollgate_endpoint_healthy" ["upstream", "endpoint"]
        "Whether neither probes nor outlier detection speak against an endpoint.";
    ENDPOINT_DRAINED = Gauge "tollgate_endpoint_drained" ["upstream", "endpoint"]
        "Whether the operator has drained an endpoint.";
    ENDPOINT_WEIGHT = Gauge "tollgate_endpoint_weight" ["upstream", "endpoint"]
        "An endpoint's weight, the operator's included.";
    ENDPOINT_ACTIVE = Gauge "tollgate_endpoint_active_requests" ["upstream", "endpoint"]
        "Attempts at an endpoint now.";
    PROBES_FAILED = Counter "tollgate_probes_failed_total" ["upstream", "endpoint"]
        "Probes of an endpoint that failed.";
    ENDPOINT_ATTEMPTS = Counter "tollgate_endpoint_attempts_total" ["upstream", "endpoint", "reason"]
        "Ended attempts at an endpoint by reason.";
    ENDPOINT_FIRST_BYTE = Summary "tollgate_endpoint_first_byte_seconds" ["upstream", "endpoint"]
        "Time from the beginning of an attempt at an endpoint to the first byte of its response.";
    EJECTIONS = Counter "tollgate_ejections_total" ["upstream", "rule"]
        "Ejections of endpoints by the rule of outlier detection that made them.";
    SHADOW_EJECTIONS = Counter "tollgate_shadow_ejections_total" ["upstream", "rule"]
        "Ejections that were not made because outlier detection runs in shadow.";
}

#[cfg(test)]
mod tests {
    use super::{ALL, Kind};

    #[test]
    fn names_say_what_they_are() {
        for (index, family) in ALL.iter().enumerate() {
            assert!(
                ALL[..index].iter().all(|other| other.name != family.name),
                "{} stands twice",
                family.name
            );
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
            let ours = ["tollgate_", "process_", "http_server_", "http_client_"];
            assert!(ours.iter().any(|prefix| family.name.starts_with(prefix)), "{}", family.name);
        }
    }
}
