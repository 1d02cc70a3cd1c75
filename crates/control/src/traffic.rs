//! Recorded traffic against a document that does not run: what would become of the same requests.

use std::collections::HashMap;
use std::fmt;

use tollgate_decision::{Class, Reason};
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::{Reading, Space, Understood, read};
use tollgate_proxy::decide::choose;
use tollgate_routing::{Outcome, Scratch};

use crate::explain::describe;
use crate::recorders::Recorded;

/// How many examples a group of requests has.
const EXAMPLES: usize = 3;
/// How many groups are told; those of the smallest share are left out.
const GROUPS: usize = 50;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Its head is refused, or no route takes it.
    Refused(Reason),
    /// A route takes it.
    Taken {
        /// The route's name.
        route: String,
        /// What the route does with it: the upstream that it is forwarded to, or the answer.
        destination: String,
    },
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused with {} {}", reason.status(), reason.code()),
            Self::Taken { route, destination } => write!(f, "route {route}, {destination}"),
        }
    }
}

/// How two fates of a request differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Difference {
    /// It was taken and would be refused.
    Refused,
    /// It was refused and would be taken.
    LetThrough,
    /// It would be forwarded or answered elsewhere.
    Elsewhere,
    /// It would be refused for another reason.
    OtherReason,
    /// Another route would take it to the same destination.
    OtherRoute,
}

impl Difference {
    /// All of them, the most serious first.
    pub const ALL: [Self; 5] =
        [Self::Refused, Self::LetThrough, Self::Elsewhere, Self::OtherReason, Self::OtherRoute];

    /// The word for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::LetThrough => "let_through",
            Self::Elsewhere => "elsewhere",
            Self::OtherReason => "other_reason",
            Self::OtherRoute => "other_route",
        }
    }

    fn between(before: &Fate, after: &Fate) -> Option<Self> {
        match (before, after) {
            (before, after) if before == after => None,
            (Fate::Taken { .. }, Fate::Refused(_)) => Some(Self::Refused),
            (Fate::Refused(_), Fate::Taken { .. }) => Some(Self::LetThrough),
            (Fate::Refused(_), Fate::Refused(_)) => Some(Self::OtherReason),
            (Fate::Taken { destination: before, .. }, Fate::Taken { destination: after, .. }) => {
                Some(if before == after { Self::OtherRoute } else { Self::Elsewhere })
            }
        }
    }
}

/// Requests that would all change in the same way.
#[derive(Clone, Debug)]
pub struct Group {
    /// How.
    pub difference: Difference,
    /// What becomes of them on the snapshot in force.
    pub before: Fate,
    /// What would become of them.
    pub after: Fate,
    /// How many were recorded.
    pub recorded: usize,
    /// Their share of the traffic that the recorded requests stand for, 0 to 1.
    pub share: f64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One request of a group.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its id, to ask `why` with.
    pub request_id: String,
    /// Its method.
    pub method: String,
    /// Its host and path.
    pub target: String,
    /// Why its fate would be another.
    pub why: String,
}

/// What would become of the recorded requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many recorded requests were looked at.
    pub recorded: usize,
    /// How many exchanges they stand for: of those that went well only a sample is recorded.
    pub represented: f64,
    /// The share of the traffic that would change in each way of [`Difference::ALL`], 0 to 1.
    pub shares: [f64; Difference::ALL.len()],
    /// Those that would change, the largest share first; those that would only take another route last.
    pub groups: Vec<Group>,
    /// How many further groups there are.
    pub left_out: usize,
}

impl Report {
    /// The share of the traffic that would be refused, let through, go elsewhere or be refused for another
    /// reason, 0 to 1.
    pub fn changed(&self) -> f64 {
        let told = Difference::ALL.into_iter().filter(|difference| *difference != Difference::OtherRoute);
        told.map(|difference| self.share(difference)).sum()
    }

    /// The share of the traffic that would change in this way, 0 to 1.
    pub fn share(&self, difference: Difference) -> f64 {
        self.shares[difference as usize]
    }
}

