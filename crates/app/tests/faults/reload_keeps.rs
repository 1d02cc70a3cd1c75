//! What a reload must not forget: health, what is in flight, idle connections, snapshots that are in use.

use std::net::TcpStream;

use rustix::process::Signal;
use tollgate_testkit::{Client, Gate, Launch, Origin, Tollgate, refusing};

use crate::reload::free_address;
use crate::{PRELUDE, PROGRAM, get, wait_until};

/// A document with one upstream `u`; other settings of it in `settings`, other routes in `routes`.
fn document(endpoints: &[String], settings: &str, routes: &str) -> String {
    format!(
        "{PRELUDE}workers: 1\nupstreams: {{ u: {{ endpoints: [{}]{settings} }} }}\nroutes:\n  \
         - {{ name: all, path: /, to: u }}\n{routes}",
        endpoints.join(", ")
    )
}

fn quoted(address: impl std::fmt::Display) -> String {
    format!("\"{address}\"")
}

fn in_force(tollgate: &Tollgate, text: &str) {
    let said = tollgate.reload(text);
    assert!(said.contains("is in force"), "{said}\n{}", tollgate.stderr());
}

const OTHER: &str = "  - { path: /other, respond: 204 }\n";

/// Documents after `first`: the upstream as it was, and changed in each way.
fn successors(endpoints: &[String], settings: &str) -> Vec<String> {
    let mut turned = endpoints.to_vec();
    turned.reverse();
    let third = [endpoints, &[quoted("127.0.0.1:1")]].concat();
    vec![
        document(endpoints, settings, OTHER),
        document(endpoints, &format!("{settings}, balance: least_requests"), OTHER),
        document(&turned, settings, ""),
        document(&third, &format!("{settings}, panic_threshold: 0%"), ""),
        document(endpoints, settings, ""),
    ]
}

#[test]
fn an_ejected_endpoint_stays_ejected() {
    let origin = Origin::saying("ok");
    let (dead, _guard) = refusing();
    let settings = ", ejection: { consecutive_5xx: 3, base: 1h, max: 1h }";
    let endpoints = [quoted(origin.address()), quoted(dead)];
    let tollgate = Launch::new(PROGRAM, &document(&endpoints, settings, "")).start();
    let healthy = format!("tollgate_endpoint_healthy{{upstream=\"u\",endpoint=\"{dead}\"}}");
    let tried = format!(
        "tollgate_endpoint_attempts_total{{upstream=\"u\",endpoint=\"{dead}\",reason=\"connect_failed\"}}"
    );
    let mut client = tollgate.connect();
    wait_until("it is ejected", || {
        assert_eq!(tollgate.request(get("/")).text(), "ok");
        tollgate.metric(&healthy) == 0.0
    });
    for text in successors(&endpoints, settings) {
        in_force(&tollgate, &text);
        assert_eq!(tollgate.metric(&healthy), 0.0, "{text}");
        // Never more than half: the endpoint that was added may be tried, this one may not.
        for _ in 0..6 {
            assert_eq!(client.request(get("/")).text(), "ok");
        }
        assert_eq!(tollgate.metric(&tried), 3.0, "{text}");
    }
}

#[test]
fn an_endpoint_that_is_probed_down_stays_down() {
    let origin = Origin::saying("ok");
    let (dead, _guard) = refusing();
    let endpoints = [quoted(origin.address()), quoted(dead)];
    let settings = |every: &str| format!(", health: {{ tcp: {{}}, every: {every}, fall: 1, rise: 1000 }}");
    let tollgate = Launch::new(PROGRAM, &document(&endpoints, &settings("10ms"), "")).start();
    let healthy = format!("tollgate_endpoint_healthy{{upstream=\"u\",endpoint=\"{dead}\"}}");
    wait_until("it is down", || tollgate.metric(&healthy) == 0.0);
    for text in successors(&endpoints, &settings("1h")) {
        in_force(&tollgate, &text);
        assert_eq!(tollgate.metric(&healthy), 0.0, "{text}");
    }
}

