//! HTTP/2 (RFC 9113) on both sides, over the `h2` crate, as the streams that the forward loop knows.
//!
//! [`Server`] accepts a client's connection and yields a [`ServerStream`] for each request; [`connect`] opens
//! one to an endpoint, whose [`Connection`] opens a [`ClientStream`] for each. Both convert heads to the text
//! of HTTP/1.1 at the edge and carry bodies with flow control end to end: what the forward loop does not take
//! is not asked for, and no more is buffered for a stream than its settings allow.
//!
//! h2 ends most floods by itself; a [guard] that watches the heads of incoming frames ends the rest,
//! and knows the reason in both cases.

mod client;
mod client_stream;
mod failure;
mod frames;
pub mod guard;
mod incoming;
mod outgoing;
mod server;
mod server_stream;
pub mod settings;
mod wire;

pub use client::{Connection, connect};
pub use client_stream::ClientStream;
pub use guard::Ended;
pub use server::Server;
pub use server_stream::ServerStream;
pub use settings::{ClientSettings, GuardSettings, Rate, ServerSettings};

/// The bytes that every HTTP/2 connection of a client begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
