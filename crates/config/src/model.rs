//! The document's types, one row per key: field, default, schema and reference come from the row.

mod access_log;
mod document;
mod edits;
mod limits;
mod listen;
mod recorder;
mod retry;
mod route;
mod tracing;
mod upstream;

pub use access_log::{
    AccessLog, FaultSide, LogCondition, LogDestination, LogFormat, LogFormatName, LogQuery, LogSettings,
    LogTemplate, StandardOutput,
};
pub use document::{Document, Version};
pub use edits::{HeaderEdits, MessageEdits};
pub use limits::{ClientTimeouts, EncodedSlash, Limits, Paths};
pub use listen::{Admin, Forwarded, Listener, Shutdown};
pub use recorder::Recorder;
pub use retry::{Defaults, EffectiveTimeouts, Retry, RetryBudget, RetryPlan, SharedRetry, Timeouts};
pub use route::{
    Action, Body, Destination, Match, PathMatch, PathRewrite, Presence, Redirect, RedirectStatus, Respond,
    Rewrite, Route, TextMatch, Weight,
};
pub use tracing::Tracing;
pub use upstream::{
    Balance, Ejection, Endpoint, Health, HttpProbe, Pool, Probe, Protocol, TcpProbe, Upstream,
};
