//! Sessions that stay at their endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Launch, Origin, Response, Tollgate, refusing};

use crate::verbs::verb;
use crate::{PRELUDE, PROGRAM, get, launch};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Three endpoints that say who they are.
fn endpoints() -> [Origin; 3] {
    ["zero", "one", "two"].map(Origin::saying)
}

/// A document that keeps sessions with these settings, on three workers.
fn document(origins: &[Origin; 3], sticky: &str) -> String {
    let [zero, one, two] = origins.each_ref().map(Origin::address);
    format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 3\naccess_log: none\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         recorder: {{ sample: 100% }}\n\
         upstreams: {{ u: {{ endpoints: [\"{zero}\", \"{one}\", \"{two}\"], balance: random, \
         ejection: {{ consecutive_5xx: 1, base: 5m }}, sticky: {sticky} }} }}\n\
         routes: [{{ name: all, path: /, to: u }}]\n"
    )
}

fn keeping(origins: &[Origin; 3], sticky: &str) -> Tollgate {
    Launch::new(PROGRAM, &document(origins, sticky)).start()
}

/// The name and value of the session's cookie, and its attributes.
fn cookie_of(response: &Response) -> Option<(String, String)> {
    let line = response.get("set-cookie")?;
    let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
    Some((pair.to_owned(), attributes.to_owned()))
}

fn with_cookie(cookie: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=1; {cookie}; b=2\r\n\r\n")
}

/// Begins a session: its cookie, and who serves it.
fn begin(tollgate: &Tollgate) -> (String, String) {
    let response = tollgate.request(get("/"));
    let (cookie, _) = cookie_of(&response).unwrap_or_else(|| panic!("no cookie: {response:?}"));
    (cookie, response.text())
}

/// Begins a session at the endpoint that says this.
fn begin_at(tollgate: &Tollgate, wanted: &str) -> String {
    loop {
        let (cookie, at) = begin(tollgate);
        if at == wanted {
            return cookie;
        }
    }
}

/// Asks so often on connections of their own, and sees that the session stays there without a word.
fn assert_stays(tollgate: &Tollgate, cookie: &str, at: &str, times: usize) {
    for _ in 0..times {
        let response = tollgate.request(with_cookie(cookie));
        assert_eq!((response.text().as_str(), response.get("set-cookie")), (at, None));
    }
}

fn told(tollgate: &Tollgate, response: &Response) -> String {
    verb(tollgate, &["why", response.get("x-request-id").unwrap()]).stdout
}

#[test]
fn a_cookie_is_set_once_and_honoured_by_all_workers_and_hidden_from_origins() {
    let origins = endpoints();
    let tollgate = keeping(&origins, "{ cookie: tollgate-session }");
    let response = tollgate.request(get("/"));
    let (cookie, attributes) = cookie_of(&response).unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(cookie.strip_prefix("tollgate-session=").map(str::len), Some(44), "{cookie}");
    assert_eq!(response.get("cache-control"), None);
    let at = response.text();
    assert_stays(&tollgate, &cookie, &at, 40);
    // On one connection as well, and other cookies come through.
    let mut client = tollgate.connect();
    for _ in 0..10 {
        assert_eq!(client.request(with_cookie(&cookie)).text(), at);
    }
    let requests: Vec<_> = origins.iter().flat_map(Origin::requests).collect();
    assert_eq!(requests.len(), 51);
    assert!(requests[1..].iter().all(|request| request.get("cookie").is_none_or(|c| c == "a=1; b=2")));
    assert_eq!(requests.iter().filter(|request| request.get("cookie").is_some()).count(), 50);
    let series = |outcome| format!("tollgate_sessions_total{{upstream=\"u\",outcome=\"{outcome}\"}}");
    tollgate.await_metric(&series("kept"), 50.0);
    tollgate.await_metric(&series("new"), 1.0);
    let response = tollgate.request(with_cookie(&cookie));
    assert!(told(&tollgate, &response).contains("by its session"), "{}", told(&tollgate, &response));
}

#[test]
fn attributes_are_as_written() {
    let origins = endpoints();
    let long = "{ cookie: { name: s, path: /shop, domain: example.com, secure: true, http_only: false, same_site: none }, \
                lifetime: 1h, nocache: true }";
    let tollgate = keeping(&origins, long);
    let response = tollgate.request(get("/"));
    let (cookie, attributes) = cookie_of(&response).unwrap();
    assert!(cookie.starts_with("s="));
    assert_eq!(attributes, " Path=/shop; Domain=example.com; Max-Age=3600; SameSite=None; Secure");
    assert_eq!(response.get("cache-control"), Some("private"));
}

#[test]
fn a_session_moves_for_good_when_its_endpoint_dies() {
    let [zero, one, _] = endpoints();
    let dead = Arc::new(AtomicBool::new(false));
    let is_dead = dead.clone();
    // One connection, one request: none is left over when it is dead.
    let two = Origin::start(move |connection| {
        if connection.request().is_some() && !is_dead.load(Ordering::SeqCst) {
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntwo");
        }
    });
    let origins = [zero, one, two];
    let address = origins[2].address();
    // Ejected for so short a time that the endpoint may be used again as soon as it is back.
    let text = document(&origins, "{ cookie: s }").replace("base: 5m", "base: 1ms");
    let tollgate = Launch::new(PROGRAM, &text).start();
    let before = begin_at(&tollgate, "two");
    dead.store(true, Ordering::SeqCst);
    let response = tollgate.request(with_cookie(&before));
    let (moved, _) = cookie_of(&response).unwrap_or_else(|| panic!("{response:?}"));
    let at = response.text();
    assert!(at == "zero" || at == "one", "{at}");
    let why = told(&tollgate, &response);
    assert!(
        why.contains(&format!("its session's endpoint {address} failed before, so the session moves")),
        "{why}"
    );
    tollgate.await_metric("tollgate_sessions_total{upstream=\"u\",outcome=\"moved\"}", 1.0);
    dead.store(false, Ordering::SeqCst);
    begin_at(&tollgate, "two");
    assert_stays(&tollgate, &moved, &at, 30);
}

#[test]
fn a_session_moves_when_its_endpoint_is_ejected_and_why_tells_it() {
    let failing = |name: &'static str| {
        Origin::answering(move |request| match request.target() {
            "/fail" => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into(),
        })
    };
    let origins = ["zero", "one", "two"].map(failing);
    let tollgate = keeping(&origins, "{ cookie: s }");
    let (cookie, at) = begin(&tollgate);
    let failed = tollgate.request(with_cookie(&cookie).replace("GET /", "GET /fail"));
    assert_eq!((failed.status, failed.get("set-cookie")), (500, None));
    let response = tollgate.request(with_cookie(&cookie));
    assert_ne!(response.text(), at);
    let why = told(&tollgate, &response);
    assert!(why.contains("is gone (ejected for another") && why.contains("so the session moves"), "{why}");
    assert!(!why.contains("doubt"), "{why}");
    let (moved, _) = cookie_of(&response).unwrap();
    assert_stays(&tollgate, &moved, &response.text(), 20);
}

#[test]
fn a_drained_endpoint_keeps_its_sessions_and_takes_no_new_ones() {
    let origins = endpoints();
    let tollgate = keeping(&origins, "{ cookie: s }");
    let kept = begin_at(&tollgate, "one");
    let endpoint = origins[1].address().to_string();
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "u", &endpoint]).code, Some(0));
    for _ in 0..20 {
        assert_ne!(begin(&tollgate).1, "one");
    }
    assert_stays(&tollgate, &kept, "one", 20);
    // Without time for that they move at once.
    let text = document(&origins, "{ cookie: s, drain: 0s }");
    assert!(tollgate.reload(&text).contains("in force"));
    let response = tollgate.request(with_cookie(&kept));
    let (moved, _) = cookie_of(&response).unwrap();
    assert_ne!(response.text(), "one");
    let why = told(&tollgate, &response);
    assert!(why.contains("drained") && why.contains("the time is over"), "{why}");
    assert_eq!(verb(&tollgate, &["endpoint", "undrain", "u", &endpoint]).code, Some(0));
    assert_stays(&tollgate, &moved, &response.text(), 20);
}

