//! The verbs that talk to the running instance.

use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::{Gate, Origin, Output, Tollgate, run};

use crate::going_on::without_a_failure;
use crate::{PROGRAM, get, launch};

/// Runs a verb against the program's socket.
pub(crate) fn verb(tollgate: &Tollgate, arguments: &[&str]) -> Output {
    verb_at(tollgate.socket().to_str().unwrap(), arguments)
}

fn verb_at(socket: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("TOLLGATE_SOCKET", socket).env("NO_COLOR", "1");
    for variable in ["TOLLGATE_ADDRESS", "TOLLGATE_TOKEN", "TOLLGATE_CONFIG"] {
        command.env_remove(variable);
    }
    run(&mut command)
}

pub(crate) fn json_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn shop(first: &Origin, second: &Origin) -> Tollgate {
    launch(
        "upstreams: { shop: [\"{first}\", \"{second}\"] }\nroutes: [{ name: all, path: /, to: shop, retry: none }]\n",
        &[("first", &first.address()), ("second", &second.address())],
    )
}

#[test]
fn the_status_is_told_to_people_and_programs() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    assert_eq!(tollgate.request(get("/")).status, 200);
    let output = verb(&tollgate, &["status"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    for part in ["● serving", "document 1 from", "LISTENER", "all", "shop", "● usable", "pid"] {
        assert!(output.stdout.contains(part), "{part} is not in\n{}", output.stdout);
    }
    assert!(!output.stdout.contains('\x1b'), "colours where there is no terminal");
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(told["routes"]["list"][0]["name"], "all");
    let quiet = verb(&tollgate, &["status", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn the_status_of_a_draining_process_is_no_success() {
    let tollgate = launch("shutdown: { delay: 5m }\nroutes: [{ path: /, respond: 204 }]\n", &[]);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    let output = verb(&tollgate, &["status", "--quiet"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(verb(&tollgate, &["status"]).stdout.starts_with("● draining"));
}

#[test]
fn an_instance_that_cannot_be_reached_has_its_own_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.sock");
    let left = directory.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    for verb in [&["status"][..], &["status", "--quiet"], &["endpoint", "list"], &["top", "--once"]] {
        for (socket, says) in [(&absent, "no such socket"), (&left, "nobody listens")] {
            let output = verb_at(socket.to_str().unwrap(), verb);
            assert_eq!((output.code, output.stdout.as_str()), (Some(4), ""), "{verb:?}");
            assert!(
                output.stderr.contains(socket.to_str().unwrap()) && output.stderr.contains(says),
                "{output:?}"
            );
        }
    }
    let (refusing, _kept) = tollgate_testkit::refusing();
    let output = verb_at("", &["status", "--address", &format!("http://{refusing}")]);
    assert_eq!(output.code, Some(4), "{output:?}");
}

#[test]
fn over_tcp_verbs_need_the_token() {
    let tollgate = launch(
        "admin: { listen: \"127.0.0.1:0\", token: 0123456789abcdef }\nroutes: [{ path: /, respond: 204 }]\n",
        &[],
    );
    let line = tollgate.stderr_line("metrics and health on ");
    let address = line.split(" on ").nth(1).unwrap().trim();
    let status = |more: &[&str]| verb_at("", &[&["status", "--quiet", "--address", address], more].concat());
    assert_eq!(status(&["--token", "0123456789abcdef"]).code, Some(0));
    for more in [&[][..], &["--token", "1123456789abcdef"]] {
        let output = status(more);
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains("token"), "{output:?}");
    }
}

#[test]
fn an_endpoint_is_drained_under_load_and_no_request_fails() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    let endpoint = second.address().to_string();
    without_a_failure(&tollgate, |load| {
        for _ in 0..3 {
            load.wait_for_more(50);
            let output =
                verb(&tollgate, &["endpoint", "drain", "shop", &endpoint, "--wait", "--timeout", "60"]);
            assert_eq!(output.code, Some(0), "{output:?}");
            assert!(output.stdout.contains("○ drained"), "{output:?}");
            // From here on nothing new may come.
            let before = second.requests().len();
            load.wait_for_more(50);
            assert_eq!(second.requests().len(), before);
            assert_eq!(verb(&tollgate, &["endpoint", "undrain", "shop", &endpoint]).code, Some(0));
            second.wait_for_requests(before + 10);
        }
    });
}

#[test]
fn a_drain_waits_for_what_runs_and_says_when_it_gives_up() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            waiting.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let other = Origin::saying("other");
    let tollgate = shop(&origin, &other);
    // Of two in turn one waits at the gate.
    let mut clients = [tollgate.connect(), tollgate.connect()];
    clients.iter_mut().for_each(|client| client.send(get("/")));
    origin.wait_for_requests(1);
    let endpoint = origin.address().to_string();
    let drain = ["endpoint", "drain", "shop", &endpoint, "--wait", "--json"];
    let output = verb(&tollgate, &[&drain[..], &["--timeout", "0"]].concat());
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(output.stderr.contains("1 in flight") && output.stderr.contains("stays drained"), "{output:?}");
    gate.open();
    let told = json_of(&verb(&tollgate, &drain));
    assert_eq!((&told["changed"], &told["endpoints"][0]["in_flight"]), (&json!(false), &json!(0)));
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn with_all_endpoints_drained_requests_are_answered_and_the_status_says_why() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    for origin in [&first, &second] {
        let endpoint = origin.address().to_string();
        assert_eq!(verb(&tollgate, &["endpoint", "drain", "shop", &endpoint]).code, Some(0));
    }
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("no_endpoint")));
    let output = verb(&tollgate, &["status"]);
    assert!(
        output.stdout.contains("● failing") && output.stdout.contains("drained by the operator"),
        "{output:?}"
    );
}

