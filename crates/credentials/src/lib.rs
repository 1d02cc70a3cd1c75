//! Proofs of identity and how they are verified: pure, with the time passed in.
//!
//! One module a kind of proof. None of them reads a file, a clock or the machine's randomness: keys come as text or
//! bytes, the time as seconds since 1970 (UTC), random bytes as a function that fills a slice. All that comes
//! from a client is bounded before it is looked at, and each way to be refused is a variant of its own: the
//! operator is told which, the client never.
//!
//! | module | proof |
//! | --- | --- |
//! | [`api_key`] | a random key of which only the hash is kept |
//! | [`jwt`] | signed tokens (RFC 7519), their keys (RFC 7517), and a cache of verified ones |
//! | [`password`] | argon2 and bcrypt hashes, htpasswd files, and a cache of verified ones |
//! | [`signature`] | signed requests (RFC 9421), digests of bodies (RFC 9530), a guard against replay |
//! | [`sealed`] | encrypted cookies |
//! | [`session_token`] | which endpoint a session is kept at |
//! | [`pkce`] | the random parts of a browser login (RFC 7636) |
//! | [`certificate`] | who a verified client certificate names |
//!
//! [`bounded`] is the memory of the caches.

pub mod api_key;
pub mod bounded;
pub mod certificate;
mod hex;
mod json;
pub mod jwt;
pub mod password;
pub mod pkce;
mod public_key;
pub mod sealed;
pub mod session_token;
pub mod signature;

pub use public_key::Unusable;
