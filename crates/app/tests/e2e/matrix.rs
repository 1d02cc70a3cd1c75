//! Every case of an exchange for every pair of protocols: HTTP/1.1 and HTTP/2 clients, HTTP/1.1 and HTTP/2 origins.

mod asked;
mod bodies;
mod called;
mod cuts;
mod heads;
mod telling;
mod times;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use tollgate_testkit::http2::{Http2Client, Http2Origin};
use tollgate_testkit::{Client, Launch, Origin, Tollgate};

use crate::{PRELUDE, PROGRAM};
use asked::{Asked, OverHttp1, OverHttp2};
use called::Called;

/// Which protocol a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// Which protocols the two sides speak.
#[derive(Clone, Copy, Debug)]
struct Pair {
    client: Speaks,
    origin: Speaks,
}

const PAIRS: [Pair; 4] = [
    Pair { client: Speaks::Http1, origin: Speaks::Http1 },
    Pair { client: Speaks::Http1, origin: Speaks::Http2 },
    Pair { client: Speaks::Http2, origin: Speaks::Http1 },
    Pair { client: Speaks::Http2, origin: Speaks::Http2 },
];

/// Runs a case for every pair, and says for which it fails.
fn each(case: impl Fn(Pair)) {
    for pair in PAIRS {
        eprintln!("{pair:?}");
        case(pair);
    }
}

/// An origin of either protocol.
enum AnyOrigin {
    Http1(Origin),
    Http2(Http2Origin),
}

impl AnyOrigin {
    fn start(speaks: Speaks, script: impl Fn(&mut dyn Asked) + Send + Sync + 'static) -> Self {
        let script = Arc::new(script);
        match speaks {
            Speaks::Http1 => Self::Http1(Origin::start(move |connection| {
                while let Some(request) = connection.head() {
                    let mut asked = OverHttp1::new(connection, request);
                    script(&mut asked);
                    if !asked.persists() {
                        return;
                    }
                }
            })),
            Speaks::Http2 => Self::Http2(Http2Origin::start(move |served| {
                script(&mut OverHttp2::new(served));
            })),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Http1(origin) => origin.address(),
            Self::Http2(origin) => origin.address(),
        }
    }

    fn protocol(&self) -> &'static str {
        match self {
            Self::Http1(_) => "h1",
            Self::Http2(_) => "h2c",
        }
    }
}

/// The program between a client and an origin.
struct Plaza {
    pair: Pair,
    tollgate: Tollgate,
    _origin: AnyOrigin,
}

impl Plaza {
    /// Forwards everything to an origin that follows a script, and tries once.
    fn new(pair: Pair, script: impl Fn(&mut dyn Asked) + Send + Sync + 'static) -> Self {
        Self::with(pair, "", "retry: none", script)
    }

    /// The same with more settings of the process and of the route.
    fn with(
        pair: Pair,
        settings: &str,
        route: &str,
        script: impl Fn(&mut dyn Asked) + Send + Sync + 'static,
    ) -> Self {
        let origin = AnyOrigin::start(pair.origin, script);
        let tollgate = forwarding(settings, route, origin.protocol(), &origin.address());
        Self { pair, tollgate, _origin: origin }
    }

    fn connect(&self) -> Caller {
        match self.pair.client {
            Speaks::Http1 => Caller::Http1(self.tollgate.address()),
            Speaks::Http2 => Caller::Http2(Http2Client::connect(self.tollgate.address())),
        }
    }

    /// Begins a request on a connection of its own.
    fn call(&self, method: &str, path: &str, fields: &[(&str, &str)], body: Body) -> Called {
        self.connect().call(method, path, fields, body)
    }
}

/// How long the body of a request is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Known(usize),
    Unknown,
}

/// Where requests come from: HTTP/1.1 needs a connection for each.
enum Caller {
    Http1(SocketAddr),
    Http2(Http2Client),
}

impl Caller {
    fn call(&self, method: &str, path: &str, fields: &[(&str, &str)], body: Body) -> Called {
        match self {
            Self::Http1(address) => {
                let mut client = Client::connect(*address);
                let mut head = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n");
                for (name, value) in fields {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                match body {
                    Body::None => {}
                    Body::Known(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
                    Body::Unknown => head.push_str("Transfer-Encoding: chunked\r\n"),
                }
                client.send(head + "\r\n");
                Called::Http1 { client, chunked: body == Body::Unknown, to_head: method == "HEAD" }
            }
            Self::Http2(client) => {
                let length;
                let mut fields = fields.to_vec();
                if let Body::Known(known) = body {
                    length = known.to_string();
                    fields.push(("content-length", &length));
                }
                let exchange = client.try_begin(method, path, &fields, body == Body::None);
                Called::Http2(Box::new(exchange.expect("a stream")))
            }
        }
    }
}

/// The program, with one route to an upstream that speaks this protocol.
fn forwarding(settings: &str, route: &str, protocol: &str, address: &dyn Display) -> Tollgate {
    let document = format!(
        "{PRELUDE}{settings}\nupstreams: {{ up: {{ endpoints: [\"{address}\"], protocol: {protocol} }} }}\n\
         routes: [{{ name: all, path: /, to: up, {route} }}]\n"
    );
    Launch::new(PROGRAM, &document).start()
}

/// Bytes that tell where they belong.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i / 251 + i) as u8).collect()
}
