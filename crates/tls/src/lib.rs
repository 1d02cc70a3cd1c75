//! TLS on both sides: accepting and connecting, certificates and where they come from.
//!
//! There are no sockets in here. A [`Session`] is one connection's TLS, on either side; it is driven over a
//! [`Wire`], which the caller's socket implements. Sessions are made by an [`Acceptor`] (a listener's settings
//! with its [`Certificates`]) or by a [`Connector`] (an upstream's settings). Both are built when a document is
//! compiled and shared by all workers; nothing is locked after a handshake.

mod acceptor;
mod certificates;
mod connector;
mod facts;
mod failure;
pub mod hello;
pub mod ocsp;
mod profile;
mod roots;
mod session;
mod tickets;
mod wire;

pub use acceptor::{Acceptor, ClientCertificates, ServerSettings, UnknownNames};
pub use certificates::{
    Certificate, CertificateFiles, Certificates, Description, KeyKind, Problem, Refreshed,
};
pub use connector::{ClientSettings, Connector};
pub use facts::{client_cert_chain_field, client_cert_field};
pub use failure::{HandshakeFailure, describe_error, refusal};
pub use profile::{MinVersion, Profile};
pub use roots::Roots;
pub use session::Session;
pub use tickets::TicketKeys;
pub use wire::Wire;
