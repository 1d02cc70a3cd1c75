//! How a request is decided, told step by step: one that somebody made up, as things are now, or a recorded one,
//! as things were then. It runs the functions that serve exchanges.

mod endpoints;
mod heads;
mod mirrors;
mod overload;
mod policies;
mod session;
mod told;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Reason;
use tollgate_message::{Method, Version};
use tollgate_policy::{Caller, Gate, Moment};
use tollgate_proxy::decide;
use tollgate_proxy::decide::again::{self, Reading, Space};
use tollgate_proxy::decide::gate::Arrival;
use tollgate_proxy::decide::session::{Bond, Brought, Left};
use tollgate_proxy::http::Refusal;
use tollgate_proxy::recorder::{Came, Entry};
use tollgate_proxy::snapshot::{Action, Destination, Snapshot, Sticky, Target};
use tollgate_routing::{Considered, Scratch};
use tollgate_upstream::{Loads, PickKey, RecordedLoads, Subset, Upstream, View};

/// How many losing routes are told; with very many routes the rest is counted.
const ROUTES_TOLD: usize = 50;

use self::endpoints::tell_endpoints;
pub use heads::{Answered, Head, HeadField};
pub use policies::PolicyTold;

/// A request that nobody sent.
#[derive(Clone, Debug)]
pub struct MadeUpRequest {
    /// The method.
    pub method: String,
    /// The target as it would stand in the request line.
    pub target: String,
    /// Fields, `Host` included.
    pub fields: Vec<(String, String)>,
    /// The number that random choices are made from.
    pub seed: u64,
    /// Where it comes from.
    pub from: Origin,
}

/// Where a request comes from that nobody sent.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// It came over TLS.
    pub tls: bool,
    /// Who sends it; without, its own proof is looked at.
    pub caller: Option<Caller>,
    /// When, since 1970 (UTC).
    pub wall: Duration,
}

impl Default for Origin {
    fn default() -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, tls: false, caller: None, wall: Duration::ZERO }
    }
}

/// How a request is decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// The host, path and query that routes are matched with; `None` if the request is refused before.
    pub matched_as: Option<(String, String, String)>,
    /// Each route that was looked at, in order of precedence: its name and what became of it.
    pub routes: Vec<(String, String)>,
    /// How many further routes did not match either.
    pub routes_left_out: usize,
    /// The route's name.
    pub route: Option<String>,
    /// What the route does.
    pub action: Option<String>,
    /// What the route's policies decided, in their order.
    pub policies: Vec<PolicyTold>,
    /// Each mirror of the route, and whether it gets a copy.
    pub mirrors: Vec<String>,
    /// Who they found out it is; `None` for nobody.
    pub consumer: Option<String>,
    /// The choice of an endpoint, for each attempt; one for a made-up request.
    pub picks: Vec<Picked>,
    /// Why the exchange ends in an answer from Tollgate; `None` if it is forwarded.
    pub refusal: Option<(Reason, String)>,
    /// The upstream that it goes to.
    pub upstream: Option<String>,
    /// What the upstream does about overload now, in words; empty for a recorded request.
    pub overload: Vec<String>,
    /// The head that would be sent on; `None` for a recorded request.
    pub sends: Option<Head>,
    /// The answer that Tollgate would give, refusal or not; `None` for a recorded request.
    pub answers: Option<Answered>,
}

/// The choice of an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picked {
    /// Each endpoint of the upstream: its name, and whether it can be picked.
    pub endpoints: Vec<(String, String)>,
    /// The endpoint that is picked; `None` for nobody.
    pub endpoint: Option<String>,
    /// The key that the balancer went by, where it goes by one: what it is made of, and its hash.
    pub by: Option<String>,
    /// What the exchange's session meant for it, where it has one.
    pub session: Option<String>,
}

/// Decides a made-up request on a snapshot, at `now_ms`, with limits and the endpoints' health as they are now.
pub fn explain(snapshot: &Snapshot, request: &MadeUpRequest, now_ms: u64) -> Explanation {
    decide_made_up(snapshot, request, now_ms, Extent { state: true, routes: true })
}

