//! Signed requests: HTTP Message Signatures (RFC 9421), digests of bodies (RFC 9530), and a guard against replay.
//!
//! [`verify()`] takes the parts of a request, the keys and the [`Rules`], and tells which key signed it or why it is
//! refused. The algorithm is the key's: the `alg` parameter may only agree. What a signature does not cover anyone on
//! the way may have changed: [`Rules::covered`] says what it has to cover.
//!
//! A signature that covers `content-digest` covers the body only once the body was compared with it: that is
//! [`DigestCheck`], fed while the body passes. A verified request goes to the [`ReplayGuard`] before it is believed.

mod base;
mod component;
mod digest;
mod key;
mod rejection;
mod replay;
mod structured;
mod verify;

#[cfg(test)]
mod tests;

pub use base::Request;
pub use component::{Component, MAX_COMPONENTS};
pub use digest::{DigestCheck, DigestError};
pub use key::{Algorithm, Key};
pub use rejection::Rejection;
pub use replay::{ReplayGuard, Replayed};
pub use verify::{LONGEST, MAX_SIGNATURES, Rules, Verified, verify};
