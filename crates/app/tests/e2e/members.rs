//! Endpoints that are added and removed by hand while it runs.

use serde_json::Value;
use tollgate_testkit::{Gate, Launch, Origin, Tollgate};

use crate::going_on::without_a_failure;
use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get};

fn document(endpoints: &[String], more: &str) -> String {
    let endpoints = endpoints.join(", ");
    format!(
        "{PRELUDE}upstreams: {{ shop: {{ endpoints: [{endpoints}]{more} }} }}\n\
         routes: [{{ name: all, path: /, to: shop, retry: none }}]\n"
    )
}

fn quoted(origin: &Origin) -> String {
    format!("\"{}\"", origin.address())
}

fn start(origin: &Origin) -> Tollgate {
    Launch::new(PROGRAM, &document(&[quoted(origin)], "")).start()
}

fn endpoint(tollgate: &Tollgate, arguments: &[&str]) -> String {
    let output = verb(tollgate, &[&["endpoint"], arguments].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

/// Each endpoint's address, state and origin.
fn listed(tollgate: &Tollgate) -> Vec<(String, String, Value)> {
    let told = json_of(&verb(tollgate, &["endpoint", "list", "--json"]));
    let told = told["endpoints"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    told.map(|e| (text(&e["address"]), text(&e["state"]), e["origin"].clone())).collect()
}

fn entry(origin: &Origin, state: &str, from: &str) -> (String, String, Value) {
    (origin.address().to_string(), state.to_owned(), Value::from(from))
}

#[test]
fn endpoints_come_and_go_under_load_and_no_request_fails() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let tollgate = start(&first);
    let address = second.address().to_string();
    without_a_failure(&tollgate, |load| {
        for _ in 0..3 {
            load.wait_for_more(50);
            let before = second.requests().len();
            assert!(endpoint(&tollgate, &["add", "shop", &address]).contains("operator"));
            second.wait_for_requests(before + 10);
            endpoint(&tollgate, &["remove", "shop", &address]);
            // It is told of until the last request at it has ended.
            while listed(&tollgate).len() > 1 {}
            let before = second.requests().len();
            load.wait_for_more(50);
            assert_eq!(second.requests().len(), before);
        }
    });
}

#[test]
fn what_runs_at_a_removed_endpoint_finishes_and_its_connection_is_not_kept() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            waiting.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let tollgate = start(&origin);
    let mut client = tollgate.connect();
    client.send(get("/"));
    origin.wait_for_requests(1);
    let address = origin.address().to_string();
    let output = verb(&tollgate, &["endpoint", "remove", "shop", &address]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("shop has no endpoint any more"), "{output:?}");
    assert_eq!(tollgate.request(get("/")).reason().as_deref(), Some("no_endpoint"));
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(listed(&tollgate), [entry(&origin, "removed", "document")]);
    endpoint(&tollgate, &["add", "shop", &address]);
    assert_eq!(client.request(get("/")).text(), "ok");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_is_set_by_hand_outlives_reloads_until_the_document_concerns_it() {
    let (first, second, third) = (Origin::saying("a"), Origin::saying("b"), Origin::saying("c"));
    let both = [quoted(&first), quoted(&second)];
    let tollgate = Launch::new(PROGRAM, &document(&both, "")).start();
    endpoint(&tollgate, &["remove", "shop", &second.address().to_string()]);
    endpoint(&tollgate, &["add", "shop", &third.address().to_string(), "--weight", "2"]);
    let by_hand = [
        entry(&first, "usable", "document"),
        entry(&second, "removed", "document"),
        entry(&third, "usable", "operator"),
    ];
    assert_eq!(listed(&tollgate), by_hand);
    let said = tollgate.reload(&document(&both, ", balance: random"));
    assert!(said.contains("is in force"), "{said}");
    assert_eq!(listed(&tollgate), by_hand);
    // The document writes both: one with another weight than before, one that it did not have.
    let heavier = format!("{{ address: {}, weight: 3 }}", quoted(&second));
    let said = tollgate.reload(&document(&[quoted(&first), heavier, quoted(&third)], ""));
    assert!(said.contains("is in force"), "{said}");
    let documents = [&first, &second, &third].map(|origin| entry(origin, "usable", "document"));
    assert_eq!(listed(&tollgate), documents);
    // From here on it is the document's word that counts.
    tollgate.reload(&document(&[quoted(&first)], ""));
    assert_eq!(listed(&tollgate), [entry(&first, "usable", "document")]);
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    let origin = Origin::saying("a");
    let tollgate = start(&origin);
    let address = origin.address().to_string();
    let refused = [
        (&["add", "shoop", "127.0.0.1:1"][..], "there is no upstream `shoop`; there are shop"),
        (&["add", "shop", "nonsense"], "`nonsense` is no address of an endpoint"),
        (&["add", "shop", "https://127.0.0.1:1"], "host and port are enough"),
        (&["add", "shop", &address], "is there already, from: document"),
        (&["add", "shop", "127.0.0.1:1", "--weight", "65536"], "the weight 65536 is too large"),
        (&["remove", "shop", "127.0.0.1:1"], "has no endpoint `127.0.0.1:1`; it has"),
    ];
    for (arguments, words) in refused {
        let output = verb(&tollgate, &[&["endpoint"], arguments].concat());
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
    }
    assert_eq!(listed(&tollgate).len(), 1);
}
