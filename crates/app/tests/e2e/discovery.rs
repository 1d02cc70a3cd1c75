//! Endpoints that come from names in DNS and from files.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use serde_json::Value;
use tollgate_testkit::{DnsAnswer, DnsRecord, DnsServer, Launch, Origin, PATIENCE, Tollgate};

use crate::going_on::without_a_failure;
use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get};

/// A program whose upstream has these endpoints and asks this server.
fn start(dns: &DnsServer, endpoints: &str) -> Tollgate {
    Launch::new(PROGRAM, &document(dns, endpoints)).start()
}

fn document(dns: &DnsServer, endpoints: &str) -> String {
    format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\n\
         dns: {{ resolvers: \"{}\", timeout: 300ms }}\nupstreams: {{ shop: {{ endpoints: {endpoints} }} }}\n\
         routes: [{{ name: all, path: /, to: shop, retry: none }}]\n",
        dns.address()
    )
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// An origin on another loopback address with the port of the first.
fn beside(first: &Origin, last: u8, body: &'static str) -> Origin {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Origin::start_at(SocketAddr::new(ip(last), first.address().port()), move |connection| {
        while connection.request().is_some() {
            connection.send(&response);
        }
    })
}

/// The addresses of the endpoints that are there, with their states.
fn listed(tollgate: &Tollgate) -> Vec<(String, String, u64)> {
    let told = json_of(&verb(tollgate, &["endpoint", "list", "--json"]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let endpoint =
        |e: &Value| (text(&e["address"]), text(&e["state"]), e["part"]["priority"].as_u64().unwrap());
    told["endpoints"].as_array().unwrap().iter().map(endpoint).collect()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} in vain");
        std::thread::yield_now();
    }
}

/// What is told of the only source.
fn source(tollgate: &Tollgate) -> Value {
    json_of(&verb(tollgate, &["status", "--json"]))["sources"][0].clone()
}

const QUICK: &str = "min_ttl: 100ms, max_ttl: 100ms";

#[test]
fn endpoints_come_and_go_by_dns_under_load_and_no_request_fails() {
    let first = Origin::saying("a");
    let second = beside(&first, 2, "b");
    let dns = DnsServer::start();
    dns.addresses("shop.internal", 0, &[ip(1)]);
    let port = first.address().port();
    let tollgate = start(&dns, &format!("[{{ dns: \"shop.internal:{port}\", {QUICK} }}]"));
    without_a_failure(&tollgate, |load| {
        for _ in 0..3 {
            load.wait_for_more(20);
            let before = second.requests().len();
            dns.addresses("shop.internal", 0, &[ip(2), ip(1)]);
            second.wait_for_requests(before + 10);
            // The other way round as well: the one that was there from the start goes.
            dns.addresses("shop.internal", 0, &[ip(2)]);
            until("waited for one to go", || listed(&tollgate).len() == 1);
            let before = first.requests().len();
            load.wait_for_more(20);
            assert_eq!(first.requests().len(), before);
            dns.addresses("shop.internal", 0, &[ip(1)]);
            until("waited for the other to go", || {
                let listed = listed(&tollgate);
                listed.len() == 1 && listed[0].0 == first.address().to_string()
            });
        }
    });
    tollgate.stderr_line(", by dns: added");
}

