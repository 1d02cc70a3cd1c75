//! State in this process: bounded, shared by all workers, without a lock on keys that are known.

mod bucket;
mod concurrency;
mod table;
#[cfg(test)]
mod tests;

pub use concurrency::{Concurrency, Entry, Permit};
pub use table::{Table, TableUsage};
