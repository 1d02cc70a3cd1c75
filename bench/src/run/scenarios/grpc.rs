//! Unary gRPC calls, HTTP/2 with prior knowledge on both sides.

use crate::run::configuration::{self, Place};
use crate::run::plan::{Cell, Figure, Row, Shape, Subject, target};
use crate::run::template::render;
use Subject::{Haproxy, Nginx, Tollgate};
use anyhow::Result;

const HAPROXY: &str = include_str!("../../../configs/haproxy-grpc.cfg.in");
const NGINX: &str = include_str!("../../../configs/nginx-grpc.conf.in");
const TOLLGATE: &str = include_str!("../../../configs/tollgate-grpc.yaml.in");

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[Row {
    name: "grpc",
    title: "128 B, gRPC unary, HTTP/2 both sides, 10 connections x 32 streams",
    shape: Shape::Grpc,
    subjects: &[Haproxy, Nginx, Tollgate],
    figure: Figure::Cpu,
    targets: &[target(Shape::Grpc, Haproxy, 0.80), target(Shape::Grpc, Nginx, 0.80)],
    ceiling: None,
}];

/// The program's configuration.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let ports =
        [("listen_port", place.listen_port.to_string()), ("origin_port", place.origin_port.to_string())];
    let [listen, origin] = ports;
    match cell.subject {
        Haproxy => {
            let most = ("max_connections", (place.connections + 1_000).to_string());
            render(HAPROXY, &[listen, origin, most])
        }
        Nginx => {
            let most = ("max_connections", (place.connections + 2_000).to_string());
            let directory = ("directory", place.directory.display().to_string());
            render(NGINX, &[("user", configuration::nginx_user()), directory, listen, origin, most])
        }
        _ => render(TOLLGATE, &[listen, origin]),
    }
}
