//! Deciding: which route, which upstream, which endpoint. Functions of the snapshot, the state view,
//! the request, the turn and the seed; nothing else. Serving an exchange, explaining a made-up one and
//! making the decisions of a recorded one again run the same functions.

pub mod again;
pub mod gate;
pub mod key;
pub mod session;
pub mod written;

use tollgate_decision::Reason;
use tollgate_message::BodyLength;
use tollgate_routing::{Found, RequestView, Scratch};
use tollgate_upstream::{Pick, PickKey, Upstream, View};

use crate::http::Refusal;
use crate::snapshot::{Action, Destination, Snapshot, Target};

/// Where a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its route, and how much of its path that matched; also where the route then refuses it.
    pub found: Option<Found>,
    /// The upstream that it is forwarded to.
    pub upstream: Option<u32>,
    /// Which of its endpoints, by the index of the subset; `None` for all.
    pub subset: Option<u32>,
    /// Why it is refused, if it is. Without this and without an upstream, the route answers.
    pub refusal: Option<Refusal>,
}

/// Where a request goes that can be understood in one way only.
#[inline]
pub fn choose(
    snapshot: &Snapshot,
    request: &RequestView<'_>,
    body: BodyLength,
    seed: u64,
    scratch: &mut Scratch,
) -> Choice {
    let refused = |found, reason: Reason| Choice { found, refusal: Some(reason.into()), ..Choice::default() };
    let Some(found) = snapshot.table.find(request, scratch) else { return refused(None, Reason::NoRoute) };
    if snapshot.table.is_ambiguous(found, request, scratch) {
        let detail = Some("the path would lead to another route without its parameters");
        let refusal = Some(Refusal { reason: Reason::BadPath, detail });
        return Choice { found: Some(found), refusal, ..Choice::default() };
    }
    let route = &snapshot.routes[found.route as usize];
    if let (Some(max), BodyLength::Known(length)) = (route.settings.max_body, body)
        && length > max
    {
        return refused(Some(found), Reason::BodyTooLarge);
    }
    let mut choice = Choice { found: Some(found), ..Choice::default() };
    if let Action::Forward(destination) = &route.action {
        match upstream(destination, seed) {
            Ok(target) => (choice.upstream, choice.subset) = (Some(target.upstream), target.subset),
            Err(reason) => return refused(Some(found), reason),
        }
    }
    choice
}

/// The upstream for a request of a route.
fn upstream(destination: &Destination, seed: u64) -> Result<Target, Reason> {
    destination.choose(seed).ok_or(Reason::NoDestination)
}

/// The seed of an attempt, of which so many came before: one of its own, made from the exchange's.
pub fn attempt_seed(seed: u64, before: u32) -> u64 {
    seed.rotate_left(before + 1)
}

/// The endpoint for an attempt, or why there is nobody: the detail is for the operator.
#[inline]
pub fn endpoint(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Result<u32, Refusal> {
    match upstream.pick(view, key) {
        Pick::Endpoint(index) => Ok(index),
        Pick::None(vacancy) => Err(Refusal { reason: vacancy.reason(), detail: vacancy.detail() }),
    }
}
