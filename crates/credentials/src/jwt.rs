//! Signed tokens: JWT (RFC 7519) as compact JWS (RFC 7515), and what RFC 8725 says about verifying them.
//!
//! A [`Keys`] is read from a JWK set, PEM text or a secret. Each key is pinned to its algorithms when it is read: the
//! `alg` of a token only chooses among what its key may do anyway. [`verify()`] takes a token, the keys and the
//! [`Rules`], and tells what the token claims or why it is refused. A [`TokenCache`] remembers verified ones.
//!
//! Encrypted tokens (JWE) are refused, and so is every token with a `crit` header: none of the extensions
//! that it could name is understood here, `b64` (RFC 7797) among them.

mod algorithm;
mod cache;
mod claims;
mod jwks;
mod keys;
mod rejection;
mod verify;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms};
pub use cache::TokenCache;
pub use claims::Claims;
pub use jwks::{MAX_JWKS_BYTES, MAX_KEYS, Skipped};
pub use keys::{Key, Keys, MIN_SECRET};
pub use rejection::{Claim, Rejection};
pub use verify::{LONGEST, Rules, Verified, verify};
