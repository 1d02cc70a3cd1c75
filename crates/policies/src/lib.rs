//! The built-in policies, a folder each.
//!
//! Each takes plain settings, checks them once ([`Unusable`] says what is wrong and where), and gives a
//! [`Policy`](tollgate_policy::Policy). None of them knows the document or the proxy.

pub mod auth;
pub mod cors;
pub mod csrf;

mod origin;
mod unusable;

#[cfg(test)]
mod sample;

pub use unusable::Unusable;