#[test]
fn a_reload_keeps_sessions_without_a_key_too() {
    let origins = endpoints();
    let tollgate = keeping(&origins, "{ cookie: s }");
    let (cookie, at) = begin(&tollgate);
    let text = document(&origins, "{ cookie: s }").replace("balance: random", "balance: round_robin");
    assert!(tollgate.reload(&text).contains("document 2 is in force"));
    assert_stays(&tollgate, &cookie, &at, 20);
}

#[test]
fn a_hand_over_keeps_sessions_without_a_key_too() {
    let origins = endpoints();
    let mut tollgate = keeping(&origins, "{ cookie: s }");
    let (cookie, at) = begin(&tollgate);
    let (status, said) = tollgate.hand_over("{}");
    assert_eq!(status, 200, "{said}");
    tollgate.wait_for_predecessor();
    assert_stays(&tollgate, &cookie, &at, 20);
}

#[test]
fn two_instances_with_one_key_agree_and_those_without_do_not() {
    let origins = endpoints();
    let [one, other] = [(); 2].map(|()| keeping(&origins, &format!("{{ cookie: s, key: {KEY} }}")));
    let strange = keeping(&origins, "{ cookie: s }");
    for _ in 0..5 {
        let (cookie, at) = begin(&one);
        assert_stays(&other, &cookie, &at, 10);
        assert!(cookie_of(&strange.request(with_cookie(&cookie))).is_some());
    }
    // The order of endpoints does not matter, nor a new key before the old one.
    let text = document(&origins, &format!("{{ cookie: s, keys: [{}, {KEY}] }}", KEY.replace('0', "f")));
    let [zero, .., two] = origins.each_ref().map(|origin| format!("\"{}\"", origin.address()));
    let text = text.replace(&zero, "{x}").replace(&two, &zero).replace("{x}", &two);
    let (cookie, at) = begin(&one);
    assert!(other.reload(&text).contains("in force"));
    assert_stays(&other, &cookie, &at, 10);
}

