//! From a document to a running process: compile it to a snapshot, start workers and probes, drain.
//! The one place that knows both the document and the data plane.

pub mod compile;
pub mod explain;
pub mod metrics;
pub mod process;
pub mod recorders;
pub mod resolve;
pub mod why;

pub use compile::{Compiled, compile};
pub use process::{Process, StartError};
pub use recorders::{Filter, Recorded, Recorders};
