//! The command line.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tollgate_testkit::{Launch, Origin, Output, run};

use crate::{PROGRAM, get};

fn tollgate(arguments: &[&str]) -> Output {
    run(Command::new(PROGRAM).args(arguments).env_remove("TOLLGATE_CONFIG").env("NO_COLOR", "1"))
}

const DOCUMENT: &str = r#"version: 1
listen: "127.0.0.1:0"
upstreams:
  shop: ["127.0.0.1:9001", { address: "127.0.0.1:9002", weight: 2 }]
  next: ["127.0.0.1:9003"]
routes:
  - { name: products, host: shop.example, path: /products, methods: [GET, HEAD], split: { shop: 3, next: 1 } }
  - { name: beta, path: /products, match: { headers: { X-Beta: { present: true } } }, to: next }
  - { name: old, path: /old, redirect: { path: { prefix: /new }, status: 301 } }
  - { name: gone, path: /gone, respond: 410 }
"#;

/// A file with this text, in a directory that lives as long as the first part.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn a_good_document_is_fine() {
    let (_directory, path) = file(DOCUMENT);
    let path = path.to_str().unwrap();
    for verb in ["check", "validate"] {
        let output = tollgate(&[verb, path]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        assert_eq!(output.stdout, format!("{path} is fine: 1 listeners, 4 routes, 2 upstreams\n"));
    }
}

#[test]
fn all_that_is_wrong_with_a_document_is_told() {
    let (_directory, path) =
        file("version: 1\nlisten: \":x\"\nroutez: []\nroutes:\n  - { path: a, to: nowhere }\n");
    let path = path.to_str().unwrap();
    for arguments in [&["check", path][..], &["run", "-c", path], &["explain", "-c", path, "GET", "/"]] {
        let output = tollgate(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(3), ""), "{arguments:?}");
        for part in [":2:", ":3:", ":5:", "did you mean `routes`", "nowhere"] {
            assert!(output.stderr.contains(part), "{part} is not in\n{}", output.stderr);
        }
    }
}

#[test]
fn warnings_do_not_fail_a_check() {
    let (_directory, path) = file(
        "version: 1\nlisten: \":8080\"\nroutes:\n  - { name: a, path: /a, respond: 200 }\n  - { name: b, path: /a, respond: 200 }\n",
    );
    let output = tollgate(&["check", path.to_str().unwrap()]);
    assert_eq!(output.code, Some(0));
    assert!(output.stdout.contains("1 warning") && output.stderr.contains("`b`"), "{output:?}");
}

#[test]
fn a_document_that_is_not_there_is_told() {
    let output = tollgate(&["check", "/nonexistent/tollgate.yaml"]);
    assert_eq!(output.code, Some(3));
    assert!(output.stderr.contains("/nonexistent/tollgate.yaml"), "{output:?}");
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    let output = run(command.arg("run").current_dir(empty.path()).env_remove("TOLLGATE_CONFIG"));
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("tollgate.yaml") && output.stderr.contains("tollgate demo"), "{output:?}");
}

