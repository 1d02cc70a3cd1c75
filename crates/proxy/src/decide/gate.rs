//! What a route's policies come to, asked for an explanation: nothing is used up, kept or waited for.

use std::net::IpAddr;
use std::sync::Arc;

use tollgate_decision::{Passing, Record, Verdict};
use tollgate_message::{BodyLength, RequestHead};
use tollgate_policy::{Asked, Caller, Chain, Connection, Consumers, Gate, Mode, Moment, Passed, Stage};

use super::again::{Divergence, Understood};
use crate::http::identify::Identity;
use crate::recorder::{Came, Entry};
use crate::snapshot::Snapshot;

/// Where a request that is explained comes from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The connection's other end.
    pub peer: IpAddr,
    /// How it came.
    pub came: &'a Came,
    /// Who sends it, if that is given: then no proof is asked for.
    pub caller: Option<&'a Caller>,
    /// When it is decided.
    pub moment: Moment,
    /// Limits are asked too. What they say depends on what came before.
    pub limits: bool,
}

/// What policies see besides the request itself.
pub struct Asking<'a> {
    /// How it came.
    pub connection: Connection<'a>,
    /// The route's name.
    pub route: &'a str,
    /// The request id.
    pub request_id: &'a [u8],
    /// When it is decided, and by what chance.
    pub moment: Moment,
    /// The consumers as they are known now.
    pub consumers: &'a Consumers,
    /// Whether the decision counts.
    pub mode: Mode<'a>,
}

/// A request as policies see it, served or explained.
pub fn asked<'a>(
    head: &RequestHead<'a>,
    identity: &Identity<'a>,
    body: BodyLength,
    asking: Asking<'a>,
) -> Asked<'a> {
    let Asking { connection, route, request_id, moment, consumers, mode } = asking;
    Asked {
        method: head.method,
        method_bytes: head.method_bytes,
        fields: head.fields,
        host: identity.host,
        authority: identity.authority,
        path: identity.path,
        query: identity.query,
        body,
        connection,
        route,
        request_id,
        moment,
        consumers,
        mode,
    }
}

/// What a route's policies come to.
#[derive(Debug)]
pub struct Judged {
    /// What becomes of the request.
    pub passed: Passed,
    /// What each policy decided.
    pub verdicts: Vec<Verdict>,
    /// What they would change, and who they found out it is.
    pub gate: Gate,
    /// Those that were asked; verdicts name them by their place in it.
    pub chain: Arc<Chain>,
}

impl Judged {
    /// The name of the policy that a verdict is of.
    pub fn name(&self, verdict: &Verdict) -> &str {
        let entry = self.chain.entries().get(usize::from(verdict.policy));
        entry.map_or("", |entry| entry.policy.name())
    }
}

/// Asks the policies of a route; `None` where it has none.
pub fn judge(
    snapshot: &Snapshot,
    route: u32,
    understood: &Understood<'_>,
    arrival: &Arrival<'_>,
) -> Option<Judged> {
    let route = snapshot.routes.get(route as usize)?;
    let all = route.settings.policies.as_ref()?;
    let chain = match arrival.limits || !all.has(Stage::Limit) {
        true => all.clone(),
        false => {
            let entries = all.entries().iter().filter(|entry| entry.policy.stage() != Stage::Limit);
            Arc::new(Chain::new(entries.cloned().collect())?)
        }
    };
    let (mut gate, mut record) = (Gate::default(), Record::default());
    let passed = explained(snapshot, &route.name, understood, arrival, |asked| {
        chain.run(asked, &mut gate, &mut record, None)
    });
    Some(Judged { passed, verdicts: record.verdicts().to_vec(), gate, chain })
}

/// Does something with a request that is explained, as policies see it.
pub(super) fn explained<T>(
    snapshot: &Snapshot,
    route: &str,
    understood: &Understood<'_>,
    arrival: &Arrival<'_>,
    work: impl FnOnce(&Asked<'_>) -> T,
) -> T {
    let consumers = snapshot.consumers.get();
    let connection = Connection {
        listener: arrival.listener,
        client: arrival.client,
        peer: arrival.peer,
        version: arrival.came.version,
        tls: arrival.came.tls,
        server_name: arrival.came.server_name.as_deref(),
        certificate: None,
    };
    let asking = Asking {
        connection,
        route,
        request_id: b"",
        moment: arrival.moment,
        consumers: &consumers,
        mode: Mode::Explain(arrival.caller),
    };
    work(&asked(&understood.head, &understood.identity, understood.body, asking))
}

/// Asks those policies of a recorded exchange again whose verdicts depend on nothing that has changed since, and
/// compares.
pub fn verify(snapshot: &Snapshot, entry: &Entry, understood: &Understood<'_>) -> Result<(), Divergence> {
    let Some(index) = entry.record.route.filter(|_| !entry.record.verdicts().is_empty()) else {
        return Ok(());
    };
    let Some(judged) = judge(snapshot, index, understood, &arrival(entry)) else { return Ok(()) };
    let chain = snapshot.routes.get(index as usize).and_then(|route| route.settings.policies.as_deref());
    for recorded in entry.record.verdicts() {
        let policy = chain.and_then(|chain| chain.entries().get(usize::from(recorded.policy)));
        let again = judged.verdicts.iter().find(|again| again.policy == recorded.policy);
        let Some((policy, again)) = policy.zip(again).filter(|(entry, _)| entry.policy.is_repeatable())
        else {
            continue;
        };
        if (recorded.outcome, recorded.reason) != (again.outcome, again.reason) {
            return Err(Divergence::Policy {
                name: policy.policy.name().to_owned(),
                recorded: word(recorded),
                again: word(again),
            });
        }
    }
    Ok(())
}

/// How a recorded request came.
pub fn arrival(entry: &Entry) -> Arrival<'_> {
    Arrival {
        listener: &entry.names.listener,
        client: entry.client.address,
        peer: entry.client.peer,
        came: &entry.client.came,
        caller: entry.client.caller.as_deref(),
        moment: Moment {
            now_us: entry.started_us,
            wall_us: entry.began.as_micros() as u64,
            seed: entry.record.seed,
        },
        limits: true,
    }
}

/// A verdict in a word: the reason's code, or how it let the request pass.
pub fn word(verdict: &Verdict) -> &'static str {
    match (verdict.outcome, verdict.reason) {
        (Passing::Stopped | Passing::WouldStop, Some(reason)) => reason.code(),
        (Passing::Stopped, None) => "stopped",
        (Passing::WouldStop, None) => "would_stop",
        (Passing::Passed, _) => "passed",
        (Passing::Unknown, _) => "unknown",
    }
}
