//! The session of an exchange: read from its request, minded when an endpoint is picked, told in its response.

use tollgate_decision::Reason;
use tollgate_http1::encode;
use tollgate_message::Fields;
use tollgate_telemetry::sessions::SessionOutcome;
use tollgate_upstream::View;

use crate::decide::session::{self, Bond, Brought, Left};
use crate::exchange::Exchange;
use crate::snapshot::{Carrier, RouteSettings, Snapshot, Sticky};
use crate::worker::Worker;

/// What is known of an exchange's session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Session {
    /// Sessions are kept at its upstream.
    pub is_kept: bool,
    /// What the request brought.
    pub came: Brought,
    /// How the exchange has left the session's endpoint.
    left: Left,
    /// The latest pick went elsewhere for this exchange alone.
    aside: bool,
}

/// Reads what the request brings of a session, where its upstream or route keeps any. Costs a branch where not.
#[inline]
pub fn begin(worker: &Worker, exchange: &mut Exchange, fields: &Fields<'_>) {
    let Some((published, index)) = exchange.published.as_ref().zip(exchange.record.upstream) else { return };
    let Some(route) = exchange.route() else { return };
    let snapshot = &published.snapshot;
    let Some(sticky) = snapshot.sticky(&route.settings, index) else { return };
    let Some(upstream) = snapshot.upstreams.get(index as usize) else { return };
    let came = {
        let at = snapshot.view_of(index, exchange.record.subset);
        let view = &mut published.views.borrow_mut()[at];
        View::refresh_shared(view, upstream, worker.clock.now_ms());
        session::read(sticky, upstream, view, fields, worker.clock.wall().as_secs())
    };
    exchange.facts.session = Session { is_kept: true, came, ..Session::default() };
    if matches!(came, Brought::Ignored(_)) {
        count(exchange, SessionOutcome::Invalid);
    }
}

/// How the session is kept; `None` where it is not, also where the exchange went to another upstream than its
/// route's: the session stays where it was.
fn sticky(exchange: &Exchange) -> Option<&Sticky> {
    if !exchange.facts.session.is_kept || exchange.record.fallback.is_some() {
        return None;
    }
    let (published, route) = (exchange.published.as_ref()?, exchange.route()?);
    published.snapshot.sticky(&route.settings, exchange.record.upstream?)
}

/// What carries the token that the request's head has, for it to be left out; `None` if it has none.
pub fn carrier<'a>(
    exchange: &Exchange,
    snapshot: &'a Snapshot,
    settings: &'a RouteSettings,
) -> Option<&'a Carrier> {
    if exchange.facts.session.came == Brought::Nothing {
        return None;
    }
    Some(&snapshot.sticky(settings, exchange.record.upstream?)?.carrier)
}

/// What the next pick has to know of the session.
#[inline]
pub fn bond(exchange: &Exchange, view: &View, now_ms: u64) -> Option<Bond> {
    let Session { came, left, .. } = exchange.facts.session;
    if came == Brought::Nothing {
        return None;
    }
    session::bond(came, left, sticky(exchange)?, view, now_ms)
}

/// Notes which endpoint was picked.
#[inline]
pub fn picked(exchange: &mut Exchange, bond: Option<Bond>, view: &View, endpoint: u32) {
    exchange.facts.session.aside = match bond {
        Some(Bond::At(preferred)) => preferred.endpoint != endpoint && preferred.is_there(view),
        Some(Bond::Unwanted(_)) => true,
        Some(Bond::Ignored(_) | Bond::Gone | Bond::Failed(_)) | None => false,
    };
}

/// Notes that the attempt under way failed, and not only its connection: a session there moves. Where it was no
/// more than an answer that is tried again, the session stays, and this exchange goes on without it.
pub fn attempt_failed(exchange: &mut Exchange, reason: Reason) {
    if !is_at_its_endpoint(exchange) {
        return;
    }
    let left = &mut exchange.facts.session.left;
    *left = match reason {
        Reason::UnwantedStatus if *left == Left::No => Left::Unwanted,
        Reason::UnwantedStatus => *left,
        _ => Left::Failed,
    };
}

/// Whether the attempt under way is at the endpoint of the exchange's session. Nobody else can answer as it would.
pub fn is_at_its_endpoint(exchange: &Exchange) -> bool {
    let endpoint = exchange.attempt.as_ref().map(|attempt| attempt.endpoint);
    matches!(exchange.facts.session.came, Brought::At(at) if Some(at) == endpoint)
        && sticky(exchange).is_some()
}

/// The lines that tell the client of a session that is new or has moved, for the response to the attempt under way;
/// nothing for one that it knows. Counts what became of the session, so it is for once an exchange.
#[inline]
pub fn tell(worker: &Worker, exchange: &Exchange) -> Vec<u8> {
    let mut lines = Vec::new();
    let Some((sticky, attempt)) = sticky(exchange).zip(exchange.attempt.as_ref()) else { return lines };
    let session = exchange.facts.session;
    let outcome = match session.came {
        Brought::At(endpoint) if endpoint == attempt.endpoint => SessionOutcome::Kept,
        _ if session.aside => SessionOutcome::Aside,
        Brought::At(_) | Brought::Gone => SessionOutcome::Moved,
        Brought::Nothing | Brought::Ignored(_) => SessionOutcome::New,
    };
    count(exchange, outcome);
    if let SessionOutcome::New | SessionOutcome::Moved = outcome {
        write(&mut lines, sticky, exchange, attempt.endpoint, worker.clock.wall().as_secs());
    }
    lines
}

/// The name of the response header that carries sessions, which is nobody else's to set; `None` where a cookie does.
pub fn header(exchange: &Exchange) -> Option<&str> {
    match &sticky(exchange)?.carrier {
        Carrier::Header(name) => Some(name),
        Carrier::Cookie { .. } => None,
    }
}

fn write(out: &mut Vec<u8>, sticky: &Sticky, exchange: &Exchange, endpoint: u32, now_s: u64) {
    let Some(upstream) = exchange.upstream() else { return };
    let Some(number) = upstream.session_number(endpoint) else { return };
    match &sticky.carrier {
        Carrier::Cookie { name, attributes, secure } => {
            out.extend_from_slice(b"Set-Cookie: ");
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            sticky.tokens.write(upstream.name(), number, now_s, out);
            out.extend_from_slice(attributes.as_bytes());
            if secure.unwrap_or(exchange.secured.is_some()) {
                out.extend_from_slice(b"; Secure");
            }
        }
        Carrier::Header(name) => {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            sticky.tokens.write(upstream.name(), number, now_s, out);
        }
    }
    out.extend_from_slice(b"\r\n");
    if sticky.private {
        encode::line(out, b"Cache-Control", b"private");
    }
}

fn count(exchange: &Exchange, outcome: SessionOutcome) {
    let Some((published, index)) = exchange.published.as_ref().zip(exchange.record.upstream) else { return };
    let series = published.shard.upstreams[index as usize].sessions.get_or_init(Box::default);
    series.of(outcome).add(1);
}
