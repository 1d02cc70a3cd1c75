//! The breaker against a naive one.
