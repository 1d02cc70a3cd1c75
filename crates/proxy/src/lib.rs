//! The data plane: it is handed a [`Snapshot`] and listening sockets, and serves exchanges.
//!
//! The walk of an exchange, each step a function with the step's name: [`listen`] accepts,
//! [`http::serve`] runs the connection, `intake` reads a head and begins the exchange (`identify`,
//! `decide`, `request_head`), `attempt` leases or opens a connection, `forward` moves both
//! directions at once, `retry` decides about another attempt, `respond` answers, `account` tells.
//! Connections that are carried as they are take another walk, in [`stream`].

pub mod buffers;
mod connect;
pub mod decide;
pub mod evidence;
pub mod exchange;
mod hedges;
pub mod http;
pub mod link;
pub mod listen;
mod listening;
pub mod mirroring;
mod multiplexed;
pub mod publication;
pub mod recorder;
pub mod snapshot;
pub mod socket;
pub mod stream;
pub mod tracer;
pub mod trust;
pub mod worker;

pub use publication::Publication;
pub use snapshot::Snapshot;
pub use worker::{Command, Worker};
