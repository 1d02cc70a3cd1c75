//! What end-to-end tests are made of: the real program on a document ([`Tollgate`]), clients that say
//! exactly what a test wants on the wire ([`Client`]), origins that follow a script ([`Origin`]), the same for
//! HTTP/2 ([`http2`]), a certificate authority that speaks ACME ([`AcmeServer`]), an OpenID provider
//! ([`OidcProvider`]), a name server ([`DnsServer`]), and Redis ([`RedisServer`]).
//!
//! Nothing here sleeps to let something happen: everything waits for what it needs, at most
//! [`PATIENCE`], and fails with what the program said on standard error.

#![expect(clippy::missing_panics_doc, reason = "failing the test is how everything here reports")]

mod acme_server;
mod authority;
mod client;
mod dns_server;
mod gate;
pub mod http2;
mod message;
mod oidc_provider;
mod origin;
mod origin_process;
mod program;
mod redis;
mod sockets;
mod tls;
mod wire;

pub use acme_server::{AcmeServer, Counts, Mischief};
pub use authority::{Authority, Issued, KeyKind, Wanted, replace};
pub use client::{Broken, Client, Ending};
pub use dns_server::{DnsAnswer, DnsRecord, DnsServer};
pub use gate::Gate;
pub use message::{Framing, Request, Response};
pub use oidc_provider::{Algorithm, OidcProvider, SignWith};
pub use origin::{Connection, Origin};
pub use origin_process::OriginProcess;
pub use program::{Launch, Output, Tollgate, run};
pub use redis::{RedisServer, redis_cluster, redis_is_missing};
pub use rustls::SignatureScheme;
pub use sockets::{Silent, refusing};
pub use tls::{Handshake, TlsClient, TlsOrigin, Versions};

/// How long anything may take that has to happen. Long, so that a slow machine fails no test.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