/// Decides a made-up request by the document alone: limits are not asked, no endpoint is picked. With `routes`,
/// the losing routes are told too, which takes a while where there are many.
pub(crate) fn by_document(
    snapshot: &Snapshot,
    request: &MadeUpRequest,
    now_ms: u64,
    routes: bool,
) -> Explanation {
    decide_made_up(snapshot, request, now_ms, Extent { state: false, routes })
}

/// How much of a request is decided and told.
#[derive(Clone, Copy)]
struct Extent {
    /// What depends on other requests and on the endpoints' health.
    state: bool,
    /// The losing routes.
    routes: bool,
}

fn decide_made_up(snapshot: &Snapshot, request: &MadeUpRequest, now_ms: u64, extent: Extent) -> Explanation {
    let bytes = wire_form(request);
    let mut told = Explanation::default();
    let came = Came { version: Version::Http11, tls: request.from.tls, server_name: None };
    let wall_us = request.from.wall.as_micros() as u64;
    let arrival = Arrival {
        listener: "",
        client: request.from.address,
        peer: request.from.address,
        came: &came,
        caller: request.from.caller.as_ref(),
        moment: Moment { now_us: now_ms * 1000, wall_us, seed: request.seed },
        limits: extent.state,
    };
    let how = How {
        seed: request.seed,
        incomplete: Reason::BadRequestLine,
        verdicts: Verdicts::Ask(arrival),
        routes: extent.routes,
    };
    let decided = choose(snapshot, &bytes, &how, &mut told);
    let mut left = None;
    let picked = decided.and_then(|Chosen { to, gate }| {
        left = gate;
        let Some(to) = to.filter(|_| extent.state) else { return Ok(()) };
        pick_now(to, request, now_ms, &mut told)
    });
    if let (Err(refusal), None) = (picked, &told.answers) {
        let method = Method::from_bytes(request.method.as_bytes());
        told.sends = None;
        // What is wrong with the endpoints is for the operator, not for the client.
        let answered = if told.picks.is_empty() { refusal } else { refusal.reason.into() };
        told.answers = Some(Answered::refusal(answered, method, &arrival, left.as_ref()));
    }
    told.end(picked)
}

/// Picks an endpoint as things are now.
fn pick_now(
    to: Towards<'_>,
    request: &MadeUpRequest,
    now_ms: u64,
    told: &mut Explanation,
) -> Result<(), Refusal> {
    let upstream = to.upstream;
    let mut view = to.subset.map_or_else(View::default, |subset| View::of(subset.clone()));
    view.refresh(upstream, now_ms);
    let (seed, now_us) = (decide::attempt_seed(request.seed, 0), now_ms * 1000);
    let hash = to.hash.as_ref().map(|(_, hash)| *hash);
    let bond =
        to.session.and_then(|(sticky, came)| decide::session::bond(came, Left::No, sticky, &view, now_ms));
    let preferred = bond.and_then(Bond::preferred);
    let key = PickKey { turn: request.seed, seed, hash, now_us, preferred, ..PickKey::default() };
    let busy = |number| key.load(upstream, &view, number).map(|load| (load, "now"));
    let endpoints = tell_endpoints(upstream, &view, now_ms, &[], busy);
    let picked = decide::endpoint(upstream, &view, &key);
    let by = to.hash.map(|(source, hash)| tell_key(&source, hash));
    let session = bond.map(|bond| session::tell(upstream, &view, bond, picked.ok(), now_ms));
    told.picks.push(Picked { session, ..picked_one(upstream, endpoints, picked.ok(), by) });
    told.overload = overload::told_now(upstream, now_ms);
    overload::refusal_now(upstream, now_ms).map_or(picked.map(drop), |reason| Err(reason.into()))
}

/// Decides a recorded exchange again on its snapshot, with the endpoints' health as it was known then.
pub fn explain_recorded(snapshot: &Snapshot, entry: &Entry) -> Explanation {
    let mut told = Explanation::default();
    let decided = match entry.head.as_deref() {
        Some(head) => {
            let how = How {
                seed: entry.record.seed,
                incomplete: entry.reason(),
                verdicts: Verdicts::Recorded(entry),
                routes: true,
            };
            choose(snapshot, head, &how, &mut told).map(|chosen| chosen.to.map(|to| to.upstream))
        }
        // A connection has no head: its upstream stands for itself.
        None => {
            let upstream = entry.record.upstream.and_then(|index| snapshot.upstreams.get(index as usize));
            Ok(upstream.map(|upstream| &**upstream))
        }
    };
    let picked = decided.and_then(|upstream| match upstream {
        Some(_) => pick_again(snapshot, entry, &mut told),
        None => Ok(()),
    });
    told.end(picked)
}