#[test]
fn wrong_usage_is_told() {
    for arguments in [&["bogus"][..], &["run", "--bogus"], &["explain", "GET"], &["proxy", "--listen", ":1"]]
    {
        let output = tollgate(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert_eq!(tollgate(&["--help"]).code, Some(0));
}

#[test]
fn a_decision_is_explained() {
    let (_directory, path) = file(DOCUMENT);
    let explained = |arguments: &[&str]| {
        let output = tollgate(&[&["explain", "-c", path.to_str().unwrap()], arguments].concat());
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        // The date is now.
        let lines = output.stdout.split_inclusive('\n');
        lines.filter(|line| !line.starts_with("            Date: ")).collect::<String>()
    };
    assert_eq!(
        explained(&["GET", "http://shop.example/products/7?x=y"]),
        "GET http://shop.example/products/7?x=y
matched as  host shop.example, path /products/7, query x=y
routes      by precedence:
         -> products  matched
            beta      header x-beta
            old       path
            gone      path
route       products: split over shop 3, next 1
endpoint    shop 127.0.0.1:9001: can be picked, weight 1, 0 requests now
endpoint    shop 127.0.0.1:9002: can be picked, weight 2, 0 requests now
pick        127.0.0.1:9002
sends       GET /products/7?x=y HTTP/1.1
            Host: shop.example
            X-Forwarded-For: 127.0.0.1
            X-Forwarded-Proto: http
            X-Forwarded-Host: shop.example
            Via: 1.1 tollgate
            X-Request-ID: 00000000-0000-0000-0000-000000000000
"
    );
    assert_eq!(
        explained(&["GET", "/"]),
        "GET /
matched as  host localhost, path /
routes      by precedence:
            beta      path
            old       path
            gone      path
            products  host
answer      404 no_route: No route matches the request.
            Server: tollgate
            X-Request-ID: 00000000-0000-0000-0000-000000000000
            Proxy-Status: tollgate; error=destination_not_found; details=\"no_route\"
            Content-Type: application/problem+json
            Content-Length: 184
"
    );
    let malformed = explained(&["GET", "http://a/%2e%2e/"]);
    let first = "GET http://a/%2e%2e/\nanswer      400 bad_path: the path leads above its root\n";
    assert!(malformed.starts_with(first), "{malformed}");
    let gone = explained(&["GET", "/gone"]);
    let last =
        "route       gone: respond with 410\nanswer      410 fixed_response\n            Server: tollgate\n";
    assert!(gone.contains(last), "{gone}");
}

#[test]
fn a_decision_is_explained_to_programs() {
    let (_directory, path) = file(DOCUMENT);
    let arguments = ["-H", "X-Beta: 1", "POST", "http://shop.example//products"];
    let output = tollgate(&[&["explain", "--json", "-c", path.to_str().unwrap()], &arguments[..]].concat());
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let expected: Value = serde_json::from_str(
        r#"{
            "matched_as": { "host": "shop.example", "path": "/products", "query": "" },
            "routes": [
                { "route": "products", "outcome": "method" },
                { "route": "beta", "outcome": "matched" },
                { "route": "old", "outcome": "path" },
                { "route": "gone", "outcome": "path" }
            ],
            "routes_left_out": 0,
            "route": "beta",
            "action": "forward to the upstream next",
            "endpoints": [
                { "endpoint": "next 127.0.0.1:9003", "state": "can be picked, weight 1, 0 requests now" }
            ],
            "endpoint": "127.0.0.1:9003", "picked_by": null, "session": null, "mirrors": [], "overload": [],
            "policies": [], "consumer": null,
            "reason": null, "status": null, "detail": null,
            "upstream": "next",
            "sends": {
                "line": "POST /products HTTP/1.1",
                "fields": [
                    { "name": "Host", "value": "shop.example" },
                    { "name": "X-Beta", "value": "1" },
                    { "name": "X-Forwarded-For", "value": "127.0.0.1" },
                    { "name": "X-Forwarded-Proto", "value": "http" },
                    { "name": "X-Forwarded-Host", "value": "shop.example" },
                    { "name": "Via", "value": "1.1 tollgate" },
                    { "name": "X-Request-ID", "value": "00000000-0000-0000-0000-000000000000" }
                ]
            },
            "answer": null
        }"#,
    )
    .unwrap();
    assert_eq!(told, expected);
}

#[test]
fn the_schema_is_json() {
    let output = tollgate(&["schema"]);
    let schema: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(schema["type"], "object");
    assert!(schema["properties"]["routes"].is_object() && schema["$schema"].is_string());
    assert!(tollgate(&["reference"]).stdout.contains("| `routes` |"));
}

#[test]
fn the_version_is_told() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(tollgate(&["version"]).stdout, format!("tollgate {version}\n"));
    let told: Value = serde_json::from_str(&tollgate(&["version", "--json"]).stdout).unwrap();
    assert_eq!(told["version"], version);
}

#[test]
fn a_forwarding_without_a_document_can_be_printed_and_run() {
    let output =
        tollgate(&["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:3000,127.0.0.1:3001", "--print"]);
    assert_eq!(output.code, Some(0));
    let (_directory, path) = file(&output.stdout);
    assert_eq!(tollgate(&["check", path.to_str().unwrap()]).code, Some(0), "{}", output.stdout);

    let origin = Origin::saying("hello");
    let to = origin.address().to_string();
    let running = Launch::with_arguments(PROGRAM, &["proxy", "--listen", "127.0.0.1:0", "--to", &to]).start();
    assert_eq!(running.request(get("/")).text(), "hello");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = Origin::saying("");
    let (_directory, path) = file(&format!(
        "version: 1\nlisten: \"{}\"\nroutes: [{{ path: /, respond: 200 }}]\n",
        taken.address()
    ));
    let output = tollgate(&["run", "-c", path.to_str().unwrap()]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains(&taken.address().to_string()), "{output:?}");
}

#[test]
fn the_demo_is_open() {
    let demo =
        Launch::with_arguments(PROGRAM, &["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .start();
    let mut client = demo.connect();
    assert_eq!(client.request(get("/")).text(), "Welcome to the shop.\n");
    for _ in 0..10 {
        // One of the endpoints of this service drops every third connection.
        assert_eq!(client.request(get("/products")).status, 200);
        assert_eq!(client.request(get("/orders")).status, 200);
    }
    assert_eq!(client.request(get("/shop/shoes?size=42")).status, 301);
    assert_eq!(
        client.request("DELETE /products HTTP/1.1\r\nHost: a\r\n\r\n").reason().as_deref(),
        Some("no_route")
    );
}