#[test]
fn what_is_forged_changed_or_foreign_counts_as_none() {
    let origins = endpoints();
    let tollgate = keeping(&origins, &format!("{{ cookie: s, key: {KEY} }}"));
    let (cookie, _) = begin(&tollgate);
    let mut changed = cookie.clone().into_bytes();
    changed[10] = if changed[10] == b'A' { b'B' } else { b'A' };
    let long = format!("s={}", "A".repeat(4000));
    let changed = String::from_utf8(changed).unwrap();
    let forged = ["s=", "s=two", "s=127.0.0.1:80", &changed, &long, &cookie[..45]];
    for forged in forged {
        let response = tollgate.request(with_cookie(forged));
        assert!(cookie_of(&response).is_some(), "{forged}");
        assert!(told(&tollgate, &response).contains("its token counts as none"), "{forged}");
    }
    let invalid = "tollgate_sessions_total{upstream=\"u\",outcome=\"invalid\"}";
    tollgate.await_metric(invalid, forged.len() as f64);
    // A good one behind a bad one of the same name counts.
    let response = tollgate.request(with_cookie(&format!("s=bad; {cookie}")));
    assert_eq!(cookie_of(&response), None);
}

#[test]
fn a_header_carries_a_session_as_well() {
    let echo = || {
        Origin::answering(|request| {
            let seen = request.get("x-session").unwrap_or("none").to_owned();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Session: origin\r\n\r\n{seen}", seen.len())
                .into()
        })
    };
    let origins = [echo(), echo(), echo()];
    let tollgate = keeping(&origins, "{ header: X-Session }");
    let response = tollgate.request(get("/"));
    assert_eq!(response.all("x-session").len(), 1);
    let token = response.get("x-session").unwrap().to_owned();
    assert_eq!((token.len(), response.text().as_str()), (44, "none"));
    let counts = || origins.each_ref().map(|origin| origin.requests().len());
    let before = counts();
    for _ in 0..20 {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nx-session: {token}\r\n\r\n");
        let response = tollgate.request(request);
        assert_eq!((response.get("x-session"), response.text().as_str()), (None, "none"));
    }
    let grown = counts().iter().zip(before).filter(|(after, before)| **after > *before).count();
    assert_eq!(grown, 1);
}

