//! The scenarios: each protocol has a file with its rows, and with the configurations of all programs for them.

pub(crate) mod gate;
pub(crate) mod grpc;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod http3;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;

use super::plan::Row;

/// All rows in the order of the table.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [http1::ROWS, gate::ROWS, tls::ROWS, http2::ROWS, grpc::ROWS, tcp::ROWS, udp::ROWS, http3::ROWS]
        .into_iter()
        .flatten()
}
