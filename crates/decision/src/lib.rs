//! Why: the catalogue of reasons, the record that each exchange carries, and the flight recorder.

pub mod reason;
pub mod record;
pub mod recorder;

pub use reason::{Reason, Side};
pub use record::{Attempt, Fallback, Passing, Record, Verdict};
pub use recorder::{Class, Keeper, Kept, Recorder, RecorderSettings};
