//! Policies that limit: requests per time, at once, and per long period. What they share: who is counted
//! together, what a request costs, and how clients are told.

mod amount;
pub mod concurrency;
pub mod fields;
pub mod key;
pub mod quota;
pub mod rate;
mod shared;

pub use amount::{Amounts, Cost};
pub use shared::{Counter, IfDown, Shared};
