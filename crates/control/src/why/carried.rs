//! What is different about connections and flows that are carried as they are: they have no head, no route and
//! no status.

use tollgate_decision::Reason;
use tollgate_proxy::recorder::Entry;

use super::{millis, secured};

/// Whether a connection was taken to be carried, and not refused unseen.
pub(super) fn is_carried(entry: &Entry) -> bool {
    let refused = is_refused_flow(entry) || is_refused_connection(entry) || secured::is_handshake(entry);
    entry.head.is_none() && !refused
}

fn is_refused_connection(entry: &Entry) -> bool {
    matches!(entry.reason(), Reason::ListenerFull | Reason::ClientAddressFull)
}

fn is_refused_flow(entry: &Entry) -> bool {
    matches!(entry.reason(), Reason::FlowTableFull | Reason::ClientFlowsFull)
}

/// How it began, for the timeline.
pub(super) fn beginning(entry: &Entry) -> &'static str {
    match is_carried(entry) {
        true => "it had come",
        false if secured::is_handshake(entry) => "it had come, and was to begin with a TLS handshake",
        false if is_refused_flow(entry) => "the flow was refused",
        false => "the connection was refused",
    }
}

/// How it ended, for the timeline.
pub(super) fn end(entry: &Entry) -> String {
    let (received, sent) = (entry.bytes.received, entry.bytes.sent);
    format!("ended: {}, after {received} bytes from the client and {sent} to it", entry.reason().code())
}

/// Who was at the other end.
pub(super) fn other_end(entry: &Entry) -> String {
    let reached = entry.record.kept_attempts().last().filter(|last| last.outcome == Some(entry.reason()));
    match (reached, entry.names.endpoints.last()) {
        (Some(_), Some(endpoint)) if entry.reason() != Reason::ConnectFailed => endpoint.to_string(),
        _ => "nobody".to_owned(),
    }
}

/// How far it had come when it failed, as part of the cause.
pub(super) fn how_far(entry: &Entry) -> String {
    let (received, sent) = (entry.bytes.received, entry.bytes.sent);
    let name = entry.names.server.as_deref();
    match entry.reason() {
        Reason::ClientClosed | Reason::UpstreamClosed => {
            format!(", after {received} bytes from the client and {sent} to it")
        }
        Reason::UnknownServerName => name.map_or_else(
            || ": it asked for none".to_owned(),
            |name| format!(": it asked for `{}`", name.escape_debug()),
        ),
        _ => String::new(),
    }
}

/// What became of one that did not fail, as part of the cause.
pub(super) fn what_became(entry: &Entry) -> String {
    let (received, sent) = (entry.bytes.received, entry.bytes.sent);
    let total = millis(entry.timings.total_us);
    let to = match (entry.names.endpoints.last(), &entry.names.upstream) {
        (Some(endpoint), Some(upstream)) => format!(" to {endpoint} of {upstream}"),
        _ => String::new(),
    };
    format!("{to}, in {total}, with {received} bytes from the client and {sent} to it")
}
