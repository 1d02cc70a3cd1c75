//! The programs' configurations for each shape, from the templates in `configs/`.

use super::plan::{Cell, Protocol, Shape, Subject};
use super::scenarios;
use super::template::render;
use crate::credentials::Credentials;
use crate::identity::Identity;
use anyhow::Result;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

const HAPROXY: &str = include_str!("../../configs/haproxy.cfg.in");
const NGINX: &str = include_str!("../../configs/nginx.conf.in");
const TOLLGATE: &str = include_str!("../../configs/tollgate.yaml.in");
const TOLLGATE_GATEWAY: &str = include_str!("../../configs/tollgate-gateway.yaml.in");
const TOLLGATE_EVERYTHING: &str = include_str!("../../configs/tollgate-everything.yaml.in");
const TOLLGATE_RECORD: &str = include_str!("../../configs/tollgate-record.yaml.in");
const TOLLGATE_RELOAD: &str = include_str!("../../configs/tollgate-reload.yaml.in");
const TOLLGATE_TRACING: &str = include_str!("../../configs/tollgate-tracing.yaml.in");
const TOLLGATE_ROUTES: &str = include_str!("../../configs/tollgate-routes.yaml.in");

/// The header edits of the gateway row, as a user might have them.
const EDITS: &str = ", headers: { request: { set: { X-Gateway: tollgate, X-Shop: main }, remove: Cookie }, \
                     response: { set: { X-Frame-Options: DENY, X-Content-Type-Options: nosniff }, remove: ETag } }";

/// Where a program listens, where it forwards to, and its own folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The program's port on loopback.
    pub(crate) listen_port: u16,
    /// The origin's port on loopback.
    pub(crate) origin_port: u16,
    /// Where traces go.
    pub(crate) collector: SocketAddr,
    /// The certificate that it presents.
    pub(crate) identity: &'a Identity,
    /// What callers show.
    pub(crate) credentials: &'a Credentials,
    /// For sockets, process ids and temporary files.
    pub(crate) directory: &'a Path,
    /// Client connections that must be possible at once.
    pub(crate) connections: usize,
}

/// The text of the configuration file. The floor has none.
pub(crate) fn of(cell: Cell, place: &Place<'_>) -> Result<String> {
    if cell.subject == Subject::Floor {
        return Ok(String::new());
    }
    match cell.shape.protocol() {
        Protocol::Http1 => http1(cell, place),
        Protocol::Tls => scenarios::tls::configuration(cell, place),
        Protocol::Http2 => scenarios::http2::configuration(cell, place),
        Protocol::Grpc => scenarios::grpc::configuration(cell, place),
        Protocol::Tcp => scenarios::tcp::configuration(cell, place),
        Protocol::Udp => scenarios::udp::configuration(cell, place),
        Protocol::Http3 => scenarios::http3::configuration(cell, place),
    }
}

fn http1(cell: Cell, place: &Place<'_>) -> Result<String> {
    match cell.subject {
        Subject::Haproxy => haproxy(cell.shape, place),
        Subject::Nginx => nginx(cell.shape, place),
        _ if cell.shape.gated() => scenarios::gate::configuration(cell.shape, place),
        _ => tollgate(cell.shape, place),
    }
}

/// The bare document with another listener.
pub(crate) fn tollgate_bare(place: &Place<'_>, listen: &str) -> Result<String> {
    render(TOLLGATE, &[("listen", listen.to_owned()), ("origin_port", place.origin_port.to_string())])
}

/// Started as root, nginx would otherwise become a user who cannot enter its folder.
pub(crate) fn nginx_user() -> String {
    if rustix::process::geteuid().is_root() { "user root;" } else { "" }.to_owned()
}

/// A document with `count` routes `/r000000`, `/r000001` and so on, as Tollgate reads it.
pub(crate) fn document_with_routes(count: u32, place: &Place<'_>) -> Result<String> {
    render(
        TOLLGATE_ROUTES,
        &[
            ("listen", format!("\"127.0.0.1:{}\"", place.listen_port)),
            ("origin_port", place.origin_port.to_string()),
            ("routes", routes(count, "")),
        ],
    )
}

/// The document number `document` of those that a process is reloaded with, with `count` routes.
pub(crate) fn document_to_reload(count: u32, document: u32, place: &Place<'_>) -> Result<String> {
    render(
        TOLLGATE_RELOAD,
        &[
            ("listen", format!("\"127.0.0.1:{}\"", place.listen_port)),
            ("origin_port", place.origin_port.to_string()),
            ("directory", place.directory.display().to_string()),
            ("document", document.to_string()),
            ("routes", routes(count, "")),
        ],
    )
}

fn haproxy(shape: Shape, place: &Place<'_>) -> Result<String> {
    let splice = if shape == Shape::Large { "option splice-response" } else { "" };
    let deferred = if shape == Shape::Churn { "defer-accept" } else { "" };
    render(
        HAPROXY,
        &[
            ("listen_port", place.listen_port.to_string()),
            ("origin_port", place.origin_port.to_string()),
            ("max_connections", (place.connections + 1_000).to_string()),
            ("splice", splice.to_owned()),
            ("deferred_accept", deferred.to_owned()),
        ],
    )
}

fn nginx(shape: Shape, place: &Place<'_>) -> Result<String> {
    let large = "proxy_buffer_size 64k;\n            proxy_buffers 8 64k;\n            \
                 proxy_busy_buffers_size 128k;";
    let buffers = if matches!(shape, Shape::Medium | Shape::Large) { large } else { "" };
    let deferred = if shape == Shape::Churn { "deferred" } else { "" };
    render(
        NGINX,
        &[
            ("user", nginx_user()),
            ("directory", place.directory.display().to_string()),
            ("listen_port", place.listen_port.to_string()),
            ("origin_port", place.origin_port.to_string()),
            ("max_connections", (place.connections + 2_000).to_string()),
            ("deferred_accept", deferred.to_owned()),
            ("buffers", buffers.to_owned()),
        ],
    )
}

