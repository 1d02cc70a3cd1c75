//! HTTP/2 as only HTTP/2 has it: connections that are shared, attacks on them, WebSockets over streams.

mod attacks;
mod connections;
mod malformed;
mod websocket;

use tollgate_testkit::Tollgate;
use tollgate_testkit::http2::Http2Client;

/// A client of the first listener.
fn client(tollgate: &Tollgate) -> Http2Client {
    Http2Client::connect(tollgate.address())
}

/// A program in front of an HTTP/2 origin, tried once, with more settings of the process and the upstream.
fn before_http2(origin: &tollgate_testkit::http2::Http2Origin, settings: &str, upstream: &str) -> Tollgate {
    let document = format!(
        "{settings}\nupstreams: {{ up: {{ endpoints: [\"{{origin}}\"], protocol: h2c, {upstream} }} }}\n\
         routes: [{{ name: all, path: /, to: up, retry: none }}]\n"
    );
    crate::launch(&document, &[("origin", &origin.address())])
}
