//! HTTP/2 over TLS 1.3 in front, HTTP/1.1 behind.

use super::tls;
use crate::run::configuration::{self, Place};
use crate::run::plan::{Cell, Figure, Row, Shape, Subject, target};
use Subject::{Haproxy, Nginx, Tollgate};
use anyhow::Result;

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[Row {
    name: "http2",
    title: "128 B, HTTP/2 over TLS, 10 connections x 32 streams",
    shape: Shape::Http2,
    subjects: &[Haproxy, Nginx, Tollgate],
    figure: Figure::Cpu,
    targets: &[target(Shape::Http2, Haproxy, 0.95), target(Shape::Http2, Nginx, 1.15)],
    ceiling: None,
}];

/// The program's configuration.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let port = place.listen_port;
    match cell.subject {
        Haproxy => {
            let both = place.identity.both();
            let bind = format!("127.0.0.1:{port} backlog 4096 ssl crt {} alpn h2,http/1.1", both.display());
            tls::haproxy(place, &bind, "")
        }
        Nginx => {
            let listen = format!("listen 127.0.0.1:{port} ssl reuseport backlog=4096;\n        http2 on;");
            tls::nginx(place, &listen)
        }
        _ => configuration::tollgate_bare(place, &tls::listener(place, "[h1, h2]", "")),
    }
}
