//! The built-in policies, a folder each.

pub mod auth;
