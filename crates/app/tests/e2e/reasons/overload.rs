//! Upstreams that have no place, or are spared.

use tollgate_decision::Reason;
use tollgate_testkit::{Origin, PATIENCE, Tollgate};

use super::{GET, Provoke, Row, There};

/// Each with the upstream, how the request met the queue, and the setting that decided.
pub(super) const ROWS: &[Row] = &[
    occupied(
        Reason::UpstreamFull,
        "upstreams: { shop: { endpoints: [\"{origin}\"], concurrency: 1 } }\n\
         routes: [{ name: all, path: /, to: shop, retry: none }]\n",
        second,
        &["and none can wait: shop. The setting concurrency.upstream of the upstream shop is 1."],
    ),
    occupied(
        Reason::QueueFull,
        "upstreams: { shop: { endpoints: [\"{origin}\"], concurrency: 1, queue: { length: 1, by: route, timeout: 1m } } }\n\
         routes: [{ name: all, path: /, to: shop, retry: none }]\n",
        third,
        &[
            "shop; 1 waited when it came, 1 of them to go before it",
            "queue.length of the upstream shop is 1.",
        ],
    ),
    occupied(
        Reason::QueueTimeout,
        "upstreams: { shop: { endpoints: [\"{origin}\"], concurrency: 1, queue: { timeout: 300ms } } }\n\
         routes: [{ name: all, path: /, to: shop, retry: none }]\n",
        second,
        &["as long as it may: shop, after 3", "queue.timeout of the upstream shop is 300ms."],
    ),
    Row {
        reason: Reason::QueueShed,
        document: "upstreams: { shop: { endpoints: [\"{origin}\"], concurrency: 1, \
                   queue: { by: route, timeout: 1m, target: 5ms, interval: 50ms } } }\n\
                   routes: [{ name: all, path: /, to: shop, retry: none }]\n",
        there: There::Origin(slow),
        provoke: Provoke::Doing(crowd),
        cause: &["waiting for the upstream for too long", "queue.target of the upstream shop is 5ms."],
        told: &["answer      503 from Tollgate; queue_shed"],
    },
    Row {
        reason: Reason::CircuitOpen,
        document: "upstreams: { shop: { endpoints: [\"{origin}\"], ejection: none, circuit_breaker: { min_requests: 2 } } }\n\
                   routes: [{ name: all, path: /, to: shop, retry: none }]\n",
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            (0..2).for_each(|_| assert_eq!(tollgate.request(GET).status, 502));
            tollgate.request(GET).get("x-request-id").map(str::to_owned)
        }),
        cause: &[
            "is spared for a while: shop.",
            "circuit_breaker.error_rate of the upstream shop is 50%, open_for 30s.",
        ],
        told: &["answer      503 from Tollgate; circuit_open"],
    },
];

/// A row for a request that comes while another is at the only place.
const fn occupied(
    reason: Reason,
    document: &'static str,
    provoke: fn(&Tollgate) -> Option<String>,
    cause: &'static [&'static str],
) -> Row {
    let provoke = Provoke::Doing(provoke);
    Row { reason, document, there: There::Origin(mute), provoke, cause, told: &["503 from Tollgate"] }
}

/// Answers nothing.
fn mute() -> Origin {
    Origin::start(|connection| {
        while connection.request().is_some() {
            connection.rest();
        }
    })
}

/// One that takes its time for each.
fn slow() -> Origin {
    Origin::answering(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    })
}

/// Waits until a series has this value.
fn await_series(tollgate: &Tollgate, series: &str, value: u32) {
    let (began, line) = (std::time::Instant::now(), format!("{series} {value}"));
    while !tollgate.api("GET", "/metrics", "").1.lines().any(|told| told == line) {
        assert!(began.elapsed() < PATIENCE, "{line}: not in time");
    }
}

fn second(tollgate: &Tollgate) -> Option<String> {
    let mut first = tollgate.connect();
    first.send(GET);
    await_series(tollgate, "tollgate_upstream_concurrency_used{upstream=\"shop\"}", 1);
    tollgate.request(GET).get("x-request-id").map(str::to_owned)
}

fn third(tollgate: &Tollgate) -> Option<String> {
    let (mut first, mut second) = (tollgate.connect(), tollgate.connect());
    first.send(GET);
    await_series(tollgate, "tollgate_upstream_concurrency_used{upstream=\"shop\"}", 1);
    second.send(GET);
    let waiting = "tollgate_upstream_queue_length{upstream=\"shop\",priority=\"normal\"}";
    await_series(tollgate, waiting, 1);
    tollgate.request(GET).get("x-request-id").map(str::to_owned)
}

/// Asks in a crowd until one of it is refused.
fn crowd(tollgate: &Tollgate) -> Option<String> {
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        let mut clients: Vec<_> = (0..10).map(|_| tollgate.connect()).collect();
        clients.iter_mut().for_each(|client| client.send(GET));
        let responses: Vec<_> = clients.iter_mut().map(|client| client.response()).collect();
        if let Some(shed) = responses.iter().find(|response| response.status == 503) {
            return shed.get("x-request-id").map(str::to_owned);
        }
    }
    None
}
