//! Flows of datagrams.

mod echo;

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use tollgate_testkit::{Launch, PATIENCE, Tollgate};

use crate::PROGRAM;
use crate::verbs::{json_of, verb};
use echo::{Echo, ask, client};

/// A document with a UDP listener, in which `{flows}` and `{endpoints}` are to be set.
fn document(flows: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
    format!(
        "version: 1\nlisten:\n  - {{ udp: \"127.0.0.1:0\", name: dns, to: dns, flows: {{ {flows} }} }}\n\
         workers: 1\nrecorder: {{ sample: 100% }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams:\n  dns: {{ endpoints: [{}], ejection: none }}\n",
        endpoints.join(", ")
    )
}

fn launch(flows: &str, endpoints: &[SocketAddr]) -> Tollgate {
    Launch::new(PROGRAM, &document(flows, endpoints)).start()
}

/// What `why` says of the last flow that ended for a reason, once one has.
fn why(tollgate: &Tollgate, reason: &str) -> (String, serde_json::Value) {
    let began = Instant::now();
    loop {
        let text = verb(tollgate, &["why", "--last", "--reason", reason]);
        if text.code == Some(0) {
            let json = verb(tollgate, &["why", "--last", "--reason", reason, "--json"]);
            return (text.stdout, json_of(&json)["exchanges"][0].clone());
        }
        assert!(began.elapsed() < PATIENCE, "{reason}: {text:?}");
    }
}

#[test]
fn datagrams_of_all_sizes_go_there_and_back_and_their_flow_is_told() {
    let echo = Echo::start("a");
    let tollgate = launch("idle_timeout: 300ms", &[echo.address()]);
    let client = client(tollgate.address());
    let sizes = [0, 1, 512, 1472, 9000, 65_000];
    for size in sizes {
        let bytes = vec![size as u8; size];
        assert_eq!(ask(&client, &bytes), [b"a:", &bytes[..]].concat());
    }
    let line = tollgate.stdout_line(0, "connection_idle");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let port = u64::from(client.local_addr().unwrap().port());
    let received: usize = sizes.iter().sum();
    for (key, value) in [
        ("client.port", port),
        ("datagrams_received", 6),
        ("datagrams_sent", 6),
        ("bytes_received", received as u64),
        ("bytes_sent", received as u64 + 12),
    ] {
        assert_eq!(line[key].as_u64(), Some(value), "{key} in {line}");
    }
    for (key, value) in [("network.transport", "udp"), ("listener", "dns"), ("upstream", "dns")] {
        assert_eq!(line[key].as_str(), Some(value), "{key} in {line}");
    }
    assert_eq!(line["endpoint"].as_str(), Some(echo.address().to_string().as_str()));
    let (text, told) = why(&tollgate, "connection_idle");
    assert!(told["doubt"].is_null() && text.contains(&echo.address().to_string()), "{text}");
    tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", 0.0);
    for (series, value) in [
        ("tollgate_udp_flows_total{listener=\"dns\"}", 1.0),
        ("tollgate_udp_datagrams_total{listener=\"dns\",direction=\"upstream\"}", 6.0),
        ("tollgate_udp_datagrams_total{listener=\"dns\",direction=\"client\"}", 6.0),
        ("tollgate_udp_bytes_total{listener=\"dns\",direction=\"client\"}", received as f64 + 12.0),
        ("tollgate_upstream_udp_flows_total{upstream=\"dns\"}", 1.0),
        ("tollgate_upstream_udp_datagrams_total{upstream=\"dns\",direction=\"client\"}", 6.0),
    ] {
        assert!((tollgate.metric(series) - value).abs() < 0.5, "{series}");
    }
}

#[test]
fn each_client_keeps_its_endpoint_and_gets_its_own_answers() {
    let echoes: Vec<Echo> = ["a", "b", "c"].map(Echo::start).into();
    let addresses: Vec<_> = echoes.iter().map(Echo::address).collect();
    let text = document("", &addresses).replace("workers: 1", "workers: 2");
    let tollgate = Launch::new(PROGRAM, &text).start();
    let clients: Vec<_> = (0..120).map(|_| client(tollgate.address())).collect();
    let mut places = vec![String::new(); clients.len()];
    for round in 0..5 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round}.{number}").as_bytes()).unwrap();
        }
        for ((number, client), place) in clients.iter().enumerate().zip(&mut places) {
            let answer = String::from_utf8(echo::receive(client)).unwrap();
            let (name, question) = answer.split_once(':').unwrap();
            assert_eq!(question, format!("{round}.{number}"));
            assert!(place.is_empty() || place == name, "{place}, then {name}");
            *place = name.to_owned();
        }
    }
    assert_eq!(places.iter().collect::<HashSet<_>>().len(), 3);
    tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", 120.0);
    for name in ["a", "b", "c"] {
        assert!(places.iter().filter(|place| *place == name).count() >= 25, "{places:?}");
    }
}

