//! Why: the catalogue of reasons and the record that each exchange carries.

pub mod reason;
pub mod record;

pub use reason::{Reason, Side};
pub use record::{Attempt, Record};