#[test]
fn explain_follows_a_session() {
    let origins = endpoints();
    let tollgate = keeping(&origins, &format!("{{ cookie: s, key: {KEY} }}"));
    let cookie = begin_at(&tollgate, "two");
    let (field, forged) = (format!("Cookie: a=1; {cookie}"), "Cookie: s=forged".to_owned());
    let file = tollgate.directory().join("tollgate.yaml");
    let explain = |field: &str, seed: &str| {
        let config = file.to_str().unwrap();
        verb(&tollgate, &["explain", "-c", config, "-H", field, "--seed", seed, "GET", "http://a/"])
    };
    for seed in ["1", "2", "3", "4", "5"] {
        let output = explain(&field, seed);
        let two = origins[2].address();
        assert!(output.stdout.contains(&format!("kept at {two} by its session")), "{output:?}");
        assert!(!output.stdout.contains(&cookie), "{output:?}");
    }
    let output = explain(&forged, "1");
    assert!(output.stdout.contains("its token counts as none: it is malformed"), "{output:?}");
}

#[test]
fn a_route_has_its_own_way_or_none() {
    let origins = endpoints();
    let text = document(&origins, "{ cookie: s }").replace(
        "routes: [",
        "routes: [{ path: /free, to: u, sticky: none }, { path: /api, to: u, sticky: { header: X-Session } }, ",
    );
    let tollgate = Launch::new(PROGRAM, &text).start();
    let free = tollgate.request(get("/free"));
    assert_eq!((free.get("set-cookie"), free.get("x-session")), (None, None));
    let own = tollgate.request(get("/api"));
    assert!(own.get("set-cookie").is_none() && own.get("x-session").is_some(), "{own:?}");
    assert!(tollgate.request(get("/")).get("set-cookie").is_some());
}

#[test]
fn a_full_endpoint_is_passed_by_and_the_session_stays() {
    let gate = tollgate_testkit::Gate::new();
    let (held, busy) = (gate.clone(), |request: &tollgate_testkit::Request| request.target() == "/held");
    let slow = Origin::answering(move |request| {
        if busy(request) {
            held.wait();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_vec()
    });
    let other = Origin::saying("other");
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{slow}\", \"{other}\"], concurrency: { endpoint: 1 }, sticky: { cookie: s } } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("slow", &slow.address()), ("other", &other.address())],
    );
    let cookie = begin_at(&tollgate, "slow");
    let mut waiting = tollgate.connect();
    waiting.send(with_cookie(&cookie).replace("GET /", "GET /held"));
    slow.wait_for_requests(slow.requests().len().max(2));
    let response = tollgate.request(with_cookie(&cookie));
    assert_eq!((response.text().as_str(), response.get("set-cookie")), ("other", None));
    gate.open();
    assert_eq!(waiting.response().text(), "slow");
    assert_stays(&tollgate, &cookie, "slow", 5);
}

#[test]
fn an_upgrade_begins_and_keeps_a_session() {
    const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let origin = || {
        Origin::start(|connection| {
            connection.head();
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            connection.rest();
        })
    };
    let origins = [origin(), origin(), origin()];
    let tollgate = keeping(&origins, "{ cookie: s }");
    let mut client = tollgate.connect();
    client.send(format!("{ASK}\r\n"));
    let (cookie, _) = cookie_of(&client.any_response()).unwrap();
    let at = origins.iter().position(|origin| !origin.received().is_empty());
    for _ in 0..8 {
        let mut client = tollgate.connect();
        client.send(format!("{ASK}Cookie: {cookie}\r\n\r\n"));
        let response = client.any_response();
        assert_eq!((response.status, response.get("set-cookie")), (101, None));
    }
    assert_eq!(
        origins.each_ref().map(Origin::connections).iter().filter(|count| **count > 0).count(),
        1,
        "{at:?}"
    );
}

#[test]
fn http2_is_the_same() {
    let origins = endpoints();
    let tollgate = keeping(&origins, "{ cookie: s }");
    let (cookie, at) = begin(&tollgate);
    let client = Http2Client::connect(tollgate.address());
    for _ in 0..10 {
        let response = client.ask("GET", "/", &[("cookie", &cookie)]).response();
        assert_eq!((response.text().as_str(), response.get("set-cookie")), (at.as_str(), None));
    }
}

