//! From a document to a running process: compile it to a snapshot, start workers and probes, drain.
//! The one place that knows both the document and the data plane.

pub mod acme;
pub mod beside;
pub mod bind;
pub mod certificates;
pub mod compile;
pub mod config_state;
pub mod dial;
pub mod discovery;
pub mod expectations;
pub mod explain;
pub mod exports;
pub mod health;
pub mod history;
pub mod inherited;
pub mod instance;
pub mod membership;
pub mod metrics;
pub mod outside;
mod overload;
pub mod prepare;
pub mod probes;
pub mod process;
pub mod recorders;
pub mod resolve;
pub mod simulate;
pub mod stapling;
pub mod traffic;
pub mod trial;
pub mod watch;
pub mod why;

pub use acme::Acme;
pub use compile::{Compiled, compile};
pub use config_state::{ConfigState, ReloadOutcome};
pub use instance::Instance;
pub use membership::Membership;
pub use process::{Process, StartError};
pub use recorders::{Filter, Recorded, Recorders};
