//! What endpoints do, or do not.

use tollgate_decision::Reason;
use tollgate_testkit::Origin;

use super::{FORWARD, GET, Provoke, Row, There};
use crate::verbs::verb;

/// Each with the endpoint, and what was wrong with it or which setting decided.
pub(super) const ROWS: &[Row] = &[
    Row {
        reason: Reason::NoEndpoint,
        document: "upstreams: { shop: [\"{origin}\"] }\nroutes: [{ name: all, path: /, to: shop, retry: none }]\n",
        there: There::Origin(|| Origin::saying("ok")),
        provoke: Provoke::Doing(|tollgate| {
            let listed = verb(tollgate, &["endpoint", "list", "--json"]);
            let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
            let endpoint = listed["endpoints"][0]["endpoint"].as_str().unwrap().to_owned();
            assert_eq!(verb(tollgate, &["endpoint", "drain", "shop", &endpoint]).code, Some(0));
            tollgate.request(GET).get("x-request-id").map(str::to_owned)
        }),
        cause: &["no endpoint that may be used now", "shop has {origin} (drained"],
        told: &[
            "answer      503 from Tollgate; no_endpoint",
            "route       all",
            "not made: there was no endpoint",
        ],
    },
    failing(
        Reason::ConnectFailed,
        FORWARD,
        There::Nobody,
        &["refused the connection: nothing listens there"],
    ),
    failing(
        Reason::UnwantedStatus,
        "upstreams: { shop: [\"{origin}\"] }\n\
         routes: [{ name: all, path: /, to: shop, fallback: { on: 503, respond: { status: 502, body: later } } }]\n",
        There::Origin(|| Origin::answering(|_| b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec())),
        &["a status that the route does not pass on"],
    ),
    failing(
        Reason::ConnectTimeout,
        "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { connect: 300ms } }]\n",
        There::Silence,
        &["did not accept a connection in time", "timeouts.connect of the route all is 300ms"],
    ),
    failing(
        Reason::UpstreamClosed,
        FORWARD,
        There::Origin(|| Origin::start(|connection| drop(connection.request()))),
        &["closed or reset the connection before it answered"],
    ),
    failing(
        Reason::FirstByteTimeout,
        "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { first_byte: 300ms } }]\n",
        There::Origin(mute),
        &["did not begin its answer in time", "timeouts.first_byte of the route all is 300ms"],
    ),
    failing(
        Reason::TryTimeout,
        "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { try: 300ms } }]\n",
        There::Origin(mute),
        &["longer than the route allows for one", "timeouts.try of the route all is 300ms"],
    ),
    failing(
        Reason::TotalTimeout,
        "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { total: 300ms } }]\n",
        There::Origin(mute),
        &["longer than the route allows", "timeouts.total of the route all is 300ms"],
    ),
    Row {
        provoke: Provoke::Doing(|tollgate| {
            let mut client = tollgate.connect();
            client.send(GET);
            assert!(client.try_response().is_err());
            None
        }),
        told: &["200 from {origin}, but not to its end", "answered 200, then upstream_stalled"],
        ..failing(
            Reason::UpstreamStalled,
            "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none, timeouts: { idle: 300ms } }]\n",
            There::Origin(|| half_a_body(true)),
            &[
                "stopped sending or taking",
                "after 5 bytes of the response's body",
                "timeouts.idle of the route all is 300ms",
            ],
        )
    },
    Row {
        provoke: Provoke::Doing(|tollgate| {
            let mut client = tollgate.connect();
            client.send(GET);
            assert!(client.try_response().is_err());
            None
        }),
        told: &["200 from {origin}, but not to its end", "answered 200, then response_incomplete"],
        ..failing(
            Reason::ResponseIncomplete,
            FORWARD,
            There::Origin(|| half_a_body(false)),
            &["ended before it was complete", "after 5 bytes of the response's body"],
        )
    },
    failing(
        Reason::BadResponse,
        FORWARD,
        There::Origin(|| sending("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")),
        &["different values of Content-Length"],
    ),
    failing(
        Reason::ResponseHeadTooLarge,
        "limits: { response_head_size: 1KiB }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n",
        There::Origin(|| sending(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1100)))),
        &["larger than allowed", "limits.response_head_size is 1KiB"],
    ),
    failing(
        Reason::BadUpgrade,
        FORWARD,
        There::Origin(|| {
            sending("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        }),
        &["switched protocols without being asked to"],
    ),
];

/// The only attempt fails, and the cause names it.
const fn failing(
    reason: Reason,
    document: &'static str,
    there: There,
    cause: &'static [&'static str],
) -> Row {
    Row {
        reason,
        document,
        there,
        provoke: Provoke::Sending(GET),
        cause,
        told: &["{origin} of ", "the only attempt", "attempt 1   {origin}", "route       all"],
    }
}

fn mute() -> Origin {
    Origin::start(|connection| drop((connection.request(), connection.rest())))
}

fn sending(bytes: &str) -> Origin {
    let bytes = bytes.to_owned();
    Origin::start(move |connection| {
        connection.request();
        connection.send(&bytes);
        connection.rest();
    })
}

fn half_a_body(waiting: bool) -> Origin {
    Origin::start(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        if waiting {
            connection.rest();
        }
    })
}
