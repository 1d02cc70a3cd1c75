//! HTTP/3 in front, HTTP/1.1 behind.

use super::tls;
use crate::run::configuration::{self, Place};
use crate::run::plan::{Cell, Figure, Method, Row, Shape, Subject, shown, target};
use crate::run::template::render;
use Subject::{Caddy, Haproxy, Nginx, Tollgate};
use anyhow::Result;

const CADDY: &str = include_str!("../../../configs/Caddyfile.in");

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[Row {
    name: "http3",
    title: "128 B, HTTP/3, 10 connections x 32 streams",
    shape: Shape::Http3,
    subjects: &[Haproxy, Nginx, Caddy, Tollgate],
    figure: Figure::Cpu,
    targets: &[
        target(Shape::Http3, Caddy, 0.30),
        shown(Shape::Http3, Haproxy, Method::Rounds),
        shown(Shape::Http3, Nginx, Method::Rounds),
    ],
    ceiling: None,
}];

/// The program's configuration.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let port = place.listen_port;
    match cell.subject {
        Haproxy => {
            let bind = format!("quic4@127.0.0.1:{port} ssl crt {} alpn h3", place.identity.both().display());
            // Where its TLS library has no interface for QUIC, it wants to be told that this is known.
            tls::haproxy(place, &bind, "limited-quic")
        }
        Nginx => {
            let listen =
                format!("listen 127.0.0.1:{port} quic reuseport;\n        http3 on;\n        quic_gso on;");
            tls::nginx(place, &listen)
        }
        Caddy => render(
            CADDY,
            &[
                ("listen_port", port.to_string()),
                ("directory", place.directory.display().to_string()),
                ("certificate", place.identity.certificate().display().to_string()),
                ("key", place.identity.key().display().to_string()),
                ("origin_port", place.origin_port.to_string()),
            ],
        ),
        _ => configuration::tollgate_bare(place, &tls::listener(place, "[h1, h2, h3]", "")),
    }
}
