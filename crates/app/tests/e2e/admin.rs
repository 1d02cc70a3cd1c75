//! The admin API: who may ask, what is answered, what bad clients can do.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::{Client, Launch, Origin, PATIENCE, Response, Tollgate, run};

use crate::{PRELUDE, PROGRAM, get, launch};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn two_endpoints(first: &Origin, second: &Origin) -> Tollgate {
    launch(
        "upstreams: { shop: [\"{first}\", \"{second}\"] }\nroutes: [{ name: all, path: /, to: shop }]\n",
        &[("first", &first.address()), ("second", &second.address())],
    )
}

fn api(tollgate: &Tollgate, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, text) = tollgate.api(method, path, body);
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}

#[test]
fn the_default_socket_is_for_its_own_user_and_gone_at_the_end() {
    let mut tollgate = launch("routes: [{ path: /, respond: 204 }]\n", &[]);
    let mode = std::fs::metadata(tollgate.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(tollgate.api("GET", "/healthz", ""), (200, "ok\n".into()));
    assert_eq!(tollgate.api("GET", "/readyz", ""), (200, "ready\n".into()));
    tollgate.terminate();
    assert!(tollgate.wait().success());
    assert!(!tollgate.socket().exists());
}

#[test]
fn there_is_no_api_where_the_document_says_none() {
    let tollgate = launch("admin: none\nroutes: [{ path: /, respond: 204 }]\n", &[]);
    assert_eq!(tollgate.request(get("/")).status, 204);
    assert!(!tollgate.socket().exists() && !tollgate.stderr().contains("admin"), "{}", tollgate.stderr());
}

#[test]
fn a_second_process_at_the_same_default_socket_serves_traffic_without_it() {
    let first = launch("routes: [{ path: /, respond: 204 }]\n", &[]);
    let socket = first.socket();
    let document = format!("{PRELUDE}routes: [{{ path: /, respond: 201 }}]\n");
    let second =
        Launch::new(PROGRAM, &document).environment("TOLLGATE_SOCKET", socket.to_str().unwrap()).start();
    assert_eq!(second.request(get("/")).status, 201);
    let line = second.stderr_line("no admin API");
    assert!(line.contains(socket.to_str().unwrap()) && line.contains("another process listens"), "{line}");
    drop(second);
    assert_eq!(first.api("GET", "/healthz", "").0, 200, "the first one's socket is still there");
}

#[test]
fn a_socket_that_the_document_names_and_nobody_can_have_is_an_error() {
    let first = launch("routes: [{ path: /, respond: 204 }]\n", &[]);
    let path = first.directory().join("second.yaml");
    let socket = first.socket();
    let document = format!(
        "{PRELUDE}admin: {{ socket: {} }}\nroutes: [{{ path: /, respond: 204 }}]\n",
        socket.display()
    );
    std::fs::write(&path, document).unwrap();
    let output = run(Command::new(PROGRAM).arg("run").arg("-c").arg(&path));
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains(socket.to_str().unwrap()), "{output:?}");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let document = format!("{PRELUDE}routes: [{{ path: /, respond: 204 }}]\n");
    let launch = Launch::new(PROGRAM, &document);
    let tollgate = launch.environment("TOLLGATE_SOCKET", socket.to_str().unwrap()).start();
    assert!(tollgate.stderr_line("admin API on").contains("left.sock"));
}

fn over_tcp(tollgate: &Tollgate, path: &str, fields: &str) -> Response {
    tollgate.connect_admin().request(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

#[test]
fn over_tcp_the_token_opens_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\", token: { file: {file} } }\nroutes: [{ path: /, respond: 204 }]\n",
        &[("file", &file.display())],
    );
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(over_tcp(&tollgate, "/api/v1/status", &right).status, 200);
    let wrong = format!("Authorization: Bearer {}\r\n", TOKEN.replace('0', "1"));
    for (fields, challenge) in [("", "Bearer realm=\"tollgate\""), (wrong.as_str(), "invalid_token")] {
        for path in ["/api/v1/status", "/api/v1/openapi.json", "/api/v2", "/"] {
            let response = over_tcp(&tollgate, path, fields);
            assert_eq!(
                (response.status, response.get("content-type")),
                (401, Some("application/problem+json"))
            );
            assert!(response.get("www-authenticate").unwrap().contains(challenge), "{path}");
            assert!(!response.text().contains(TOKEN));
        }
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(over_tcp(&tollgate, path, "").status, 200);
        assert_eq!(over_tcp(&tollgate, path, "Origin: http://evil.example\r\n").status, 403);
        assert_eq!(over_tcp(&tollgate, path, "Origin: http://localhost\r\n").status, 200);
    }
    // The socket is there as well, and needs none.
    assert_eq!(api(&tollgate, "GET", "/api/v1/status", "").0, 200);
}