/// What a request is decided by, besides its head.
struct How<'a> {
    seed: u64,
    /// Why a head is refused that has no end, or that ends early.
    incomplete: Reason,
    verdicts: Verdicts<'a>,
    /// The losing routes are told too.
    routes: bool,
}

/// What the choices come to.
struct Chosen<'s> {
    /// Where it goes; `None` where the route answers.
    to: Option<Towards<'s>>,
    /// What the policies of a request leave behind that nobody sent.
    gate: Option<Gate>,
}

/// The upstream of a request.
struct Towards<'s> {
    upstream: &'s Upstream,
    /// Which of its endpoints; `None` for all.
    subset: Option<&'s Arc<Subset>>,
    /// What its balancer goes by, in words, and the hash of that, where it is of a request that nobody sent.
    hash: Option<(String, u64)>,
    /// What a request that nobody sent brings of a session, and how sessions are kept; `None` where they are not.
    session: Option<(&'s Sticky, Brought)>,
}

/// Where the verdicts of policies come from.
enum Verdicts<'a> {
    /// They are asked.
    Ask(Arrival<'a>),
    /// They were asked.
    Recorded(&'a Entry),
}

/// The choices up to the upstream.
fn choose<'s>(
    snapshot: &'s Snapshot,
    bytes: &[u8],
    how: &How<'_>,
    told: &mut Explanation,
) -> Result<Chosen<'s>, Refusal> {
    let mut space = Space::default();
    let understood = match again::read(snapshot, bytes, &mut space) {
        Reading::Understood(understood) if understood.end == bytes.len() => understood,
        Reading::Understood(_) | Reading::Incomplete => return Err(how.incomplete.into()),
        Reading::Refused(refusal) => return Err(refusal),
    };
    let identity = &understood.identity;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    told.matched_as =
        Some((text(identity.host), text(identity.path), text(identity.query.unwrap_or_default())));
    let view = understood.view();
    if how.routes {
        tell_routes(&snapshot.table.explain(&view), told);
    }
    let choice = decide::choose(snapshot, &view, understood.body, how.seed, &mut Scratch::default());
    if let Some(route) = choice.found.and_then(|found| snapshot.routes.get(found.route as usize)) {
        told.route = Some(route.name.clone());
        told.action = Some(describe(snapshot, &route.action));
    }
    let upstream = choice.upstream.and_then(|index| snapshot.upstreams.get(index as usize));
    told.upstream = upstream.map(|upstream| upstream.name().to_string());
    let subset = choice.subset.and_then(|index| snapshot.subsets.get(index as usize));
    let subset = subset.map(|part| &part.subset);
    let (mut gate, mut hash, mut session) = (None, None, None);
    if let (Some(found), None) = (choice.found, choice.refusal) {
        match &how.verdicts {
            Verdicts::Ask(arrival) => {
                let judged = policies::ask(snapshot, found.route, &understood, arrival, told);
                gate = heads::tell(snapshot, found, &understood, arrival, judged, told)?;
                hash = choice.upstream.and_then(|upstream| {
                    let caller = gate.as_ref().map(|gate| &gate.caller);
                    let source = decide::key::source(snapshot, upstream)?;
                    let hash =
                        decide::key::explained(snapshot, found.route, source, &understood, arrival, caller)?;
                    Some((source.to_string(), hash))
                });
                session = choice.upstream.zip(upstream).and_then(|(index, upstream)| {
                    let settings = &snapshot.routes.get(found.route as usize)?.settings;
                    let sticky = snapshot.sticky(settings, index)?;
                    let mut view = subset.map_or_else(View::default, |subset| View::of(subset.clone()));
                    view.refresh(upstream, arrival.moment.now_us / 1000);
                    let (fields, now_s) = (&understood.head.fields, arrival.moment.wall_us / 1_000_000);
                    Some((sticky, decide::session::read(sticky, upstream, &view, fields, now_s)))
                });
            }
            Verdicts::Recorded(entry) => policies::tell_recorded(entry, told)?,
        }
        mirrors::tell(snapshot, found.route, how.seed, told);
    }
    match choice.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Chosen { to: upstream.map(|upstream| Towards { upstream, subset, hash, session }), gate }),
    }
}