#[test]
fn what_is_in_flight_is_counted_through_all_documents() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            for_origin.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let endpoints = [quoted(origin.address())];
    let tollgate = Launch::new(PROGRAM, &document(&endpoints, "", "")).start();
    let active =
        format!("tollgate_endpoint_active_requests{{upstream=\"u\",endpoint=\"{}\"}}", origin.address());
    let mut clients = Vec::new();
    for (count, text) in (1..).zip(successors(&endpoints, "")) {
        let mut client = tollgate.connect();
        client.send(get("/"));
        clients.push(client);
        origin.wait_for_requests(count);
        in_force(&tollgate, &text);
        assert_eq!(tollgate.metric(&active), count as f64, "{text}");
    }
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "ok"));
    wait_until("nothing is in flight", || tollgate.metric(&active) == 0.0);
}

#[test]
fn idle_connections_are_used_again_and_those_to_endpoints_that_are_gone_are_closed() {
    let (origin, other) = (Origin::saying("ok"), Origin::saying("ok"));
    let endpoints = [quoted(origin.address())];
    let tollgate = Launch::new(PROGRAM, &document(&endpoints, "", "")).start();
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).text(), "ok");
    for text in successors(&endpoints, ", ejection: none") {
        // The address that nobody listens on would only be tried.
        let text = text.replace("\"127.0.0.1:1\"", "{ address: \"127.0.0.1:1\", weight: 0 }");
        in_force(&tollgate, &text);
        assert_eq!(client.request(get("/")).text(), "ok");
        assert_eq!(origin.connections(), 1, "{text}");
    }
    in_force(&tollgate, &document(&[quoted(other.address())], "", ""));
    origin.wait_for_ended(1);
    assert_eq!((client.request(get("/")).text().as_str(), other.connections()), ("ok", 1));
}

/// It would wait in the pool for a request that cannot come.
#[test]
fn a_connection_that_was_busy_when_its_endpoint_went_is_closed_when_it_is_free() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            for_origin.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let other = Origin::saying("other");
    // Not the idle timeout closes it.
    let settings = ", pool: { idle_timeout: 1h }";
    let tollgate = Launch::new(PROGRAM, &document(&[quoted(origin.address())], settings, "")).start();
    let mut client = tollgate.connect();
    client.send(get("/"));
    origin.wait_for_requests(1);
    in_force(&tollgate, &document(&[quoted(other.address())], settings, ""));
    gate.open();
    assert_eq!(client.response().text(), "ok");
    origin.wait_for_ended(1);
    assert_eq!(client.request(get("/")).text(), "other");
}

#[test]
fn what_the_recorder_keeps_is_what_the_document_in_force_says() {
    let text = |recorder: &str| {
        format!("{PRELUDE}workers: 1\n{recorder}routes: [{{ path: {{ exact: /known }}, respond: 204 }}]\n")
    };
    let tollgate = Launch::new(PROGRAM, &text("")).start();
    let entries = || tollgate.metric("tollgate_recorder_entries");
    assert_eq!(tollgate.request(get("/unknown")).status, 404);
    wait_until("the failure is kept", || entries() == 1.0);
    in_force(&tollgate, &text("recorder: none\n"));
    assert_eq!((tollgate.request(get("/unknown")).status, entries()), (404, 0.0));
    in_force(&tollgate, &text(""));
    assert_eq!(tollgate.request(get("/unknown")).status, 404);
    wait_until("the next failure is kept", || entries() == 1.0);
}

/// Two listeners, two workers; the second one at `address` goes and comes.
struct TwoListeners {
    tollgate: Tollgate,
    origin: Origin,
    address: std::net::SocketAddr,
    gate: Gate,
}

