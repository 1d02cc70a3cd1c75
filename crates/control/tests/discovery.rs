//! Sources of documents: what they begin with, and what becomes of them over reloads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;
use tollgate_config::{MemoryFiles, parse_str};
use tollgate_control::compile::{Compiled, Plans, Predecessor, compile_after};
use tollgate_control::discovery::{Apply, Discovery};
use tollgate_control::resolve::SystemResolver;
use tollgate_runtime::Clock;
use tollgate_testkit::{DnsAnswer, DnsServer, PATIENCE};
use tollgate_upstream::{HealthEvents, Member};

/// Compiles `endpoints` of the upstream `api`, its names asked of a server.
fn compiled(server: &DnsServer, endpoints: &str, before: &Predecessor) -> Compiled {
    let text = format!(
        "version: 1\nlisten: \":1\"\ndns: {{ resolvers: \"{}\", timeout: 500ms }}\nupstreams:\n  api: {{ endpoints: {endpoints} }}\n\
         routes: [{{ path: /, to: api }}]\n",
        server.address()
    );
    let loaded = parse_str("test.yaml", &text, &MemoryFiles::default(), &|_| None);
    let document = loaded.document.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    compile_after(before, &document, &SystemResolver, &HealthEvents::unheard())
}

fn findings(compiled: &Compiled) -> Vec<String> {
    compiled.diagnostics.iter().map(|finding| finding.message.clone()).collect()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

type Lists = mpsc::UnboundedReceiver<(String, Vec<SocketAddr>)>;

fn discovery() -> (Discovery, Lists) {
    let (sender, lists) = mpsc::unbounded_channel();
    let apply: Apply = Arc::new(move |_: &str, source: &str, found: Vec<Member>| {
        let _ = sender.send((source.to_owned(), found.iter().map(|found| found.address).collect()));
    });
    (Discovery::new(apply, |_| {}), lists)
}

async fn next(lists: &mut Lists) -> (String, Vec<String>) {
    let (source, found) = tokio::time::timeout(PATIENCE, lists.recv()).await.expect("no list came").unwrap();
    (source, found.iter().map(ToString::to_string).collect())
}

fn plans(server: &DnsServer, endpoints: &str) -> Plans {
    // Loading waits for answers, on a runtime of its own.
    let load = || compiled(server, endpoints, &Predecessor::default());
    let compiled = std::thread::scope(|scope| scope.spawn(load).join().unwrap());
    assert!(compiled.snapshot.is_some(), "{:?}", findings(&compiled));
    compiled.plans
}

#[test]
fn what_is_not_known_at_the_start_is_an_error_or_a_warning() {
    let server = DnsServer::start();
    let none = Predecessor::default();
    let address = compiled(&server, "[\"api.internal:80\"]", &none);
    assert!(address.snapshot.is_none());
    assert_eq!(findings(&address), ["the name `api.internal` has no addresses"]);
    let dns = compiled(&server, "[{ dns: \"api.internal:80\" }]", &none);
    assert!(dns.snapshot.is_some());
    assert_eq!(findings(&dns), ["the name `api.internal` has no addresses; it has no endpoints yet"]);
    server.set("api.internal", DnsAnswer::Silence);
    let silent =
        compiled(&server, "[{ dns: \"api.internal:80\" }, { file: /nowhere/endpoints.yaml }]", &none);
    assert!(silent.snapshot.is_some());
    let told = findings(&silent);
    assert!(
        told.iter().any(|told| told.contains("do not answer in time; it has no endpoints yet")),
        "{told:?}"
    );
    assert!(told.iter().any(|told| told.contains("cannot read `/nowhere/endpoints.yaml`")), "{told:?}");
    server.addresses("api.internal", 9, &ips(&["192.0.2.1", "0.0.0.0"]));
    let known = compiled(&server, "[\"api.internal:80\"]", &none);
    assert!(known.snapshot.is_some());
    assert_eq!(findings(&known), ["0.0.0.0:80 is no address of an endpoint and is left out"]);
}

#[tokio::test]
async fn a_source_that_stays_goes_on_over_a_reload() {
    let server = DnsServer::start();
    server.addresses("a.internal", 0, &ips(&["192.0.2.1"]));
    server.addresses("b.internal", 0, &ips(&["192.0.2.2"]));
    let one = |name: &str| format!("{{ dns: \"{name}.internal:80\", min_ttl: 100ms, max_ttl: 200ms }}");
    let (a, b) = (one("a"), one("b"));
    let first = plans(&server, &format!("[{a}]"));
    let (mut discovery, mut lists) = discovery();
    discovery.adopt(&first);
    assert_eq!(next(&mut lists).await, ("dns a.internal:80".into(), vec!["192.0.2.1:80".into()]));
    server.addresses("a.internal", 0, &ips(&["192.0.2.1", "192.0.2.3"]));
    assert_eq!(next(&mut lists).await.1, ["192.0.2.1:80", "192.0.2.3:80"]);
    // The one that stays is not begun again, and the name server's failure changes nothing.
    let second = plans(&server, &format!("[{a}, {b}]"));
    server.set("a.internal", DnsAnswer::Code(2));
    discovery.adopt(&second);
    assert_eq!(next(&mut lists).await, ("dns b.internal:80".into(), vec!["192.0.2.2:80".into()]));
    let (clock, until) = (Clock::new(), std::time::Instant::now() + PATIENCE);
    loop {
        let states = discovery.states(clock.now_ms());
        assert_eq!((states.len(), states[0].endpoints, states[1].endpoints), (2, Some(2), Some(1)));
        if states[0].problem.as_deref().is_some_and(|why| why.contains("Server Failure")) {
            assert!(states[0].failures > 0 && states[1].problem.is_none());
            break;
        }
        assert!(std::time::Instant::now() < until, "the failure is not seen");
        tokio::task::yield_now().await;
    }
    // One that is gone is asked for no more.
    let third = plans(&server, &format!("[{b}]"));
    discovery.adopt(&third);
    assert_eq!(discovery.states(0).len(), 1);
    server.addresses("b.internal", 0, &ips(&["192.0.2.4"]));
    assert_eq!(next(&mut lists).await, ("dns b.internal:80".into(), vec!["192.0.2.4:80".into()]));
}

#[tokio::test]
async fn a_file_is_followed() {
    let server = DnsServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.txt");
    std::fs::write(&path, "192.0.2.1:80\n").unwrap();
    let endpoints = format!("[{{ file: \"{}\" }}]", path.display());
    let (mut discovery, mut lists) = discovery();
    discovery.adopt(&plans(&server, &endpoints));
    assert_eq!(next(&mut lists).await.1, ["192.0.2.1:80"]);
    std::fs::write(&path, "what\n").unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while discovery.states(0)[0].problem.is_none() {
        assert!(std::time::Instant::now() < until, "the problem is not seen");
        tokio::task::yield_now().await;
    }
    assert_eq!(discovery.states(0)[0].endpoints, Some(1));
    std::fs::write(&path, "192.0.2.2:80 # another\n").unwrap();
    assert_eq!(next(&mut lists).await.1, ["192.0.2.2:80"]);
}
