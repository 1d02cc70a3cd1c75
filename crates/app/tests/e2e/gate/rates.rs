//! Rate limits: what clients are told, whose requests are counted together, and floods of keys.

use tollgate_decision::Reason;
use tollgate_testkit::{Origin, Response, Tollgate};

use super::{get_with, guarded, guarded_document, policy, refused, told};
use crate::{PRELUDE, launch};

const AUTH: &str = "auth: { keys: { api_key: { header: X-API-Key } } }\n";

fn start(origin: &Origin, route: &str) -> Tollgate {
    let document =
        format!("{AUTH}routes: [{{ path: /, to: \"http://{{origin}}\", retry: none, {route} }}]\n");
    guarded(&document, &[("origin", &origin.address())])
}

fn ask(tollgate: &Tollgate, fields: &str) -> Response {
    tollgate.request(get_with("/", fields))
}

/// A parameter of the only member of a field, as a number.
fn parameter(response: &Response, field: &str, name: &str) -> u64 {
    let value = response.get(field).unwrap_or_else(|| panic!("no {field}: {response:?}"));
    let found = value.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{field}: {value}"))
}

#[test]
fn requests_over_the_rate_are_refused_and_told_when_to_come_again() {
    let origin = Origin::saying("ok");
    let tollgate = start(&origin, "rate_limit: { rate: 3/h }");
    for left in [2, 1, 0] {
        let response = ask(&tollgate, "");
        assert_eq!(response.status, 200);
        assert_eq!(parameter(&response, "ratelimit", "r"), left);
        assert_eq!(parameter(&response, "ratelimit-policy", "q"), 3);
        assert_eq!(parameter(&response, "ratelimit-policy", "w"), 3600);
    }
    let response = ask(&tollgate, "");
    refused(&tollgate, &response, Reason::RateLimited);
    assert_eq!(parameter(&response, "ratelimit", "r"), 0);
    let again: u64 = response.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&again), "{again}");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn groups_have_rates_of_their_own_and_consumers_are_counted_apart() {
    let origin = Origin::saying("ok");
    let tollgate = start(&origin, "auth: keys, rate_limit: { rate: 1/h, groups: { gold: 3/h, staff: 2/h } }");
    for (key, count) in [("alice-key", 3), ("bob-key", 1)] {
        let fields = format!("X-API-Key: {key}\r\n");
        for _ in 0..count {
            assert_eq!(ask(&tollgate, &fields).status, 200, "{key}");
        }
        refused(&tollgate, &ask(&tollgate, &fields), Reason::RateLimited);
    }
    // Who proves nothing is not counted, and is told nothing of limits.
    let response = ask(&tollgate, "");
    refused(&tollgate, &response, Reason::Unauthenticated);
    assert_eq!(response.get("ratelimit"), None);
}

#[test]
fn each_of_several_limits_must_have_room() {
    let origin = Origin::saying("ok");
    let route = "auth: keys, rate_limit: [{ rate: 4/h }, { rate: 2/h, by: { header: X-Device }, fields: x }]";
    let tollgate = start(&origin, route);
    let of = |device: &str| format!("X-API-Key: alice-key\r\nX-Device: {device}\r\n");
    for _ in 0..2 {
        assert_eq!(ask(&tollgate, &of("a")).status, 200);
    }
    let response = ask(&tollgate, &of("a"));
    refused(&tollgate, &response, Reason::RateLimited);
    assert_eq!(response.get("x-ratelimit-limit"), Some("2"), "{response:?}");
    assert_eq!(response.get("x-ratelimit-remaining"), Some("0"));
    // The one that was refused counted for the first limit, which was asked before.
    assert_eq!(ask(&tollgate, &of("b")).status, 200);
    refused(&tollgate, &ask(&tollgate, &of("c")), Reason::RateLimited);
}

