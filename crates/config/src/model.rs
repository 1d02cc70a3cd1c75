//! The document's types, one row per key: field, default, schema and reference come from the row.

mod access_log;
mod document;
mod edits;
mod grpc;
mod limits;
mod listen;
mod process;
mod recorder;
mod retry;
mod route;
mod tls;
mod tracing;
mod upstream;

pub use access_log::{
    AccessLog, FaultSide, LogCondition, LogDestination, LogFormat, LogFormatName, LogQuery, LogSettings,
    LogTemplate, StandardOutput,
};
pub use document::{Document, Version};
pub use edits::{HeaderEdits, MessageEdits};
pub use grpc::{GrpcMatch, GrpcProbe, NameMatch};
pub use limits::{ClientTimeouts, EncodedSlash, Limits, Paths};
pub use listen::{Flows, Listener, Place, StreamDestination, Versions};
pub use process::{Admin, Forwarded, Shutdown};
pub use recorder::Recorder;
pub use retry::{Defaults, EffectiveTimeouts, Retry, RetryBudget, RetryPlan, SharedRetry, Timeouts};
pub use route::{
    Action, Body, Destination, Match, PathMatch, PathRewrite, Presence, Redirect, RedirectStatus, Respond,
    Rewrite, Route, TextMatch, Weight,
};
pub use tls::{
    Acme, CertificateFiles, Challenge, ClientCertificateMode, ClientCertificates, Hsts, HttpProtocol,
    ListenerTls, RedirectHttps, TlsProfile, TlsVersion, UnknownNames, UpstreamTls,
};
pub use tracing::Tracing;
pub use upstream::{
    Balance, Ejection, Endpoint, Health, HttpProbe, Pool, Probe, Protocol, ProxyHeader, TcpProbe, Upstream,
};
