//! TCP: bytes that nobody looks into.

use crate::run::configuration::{self, Place};
use crate::run::plan::{Cell, Figure, Row, Shape, Subject, target};
use crate::run::template::render;
use Subject::{Floor, Haproxy, Nginx, Tollgate};
use anyhow::Result;

const HAPROXY: &str = include_str!("../../../configs/haproxy-tcp.cfg.in");
const NGINX: &str = include_str!("../../../configs/nginx-stream.conf.in");
const TOLLGATE: &str = include_str!("../../../configs/tollgate-stream.yaml.in");

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "tcp",
        title: "128 B, TCP",
        shape: Shape::Tcp,
        subjects: &[Floor, Haproxy, Nginx, Tollgate],
        figure: Figure::Cpu,
        targets: &[target(Shape::Tcp, Haproxy, 0.95), target(Shape::Tcp, Nginx, 0.95)],
        ceiling: None,
    },
    Row {
        name: "tcp-large",
        title: "1 MiB, TCP",
        shape: Shape::TcpLarge,
        subjects: &[Haproxy, Nginx, Tollgate],
        figure: Figure::Cpu,
        targets: &[target(Shape::TcpLarge, Haproxy, 1.0), target(Shape::TcpLarge, Nginx, 0.60)],
        ceiling: None,
    },
];

/// The program's configuration.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let large = cell.shape == Shape::TcpLarge;
    let port = place.listen_port;
    match cell.subject {
        Haproxy => render(
            HAPROXY,
            &[
                ("listen_port", port.to_string()),
                ("origin_port", place.origin_port.to_string()),
                ("max_connections", (place.connections + 1_000).to_string()),
                ("splice", if large { "option splice-response" } else { "" }.to_owned()),
            ],
        ),
        Nginx => {
            let buffer = if large { "proxy_buffer_size 64k;" } else { "" };
            nginx(place, &format!("127.0.0.1:{port} reuseport backlog=4096"), buffer)
        }
        _ => tollgate(place, &format!("tcp: \"127.0.0.1:{port}\"")),
    }
}

/// Nginx that forwards a stream of bytes or datagrams.
pub(crate) fn nginx(place: &Place<'_>, listen: &str, buffer: &str) -> Result<String> {
    render(
        NGINX,
        &[
            ("user", configuration::nginx_user()),
            ("directory", place.directory.display().to_string()),
            ("listen", listen.to_owned()),
            ("buffer", buffer.to_owned()),
            ("origin_port", place.origin_port.to_string()),
            ("max_connections", (2 * place.connections + 2_000).to_string()),
        ],
    )
}

/// Tollgate that does the same.
pub(crate) fn tollgate(place: &Place<'_>, listen: &str) -> Result<String> {
    render(TOLLGATE, &[("listen", listen.to_owned()), ("origin_port", place.origin_port.to_string())])
}