#[test]
fn the_name_server_dies_and_traffic_goes_on_also_over_a_reload() {
    let origin = Origin::saying("a");
    let mut dns = DnsServer::start();
    dns.addresses("shop.internal", 0, &[ip(1)]);
    let endpoints =
        |more: &str| format!("[{{ address: \"shop.internal:{}\"{more} }}]", origin.address().port());
    let tollgate = start(&dns, &endpoints(&format!(", {QUICK}")));
    let told = source(&tollgate);
    assert_eq!(
        (&told["endpoints"], &told["kind"], &told["problem"]),
        (&1.into(), &"dns".into(), &Value::Null)
    );
    let text = document(&dns, &endpoints(""));
    dns.stop();
    until("waited for a failure", || !source(&tollgate)["problem"].is_null());
    let status = verb(&tollgate, &["status"]).stdout;
    assert!(status.contains("shop keeps the endpoints that it had from"), "{status}");
    assert_eq!(tollgate.request(get("/")).text(), "a");
    let name = source(&tollgate)["source"].as_str().unwrap().to_owned();
    let labels = format!("{{upstream=\"shop\",source=\"{name}\"}}");
    assert_eq!(tollgate.metric(&format!("tollgate_discovery_endpoints{labels}")), 1.0);
    assert!(tollgate.metric(&format!("tollgate_discovery_failures_total{labels}")) >= 1.0);
    assert!(tollgate.metric(&format!("tollgate_discovery_age_seconds{labels}")) > 0.0);
    // Another way of following the same name: what it had found is kept, though nobody can be asked.
    let said = tollgate.reload(&text);
    assert!(said.contains("is in force"), "{said}");
    tollgate.stderr_line("the endpoints that it had are kept");
    assert_eq!(tollgate.request(get("/")).text(), "a");
    assert_eq!(source(&tollgate)["endpoints"], 1);
}

#[test]
fn what_is_followed_already_is_not_asked_for_again_by_a_reload() {
    let origin = Origin::saying("a");
    let dns = DnsServer::start();
    dns.addresses("shop.internal", 600, &[ip(1)]);
    let endpoints = format!("[\"shop.internal:{}\"]", origin.address().port());
    let tollgate = start(&dns, &endpoints);
    // The one that follows asks once more soon after the start, and then not for a minute.
    dns.set("shop.internal", DnsAnswer::Code(2));
    let said = tollgate.reload(&(document(&dns, &endpoints) + "shutdown: { grace: 3s }\n"));
    assert!(said.contains("is in force") && !said.contains("shop.internal"), "{said}");
    assert_eq!(tollgate.request(get("/")).text(), "a");
}

#[test]
fn priorities_of_a_service_are_tiers_from_that_of_its_item_on() {
    let (first, spare) = (Origin::saying("first"), Origin::saying("spare"));
    let dns = DnsServer::start();
    for (name, last) in [("a.internal", 1), ("b.internal", 1)] {
        dns.addresses(name, 0, &[ip(last)]);
    }
    let service = |priority, name: &str, origin: &Origin| {
        DnsRecord::Service(priority, 5, origin.address().port(), name.to_owned())
    };
    let both = vec![service(10, "a.internal", &first), service(20, "b.internal", &spare)];
    dns.set("_http._tcp.shop.internal", DnsAnswer::Records(0, both));
    let tollgate = start(&dns, &format!("[{{ srv: _http._tcp.shop.internal, priority: 3, {QUICK} }}]"));
    let mut tiers: Vec<_> = listed(&tollgate).into_iter().map(|(_, state, tier)| (tier, state)).collect();
    tiers.sort();
    assert_eq!(tiers, [(3, "usable".to_owned()), (4, "spare".to_owned())]);
    for _ in 0..10 {
        assert_eq!(tollgate.request(get("/")).text(), "first");
    }
    // They change places.
    let swapped = vec![service(20, "a.internal", &first), service(10, "b.internal", &spare)];
    dns.set("_http._tcp.shop.internal", DnsAnswer::Records(0, swapped));
    until("waited for the other tier", || tollgate.request(get("/")).text() == "spare");
    for _ in 0..10 {
        assert_eq!(tollgate.request(get("/")).text(), "spare");
    }
}

#[test]
fn a_watched_file_adds_an_endpoint() {
    let (first, second) = (Origin::saying("a"), Origin::saying("b"));
    let dns = DnsServer::start();
    let tollgate = start(&dns, &format!("[\"{}\", {{ file: more.txt }}]", first.address()));
    assert_eq!(tollgate.request(get("/")).text(), "a");
    std::fs::write(tollgate.directory().join("more.txt"), format!("{} # new\n", second.address())).unwrap();
    until("waited for the second", || tollgate.request(get("/")).text() == "b");
    let states: Vec<_> = listed(&tollgate).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, ["usable", "usable"]);
}
