//! The built-in policies, a folder each.
//!
//! Each takes plain settings, checks them once ([`Unusable`] says what is wrong and where), and gives a
//! [`Policy`](tollgate_policy::Policy). None of them knows the document or the proxy.

pub mod access;
pub mod addresses;
pub mod auth;
pub mod cors;
pub mod csrf;
pub mod fault;
pub mod limit;
pub mod request_limits;
pub mod security_headers;

mod origin;
mod unusable;

#[cfg(test)]
mod sample;

pub use unusable::Unusable;