/// Decides recorded requests on the snapshot in force and on another one. `sample` is the share of good
/// exchanges that was recorded under the document of a number: each of them stands for as many as were not.
pub fn compare(
    recorded: &[Recorded],
    before: &Snapshot,
    after: &Snapshot,
    sample: &dyn Fn(u64) -> f64,
) -> Report {
    let mut groups: HashMap<(Fate, Fate), (Difference, f64, Vec<&Recorded>)> = HashMap::new();
    let mut report = Report::default();
    let mut deciders = (Decider::default(), Decider::default());
    for one in recorded {
        let Some(head) = &one.entry.head else { continue };
        let seed = one.entry.record.seed;
        let fates = (deciders.0.fate(before, head, seed), deciders.1.fate(after, head, seed));
        // What came of an incomplete head is a matter of time, not of documents.
        let (Some(was), Some(would)) = fates else { continue };
        let weight = weight(one, sample);
        report.recorded += 1;
        report.represented += weight;
        if let Some(difference) = Difference::between(&was, &would) {
            let group = groups.entry((was, would)).or_insert_with(|| (difference, 0.0, Vec::new()));
            group.1 += weight;
            group.2.push(one);
        }
    }
    let group = |((was, would), (difference, weight, members)): ((Fate, Fate), (_, f64, Vec<&Recorded>))| {
        let examples = members.iter().take(EXAMPLES).map(|one| example(one, &was, &would, after)).collect();
        let (recorded, share) = (members.len(), weight / report.represented);
        Group { difference, before: was, after: would, recorded, share, examples }
    };
    let mut told: Vec<Group> = groups.into_iter().map(group).collect();
    told.iter().for_each(|group| report.shares[group.difference as usize] += group.share);
    let minor = |group: &Group| group.difference == Difference::OtherRoute;
    let name = |group: &Group| (group.before.to_string(), group.after.to_string());
    told.sort_by(|a, b| {
        let by_share = || b.share.total_cmp(&a.share);
        minor(a).cmp(&minor(b)).then_with(by_share).then_with(|| name(a).cmp(&name(b)))
    });
    report.left_out = told.len().saturating_sub(GROUPS);
    told.truncate(GROUPS);
    report.groups = told;
    report
}

/// How many exchanges a recorded one stands for.
fn weight(one: &Recorded, sample: &dyn Fn(u64) -> f64) -> f64 {
    match one.class {
        Class::Sample => match sample(one.entry.snapshot_number) {
            share if share > 0.0 => (1.0 / share).max(1.0),
            _ => 1.0,
        },
        Class::Failed(_) | Class::Slow | Class::Rescued => 1.0,
    }
}

#[derive(Default)]
struct Decider {
    space: Space,
    scratch: Scratch,
}

impl Decider {
    fn fate(&mut self, snapshot: &Snapshot, head: &[u8], seed: u64) -> Option<Fate> {
        let understood = match read(snapshot, head, &mut self.space) {
            Reading::Understood(understood) => understood,
            Reading::Incomplete => return None,
            Reading::Refused(refusal) => return Some(Fate::Refused(refusal.reason)),
        };
        let choice = choose(snapshot, &understood.view(), understood.body, seed, &mut self.scratch);
        if let Some(refusal) = choice.refusal {
            return Some(Fate::Refused(refusal.reason));
        }
        let route = snapshot.routes.get(choice.found?.route as usize)?;
        let upstream = choice.upstream.and_then(|index| snapshot.upstreams.get(index as usize));
        let destination = match upstream {
            Some(upstream) => format!("upstream {}", upstream.name()),
            None => describe(snapshot, &route.action),
        };
        Some(Fate::Taken { route: route.name.clone(), destination })
    }
}

fn example(one: &Recorded, before: &Fate, would: &Fate, after: &Snapshot) -> Example {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut example = Example {
        request_id: text(&one.entry.request_id),
        method: String::new(),
        target: String::new(),
        why: String::new(),
    };
    let head = one.entry.head.as_deref().unwrap_or_default();
    match read(after, head, &mut Space::default()) {
        Reading::Understood(understood) => {
            example.method = text(understood.head.method_bytes);
            example.target = format!("{}{}", text(understood.identity.host), text(understood.identity.path));
            example.why = why(after, &understood, before, would);
        }
        Reading::Refused(refusal) => {
            let mut words = head.split(|byte| byte.is_ascii_whitespace());
            example.method = text(words.next().unwrap_or_default());
            // The query may hold secrets.
            let target = words.next().unwrap_or_default().split(|byte| *byte == b'?').next();
            example.target = text(target.unwrap_or_default());
            example.why = refusal.detail.unwrap_or(refusal.reason.explanation()).to_owned();
        }
        Reading::Incomplete => {}
    }
    example
}

/// Why a request would fare otherwise than before.
fn why(after: &Snapshot, understood: &Understood<'_>, before: &Fate, would: &Fate) -> String {
    let considered = after.table.explain(&understood.view());
    let winner = considered.iter().find(|c| c.outcome == Outcome::Matched).map(|c| c.name);
    let lost = |route: &str| match considered.iter().find(|c| c.name == route).map(|c| c.outcome) {
        Some(Outcome::Failed(condition)) => format!("route {route} does not match its {condition}"),
        Some(outcome) => format!("route {route}: {outcome}"),
        None => format!("there is no route {route} any more"),
    };
    match (before, would, winner) {
        // What is wrong with it is found on the route.
        (_, Fate::Refused(reason), Some(winner)) => {
            format!("route {winner} takes it, and then: {}", reason.explanation())
        }
        (Fate::Taken { route, .. }, Fate::Taken { destination, .. }, Some(winner)) if route == winner => {
            format!("route {route} leads to {destination} now")
        }
        (Fate::Taken { route, .. }, ..) => lost(route),
        (Fate::Refused(Reason::NoRoute), _, Some(winner)) => format!("route {winner} matches it"),
        (Fate::Refused(reason), _, Some(winner)) => {
            format!("it is no longer refused with {}, and route {winner} matches it", reason.code())
        }
        (Fate::Refused(_), _, None) => "no route matches it".to_owned(),
    }
}