impl TwoListeners {
    fn new() -> Self {
        let gate = Gate::new();
        let for_origin = gate.clone();
        let origin = Origin::start(move |connection| {
            while let Some(request) = connection.request() {
                match request.target() {
                    "/held" => for_origin.wait(),
                    "/tunnel" => {
                        let switch =
                            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
                        connection.send(switch);
                        while let Some(bytes) = connection.bytes(4) {
                            connection.send(bytes);
                        }
                        return;
                    }
                    _ => {}
                }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let address = free_address();
        let text = Self::text(&origin, address, true);
        let tollgate = Launch::new(PROGRAM, &text).listeners(2).start();
        Self { tollgate, origin, address, gate }
    }

    fn text(origin: &Origin, address: std::net::SocketAddr, both: bool) -> String {
        let second = if both { format!(", \"{address}\"") } else { String::new() };
        format!(
            "version: 1\nlisten: [\"127.0.0.1:0\"{second}]\naccess_log: none\nworkers: 2\nroutes:\n  \
             - {{ path: /, to: \"http://{}\" }}\n  - {{ path: /own, respond: {{ status: 200, body: own }} }}\n",
            origin.address()
        )
    }

    fn reload(&self, both: bool) {
        in_force(&self.tollgate, &Self::text(&self.origin, self.address, both));
    }
}

#[test]
fn a_listener_that_goes_ends_its_connections_politely_and_no_other() {
    let them = TwoListeners::new();
    let connect = || Client::connect(them.address);
    let (mut idle, mut busy, mut tunnel) = (Vec::new(), Vec::new(), connect());
    let mut others: Vec<_> = (0..8).map(|_| them.tollgate.connect()).collect();
    for client in &mut others {
        assert_eq!(client.request(get("/")).text(), "ok");
    }
    for _ in 0..8 {
        let (mut one, mut other) = (connect(), connect());
        assert_eq!(one.request(get("/own")).text(), "own");
        idle.push(one);
        other.send(get("/held"));
        busy.push(other);
    }
    tunnel.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(tunnel.any_response().status, 101);
    them.origin.wait_for_requests(8 + 8 + 1);

    them.reload(false);
    // As soon as it is told, not a moment later.
    for _ in 0..16 {
        assert!(TcpStream::connect(them.address).is_err());
    }
    idle.iter_mut().for_each(Client::assert_ended);
    tunnel.send("ping");
    assert_eq!(tunnel.read_exact(4), b"ping");
    them.gate.open();
    for client in &mut busy {
        let response = client.response();
        assert_eq!((response.text().as_str(), response.get("connection")), ("ok", Some("close")));
        client.assert_ended();
    }
    for client in &mut others {
        let response = client.request(get("/"));
        assert_eq!((response.text().as_str(), response.get("connection")), ("ok", None));
    }
}

#[test]
fn a_listener_that_comes_again_is_there_at_once() {
    let them = TwoListeners::new();
    let mut kept = them.tollgate.connect();
    for _ in 0..20 {
        let mut client = Client::connect(them.address);
        assert_eq!(client.request(get("/own")).text(), "own");
        them.reload(false);
        assert!(TcpStream::connect(them.address).is_err());
        them.reload(true);
        assert_eq!(kept.request(get("/own")).text(), "own");
        client.assert_ended();
    }
    let found = (0..32).map(|_| Client::connect(them.address).request(get("/own")).text());
    assert!(found.into_iter().all(|text| text == "own"));
}

/// A service manager may be quick. Whatever comes first, the process lives.
#[test]
fn a_signal_right_after_the_start_does_not_end_the_process() {
    let text = format!("{PRELUDE}workers: 1\nroutes: [{{ path: /, respond: 204 }}]\n");
    for _ in 0..20 {
        let tollgate = Launch::new(PROGRAM, &text).start();
        tollgate.signal(Signal::USR1);
        assert!(tollgate.reload(&text).contains("nothing changed"));
        assert_eq!(tollgate.request(get("/")).status, 204);
    }
}

#[test]
fn a_draining_process_takes_no_other_document() {
    let them = TwoListeners::new();
    let mut tollgate = them.tollgate;
    let mut client = tollgate.connect();
    client.send(get("/held"));
    them.origin.wait_for_requests(1);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    let said = tollgate.reload(&TwoListeners::text(&them.origin, them.address, false));
    assert!(said.contains("reload refused") && said.contains("draining"), "{said}");
    them.gate.open();
    assert_eq!(client.response().text(), "ok");
    drop(client);
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn a_signal_to_end_during_a_reload_ends_as_ever() {
    for _ in 0..3 {
        let them = TwoListeners::new();
        let mut tollgate = them.tollgate;
        let mut client = tollgate.connect();
        client.send(get("/held"));
        them.origin.wait_for_requests(1);
        let mut text = TwoListeners::text(&them.origin, them.address, false);
        (0..2000).for_each(|n| text += &format!("  - {{ path: /many/{n}, respond: 204 }}\n"));
        std::fs::write(tollgate.directory().join("tollgate.yaml"), text).unwrap();
        tollgate.signal(Signal::HUP);
        tollgate.terminate();
        tollgate.stderr_line("draining");
        them.gate.open();
        assert_eq!(client.response().text(), "ok");
        drop(client);
        assert_eq!(tollgate.wait().code(), Some(0));
    }
}