#[test]
fn weights_are_set_listed_and_taken_back() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    let endpoint = first.address().to_string();
    let told = json_of(&verb(&tollgate, &["endpoint", "weight", "shop", &endpoint, "7", "--json"]));
    assert_eq!(told["endpoints"][0]["weight"], 7);
    let listed = verb(&tollgate, &["endpoint", "list", "shop"]);
    assert!(listed.stdout.contains("7 (document: 1)"), "{listed:?}");
    assert_eq!(verb(&tollgate, &["endpoint", "weight", "shop", &endpoint]).code, Some(0));
    let told = json_of(&verb(&tollgate, &["endpoint", "list", "--json"]));
    assert_eq!(told["endpoints"].as_array().unwrap().len(), 2);
    assert_eq!(told["endpoints"][0]["weight"], 1);
    for (arguments, says) in [
        (&["endpoint", "drain", "shoop", "x"][..], "there are shop"),
        (&["endpoint", "drain", "shop", "x"], "has no endpoint `x`"),
        (&["endpoint", "list", "a/b"], "no upstream `a/b`"),
        (&["endpoint", "weight", "shop", &endpoint, "70000"], "65535"),
    ] {
        let output = verb(&tollgate, arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(output.stderr.contains(says), "{output:?}");
    }
}

#[test]
fn what_happens_now_is_shown_in_one_picture_too() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    assert_eq!(tollgate.request(get("/")).status, 200);
    let output = verb(&tollgate, &["top", "--once", "--interval", "0.05"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    for part in ["● serving", "requests/s", "all", "● usable"] {
        assert!(output.stdout.contains(part), "{part} is not in\n{}", output.stdout);
    }
    let told = json_of(&verb(&tollgate, &["top", "--json", "--interval", "0.05"]));
    assert_eq!(told["exchanges_per_second"], 0.0);
    assert_eq!(verb(&tollgate, &["top", "--interval", "0"]).code, Some(2));
}

#[test]
fn what_the_operator_has_set_outlives_a_reload() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = shop(&first, &second);
    let (drained, heavy) = (second.address().to_string(), first.address().to_string());
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "shop", &drained]).code, Some(0));
    assert_eq!(verb(&tollgate, &["endpoint", "weight", "shop", &heavy, "9"]).code, Some(0));
    let path = tollgate.directory().join("tollgate.yaml");
    let document = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, document.replace("name: all", "name: everything")).unwrap();
    tollgate.signal(rustix::process::Signal::HUP);
    tollgate.stderr_line("document 2 is in force");
    let mut client = tollgate.connect();
    for _ in 0..10 {
        assert_eq!(client.request(get("/")).text(), "a");
    }
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(
        (&told["config"]["number"], &told["config"]["last_reload"]["occasion"]),
        (&json!(2), &json!("reload"))
    );
    let endpoints = &told["upstreams"][0]["endpoints"];
    assert_eq!((&endpoints[0]["weight"], &endpoints[0]["document_weight"]), (&json!(9), &json!(1)));
    assert_eq!(endpoints[1]["state"], "drained");
    // A document that is not fit for use leaves all as it is, and the status says so.
    std::fs::write(&path, "version: 1\nroutes: none\n").unwrap();
    tollgate.signal(rustix::process::Signal::HUP);
    tollgate.stderr_line("refused");
    let output = verb(&tollgate, &["status"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("! the last reload"), "{output:?}");
}