/// As QUIC: long flows with many large datagrams in both directions at once.
#[test]
fn a_long_flow_loses_nothing_that_its_window_allows() {
    let echo = Echo::start("q");
    let tollgate = launch("", &[echo.address()]);
    let client = client(tollgate.address());
    let mut bytes = 0;
    for round in 0..200u32 {
        for part in 0..16u32 {
            let datagram = [&(round * 16 + part).to_be_bytes()[..], &[7; 1196]].concat();
            client.send(&datagram).unwrap();
        }
        for part in 0..16u32 {
            let answer = echo::receive(&client);
            assert_eq!(answer[2..6], (round * 16 + part).to_be_bytes());
            bytes += answer.len() as u64;
        }
    }
    let series = "tollgate_udp_bytes_total{listener=\"dns\",direction=\"client\"}";
    tollgate.await_metric(series, bytes as f64);
}

#[test]
fn a_datagram_goes_elsewhere_when_its_endpoint_is_gone() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let tollgate = launch("idle_timeout: 300ms", &[a.address(), b.address()]);
    let client = client(tollgate.address());
    let first = ask(&client, b"one");
    let (gone, left) = if first.starts_with(b"a") { (a, b) } else { (b, a) };
    let left_name = if first.starts_with(b"a") { "b" } else { "a" };
    gone.stop();
    // The datagram that meets nobody is lost, as the machine there tells only afterwards.
    client.send(b"lost").unwrap();
    assert_eq!(ask(&client, b"two"), format!("{left_name}:two").into_bytes());
    let (text, told) = why(&tollgate, "connection_idle");
    assert_eq!(told["attempts"].as_array().map(Vec::len), Some(2), "{text}");
    assert_eq!(told["attempts"][0]["reason"], "connect_failed");
    assert_eq!(told["attempts"][1]["endpoint"], left.address().to_string());
    assert!(told["doubt"].is_null(), "{text}");
}

#[test]
fn a_flow_that_nobody_takes_is_told_with_its_cause() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tollgate = launch("idle_timeout: 1h", &[gone]);
    client(tollgate.address()).send(b"hello").unwrap();
    let (text, told) = why(&tollgate, "connect_failed");
    let cause = told["cause"].as_str().unwrap();
    assert!(cause.contains("nothing takes datagrams there") && cause.contains(&gone.to_string()), "{text}");
    assert!(told["doubt"].is_null() && told["request"].is_null(), "{text}");
    tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", 0.0);
    // Only now, without anybody to ask.
    let drained = verb(&tollgate, &["endpoint", "drain", "dns", &gone.to_string()]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    client(tollgate.address()).send(b"hello").unwrap();
    let (text, told) = why(&tollgate, "no_endpoint");
    let cause = told["cause"].as_str().unwrap();
    assert!(cause.contains("dns") && cause.contains("drained by the operator"), "{text}");
    tollgate.await_metric("tollgate_udp_dropped_total{listener=\"dns\",reason=\"no_endpoint\"}", 1.0);
}

#[test]
fn what_is_too_much_is_dropped_counted_and_told() {
    let echo = Echo::start("a");
    for (flows, reason, setting) in [
        ("max: 2", "flow_table_full", "flows.max of the listener dns is 2"),
        ("max_per_address: 2", "client_flows_full", "flows.max_per_address of the listener dns is 2"),
    ] {
        let text = document(flows, &[echo.address()]).replace("workers: 1", "workers: 2");
        let tollgate = Launch::new(PROGRAM, &text).start();
        let clients: Vec<_> = (0..3).map(|_| client(tollgate.address())).collect();
        ask(&clients[0], b"x");
        ask(&clients[1], b"x");
        clients[2].send(b"x").unwrap();
        let series = format!("tollgate_udp_dropped_total{{listener=\"dns\",reason=\"{reason}\"}}");
        tollgate.await_metric(&series, 1.0);
        let (text, told) = why(&tollgate, reason);
        assert!(told["cause"].as_str().unwrap().contains(setting), "{text}");
        assert!(text.contains("the flow was refused"), "{text}");
        // Those that are there go on.
        assert_eq!(ask(&clients[0], b"y"), b"a:y");
    }
}

/// A flow counts at its upstream and endpoint as a request does, and takes no more than there is room for.
#[test]
fn flows_keep_within_the_limits_of_their_upstream() {
    let echoes = [Echo::start("a"), Echo::start("b")];
    for (concurrency, reason, places) in
        [("{ upstream: 3 }", "upstream_full", 3), ("{ endpoint: 1 }", "upstream_full", 2)]
    {
        let text = document("idle_timeout: 1h", &echoes.each_ref().map(Echo::address))
            .replace("ejection: none", &format!("ejection: none, concurrency: {concurrency}"));
        let tollgate = Launch::new(PROGRAM, &text).start();
        let clients: Vec<_> = (0..places).map(|_| client(tollgate.address())).collect();
        clients.iter().for_each(|client| drop(ask(client, b"x")));
        client(tollgate.address()).send(b"x").unwrap();
        let series = format!("tollgate_udp_dropped_total{{listener=\"dns\",reason=\"{reason}\"}}");
        tollgate.await_metric(&series, 1.0);
        let (text, told) = why(&tollgate, reason);
        assert!(told["doubt"].is_null(), "{text}");
        clients.iter().for_each(|client| assert!(ask(client, b"y").ends_with(b":y")));
        tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", f64::from(places));
    }
}

