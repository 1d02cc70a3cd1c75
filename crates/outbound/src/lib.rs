//! Calls that Tollgate makes on its own account: to identity providers, authorisation services and the like.
//!
//! Everything is bounded: the time, the bytes of an answer, the calls under way, the connections that are kept.
//! Calls may come from any runtime, or from none; connections live on the runtime that a client was made with.
//!
//! - [`HttpClient`]: HTTP/1.1 with kept connections.
//! - [`grpc`]: unary calls of gRPC over one shared connection; [`ext_authz`]: Envoy's authorisation service by it.
//! - [`source`]: a value that is fetched in the background and kept fresh; [`jwks`] and [`oidc`] are two of them:
//!   the keys and the description of an identity provider.

mod client;
mod connect;
mod error;
pub mod ext_authz;
pub mod grpc;
pub mod jwks;
mod message;
pub mod oidc;
mod pool;
mod resolve;
pub mod source;
mod stream;
mod url;

pub use client::{HttpClient, Settings};
pub use connect::Security;
pub use error::Error;
pub use message::{Request, Response};
pub use url::{Scheme, Url, UrlError};
