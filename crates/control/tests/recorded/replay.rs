use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_control::explain::explain_recorded;
use tollgate_control::{Filter, Recorded};
use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::{Divergence, verify};
use tollgate_runtime::Random;
use tollgate_testkit::{Client, Origin, refusing};

use crate::plaza::Plaza;

const CLIENTS: u64 = 6;
const REQUESTS: u64 = 400;

pub fn below(random: &mut Random, bound: u64) -> u64 {
    random.next_u64() % bound
}

/// An origin that mostly answers, and else fails in one way or another.
fn moody(seed: u64) -> Origin {
    let asked = AtomicU64::new(seed);
    Origin::start(move |connection| {
        while connection.request().is_some() {
            let mood = Random::from_seed(asked.fetch_add(1, Ordering::Relaxed)).next_u64() % 20;
            match mood {
                0 => return,
                1 => connection.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
                2 => return connection.send("garbage\r\n\r\n"),
                3 => return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"),
                _ => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            }
        }
    })
}

fn document(origins: &[Origin], refused: SocketAddr) -> String {
    let upstream = |name: &str, balance: &str, first: usize| {
        let endpoint = |n: usize| {
            format!(
                "{{ address: \"{}\", weight: {}, priority: {}, labels: {{ odd: \"{}\" }} }}",
                origins[first + n].address(),
                n + 1,
                n / 2,
                n % 2,
            )
        };
        format!(
            "  {name}:\n    endpoints: [{}, {}, {}, \"{refused}\"]\n    balance: {balance}\n    \
             ejection: {{ consecutive_5xx: 2, base: 20ms, max: 50ms, max_percent: 50% }}\n    slow_start: 150ms\n",
            endpoint(0),
            endpoint(1),
            endpoint(2),
        )
    };
    let mut text = "version: 1\nlisten: \"127.0.0.1:0\"\ntimeouts: { head: 60ms, body: 60ms, idle: 100ms }\n\
        recorder: { memory: 256MiB, slow: 1h, sample: 100% }\n\
        defaults: { retry: { attempts: 3, backoff: 1ms, max_backoff: 2ms } }\nupstreams:\n"
        .to_owned();
    let balancers = [
        "round_robin",
        "least_requests",
        "two_choices",
        "random",
        "{ peak_ewma: { decay: 100ms } }",
        "{ ring_hash: { by: [path, { header: X-Beta }], bounded_load: 110% } }",
        "{ maglev: { by: { query: n }, bounded_load: 125%, table: 1009 } }",
    ];
    for (number, balance) in balancers.iter().enumerate() {
        text += &upstream(&format!("u{number}"), balance, number * 3 % 6);
    }
    text += &format!(
        "  lost: [\"{refused}\"]\n  gone: {{ endpoints: [\"{refused}\"], panic_threshold: 0%, health: {{ tcp: {{}}, every: 1s, timeout: 500ms, fall: 1 }} }}\n"
    );
    text + "routes:
  - { name: turns, path: /turns, to: u0 }
  - { name: least, path: /least, to: u1 }
  - { name: two, path: /two, to: u2, methods: [GET, POST] }
  - { name: any, host: \"*.example\", path: /any, to: u3 }
  - { name: quick, path: /quick, to: u4 }
  - { name: ring, path: /ring, to: u5 }
  - { name: maglev, path: /maglev, to: u6 }
  - { name: lost, path: /lost, to: lost }
  - { name: gone, path: /gone, to: gone }
  - { name: split, path: /split, split: { u0: 3, u1: 2, u2: 1, u3: 4, part: { upstream: u1, weight: 4, labels: { odd: \"0\" }, if_none: any } } }
  - { name: beta, path: /split, match: { headers: { X-Beta: { present: true } }, query: { n: \"1\" } }, to: u2 }
  - { name: regex, paths: [{ regex: \"^/r/[0-9]+$\" }], to: u1 }
  - { name: small, path: /small, to: u0, body: { max_size: 4B } }
  - { name: moved, path: /moved, redirect: { path: { prefix: /turns } } }
  - { name: fixed, path: /fixed, respond: 204 }
"
}

pub fn head(random: &mut Random) -> Vec<u8> {
    const PATHS: [&str; 20] = [
        "/quick",
        "/ring/a",
        "/ring/b",
        "/maglev?n=1",
        "/maglev?n=2",
        "/turns/a",
        "/least",
        "/two?x=1",
        "/any/./b",
        "/lost",
        "/gone",
        "/split?n=1",
        "/split",
        "/r/77",
        "/r/x",
        "/small",
        "/moved/on",
        "/fixed",
        "/nowhere",
        "/%2e%2e/%2f",
    ];
    let path = PATHS[below(random, PATHS.len() as u64) as usize];
    let method = ["GET", "GET", "GET", "DELETE", "POST"][below(random, 5) as usize];
    let host = ["a.example", "b", "A.Example:80", "[::1]"][below(random, 4) as usize];
    let beta = if below(random, 2) == 0 { "X-Beta: 1\r\n" } else { "" };
    let body = if method == "POST" { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{beta}{body}").into_bytes()
}

/// A head with something wrong in it, perhaps.
pub fn spoilt(random: &mut Random) -> Vec<u8> {
    let mut head = head(random);
    for _ in 0..1 + below(random, 3) {
        let at = below(random, head.len().max(1) as u64) as usize;
        if head.len() < 2 {
            break;
        }
        match below(random, 4) {
            0 => drop(head.remove(at)),
            1 => head.insert(at, b" \r\n:\0/%?\xff"[below(random, 9) as usize]),
            2 => head.truncate(at.max(1)),
            _ => drop(head.splice(at..at, *b"\r\nHost: c\r\n")),
        }
    }
    head
}

/// Sends requests; whatever breaks is connected anew.
fn client(address: SocketAddr, seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut client = Client::connect(address);
    for _ in 0..REQUESTS {
        if below(&mut random, 8) == 0 {
            let mut other = Client::connect(address);
            // The answer may come before the last byte is sent.
            let _ = other.try_send(spoilt(&mut random));
            let _ = other.ending();
            continue;
        }
        if client.try_send(head(&mut random)).is_err() {
            client = Client::connect(address);
            continue;
        }
        let lasting = client.try_response().is_ok_and(|response| response.get("connection") != Some("close"));
        if !lasting {
            client = Client::connect(address);
        }
    }
}

#[test]
fn every_recorded_exchange_is_decided_the_same_again() {
    let seed = Random::from_machine().next_u64();
    let origins: Vec<Origin> = (0..6).map(|n| moody(seed.wrapping_add(n << 32))).collect();
    let (refused, _guard) = refusing();
    let plaza = Plaza::start(&document(&origins, refused), 2);
    let address = plaza.address();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || client(address, seed.wrapping_add(number)));
        }
    });
    let (recorders, snapshot) = plaza.end();
    let counts = recorders.counts();
    assert_eq!(counts.dropped, 0);
    let recorded = recorders.last(usize::MAX, &Filter::default());
    assert_eq!(recorded.len() as u64, counts.entries);
    assert!(recorded.len() as u64 > CLIENTS * REQUESTS / 2, "{} of {}", recorded.len(), CLIENTS * REQUESTS);
    for recorded in &recorded {
        let again = verify(&snapshot, &recorded.entry);
        assert_eq!(again, Ok(()), "seed {seed}: {:#?}", recorded.entry);
        told_the_same(&snapshot, recorded);
    }
    assert_variety(&recorded, seed);
    assert_tampering_shows(&snapshot, &recorded);
}

/// The long explanation names the endpoints that were really tried.
fn told_the_same(snapshot: &Snapshot, recorded: &Recorded) {
    let told = explain_recorded(snapshot, &recorded.entry);
    let picked: Vec<_> = told.picks.iter().filter_map(|pick| pick.endpoint.clone()).collect();
    let names: Vec<_> = recorded.entry.names.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(picked, names);
    if recorded.entry.names.route.is_some() {
        assert_eq!(told.route, recorded.entry.names.route);
    }
}

/// That nothing diverges means nothing unless much has happened.
fn assert_variety(recorded: &[Recorded], seed: u64) {
    let mut reasons: HashMap<Reason, usize> = HashMap::new();
    for recorded in recorded {
        *reasons.entry(recorded.entry.reason()).or_default() += 1;
    }
    for reason in [
        Reason::Forwarded,
        Reason::Redirect,
        Reason::FixedResponse,
        Reason::NoRoute,
        Reason::BadPath,
        Reason::BodyTooLarge,
        Reason::NoEndpoint,
        Reason::ResponseIncomplete,
        Reason::BadResponse,
    ] {
        assert!(reasons.contains_key(&reason), "seed {seed}: no {reason:?} in {reasons:?}");
    }
    let count = |test: &dyn Fn(&Recorded) -> bool| recorded.iter().filter(|r| test(r)).count();
    assert!(count(&|r| r.entry.record.attempts > 1) > 20, "retries");
    assert!(count(&|r| !r.entry.loads.is_empty()) > 100, "loads");
    assert!(count(&|r| r.entry.loads.iter().any(|load| load.in_flight > 0)) > 0, "busy endpoints");
    let excludes = |r: &Recorded| r.entry.picks.iter().any(|p| (0..4).any(|e| p.view.exclusion(e).is_some()));
    assert!(count(&excludes) > 20, "ejected endpoints");
    let spare = |r: &Recorded| (0..4).any(|e| r.entry.picks.iter().any(|p| p.view.share(e).is_some()));
    assert!(count(&spare) > 20, "weights that tiers and slow starts are folded into");
    assert!(count(&|r| r.entry.record.subset.is_some()) > 20, "subsets");
    for upstream in ["u0", "u1", "u2", "u3", "lost"] {
        assert!(count(&|r| r.entry.names.upstream.as_deref() == Some(upstream)) > 20, "{upstream}");
    }
}

/// A record that was changed is not taken for the truth.
fn assert_tampering_shows(snapshot: &Snapshot, recorded: &[Recorded]) {
    let entry = |test: &dyn Fn(&Recorded) -> bool| {
        recorded.iter().find(|r| test(r)).map(|r| (*r.entry).clone()).expect("such an entry")
    };
    let mut other_route = entry(&|r| r.entry.names.route.as_deref() == Some("turns"));
    other_route.record.route = Some(1);
    assert!(matches!(verify(snapshot, &other_route), Err(Divergence::Route { .. })));
    let mut other_upstream = entry(&|r| r.entry.names.route.as_deref() == Some("split"));
    other_upstream.record.upstream = Some(u32::MAX);
    assert!(matches!(verify(snapshot, &other_upstream), Err(Divergence::Upstream { .. })));
    let mut other_part = entry(&|r| r.entry.record.subset.is_some());
    other_part.record.subset = None;
    assert!(matches!(verify(snapshot, &other_part), Err(Divergence::Subset { .. })));
    let mut other_reason = entry(&|r| r.entry.reason() == Reason::BadPath);
    other_reason.record.reason = Some(Reason::BadHost);
    assert!(matches!(verify(snapshot, &other_reason), Err(Divergence::Refusal { .. })));
    let mut nobody = entry(&|r| r.entry.reason() == Reason::Forwarded && r.entry.picks.len() == 1);
    nobody.picks = Box::default();
    assert!(matches!(verify(snapshot, &nobody), Err(Divergence::Endpoint { attempt: 0, .. })));
    let mut unread = entry(&|r| !r.entry.loads.is_empty());
    unread.loads = Box::default();
    assert!(verify(snapshot, &unread).is_err());
    // Whatever bytes stand where the head should be, nothing panics.
    let mut cut = entry(&|r| r.entry.reason() == Reason::Forwarded);
    let head = cut.head.clone().unwrap();
    for end in 0..head.len() {
        cut.head = Some(head[..end].into());
        assert!(verify(snapshot, &cut).is_err(), "{end}");
    }
}
