//! Where limits count: memory, disk, Redis.
//!
//! How much a caller may use is arithmetic ([`Gcra`], [`SlidingWindow`], [`Period`]); where the state of a key
//! is kept is a store: [`memory`] for one process, [`disk`] for quotas that outlive it, [`redis`] for what
//! several instances share. Time is always passed in.

pub mod disk;
mod gcra;
mod key;
pub mod memory;
mod period;
pub mod redis;
mod rule;
mod sliding_window;

pub use gcra::Gcra;
pub use key::{Key, KeyHash};
pub use period::Period;
pub use rule::{Decision, Limit, Rule};
pub use sliding_window::SlidingWindow;
