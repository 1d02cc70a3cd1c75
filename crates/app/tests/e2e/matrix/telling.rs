//! What is told of exchanges: the access log and the counters, the same for all protocols.

use std::collections::HashMap;

use crate::PROGRAM;
use tollgate_testkit::Launch;
use tollgate_testkit::http2::Http2Client;

use super::{AnyOrigin, Body, Caller, Speaks, each};

#[test]
fn logs_and_counters_tell_the_version_of_the_client() {
    each(|pair| {
        let origin = AnyOrigin::start(pair.origin, |asked| {
            assert!(asked.read());
            match asked.request().target() {
                "/cut" => asked.cut(),
                _ => asked.answer(200, &[], b"hello"),
            }
        });
        let document = format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 1\naccess_log: stdout\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
             upstreams: {{ up: {{ endpoints: [\"{}\"], protocol: {} }} }}\n\
             routes: [{{ name: all, path: /, to: up, retry: none }}]\n",
            origin.address(),
            origin.protocol()
        );
        let tollgate = Launch::new(PROGRAM, &document).start();
        let caller = match pair.client {
            Speaks::Http1 => Caller::Http1(tollgate.address()),
            Speaks::Http2 => Caller::Http2(Http2Client::connect(tollgate.address())),
        };
        assert_eq!(caller.call("POST", "/a", &[], Body::Known(4)).exchange(b"body").text(), "hello");
        assert_eq!(caller.call("GET", "/cut", &[], Body::None).response().status, 502);
        let version = if pair.client == Speaks::Http1 { "1.1" } else { "2" };
        let line = tollgate.stdout_line(0, "/a");
        let fields: HashMap<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        assert!(line.contains(&format!("\"{version}\"")), "{line}");
        assert!(fields.values().any(|value| value == "forwarded"), "{line}");
        let reason = if pair.origin == Speaks::Http1 { "upstream_closed" } else { "upstream_reset" };
        let line = tollgate.stdout_line(0, "/cut");
        assert!(line.contains(reason), "{line}");
        tollgate.await_metric("tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"}", 1.0);
        tollgate
            .await_metric(&format!("tollgate_exchanges_total{{reason=\"{reason}\",side=\"upstream\"}}"), 1.0);
    });
}
