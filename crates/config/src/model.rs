//! The document's types, one row per key: field, default, schema and reference come from the row.

mod document;
mod edits;
mod limits;
mod listen;
mod retry;
mod route;
mod tracing;
mod upstream;

pub use document::{Document, Version};
pub use edits::{HeaderEdits, MessageEdits};
pub use limits::{ClientTimeouts, EncodedSlash, Limits, Paths};
pub use listen::{AccessLog, Admin, Forwarded, Listener, LogFile, LogFormat, Shutdown};
pub use retry::{Defaults, EffectiveTimeouts, Retry, RetryBudget, RetryPlan, SharedRetry, Timeouts};
pub use route::{
    Action, Body, Destination, Match, PathMatch, PathRewrite, Presence, Redirect, RedirectStatus, Respond,
    Rewrite, Route, TextMatch, Weight,
};
pub use tracing::Tracing;
pub use upstream::{
    Balance, Ejection, Endpoint, Health, HttpProbe, Pool, Probe, Protocol, TcpProbe, Upstream,
};