#[test]
fn over_tcp_there_is_no_api_without_a_token() {
    let tollgate = launch("admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, respond: 204 }]\n", &[]);
    for fields in ["", "Authorization: Bearer \r\n", "Authorization: Bearer x\r\n"] {
        let response = over_tcp(&tollgate, "/api/v1/status", fields);
        assert_eq!(response.status, 403);
        assert!(response.text().contains("admin.token"), "{}", response.text());
    }
    assert_eq!(over_tcp(&tollgate, "/metrics", "").status, 200);
}

#[test]
fn what_cannot_be_done_is_told_in_words() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = two_endpoints(&first, &second);
    let place = format!("/api/v1/upstreams/shop/endpoints/{}", first.address());
    let (huge, huger) = ("x".repeat(65_537), "x".repeat(3 << 20));
    for (method, path, body, status, says) in [
        ("GET", "/api/v1/nothing", "", 404, "/api/v1/nothing"),
        ("GET", "/", "", 404, "openapi.json"),
        ("POST", "/api/v1/status", "", 405, "POST"),
        ("DELETE", &format!("{place}/drain"), "", 405, "DELETE"),
        ("GET", "/api/v1/status?routes=some", "", 400, "some"),
        ("GET", "/api/v1/status?rutes=all", "", 400, "rutes"),
        ("GET", "/api/v1/endpoints?upstream=shoop", "", 404, "shop"),
        ("POST", "/api/v1/upstreams/shoop/endpoints/x/drain", "", 404, "shop"),
        ("POST", "/api/v1/upstreams/shop/endpoints/x/drain", "", 404, &second.address().to_string()),
        ("POST", &format!("{place}/weight"), "", 400, "JSON"),
        ("POST", &format!("{place}/weight"), "{\"weight\": ", 400, "JSON"),
        ("POST", &format!("{place}/weight"), "{\"weight\": -1}", 400, "-1"),
        ("POST", &format!("{place}/weight"), "{\"wait\": 1}", 400, "wait"),
        ("POST", &format!("{place}/weight"), "{\"weight\": 65536}", 422, "65535"),
        ("POST", &format!("{place}/weight"), &huge, 413, "65536"),
        ("POST", &format!("{place}/weight"), &huger, 413, "65536"),
    ] {
        let (answered, problem) = api(&tollgate, method, path, body);
        assert_eq!((answered, &problem["status"]), (status, &json!(status)), "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{method} {path}: {problem}");
    }
    let (_, told) = api(&tollgate, "GET", "/api/v1/endpoints", "");
    assert!(told["endpoints"].as_array().unwrap().iter().all(|e| e["weight"] == 1 && e["drained"] == false));
}

#[test]
fn slow_clients_do_not_keep_others_from_the_api() {
    let tollgate = launch("admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, respond: 204 }]\n", &[]);
    let slow: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = tollgate.connect_admin();
            client.send("GET /metrics HTTP/1.1\r\nHo");
            client
        })
        .collect();
    assert_eq!(tollgate.admin("/healthz").0, 200);
    assert_eq!(tollgate.request(get("/")).status, 204);
    drop(slow);
}

