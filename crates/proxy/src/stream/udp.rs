//! Carrying datagrams. A flow is all datagrams of one client address and port (and, on a listener bound to all
//! addresses, of the address that they were sent to). Its first one picks an endpoint; a socket connected to that
//! carries the others for the flow's life. All replies leave by the listener's socket.
//!
//! One task serves a listener's socket with all its flows: `carrier` reads both sides in batches, `desk` finds
//! or begins flows, `attempt` picks endpoints, `table` keeps the flows, `account` tells of them. An endpoint's
//! sockets are watched by an epoll instance of the listener's own, which the reactor watches as one descriptor: a
//! flow costs no task, no timer and no entry in the reactor.

mod account;
mod attempt;
mod carrier;
mod desk;
mod flow;
mod table;

use std::future::poll_fn;
use std::net::UdpSocket;
use std::rc::Rc;

use carrier::Carrier;

use crate::listen::Accepting;
use crate::listening::Listening;

/// Carries the datagrams of a listener's socket until the worker drains or the listener goes, and its flows
/// have ended.
pub fn carry(listening: Rc<Listening>, socket: UdpSocket) -> impl Future<Output = ()> {
    // Counted from here on, not from when the task first runs.
    let accepting = Accepting::begin(listening.clone());
    async move {
        if let Ok(mut carrier) = Carrier::new(listening, socket) {
            poll_fn(|context| carrier.poll(context)).await;
        }
        drop(accepting);
    }
}