fn tollgate(shape: Shape, place: &Place<'_>) -> Result<String> {
    let address = format!("\"127.0.0.1:{}\"", place.listen_port);
    let listen = if shape == Shape::Churn {
        format!("[{{ address: {address}, defer_accept: true }}]")
    } else {
        address
    };
    let mut values = vec![("listen", listen), ("origin_port", place.origin_port.to_string())];
    if let Some(count) = shape.routes() {
        let edits = if matches!(shape, Shape::Gateway | Shape::Everything) { EDITS } else { "" };
        values.push(("routes", routes(count, edits)));
    }
    if let Some(sampled) = shape.sampled() {
        values.push(("collector", place.collector.to_string()));
        values.push(("sample", sampled.to_string()));
    }
    let template = match shape {
        Shape::Gateway | Shape::Everything => {
            values.push(("directory", place.directory.display().to_string()));
            if shape == Shape::Gateway { TOLLGATE_GATEWAY } else { TOLLGATE_EVERYTHING }
        }
        Shape::Record => TOLLGATE_RECORD,
        Shape::TracedNone | Shape::TracedSome | Shape::TracedAll => TOLLGATE_TRACING,
        Shape::FewRoutes | Shape::ManyRoutes => TOLLGATE_ROUTES,
        _ => TOLLGATE,
    };
    render(template, &values)
}

/// One route a line; `edits` is what each has besides its name, path and destination.
fn routes(count: u32, edits: &str) -> String {
    let mut lines = String::with_capacity(count as usize * (56 + edits.len()));
    for route in 0..count {
        let _ = writeln!(lines, "  - {{ name: r{route:06}, path: /r{route:06}, to: origin{edits} }}");
    }
    lines.truncate(lines.trim_end().len());
    lines
}

#[cfg(test)]
mod tests {
    use super::{Place, document_with_routes, of};
    use crate::credentials::Credentials;
    use crate::identity::Identity;
    use crate::run::plan::{Cell, Protocol, Shape, Subject};
    use crate::run::scenarios::rows;
    use std::path::Path;
    use std::sync::LazyLock;

    fn place() -> Place<'static> {
        static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| {
            let directory = tempfile::tempdir().expect("a folder");
            let credentials = Credentials::make(directory.path()).expect("are made");
            credentials.with_redis(Some(([127, 0, 0, 1], 18_083).into()))
        });
        static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::at(Path::new("/tmp/identity")));
        Place {
            listen_port: 18_080,
            origin_port: 18_081,
            collector: ([127, 0, 0, 1], 18_082).into(),
            identity: &IDENTITY,
            credentials: &CREDENTIALS,
            directory: Path::new("/tmp/x"),
            connections: 64,
        }
    }

    fn text(shape: Shape, subject: Subject) -> String {
        of(Cell { shape, subject }, &place()).expect("renders")
    }

    #[test]
    fn every_cell_has_a_configuration_with_its_ports() {
        for cell in rows().flat_map(|row| row.cells()).filter(|cell| cell.subject != Subject::Floor) {
            let text = of(cell, &place()).unwrap_or_else(|error| panic!("{cell:?}: {error}"));
            assert!(text.contains(":18080") && text.contains(":18081"), "{cell:?}:\n{text}");
            assert!(!text.contains("{{"), "{cell:?}:\n{text}");
        }
    }

    #[test]
    fn options_stand_only_where_the_method_says() {
        for (shape, splice, deferred, buffers) in [
            (Shape::Small, false, false, false),
            (Shape::Medium, false, false, true),
            (Shape::Large, true, false, true),
            (Shape::Churn, false, true, false),
        ] {
            let haproxy = text(shape, Subject::Haproxy);
            assert_eq!(haproxy.contains("option splice-response"), splice, "{shape:?}");
            assert_eq!(haproxy.contains("defer-accept"), deferred, "{shape:?}");
            let nginx = text(shape, Subject::Nginx);
            assert_eq!(nginx.contains(" deferred;"), deferred, "{shape:?}");
            assert_eq!(nginx.contains("proxy_buffers 8 64k;"), buffers, "{shape:?}");
            assert_eq!(text(shape, Subject::Tollgate).contains("defer_accept"), deferred, "{shape:?}");
        }
    }

    #[test]
    fn only_the_rows_that_say_so_record_and_log() {
        for row in rows().filter(|row| row.shape.protocol() == Protocol::Http1) {
            let shape = row.shape;
            let text = text(shape, Subject::Tollgate);
            let records = matches!(shape, Shape::Record | Shape::Everything);
            assert_eq!(text.contains("recorder: none"), !records, "{shape:?}");
            assert_eq!(text.contains("access_log: none"), !shape.logs(), "{shape:?}");
        }
    }

    #[test]
    fn documents_to_reload_differ_in_one_answer() {
        let of = |number| super::document_to_reload(10, number, &place()).expect("renders");
        assert_eq!(of(7).replace("body: \"7\"", "body: \"8\""), of(8));
    }

    #[test]
    fn routes_are_as_many_as_asked_for() {
        let document = document_with_routes(1_234, &place()).expect("renders");
        assert_eq!(document.matches("- { name: r").count(), 1_234);
        assert!(document.contains("{ name: r001233, path: /r001233, to: origin }"));
        let gateway = text(Shape::Gateway, Subject::Tollgate);
        assert_eq!(gateway.matches("remove: Cookie").count(), 1_000);
    }
}
