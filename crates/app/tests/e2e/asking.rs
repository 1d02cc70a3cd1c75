//! Asking the running instance: `why` about past exchanges, `logs` about those to come.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;
use tollgate_testkit::{Gate, Origin, Output, PATIENCE, Tollgate, refusing};

use crate::verbs::{json_of, verb};
use crate::{get, launch};

/// Answers by itself, forwards to nobody.
fn plain() -> Tollgate {
    launch(
        "recorder: { sample: 100% }\nroutes:\n  - { name: home, path: /home, respond: 204 }\n  \
         - { name: away, path: /away, redirect: { host: b.example } }\n",
        &[],
    )
}

/// What is sent to a client is kept a moment later.
fn once_kept(tollgate: &Tollgate, arguments: &[&str]) -> Output {
    let began = std::time::Instant::now();
    loop {
        let output = verb(tollgate, arguments);
        if output.code == Some(0) || began.elapsed() > PATIENCE {
            return output;
        }
    }
}

#[test]
fn a_past_exchange_is_explained_by_its_id() {
    let (refusing, _kept) = refusing();
    let tollgate = launch(
        "routes: [{ name: shop, path: /, to: \"http://{origin}\", retry: none }]\n",
        &[("origin", &refusing)],
    );
    let response = tollgate.request(get("/cart?token=s3cret"));
    let id = response.get("x-request-id").unwrap().to_owned();
    let output = once_kept(&tollgate, &["why", &id]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    for part in
        [&*id, &refusing.to_string(), "502", "connect_failed", "/cart?token=[hidden]", "shop", "timeline"]
    {
        assert!(output.stdout.contains(part), "{part} is not in\n{}", output.stdout);
    }
    assert!(!output.stdout.contains("s3cret"), "{}", output.stdout);
    let told = json_of(&verb(&tollgate, &["why", &id, "--json"]));
    let why = &told["exchanges"][0];
    assert_eq!((&why["request_id"], &why["reason"]), (&json!(id), &json!("connect_failed")));
    assert!(!told.to_string().contains("s3cret"));
    for arguments in [&["why", &id, "--query"][..], &["why", "--last", "--query", "--json"]] {
        assert!(verb(&tollgate, arguments).stdout.contains("s3cret"), "{arguments:?}");
    }
}

#[test]
fn the_last_that_are_like_this_are_found() {
    let tollgate = plain();
    let mut client = tollgate.connect();
    for path in ["/home", "/nowhere", "/away", "/home", "/%00"] {
        client.request(get(path));
    }
    once_kept(&tollgate, &["why", "--last", "--reason", "bad_path"]);
    let one = |arguments: &[&str]| verb(&tollgate, &[&["why"], arguments].concat()).stdout;
    for (arguments, part) in [
        (&["--last"][..], "bad_path"),
        (&["--reason", "no_route"], "path /nowhere"),
        (&["--route", "away"], "redirect"),
        (&["--status", "2xx"], "fixed_response"),
        (&["--status", "404", "--since", "10m"], "no_route"),
        (&["--slow", "0ms"], "bad_path"),
    ] {
        let text = one(arguments);
        assert!(text.contains(part) && text.contains("timeline"), "{arguments:?}: {text}");
    }
    let table = one(&["--last", "10"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert!(lines[0].starts_with("TIME") && lines[1].contains("bad_path"), "newest first\n{table}");
    assert!(
        lines[2].contains("home") && lines[2].contains("GET /home") && lines[2].contains("sample"),
        "{table}"
    );
    assert_eq!(one(&["--last", "2", "--route", "home"]).lines().count(), 3);
    let told = json_of(&verb(&tollgate, &["why", "--last", "2", "--json"]));
    assert_eq!(
        (&told["exchanges"][0]["reason"], &told["exchanges"][1]["went"]["route"]),
        (&json!("bad_path"), &json!("home"))
    );
}

#[test]
fn what_is_not_found_is_told_with_what_there_is() {
    let tollgate = plain();
    let first = verb(&tollgate, &["why", "nobody"]);
    assert!(first.stderr.contains("the recorder is empty"), "{first:?}");
    tollgate.request(get("/home"));
    once_kept(&tollgate, &["why", "--last"]);
    for (arguments, parts) in [
        (
            &["why", "nobody"][..],
            &["`nobody` is recorded", "holds 1 exchange", "8MiB", "1s or longer", "100%"][..],
        ),
        (&["why", "no/body?"], &["`no/body?` is recorded"]),
        (&["why", "--reason", "no_route"], &["nothing that is recorded is like that", "holds 1 exchange"]),
        (&["why", "--last", "5", "--slow", "--status", "500-599"], &["nothing that is recorded"]),
        (&["why", "--reason", "no_rout"], &["no reason `no_rout`", "`no_route`"]),
        (&["why", "--reason", "timeout"], &["`first_byte_timeout`"]),
        (&["why", "--reason", "zzz"], &["docs/reasons.md"]),
        (&["why", "--route", "hom"], &["no route `hom`", "`home`"]),
        (&["why", "--upstream", "u"], &["no upstream `u`"]),
        (&["why", "--slow", "250"], &["slow: `250`", "`250s`"]),
        (&["why", "--since", "1 hour"], &["since: `1 hour`"]),
        (&["why", "--status", "6xx"], &["status: `6xx`"]),
        (&["why", "--last", "1001"], &["at most 1000"]),
    ] {
        let output = verb(&tollgate, arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{arguments:?}: {output:?}");
        for part in parts {
            assert!(output.stderr.contains(part), "{arguments:?}: {part} is not in {}", output.stderr);
        }
    }
    for arguments in
        [&["why"][..], &["why", "id", "--last"], &["why", "id", "--slow"], &["why", "--last", "x"]]
    {
        assert_eq!(verb(&tollgate, arguments).code, Some(2), "{arguments:?}");
    }
    let json = verb(&tollgate, &["why", "--reason", "no_route", "--json"]);
    assert_eq!((json.code, &json_of(&json)["exchanges"]), (Some(1), &json!([])));
}

#[test]
fn a_recorder_that_is_off_says_so() {
    let tollgate = launch("recorder: none\nroutes: [{ path: /, respond: 204 }]\n", &[]);
    tollgate.request(get("/"));
    let output = verb(&tollgate, &["why", "--last"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("the recorder is off"), "{output:?}");
}

/// Sends requests until the verb, which is for so many exchanges, has them.
fn watched(tollgate: &Tollgate, arguments: &[&str], path: &str) -> Output {
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| verb(tollgate, arguments));
        let mut client = tollgate.connect();
        while !watching.is_finished() {
            client.request(get("/home"));
            client.request(get(path));
        }
        watching.join().unwrap()
    })
}

#[test]
fn exchanges_are_shown_as_they_end() {
    let tollgate = plain();
    let output = watched(&tollgate, &["logs", "-n", "3", "--status", "4xx", "--path", "/a"], "/a/b?q=s3cret");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    assert_eq!(output.stdout.lines().count(), 3);
    for line in output.stdout.lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&told["url.path"], &told["reason"]), (&json!("/a/b"), &json!("no_route")));
    }
    let pretty = watched(&tollgate, &["logs", "-n", "1", "--reason", "no_route", "--pretty"], "/b?q=s3cret");
    for part in [" 404 GET a.example/b ", "no_route (client)"] {
        assert!(pretty.stdout.contains(part), "{part} is not in {}", pretty.stdout);
    }
    assert!(!output.stdout.contains("s3cret") && !pretty.stdout.contains("s3cret"));
    for (arguments, part) in [
        (["logs", "--reason", "timeout"], "`first_byte_timeout`"),
        (["logs", "--status", "9xx"], "`9xx` is no status"),
        (["logs", "--slow", "1"], "`1` is no duration"),
        (["logs", "--path", "a"], "does not begin with `/`"),
    ] {
        let output = verb(&tollgate, &arguments);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
        assert!(output.stderr.contains(part), "{output:?}");
    }
}

