//! Quotas that outlive the process, in one file.

mod file;
mod flusher;
mod quotas;
mod rule;
#[cfg(test)]
mod tests;

pub use quotas::{QuotaError, QuotaEvent, QuotaSettings, Quotas};
