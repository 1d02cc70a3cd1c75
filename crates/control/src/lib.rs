//! From a document to a running process: compile it to a snapshot, start workers and probes, drain.
//! The one place that knows both the document and the data plane.

pub mod compile;
pub mod config_state;
pub mod explain;
pub mod metrics;
pub mod process;
pub mod resolve;

pub use compile::{Compiled, compile};
pub use config_state::{ConfigState, ReloadOutcome, SharedConfigState};
pub use process::{Process, StartError};
