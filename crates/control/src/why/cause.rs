//! The cause of an exchange's end in one sentence.

use tollgate_decision::{Attempt, Reason};
use tollgate_proxy::Snapshot;
use tollgate_proxy::recorder::Entry;

use super::{AttemptTold, carried, is_stale, millis, overload, place, secured, setting};
use crate::explain::Explanation;

/// How many endpoints are named in it.
const NAMED: usize = 4;

/// One sentence: what happened, where, and what came before.
pub(super) fn sentence(
    entry: &Entry,
    attempts: &[AttemptTold],
    explanation: Option<&Explanation>,
    snapshot: Option<&Snapshot>,
) -> String {
    let reason = entry.reason();
    let what = entry.record.detail.map_or_else(|| reason.explanation().to_owned(), capitalised);
    let what = what.trim_end_matches('.');
    let upstream = entry.names.upstream.as_deref().unwrap_or_default();
    let setting = snapshot.and_then(|snapshot| setting::that_decided(snapshot, entry));
    let setting = setting.map_or_else(String::new, |setting| format!(" {setting}."));
    match reason {
        Reason::NoEndpoint => {
            let states = out_of_use(explanation);
            format!("{what}: {upstream}{states}.{}", before(attempts))
        }
        _ if overload::is_refusal(reason) => {
            format!("{what}{}.{setting}{}", overload::how_it_waited(entry), before(attempts))
        }
        Reason::NoRoute => format!("{what}{}.", nearest_route(explanation)),
        _ if !reason.is_failure() && carried::is_carried(entry) => {
            format!("{what}{}.{setting}", carried::what_became(entry))
        }
        Reason::HttpsRedirect => format!("{what}.{setting}"),
        _ if !reason.is_failure() => format!("{what}{}.", where_time_went(entry, attempts)),
        _ => match attempts.split_last() {
            Some((last, others)) if is_of_attempt(reason) => {
                let of = if others.is_empty() { "the only attempt" } else { "the last attempt" };
                let after = millis(last.facts.end_us.saturating_sub(last.facts.start_us));
                let endpoint = &last.endpoint;
                let far = how_far(entry);
                format!(
                    "{what}{far}: {endpoint} of {upstream}, {of}, after {after}.{setting}{}",
                    before(others)
                )
            }
            _ => {
                let place = snapshot.and_then(|snapshot| place::that_is_wrong(snapshot, entry));
                let place = place.map_or_else(String::new, |place| format!(": {place}"));
                format!("{what}{}{place}.{setting}", how_far(entry))
            }
        },
    }
}

/// How much of a body had come or gone, where that matters.
fn how_far(entry: &Entry) -> String {
    if carried::is_carried(entry) {
        return carried::how_far(entry);
    }
    if secured::is_handshake(entry) || entry.reason() == Reason::Misdirected {
        return secured::asked_for(entry);
    }
    let (received, sent) = (entry.bytes.received, entry.bytes.sent);
    let is_cut = entry.head.as_deref().is_some_and(place::is_cut);
    match entry.reason() {
        // What came with the part that is wrong is not counted.
        Reason::BadChunk | Reason::BadTrailer if received == 0 => ", early in the request's body".to_owned(),
        Reason::BadChunk | Reason::BadTrailer | Reason::BodyTimeout => {
            format!(", after {received} bytes of the request's body")
        }
        Reason::ClientClosed if !is_cut && entry.status == 0 => {
            format!(", after {received} bytes of the request's body and before its response began")
        }
        Reason::ClientClosed | Reason::ClientStalled if !is_cut => {
            format!(", after {sent} bytes of the response's body")
        }
        Reason::ResponseIncomplete | Reason::UpstreamStalled if entry.status != 0 && sent > 0 => {
            format!(", after {sent} bytes of the response's body")
        }
        _ => String::new(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Whether a reason is about the endpoint of the last attempt.
fn is_of_attempt(reason: Reason) -> bool {
    reason.side() == tollgate_decision::Side::Upstream
}

/// The endpoints that could not be picked when the last was asked for, and why.
fn out_of_use(explanation: Option<&Explanation>) -> String {
    let Some(pick) = explanation.and_then(|e| e.picks.last()) else { return String::new() };
    let named = pick.endpoints.iter().take(NAMED).map(|(endpoint, state)| {
        let name = endpoint.split_once(' ').map_or(endpoint.as_str(), |(_, name)| name);
        format!("{name} ({state})")
    });
    let more = pick.endpoints.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match pick.endpoints.is_empty() {
        true => " has none".to_owned(),
        false => format!(" has {}{more}", named.collect::<Vec<_>>().join(", ")),
    }
}

/// The route that came nearest: the first by precedence, and what it failed by.
fn nearest_route(explanation: Option<&Explanation>) -> String {
    let Some(explanation) = explanation else { return String::new() };
    let asked = explanation.matched_as.as_ref().map_or_else(String::new, |(host, path, _)| {
        format!(": host {}, path {path}", if host.is_empty() { "(none)" } else { host })
    });
    match explanation.routes.first() {
        Some((name, outcome)) => format!("{asked}; the nearest, {name}, fails by {outcome}"),
        None => format!("{asked}; there are no routes"),
    }
}

/// What the attempts before the last ended with.
fn before(attempts: &[AttemptTold]) -> String {
    let failed = attempts.iter().filter(|attempt| !is_stale(&attempt.facts));
    let told: Vec<_> = failed.map(|told| format!("{} ({})", told.endpoint, told.ended)).collect();
    match told.is_empty() {
        true => String::new(),
        false => format!(" Before it: {}.", told.join(", ")),
    }
}

/// Where most of the time went, if nothing failed.
fn where_time_went(entry: &Entry, attempts: &[AttemptTold]) -> String {
    let total = entry.timings.total_us;
    let sum = |part: &dyn Fn(&Attempt) -> u64| attempts.iter().map(|a| part(&a.facts)).sum::<u64>();
    let first_byte = |a: &Attempt| a.first_byte_us.saturating_sub(a.start_us + a.connect_us);
    let rest = |a: &Attempt| if a.first_byte_us == 0 { 0 } else { a.end_us.saturating_sub(a.first_byte_us) };
    let failed: u64 =
        attempts.iter().rev().skip(1).map(|a| a.facts.end_us.saturating_sub(a.facts.start_us)).sum();
    let parts = [
        (sum(&|a| a.waited_us), "waiting between attempts"),
        (failed, "attempts that failed"),
        (attempts.last().map_or(0, |a| a.facts.connect_us), "connecting"),
        (attempts.last().map_or(0, |a| first_byte(&a.facts)), "waiting for the first byte of the response"),
        (attempts.last().map_or(0, |a| rest(&a.facts)), "the response's body"),
    ];
    match parts.into_iter().max_by_key(|(us, _)| *us).filter(|(us, _)| *us > 0) {
        Some((us, part)) => format!(", in {}; {} of it was {part}", millis(total), millis(us)),
        None => format!(", in {}", millis(total)),
    }
}
