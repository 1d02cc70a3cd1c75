//! Deciding again: the same decisions from what was kept of them, and whether they come out the same.

use std::fmt;

use tollgate_decision::Reason;
use tollgate_http1::connection::ConnectionOptions;
use tollgate_http1::{Progress, request};
use tollgate_message::{BodyLength, FieldList, RequestHead};
use tollgate_routing::{RequestView, Scratch};
use tollgate_upstream::{Loads, PickKey, RecordedLoads};

use super::session::Bond;
use super::{Choice, gate};
use crate::http::Refusal;
use crate::http::begin::check;
use crate::http::identify::Identity;
use crate::recorder::Entry;
use crate::snapshot::Snapshot;

/// Buffers that a head is understood with.
#[derive(Debug, Default)]
pub struct Space {
    fields: FieldList,
    path: Vec<u8>,
    host: Vec<u8>,
}

/// A head that can be understood in one way only.
#[derive(Debug)]
pub struct Understood<'a> {
    /// The head.
    pub head: RequestHead<'a>,
    /// Its bytes, and whatever follows them.
    pub bytes: &'a [u8],
    /// Its fields.
    pub list: &'a FieldList,
    /// What it asks for.
    pub identity: Identity<'a>,
    /// How its body is framed.
    pub body: BodyLength,
    /// Where it ends.
    pub end: usize,
}

impl<'a> Understood<'a> {
    /// What routes are matched with.
    pub fn view(&self) -> RequestView<'a> {
        self.identity.view(&self.head)
    }
}

/// What there is to say about bytes that should be a head.
#[derive(Debug)]
pub enum Reading<'a> {
    /// It is one.
    Understood(Understood<'a>),
    /// It is not complete.
    Incomplete,
    /// It is refused.
    Refused(Refusal),
}

/// Reads a head as serving does. Bytes behind it are not looked at.
pub fn read<'a>(snapshot: &Snapshot, bytes: &'a [u8], space: &'a mut Space) -> Reading<'a> {
    let Space { fields, path, host } = space;
    let line = match request::parse(bytes, &snapshot.http.request_head, fields) {
        Ok(Progress::Complete(line)) => line,
        Ok(Progress::Partial) => return Reading::Incomplete,
        Err(malformed) => return Reading::Refused(malformed.as_request_reason().into()),
    };
    let list: &FieldList = fields;
    let head = line.view(bytes, list);
    match check(&head, ConnectionOptions::of(&head.fields), snapshot, path, host) {
        Ok((identity, body)) => {
            Reading::Understood(Understood { head, bytes, list, identity, body, end: line.end })
        }
        Err(refusal) => Reading::Refused(refusal),
    }
}

/// Where a decision made again differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// Whether the head is refused, and why.
    Refusal {
        /// The recorded reason.
        recorded: Reason,
        /// The refusal that came out now; `None` for a head that is taken, or not complete.
        again: Option<Refusal>,
    },
    /// The route, and how much of the path it matched.
    Route {
        /// The recorded ones.
        recorded: Option<(u32, u32)>,
        /// Those that came out now.
        again: Option<(u32, u32)>,
    },
    /// The upstream.
    Upstream {
        /// The recorded one.
        recorded: Option<u32>,
        /// The one that came out now.
        again: Option<u32>,
    },
    /// The upstream's subset.
    Subset {
        /// The recorded one.
        recorded: Option<u32>,
        /// The one that came out now.
        again: Option<u32>,
    },
    /// The endpoint of an attempt.
    Endpoint {
        /// How many attempts came before.
        attempt: usize,
        /// The recorded one; `None` for nobody.
        recorded: Option<u32>,
        /// The one that came out now.
        again: Option<u32>,
    },
    /// What a policy decided.
    Policy {
        /// Which.
        name: String,
        /// What was recorded.
        recorded: &'static str,
        /// What came out now.
        again: &'static str,
    },
    /// The balancer read other counts in flight than were recorded for an attempt.
    Loads {
        /// How many attempts came before.
        attempt: usize,
    },
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal { recorded, again } => {
                let again = again.map_or("no refusal", |refusal| refusal.reason.code());
                write!(f, "the record ends with {}, and now there is {again}", recorded.code())
            }
            Self::Route { recorded, again } => write!(f, "route {recorded:?}, and now {again:?}"),
            Self::Upstream { recorded, again } => write!(f, "upstream {recorded:?}, and now {again:?}"),
            Self::Subset { recorded, again } => write!(f, "subset {recorded:?}, and now {again:?}"),
            Self::Endpoint { attempt, recorded, again } => {
                write!(f, "attempt {}: endpoint {recorded:?}, and now {again:?}", attempt + 1)
            }
            Self::Policy { name, recorded, again } => {
                write!(f, "the policy {name} decided {recorded}, and now {again}")
            }
            Self::Loads { attempt } => write!(f, "attempt {}: other counts in flight were read", attempt + 1),
        }
    }
}

