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
    /// Those that would change, the largest share first.
    pub groups: Vec<Group>,
}

impl Report {
    /// The share of the traffic that would be refused, let through, go elsewhere or be refused for another
    /// reason, 0 to 1.
    pub fn changed(&self) -> f64 {
        let told = self.groups.iter().filter(|group| group.difference != Difference::OtherRoute);
        told.map(|group| group.share).sum()
    }
}

/// Decides recorded requests on the snapshot in force and on another one. `sample` is the share of good
/// exchanges that was recorded: each of them stands for as many as were not.
pub fn compare(recorded: &[Recorded], before: &Snapshot, after: &Snapshot, sample: f64) -> Report {
    let mut groups: HashMap<(Fate, Fate), (Difference, f64, Vec<&Recorded>)> = HashMap::new();
    let mut report = Report::default();
    let mut deciders = (Decider::default(), Decider::default());
    for one in recorded {
        let Some(head) = &one.entry.head else { continue };
        let seed = one.entry.record.seed;
        let fates = (deciders.0.fate(before, head, seed), deciders.1.fate(after, head, seed));
        // What came of an incomplete head is a matter of time, not of documents.
        let (Some(was), Some(would)) = fates else { continue };
        let weight = match one.class {
            Class::Sample if sample > 0.0 => (1.0 / sample).max(1.0),
            _ => 1.0,
        };
        report.recorded += 1;
        report.represented += weight;
        if let Some(difference) = Difference::between(&was, &would) {
            let group = groups.entry((was, would)).or_insert_with(|| (difference, 0.0, Vec::new()));
            group.1 += weight;
            group.2.push(one);
        }
    }
    let group = |((before_fate, after_fate), (difference, weight, members)): (
        (Fate, Fate),
        (_, f64, Vec<&Recorded>),
    )| {
        let examples = members.iter().take(EXAMPLES).map(|one| example(one, &before_fate, after));
        let (recorded, share) = (members.len(), weight / report.represented);
        let examples = examples.collect();
        Group { difference, before: before_fate, after: after_fate, recorded, share, examples }
    };
    let mut told: Vec<Group> = groups.into_iter().map(group).collect();
    told.sort_by(|a, b| {
        b.share.total_cmp(&a.share).then_with(|| a.before.to_string().cmp(&b.before.to_string()))
    });
    told.truncate(GROUPS);
    report.groups = told;
    report
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

fn example(one: &Recorded, before: &Fate, after: &Snapshot) -> Example {
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
            example.why = why(after, &understood, before);
        }
        Reading::Refused(refusal) => {
            example.why = refusal.detail.unwrap_or(refusal.reason.explanation()).to_owned();
        }
        Reading::Incomplete => {}
    }
    example
}

/// Why the route that takes a request now would not take it, or which one would.
fn why(after: &Snapshot, understood: &Understood<'_>, before: &Fate) -> String {
    let considered = after.table.explain(&understood.view());
    let winner = considered.iter().find(|c| c.outcome == Outcome::Matched).map(|c| c.name);
    let lost = match before {
        Fate::Refused(_) => None,
        Fate::Taken { route, .. } => Some(match considered.iter().find(|c| c.name == route) {
            Some(found) if Some(found.name) == winner => format!("route {route} leads elsewhere"),
            Some(found) => format!("route {route}: {}", found.outcome),
            None if after.routes.iter().any(|r| r.name == *route) => {
                format!("route {route} does not match its host or path any more")
            }
            None => format!("there is no route {route} any more"),
        }),
    };
    match (lost, winner) {
        (Some(lost), _) => lost,
        (None, Some(winner)) => format!("route {winner} matches it"),
        (None, None) => "no route matches it".to_owned(),
    }
}
