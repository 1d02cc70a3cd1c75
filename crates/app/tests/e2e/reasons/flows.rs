//! Flows of datagrams that are refused. How others end is in [`crate::udp`].

use std::net::UdpSocket;

use tollgate_decision::Reason;
use tollgate_testkit::Tollgate;

use super::{Provoke, Row, There};

/// Each with the setting that decided.
pub(super) const ROWS: &[Row] = &[
    Row {
        reason: Reason::FlowTableFull,
        document: "listen: { udp: \"127.0.0.1:0\", name: dns, to: \"{origin}\", flows: { max: 2 } }\n",
        there: There::Nobody,
        provoke: Provoke::Doing(begin_three),
        cause: &["as many flows as it may have", "flows.max of the listener dns is 2"],
        told: &["listener dns", "the flow was refused"],
    },
    Row {
        reason: Reason::ClientFlowsFull,
        document: "listen: { udp: \"127.0.0.1:0\", name: dns, to: \"{origin}\", flows: { max_per_address: 2 } }\n",
        there: There::Nobody,
        provoke: Provoke::Doing(begin_three),
        cause: &["as many flows as it may have", "flows.max_per_address of the listener dns is 2"],
        told: &["listener dns", "the flow was refused"],
    },
];

fn begin_three(tollgate: &Tollgate) -> Option<String> {
    let clients: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for client in &clients {
        client.send_to(b"x", tollgate.address()).unwrap();
    }
    None
}
