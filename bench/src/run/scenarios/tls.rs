//! HTTP/1.1 over TLS 1.3: P-256 certificate, X25519, AES-128-GCM.

use crate::run::configuration::{self, Place};
use crate::run::plan::{Cell, Figure, Row, Shape, Subject, target};
use crate::run::template::render;
use Subject::{Haproxy, Nginx, Tollgate};
use anyhow::Result;

const HAPROXY: &str = include_str!("../../../configs/haproxy-tls.cfg.in");
const NGINX: &str = include_str!("../../../configs/nginx-tls.conf.in");

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "tls",
        title: "128 B, TLS 1.3, keep-alive",
        shape: Shape::Tls,
        subjects: &[Haproxy, Nginx, Tollgate],
        figure: Figure::Cpu,
        targets: &[target(Shape::Tls, Haproxy, 0.85), target(Shape::Tls, Nginx, 0.80)],
        ceiling: None,
    },
    Row {
        name: "tls-full",
        title: "128 B, a TLS 1.3 connection and full handshake each",
        shape: Shape::TlsFull,
        subjects: &[Haproxy, Nginx, Tollgate],
        figure: Figure::Cpu,
        targets: &[target(Shape::TlsFull, Haproxy, 0.85), target(Shape::TlsFull, Nginx, 0.90)],
        ceiling: None,
    },
    Row {
        name: "tls-resumed",
        title: "128 B, a resumed TLS 1.3 connection each",
        shape: Shape::TlsResumed,
        subjects: &[Haproxy, Nginx, Tollgate],
        figure: Figure::Cpu,
        targets: &[target(Shape::TlsResumed, Haproxy, 0.85), target(Shape::TlsResumed, Nginx, 0.90)],
        ceiling: None,
    },
    Row {
        name: "tls-idle",
        title: "idle TLS 1.3 connections",
        shape: Shape::TlsIdle,
        subjects: &[Haproxy, Nginx, Tollgate],
        figure: Figure::IdleMemory,
        targets: &[],
        ceiling: Some(20.0),
    },
];

/// The program's configuration.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let Place { listen_port, identity, .. } = place;
    let deferred = |word: &'static str| if cell.shape.churns() { word } else { "" };
    match cell.subject {
        Haproxy => {
            let (both, deferred) = (identity.both(), deferred("defer-accept"));
            let bind = format!(
                "127.0.0.1:{listen_port} backlog 4096 {deferred} ssl crt {} alpn http/1.1",
                both.display()
            );
            haproxy(place, &bind, "")
        }
        Nginx => {
            let deferred = deferred("deferred");
            let listen = format!("listen 127.0.0.1:{listen_port} ssl reuseport backlog=4096 {deferred};");
            nginx(place, &listen)
        }
        _ => {
            let settings = if cell.shape.churns() { ", defer_accept: true" } else { "" };
            configuration::tollgate_bare(place, &listener(place, "[h1]", settings))
        }
    }
}

/// HAProxy with TLS in front and HTTP/1.1 behind it.
pub(crate) fn haproxy(place: &Place<'_>, bind: &str, global: &str) -> Result<String> {
    render(
        HAPROXY,
        &[
            ("bind", bind.to_owned()),
            ("global", global.to_owned()),
            ("origin_port", place.origin_port.to_string()),
            ("max_connections", (place.connections + 1_000).to_string()),
        ],
    )
}

/// Nginx with TLS in front and HTTP/1.1 behind it.
pub(crate) fn nginx(place: &Place<'_>, listen: &str) -> Result<String> {
    render(
        NGINX,
        &[
            ("user", configuration::nginx_user()),
            ("directory", place.directory.display().to_string()),
            ("listen", listen.to_owned()),
            ("certificate", place.identity.certificate().display().to_string()),
            ("key", place.identity.key().display().to_string()),
            ("origin_port", place.origin_port.to_string()),
            ("max_connections", (place.connections + 2_000).to_string()),
        ],
    )
}

/// Tollgate's listener with TLS, as a list of one.
pub(crate) fn listener(place: &Place<'_>, protocols: &str, settings: &str) -> String {
    let (certificate, key) = (place.identity.certificate(), place.identity.key());
    let (certificate, key) = (certificate.display(), key.display());
    let tls = format!(
        "tls: {{ certificates: [{{ cert: \"{certificate}\", key: \"{key}\" }}], min_version: \"1.3\" }}"
    );
    format!("[{{ address: \"127.0.0.1:{}\", {tls}, protocols: {protocols}{settings} }}]", place.listen_port)
}
