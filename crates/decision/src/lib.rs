//! Why: the catalogue of reasons, the record that each exchange carries, and the flight recorder.

pub mod chance;
pub mod reason;
pub mod record;
pub mod recorder;

pub use reason::{Reason, Side};
pub use record::{Attempt, Fallback, Passing, Queued, Record, Verdict};
pub use recorder::{Class, Keeper, Kept, Recorder, RecorderSettings};