/// Decides a recorded exchange again on its snapshot, and compares.
pub fn verify(snapshot: &Snapshot, entry: &Entry) -> Result<(), Divergence> {
    // A connection has no head: its upstream stands for itself.
    let Some(head) = &entry.head else { return same_picks(snapshot, entry) };
    let reason = entry.reason();
    match read(snapshot, head, &mut Space::default()) {
        // Time decided or the client, not what had come; lines that are not complete are not even looked at while
        // more may come.
        Reading::Incomplete | Reading::Refused(_)
            if matches!(reason, Reason::HeadTimeout | Reason::ClientClosed) =>
        {
            Ok(())
        }
        Reading::Incomplete => Err(Divergence::Refusal { recorded: reason, again: None }),
        Reading::Refused(refusal) => {
            same_refusal(entry, refusal)?;
            same_choice(entry, &Choice::default())
        }
        Reading::Understood(_) if reason == Reason::HeadTimeout => {
            Err(Divergence::Refusal { recorded: reason, again: None })
        }
        // What the listener and the connection decide, before any route does.
        Reading::Understood(_)
            if matches!(reason, Reason::HttpsRedirect | Reason::Misdirected | Reason::AcmeChallenge) =>
        {
            same_choice(entry, &Choice::default())
        }
        Reading::Understood(understood) => {
            let (view, seed) = (understood.view(), entry.record.seed);
            let choice = super::choose(snapshot, &view, understood.body, seed, &mut Scratch::default());
            same_choice(entry, &choice)?;
            gate::verify(snapshot, entry, &understood)?;
            match choice.refusal {
                Some(refusal) => same_refusal(entry, refusal),
                None => same_picks(snapshot, entry),
            }
        }
    }
}

fn same_refusal(entry: &Entry, again: Refusal) -> Result<(), Divergence> {
    let recorded = Refusal { reason: entry.reason(), detail: entry.record.detail };
    if recorded == again {
        return Ok(());
    }
    Err(Divergence::Refusal { recorded: recorded.reason, again: Some(again) })
}

fn same_choice(entry: &Entry, choice: &Choice) -> Result<(), Divergence> {
    let record = &entry.record;
    let recorded = record.route.map(|route| (route, record.matched));
    let again = choice.found.map(|found| (found.route, found.matched));
    if recorded != again {
        return Err(Divergence::Route { recorded, again });
    }
    if record.upstream != choice.upstream {
        return Err(Divergence::Upstream { recorded: record.upstream, again: choice.upstream });
    }
    if record.subset != choice.subset {
        return Err(Divergence::Subset { recorded: record.subset, again: choice.subset });
    }
    Ok(())
}

fn same_picks(snapshot: &Snapshot, entry: &Entry) -> Result<(), Divergence> {
    let mut attempts = entry.record.kept_attempts();
    let mut tried = Vec::new();
    for (number, pick) in entry.picks.iter().enumerate() {
        let upstream = entry.record.upstream_of(number);
        let Some(upstream) = upstream.and_then(|index| snapshot.upstreams.get(index as usize)) else {
            return Ok(());
        };
        if pick.anew {
            tried.clear();
        }
        let loads = RecordedLoads::new(entry.loads_of(number));
        let seed = super::attempt_seed(entry.record.seed, number as u32);
        let key = PickKey {
            turn: pick.turn,
            seed,
            hash: pick.hash,
            now_us: 0,
            preferred: pick.session.and_then(Bond::preferred),
            tried: &tried,
            loads: Loads::Recorded(&loads),
            ..PickKey::default()
        };
        let again = super::endpoint(upstream, &pick.view, &key).ok();
        let recorded = attempts.next().map(|attempt| attempt.endpoint);
        if recorded != again {
            return Err(Divergence::Endpoint { attempt: number, recorded, again });
        }
        if !loads.are_used_up() {
            return Err(Divergence::Loads { attempt: number });
        }
        tried.extend(again.filter(|endpoint| !tried.contains(endpoint)));
    }
    match attempts.next() {
        Some(left) => {
            let (attempt, recorded) = (entry.picks.len(), Some(left.endpoint));
            Err(Divergence::Endpoint { attempt, recorded, again: None })
        }
        None => Ok(()),
    }
}