#[test]
fn the_sliding_window_and_costs_count_as_told() {
    let origin = Origin::saying("ok");
    let route = "rate_limit: { rate: 10/h, algorithm: sliding_window, cost: 'int(headers[\"x-cost\"])' }";
    let tollgate = start(&origin, route);
    assert_eq!(ask(&tollgate, "X-Cost: 6\r\n").status, 200);
    refused(&tollgate, &ask(&tollgate, "X-Cost: 5\r\n"), Reason::RateLimited);
    assert_eq!(ask(&tollgate, "X-Cost: 3\r\n").status, 200);
    // Who makes the expression fail does not get through for nothing, nor do costs below it.
    for cost in ["", "X-Cost: many\r\n", "X-Cost: -5\r\n"] {
        let response = ask(&tollgate, cost);
        match cost {
            "" => assert_eq!(response.status, 200),
            _ => drop(refused(&tollgate, &response, Reason::RateLimited)),
        }
    }
}

#[test]
fn requests_over_the_rate_wait_where_the_document_says_so() {
    let origin = Origin::saying("ok");
    let tollgate = start(&origin, "rate_limit: { rate: 1/5s, burst: 1, delay: 7s }");
    let mut clients = [tollgate.connect(), tollgate.connect(), tollgate.connect()];
    clients.iter_mut().for_each(|client| client.send(get_with("/", "")));
    let mut responses: Vec<Response> = clients.iter_mut().map(|client| client.response()).collect();
    responses.sort_by_key(|response| response.status);
    assert_eq!(responses.iter().map(|r| r.status).collect::<Vec<_>>(), [200, 200, 429]);
    let waited = |response: &Response| policy(&told(&tollgate, response), "rate_limit")["waited_us"].as_u64();
    let waits: Vec<_> = responses[..2].iter().map(|r| waited(r).unwrap_or_default()).collect();
    assert!(waits.contains(&0) && waits.iter().any(|us| *us > 1_000_000), "{waits:?}");
    refused(&tollgate, &responses[2], Reason::RateLimited);
}

#[test]
fn a_flood_of_keys_does_not_make_a_limit_forget() {
    let tollgate = launch(
        "routes: [{ path: /, respond: 204, rate_limit: { rate: 2/h, by: { header: X-Client } } }]\n",
        &[],
    );
    let of = |client: &str| get_with("/", &format!("X-Client: {client}\r\n"));
    for _ in 0..2 {
        assert_eq!(tollgate.request(of("honest")).status, 204);
    }
    assert_eq!(tollgate.request(of("honest")).status, 429);
    let mut client = tollgate.connect();
    for batch in 0..40 {
        let requests: String = (0..500).map(|number| of(&format!("flood-{batch}-{number}"))).collect();
        client.send(requests);
        for _ in 0..500 {
            assert_eq!(client.response().status, 204);
        }
    }
    assert_eq!(tollgate.request(of("honest")).status, 429);
    assert_eq!(tollgate.request(of("flood-0-0")).status, 204);
}

#[test]
fn a_reload_does_not_forget_what_was_counted() {
    let origin = Origin::saying("ok");
    let document = |more: &str| {
        let routes = format!(
            "{AUTH}rate_limits: {{ shared: {{ rate: 3/h, by: address }} }}\nroutes:\n  - {{ name: all, path: /, to: \"http://{}\", rate_limit: shared }}\n{more}",
            origin.address()
        );
        format!("{PRELUDE}{}", guarded_document(&routes))
    };
    let tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, &document("")).start();
    for _ in 0..2 {
        assert_eq!(ask(&tollgate, "").status, 200);
    }
    let told =
        tollgate.reload(&document("  - { name: more, path: /more, respond: 204, rate_limit: shared }\n"));
    assert!(told.contains("in force"), "{told}");
    assert_eq!(tollgate.request(get_with("/more", "")).status, 204);
    refused(&tollgate, &ask(&tollgate, ""), Reason::RateLimited);
    refused(&tollgate, &tollgate.request(get_with("/more", "")), Reason::RateLimited);
}