#[test]
fn a_watcher_hears_the_last_exchange_and_then_of_the_end() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target() == "/last" {
                for_origin.wait();
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut tollgate =
        launch("routes: [{ path: /, to: \"http://{origin}\" }]\n", &[("origin", &origin.address())]);
    let mut stream = watch(&tollgate);
    let mut busy = tollgate.connect();
    busy.send(get("/last"));
    origin.wait_for_requests(1);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    gate.open();
    assert_eq!(busy.response().text(), "ok");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"url.path\":\"/last\"") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(tollgate.wait().code(), Some(0));
}

/// Watches on a connection of its own.
fn watch(tollgate: &Tollgate) -> UnixStream {
    let (stream, head) = ask(tollgate);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stream
}

/// The connection, and the head of the answer on it.
fn ask(tollgate: &Tollgate) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(tollgate.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn a_watcher_that_goes_makes_room_for_others() {
    let tollgate = plain();
    let watchers: Vec<UnixStream> = (0..16).map(|_| watch(&tollgate)).collect();
    let refused = verb(&tollgate, &["logs"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("16 watch already"), "{refused:?}");
    drop(watchers);
    // Nothing needs to happen for them to be missed.
    let began = std::time::Instant::now();
    while !ask(&tollgate).1.starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < PATIENCE, "the places are still taken");
    }
}