fn wire_form(request: &MadeUpRequest) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    for (name, value) in &request.fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn tell_routes(considered: &[Considered<'_>], told: &mut Explanation) {
    let shown = considered.iter().take(ROUTES_TOLD);
    told.routes = shown.map(|c| (c.name.to_owned(), c.outcome.to_string())).collect();
    told.routes_left_out = considered.len().saturating_sub(ROUTES_TOLD);
}

fn upstream_name(snapshot: &Snapshot, index: u32) -> String {
    snapshot.upstreams.get(index as usize).map_or_else(String::new, |upstream| upstream.name().to_string())
}

pub(crate) fn describe(snapshot: &Snapshot, action: &Action) -> String {
    let name = |target: &Target| {
        let subset = target.subset.and_then(|index| snapshot.subsets.get(index as usize));
        let only = subset.map_or(String::new(), |part| format!(" ({})", part.subset));
        format!("{}{only}", upstream_name(snapshot, target.upstream))
    };
    match action {
        Action::Forward(Destination::Upstream(target)) => format!("forward to the upstream {}", name(target)),
        Action::Forward(Destination::Split(shares)) => {
            let mut before = 0;
            let shares = shares.iter().map(|(sum, target)| {
                let weight = sum - std::mem::replace(&mut before, *sum);
                format!("{} {weight}", name(target))
            });
            format!("split over {}", shares.collect::<Vec<_>>().join(", "))
        }
        Action::Redirect { status, .. } => format!("redirect with {status}"),
        Action::Respond(response) => format!("respond with {}", response.status),
    }
}

/// Makes the picks of a recorded exchange again, each with the view and the counts of its moment.
fn pick_again(snapshot: &Snapshot, entry: &Entry, told: &mut Explanation) -> Result<(), Refusal> {
    let mut attempts = entry.record.kept_attempts();
    let mut tried = Vec::new();
    for (number, pick) in entry.picks.iter().enumerate() {
        let (attempt, loads) = (attempts.next(), entry.loads_of(number));
        let index = entry.record.upstream_of(number);
        let Some(upstream) = index.and_then(|index| snapshot.upstreams.get(index as usize)) else {
            return Ok(());
        };
        let source = index.and_then(|index| decide::key::source(snapshot, index));
        if pick.anew {
            tried.clear();
        }
        let recorded = RecordedLoads::new(loads);
        let key = PickKey {
            turn: pick.turn,
            seed: decide::attempt_seed(entry.record.seed, number as u32),
            hash: pick.hash,
            now_us: 0,
            preferred: pick.session.and_then(Bond::preferred),
            tried: &tried,
            loads: Loads::Recorded(&recorded),
            ..PickKey::default()
        };
        let picked = decide::endpoint(upstream, &pick.view, &key);
        let busy = |number| {
            let load = loads.iter().find(|load| load.endpoint == number);
            load.map(|load| (*load, "then"))
        };
        let at_us = entry.started_us + attempt.map_or(entry.timings.total_us, |attempt| attempt.start_us);
        let endpoints = tell_endpoints(upstream, &pick.view, at_us / 1000, &tried, busy);
        let by = source.zip(pick.hash).map(|(source, hash)| tell_key(&source.to_string(), hash));
        let session =
            pick.session.map(|bond| session::tell(upstream, &pick.view, bond, picked.ok(), at_us / 1000));
        told.picks.push(Picked { session, ..picked_one(upstream, endpoints, picked.ok(), by) });
        tried.extend(picked.ok().filter(|endpoint| !tried.contains(endpoint)));
        picked?;
    }
    Ok(())
}

fn picked_one(
    upstream: &Upstream,
    endpoints: Vec<(String, String)>,
    picked: Option<u32>,
    by: Option<String>,
) -> Picked {
    let endpoint = picked.and_then(|picked| upstream.endpoint(picked)).map(|e| e.name().to_string());
    Picked { endpoints, endpoint, by, session: None }
}

/// What a balancer went by. Of the key only the hash: it may be a secret.
fn tell_key(source: &str, hash: u64) -> String {
    format!("the key ({source}) with the hash {hash:016x}")
}