#[test]
fn a_session_that_is_traced_keeps_its_trace_whole() {
    let origin = Origin::saying("here");
    let tollgate = Launch::new(
        PROGRAM,
        &format!(
            "{PRELUDE}tracing: {{ otlp: \"http://{}\" }}\n\
             upstreams: {{ u: {{ endpoints: [\"{}\"], sticky: {{ cookie: s }} }} }}\n\
             routes: [{{ path: /, to: u, headers: {{ request: {{ set: {{ X-Last: set }} }} }} }}]\n",
            refusing().0,
            origin.address()
        ),
    )
    .start();
    let (cookie, _) = begin(&tollgate);
    tollgate.request(with_cookie(&cookie));
    let seen = &origin.requests()[1];
    let [parent] = seen.all("traceparent")[..] else { panic!("{seen:?}") };
    let parts: Vec<_> = parent.split('-').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len(), parts.len()), ("00", 32, 16, 4), "{parent}");
    assert_ne!(parts[2], "0000000000000000", "{parent}");
    assert_eq!((seen.get("cookie"), seen.get("x-last")), (Some("a=1; b=2"), Some("set")));
}

#[test]
fn an_answer_that_is_tried_again_elsewhere_does_not_move_a_session() {
    let sick = || {
        Origin::answering(|request| match request.target() {
            "/sick" => b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none".to_vec(),
        })
    };
    let origins = [Origin::saying("zero"), sick(), Origin::saying("two")];
    let text = document(&origins, "{ cookie: s }")
        .replace("ejection: { consecutive_5xx: 1, base: 5m }", "ejection: none")
        .replace("to: u }", "to: u, retry: { on: [503], attempts: 2 } }");
    let tollgate = Launch::new(PROGRAM, &text).start();
    let cookie = begin_at(&tollgate, "one");
    for _ in 0..5 {
        let response = tollgate.request(with_cookie(&cookie).replace("GET /", "GET /sick"));
        assert_eq!((response.status, response.get("set-cookie")), (200, None));
        assert_ne!(response.text(), "one");
        let why = told(&tollgate, &response);
        assert!(why.contains("tried again, so this request alone goes elsewhere"), "{why}");
        assert!(!why.contains("doubt"), "{why}");
    }
    assert_stays(&tollgate, &cookie, "one", 20);
    tollgate.await_metric("tollgate_sessions_total{upstream=\"u\",outcome=\"aside\"}", 5.0);
}

/// Another endpoint would answer at once, but not as the session's own does.
#[test]
fn a_request_of_a_session_is_not_hedged() {
    let slow = Origin::answering(|request| {
        if request.target() == "/slow" {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none".to_vec()
    });
    let origins = [Origin::saying("zero"), slow, Origin::saying("two")];
    let text = document(&origins, "{ cookie: s }").replace("to: u }", "to: u, hedge: 10ms }");
    let tollgate = Launch::new(PROGRAM, &text).start();
    let cookie = begin_at(&tollgate, "one");
    let response = tollgate.request(with_cookie(&cookie).replace("GET /", "GET /slow"));
    assert_eq!((response.text().as_str(), response.get("set-cookie")), ("one", None));
}

#[test]
fn an_endpoint_that_was_added_has_sessions_until_it_is_removed() {
    let origins = endpoints();
    let tollgate = keeping(&origins, "{ cookie: s }");
    let late = Origin::saying("late");
    let address = late.address().to_string();
    for _ in 0..2 {
        assert_eq!(verb(&tollgate, &["endpoint", "add", "u", &address]).code, Some(0));
        let cookie = begin_at(&tollgate, "late");
        assert_stays(&tollgate, &cookie, "late", 20);
        assert_eq!(verb(&tollgate, &["endpoint", "remove", "u", &address]).code, Some(0));
        let response = tollgate.request(with_cookie(&cookie));
        let (moved, _) = cookie_of(&response).unwrap();
        assert!(told(&tollgate, &response).contains("in the upstream no more"));
        assert_stays(&tollgate, &moved, &response.text(), 20);
    }
}

/// The upstream is the same one before and after, and knows of no sessions.
#[test]
fn sessions_that_a_reload_brings_to_a_route_stay_too() {
    let origins = endpoints();
    let text = document(&origins, "none").replace(", sticky: none", "");
    let tollgate = Launch::new(PROGRAM, &text).start();
    assert_eq!(cookie_of(&tollgate.request(get("/"))), None);
    let with = text.replace("to: u }", "to: u, sticky: { cookie: s } }");
    assert!(tollgate.reload(&with).contains("in force"));
    let (cookie, at) = begin(&tollgate);
    assert_stays(&tollgate, &cookie, &at, 20);
}
