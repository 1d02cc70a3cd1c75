//! UDP: a datagram there, a datagram back.

use super::tcp;
use crate::run::configuration::Place;
use crate::run::plan::{Cell, Figure, Row, Shape, Subject, target};
use Subject::{Nginx, Tollgate};
use anyhow::Result;

/// Bytes of a datagram.
pub(crate) const DATAGRAM: usize = 512;

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[Row {
    name: "udp",
    title: "512 B, UDP request and reply",
    shape: Shape::Udp,
    subjects: &[Nginx, Tollgate],
    figure: Figure::Cpu,
    targets: &[target(Shape::Udp, Nginx, 0.70)],
    ceiling: None,
}];

/// The program's configuration. Both keep a flow's state from one datagram to the next.
pub(crate) fn configuration(cell: Cell, place: &Place<'_>) -> Result<String> {
    let port = place.listen_port;
    match cell.subject {
        Nginx => tcp::nginx(place, &format!("127.0.0.1:{port} udp reuseport"), ""),
        _ => tcp::tollgate(place, &format!("udp: \"127.0.0.1:{port}\"")),
    }
}
