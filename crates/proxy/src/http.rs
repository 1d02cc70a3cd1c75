//! Serving HTTP exchanges.

mod account;
pub mod admit;
pub(crate) mod answer;
pub(crate) mod attempt;
pub mod begin;
mod body;
pub mod client;
pub mod forward;
pub mod forwarded;
mod gate;
pub mod grpc;
pub mod handshake;
mod hedge;
mod hold;
mod http2;
pub mod http3;
pub mod identify;
pub mod intake;
mod log;
mod mirror;
mod request_body;
pub mod request_head;
mod rescue;
pub mod respond;
mod response_body;
mod response_head;
pub mod retry;
pub mod secured;
pub mod serve;
pub mod session;
mod stage;
pub(crate) mod tally;
mod trace;
mod waits;

pub use client::Client;
pub use mirror::Mirroring;
pub use tally::EndpointTallies;

use tollgate_decision::Reason;

/// Why an exchange gets an answer from Tollgate instead of an origin, with more detail than the
/// reason alone has, where there is some. Details are fixed texts: nothing a client sent is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What exactly is wrong.
    pub detail: Option<&'static str>,
}

impl Refusal {
    /// What a stranger is told of it: of what is for the operator only, not even the detail.
    fn shown(self) -> Self {
        match self.reason.shown() {
            same if same == self.reason => self,
            other => other.into(),
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}