#[test]
fn the_status_tells_what_happened() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = two_endpoints(&first, &second);
    let mut client = tollgate.connect();
    for _ in 0..4 {
        assert_eq!(client.request(get("/")).status, 200);
    }
    assert_eq!(client.request(get("/%00")).status, 400);
    // An exchange is counted right after its response was sent.
    let began = std::time::Instant::now();
    let told = loop {
        let (_, told) = api(&tollgate, "GET", "/api/v1/status", "");
        let counts = told["exchanges"].as_array().unwrap().iter().map(|reason| reason["count"].as_u64());
        if counts.flatten().sum::<u64>() == 5 {
            break told;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
    };
    assert_eq!((&told["process"]["draining"], &told["process"]["workers"]), (&json!(false), &json!(1)));
    assert_eq!((&told["config"]["number"], &told["config"]["last_reload"]), (&json!(1), &Value::Null));
    assert!(told["config"]["source"].as_str().unwrap().ends_with("tollgate.yaml"));
    assert_eq!((&told["listeners"][0]["open"], &told["listeners"][0]["accepted"]), (&json!(1), &json!(1)));
    assert_eq!(told["listeners"][0]["address"], tollgate.address().to_string());
    let routes = told["routes"]["list"].as_array().unwrap();
    let named: Vec<_> = routes.iter().map(|route| (&route["name"], &route["exchanges"])).collect();
    assert_eq!(named, [(&json!("all"), &json!(4)), (&Value::Null, &json!(1))]);
    assert_eq!((&routes[0]["classes"]["2xx"], &routes[1]["classes"]["4xx"]), (&json!(4), &json!(1)));
    assert_eq!(routes[0]["latency"]["count"], 4);
    assert!(routes[0]["latency"]["quantiles"]["p99_us"].as_f64().unwrap() > 0.0);
    let reasons = told["exchanges"].as_array().unwrap();
    assert!(reasons.contains(&json!({ "reason": "bad_path", "side": "client", "count": 1 })), "{reasons:?}");
    let endpoint = &told["upstreams"][0]["endpoints"][0];
    assert_eq!((&endpoint["state"], &endpoint["in_flight"]), (&json!("usable"), &json!(0)));

    let (_, told) = api(&tollgate, "GET", "/api/v1/status?routes=all&limit=1", "");
    assert_eq!((&told["routes"]["left_out"], &told["routes"]["in_document"]), (&json!(1), &json!(1)));
    assert_eq!(told["routes"]["list"][0]["name"], "all", "the busiest stays");
    let (_, told) = api(&tollgate, "GET", "/api/v1/status?routes=none", "");
    assert_eq!(told["routes"]["list"], json!([]));
}

#[test]
fn the_api_describes_itself_as_the_docs_do() {
    let tollgate = launch("routes: [{ path: /, respond: 204 }]\n", &[]);
    let (_, told) = api(&tollgate, "GET", "/api/v1/openapi.json", "");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let docs: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(told, docs);
    for (path, methods) in docs["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let mut place = path.to_owned();
            for parameter in ["upstream", "endpoint", "request_id"] {
                place = place.replace(&format!("{{{parameter}}}"), "none");
            }
            // A stream has no end, but an error has.
            if path.ends_with("/logs") {
                place += "?reason=none";
            }
            let (status, answer) = tollgate.api(&method.to_uppercase(), &place, "{\"weight\":1}");
            // Whatever it says to this, it is there and takes the method.
            let unknown = answer.contains("openapi.json lists");
            assert!(status < 500 && !unknown, "{method} {path}: {status} {answer}");
        }
    }
}

#[test]
fn a_weight_moves_shares_and_no_weight_gives_the_documents_back() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = two_endpoints(&first, &second);
    let mut client = tollgate.connect();
    let mut shares = || {
        let mut counts = [0, 0];
        for _ in 0..40 {
            counts[usize::from(client.request(get("/")).text() == "b")] += 1;
        }
        counts
    };
    assert_eq!(shares(), [20, 20]);
    let path = format!("/api/v1/upstreams/shop/endpoints/{}/weight", second.address());
    for (weight, expected) in [("3", [10, 30]), ("0", [40, 0]), ("null", [20, 20])] {
        let (status, changed) = api(&tollgate, "POST", &path, &format!("{{\"weight\":{weight}}}"));
        assert_eq!((status, &changed["changed"]), (200, &json!(true)));
        assert_eq!(shares(), expected, "weight {weight}");
    }
    tollgate.stderr_line("given the weight 3 by the operator");
    let (_, text) = tollgate.api("GET", "/metrics", "");
    let series = format!("tollgate_endpoint_weight{{upstream=\"shop\",endpoint=\"{}\"}} 1", second.address());
    assert!(text.contains(&series), "{text}");
}