#[test]
fn a_flow_that_ends_leaves_its_place_to_another() {
    let echo = Echo::start("a");
    let text = document("idle_timeout: 100ms", &[echo.address()])
        .replace("ejection: none", "ejection: none, concurrency: { upstream: 1, endpoint: 1 }");
    let tollgate = Launch::new(PROGRAM, &text).start();
    for _ in 0..3 {
        assert_eq!(ask(&client(tollgate.address()), b"x"), b"a:x");
        tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", 0.0);
    }
}

#[test]
fn flows_outlive_reloads_as_long_as_their_endpoint_does() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let tollgate = launch("", &[a.address(), b.address()]);
    let clients: Vec<_> = (0..8).map(|_| client(tollgate.address())).collect();
    let places: Vec<_> = clients.iter().map(|client| ask(client, b"x")).collect();
    let both = document("idle_timeout: 1m", &[b.address(), a.address()]);
    assert!(tollgate.reload(&both).contains("document 2 is in force"));
    for (client, place) in clients.iter().zip(&places) {
        assert_eq!(&ask(client, b"x"), place);
    }
    tollgate.await_metric("tollgate_udp_flows_total{listener=\"dns\"}", 8.0);
    // Without `a` its clients come to `b`, with flows of their own.
    let one = document("idle_timeout: 1m", &[b.address()]);
    assert!(tollgate.reload(&one).contains("document 3 is in force"));
    clients.iter().for_each(|client| assert_eq!(ask(client, b"y"), b"b:y"));
    let moved = places.iter().filter(|place| place.starts_with(b"a")).count();
    assert_eq!(moved, 4);
    tollgate.await_metric("tollgate_udp_flows_total{listener=\"dns\"}", 8.0 + moved as f64);
    tollgate.await_metric("tollgate_udp_flows_open{listener=\"dns\"}", 8.0);
}

#[test]
fn a_listener_that_goes_gives_its_address_free() {
    let echo = Echo::start("a");
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let one = document("", &[echo.address()]);
    let two = one.replace("listen:\n", &format!("listen:\n  - {{ udp: \"{free}\", name: more, to: dns }}\n"));
    let tollgate = Launch::new(PROGRAM, &two).listeners(2).start();
    let [more, kept] = [free, tollgate.addresses()[1]].map(client);
    ask(&more, b"x");
    ask(&kept, b"x");
    // Its flow is quiet, and ended for that.
    assert!(tollgate.reload(&one).contains("document 2 is in force"));
    drop(more);
    UdpSocket::bind(free).unwrap();
    assert_eq!(ask(&kept, b"y"), b"a:y");
    assert_eq!(why(&tollgate, "connection_ended").1["client"]["listener"], "more");
    assert!(tollgate.reload(&two).contains("document 3 is in force"));
    assert_eq!(ask(&client(free), b"z"), b"a:z");
}

#[test]
fn a_drain_waits_for_the_answers_of_its_flows() {
    let slow = UdpSocket::bind("127.0.0.1:0").unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tollgate = launch("idle_timeout: 1h", &[slow.local_addr().unwrap()]);
    let client = client(tollgate.address());
    client.send(b"question").unwrap();
    let (_, from) = slow.recv_from(&mut [0; 64]).unwrap();
    tollgate.terminate();
    tollgate.stderr_line("draining");
    slow.send_to(b"answer", from).unwrap();
    assert_eq!(echo::receive(&client), b"answer");
    assert!(tollgate.wait().success());
    let log = tollgate.stdout_to_the_end();
    assert!(log.contains("\"reason\":\"connection_ended\""), "{log}");
}

#[test]
fn replies_come_from_the_address_that_was_asked() {
    let echo = Echo::start("a");
    let text = document("", &[echo.address()]).replace("udp: \"127.0.0.1:0\"", "udp: \"0.0.0.0:0\"");
    let tollgate = Launch::new(PROGRAM, &text).start();
    for host in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 1, 2, 3]] {
        // A connected socket takes answers from this address only.
        assert_eq!(ask(&client((host, tollgate.address().port()).into()), b"x"), b"a:x");
    }
    // One client, two addresses: two flows, each with its answers.
    let both = UdpSocket::bind("127.0.0.1:0").unwrap();
    both.set_read_timeout(Some(PATIENCE)).unwrap();
    for host in [[127, 0, 0, 4], [127, 0, 0, 5]] {
        let asked: SocketAddr = (host, tollgate.address().port()).into();
        both.send_to(b"y", asked).unwrap();
        let mut answer = [0; 16];
        assert_eq!(both.recv_from(&mut answer).unwrap(), (3, asked));
    }
    tollgate.await_metric("tollgate_udp_flows_total{listener=\"dns\"}", 5.0);
}
