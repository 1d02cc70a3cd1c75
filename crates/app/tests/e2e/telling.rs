//! The access log and the metrics.

use serde_json::Value;
use tollgate_testkit::{Launch, Origin, Tollgate, refusing};

use crate::{PROGRAM, get};

fn logging(settings: &str, origin: &Origin) -> Tollgate {
    let document = format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 1\naccess_log: stdout\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         {settings}\nupstreams: {{ shop: [\"{}\"] }}\nroutes:\n  - {{ name: all, path: /, to: shop, retry: none }}\n  \
         - {{ name: moved, path: /moved, redirect: {{ path: {{ full: / }} }} }}\n",
        origin.address()
    );
    Launch::new(PROGRAM, &document).start()
}

fn logged(tollgate: &Tollgate, number: usize) -> Value {
    let line = tollgate.stdout_line(number, "{");
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn each_exchange_has_its_line() {
    let origin = Origin::echo();
    let tollgate = logging("", &origin);
    let response = tollgate
        .request("POST /a/./b?secret=1 HTTP/1.1\r\nHost: Shop.Example:80\r\nContent-Length: 5\r\n\r\nhello");
    let line = logged(&tollgate, 0);
    for (key, value) in [
        ("client.address", "127.0.0.1"),
        ("http.request.method", "POST"),
        ("url.path", "/a/b"),
        ("server.address", "shop.example"),
        ("network.protocol.version", "1.1"),
        ("reason", "forwarded"),
        ("end", "nobody"),
        ("route", "all"),
        ("upstream", "shop"),
        ("endpoint", origin.address().to_string().as_str()),
        ("request_id", response.get("x-request-id").unwrap()),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    for (key, value) in
        [("http.response.status_code", 200), ("attempts", 1), ("bytes_sent", 5), ("bytes_received", 5)]
    {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert!(line["t.total"].as_f64().unwrap() >= line["t.ttfb"].as_f64().unwrap());
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    assert!(!line.to_string().contains("secret"), "{line}");
}

#[test]
fn what_is_answered_here_has_a_line_too() {
    let origin = Origin::echo();
    let tollgate = logging("", &origin);
    for (number, (request, status, reason, route)) in [
        (get("/moved/x"), 302, "redirect", "moved"),
        ("GET /\" HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "bad_target", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400, "duplicate_host", ""),
        (get("/%00"), 400, "bad_path", ""),
        ("\u{1}\r\n\r\n".to_owned(), 400, "bad_method", ""),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(tollgate.request(request).status, status);
        let line = logged(&tollgate, number);
        assert_eq!((&line["reason"], &line["route"]), (&reason.into(), &route.into()), "{line}");
        assert_eq!(
            (&line["http.response.status_code"], &line["attempts"]),
            (&status.into(), &0.into()),
            "{line}"
        );
    }
}

#[test]
fn failures_are_told_by_side_and_reason() {
    let origin = Origin::start(|connection| {
        let request = connection.request().unwrap();
        if request.target() == "/cut" {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        }
    });
    let tollgate = logging("", &origin);
    let mut client = tollgate.connect();
    client.send(get("/cut"));
    assert!(client.try_response().is_err());
    let line = logged(&tollgate, 0);
    assert_eq!(
        (&line["reason"], &line["end"]),
        (&"response_incomplete".into(), &"upstream".into()),
        "{line}"
    );
    assert_eq!(line["http.response.status_code"], 200, "what the client saw: {line}");
    tollgate.request(get("/closed"));
    let line = logged(&tollgate, 1);
    assert_eq!(
        (&line["reason"], &line["http.response.status_code"]),
        (&"upstream_closed".into(), &502.into()),
        "{line}"
    );
    // A client that goes away in the middle of its own request.
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    origin.wait_for_connections(3);
    drop(client);
    let line = logged(&tollgate, 2);
    assert_eq!((&line["reason"], &line["end"]), (&"client_closed".into(), &"client".into()), "{line}");
    assert_eq!(line["http.response.status_code"], 0, "{line}");
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let origin = Origin::saying("ok");
    let tollgate = logging("trusted_proxies: [127.0.0.1, 10.0.0.0/8]", &origin);
    for (number, (said, client)) in [
        ("203.0.113.9", "203.0.113.9"),
        ("9.9.9.9, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("nonsense", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ]
    .into_iter()
    .enumerate()
    {
        tollgate.request(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {said}\r\n\r\n"));
        assert_eq!(logged(&tollgate, number)["client.address"], client);
    }
}

#[test]
fn a_log_may_be_a_file() {
    let document = "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: { file: \"{directory}/access.log\" }\n\
                    routes: [{ path: /, respond: 204 }]\n";
    let mut tollgate = Launch::new(PROGRAM, document).start();
    for _ in 0..3 {
        assert_eq!(tollgate.request(get("/")).status, 204);
    }
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
    let text = std::fs::read_to_string(tollgate.directory().join("access.log")).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("\"fixed_response\"")).count(), 3, "{text}");
}

#[test]
fn metrics_count_what_happened() {
    let origin = Origin::saying("ok");
    let (refused, _guard) = refusing();
    let document = format!(
        "version: 1\nlisten: {{ address: \"127.0.0.1:0\", name: web }}\nworkers: 2\naccess_log: none\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams:\n  shop: {{ endpoints: [\"{}\", \"{refused}\"], ejection: none }}\n\
         routes: [{{ name: all, path: /a, to: shop, retry: {{ attempts: 2 }} }}]\n",
        origin.address()
    );
    let tollgate = Launch::new(PROGRAM, &document).start();
    let mut client = tollgate.connect();
    for _ in 0..10 {
        assert_eq!(client.request(get("/a")).status, 200);
    }
    assert_eq!(client.request(get("/b")).status, 404);
    assert_eq!(tollgate.request("BAD\r\n\r\n").status, 400);
    // A connection is counted as closed a moment after its client has seen the end.
    let began = std::time::Instant::now();
    while tollgate.metric("tollgate_connections_open{listener=\"web\"}") != 1.0 {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE);
    }
    let (status, text) = tollgate.admin("/metrics");
    assert_eq!(status, 200);
    let shop = "{upstream=\"shop\"}";
    let value = |series: &str| tollgate.metric(series);
    assert_eq!(value("tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"}"), 10.0, "{text}");
    assert_eq!(value("tollgate_exchanges_total{reason=\"no_route\",side=\"client\"}"), 1.0);
    assert_eq!(value("tollgate_exchanges_total{reason=\"bad_request_line\",side=\"client\"}"), 1.0);
    let served = "{http_route=\"all\",http_request_method=\"GET\",http_response_status_code=\"200\"}";
    assert_eq!(value(&format!("http_server_request_duration_seconds_count{served}")), 10.0);
    assert_eq!(value("tollgate_route_duration_seconds_count{http_route=\"all\"}"), 10.0);
    assert_eq!(value("tollgate_route_duration_seconds_count"), 2.0, "those without a route");
    assert_eq!(value("http_server_response_body_size_bytes_sum{http_route=\"all\"}"), 20.0);
    assert_eq!(value("http_server_active_requests{listener=\"web\"}"), 0.0);
    assert_eq!(value("tollgate_connections_accepted_total{listener=\"web\"}"), 2.0);
    let failed = value(&format!("tollgate_upstream_connects_failed_total{shop}"));
    assert!(failed >= 4.0, "{text}");
    assert_eq!(value(&format!("tollgate_upstream_retries_total{shop}")), failed);
    let opened = value(&format!("tollgate_upstream_connections_opened_total{shop}"));
    let reused = value(&format!("tollgate_upstream_connections_reused_total{shop}"));
    assert_eq!(opened + reused, 10.0);
    assert_eq!(opened as usize, origin.connections());
    let endpoint = |name: &str, address: &dyn std::fmt::Display| {
        format!("{name}{{upstream=\"shop\",endpoint=\"{address}\"}}")
    };
    assert_eq!(value(&endpoint("tollgate_endpoint_healthy", &origin.address())), 1.0);
    assert_eq!(value(&endpoint("tollgate_endpoint_active_requests", &origin.address())), 0.0);
    let attempts = |address: &dyn std::fmt::Display, reason: &str| {
        let labels = format!("upstream=\"shop\",endpoint=\"{address}\",reason=\"{reason}\"");
        value(&format!("tollgate_endpoint_attempts_total{{{labels}}}"))
    };
    assert_eq!(attempts(&origin.address(), "forwarded"), 10.0);
    assert_eq!(attempts(&refused, "connect_failed"), failed);
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (_, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
}
