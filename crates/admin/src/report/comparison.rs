//! What would become of recorded requests on another document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::traffic::{Difference, Example, Group, Report};

/// What would become of the recorded requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficReport {
    /// How many recorded requests were decided again.
    pub recorded: usize,
    /// How many exchanges they stand for: of those that went well only a sample is recorded.
    pub represented: f64,
    /// The share of these that would be refused, let through, go elsewhere or be refused for another reason,
    /// 0 to 1.
    pub changed_share: f64,
    /// The share of each difference, by its name, 0 to 1; also of the groups that are left out.
    pub shares: BTreeMap<String, f64>,
    /// Those that would change, the largest share first; those that would only take another route last.
    pub groups: Vec<TrafficGroup>,
    /// How many further groups there are.
    pub left_out: usize,
}

/// Requests that would all change in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficGroup {
    /// `refused`, `let_through`, `elsewhere`, `other_reason`, or `other_route` for those that only another
    /// route would take to the same place.
    pub difference: String,
    /// What becomes of them now.
    pub before: String,
    /// What would become of them.
    pub after: String,
    /// How many were recorded.
    pub recorded: usize,
    /// Their share of the traffic, 0 to 1.
    pub share: f64,
    /// Some of them.
    pub examples: Vec<TrafficExample>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficExample {
    /// Its id, to ask `why` with.
    pub request_id: String,
    /// Its method.
    pub method: String,
    /// Its host and path.
    pub target: String,
    /// Why its fate would be another.
    pub why: String,
}

impl TrafficReport {
    pub(crate) fn of(report: &Report) -> Self {
        Self {
            recorded: report.recorded,
            represented: report.represented,
            changed_share: report.changed(),
            shares: Difference::ALL.map(|one| (one.label().to_owned(), report.share(one))).into(),
            left_out: report.left_out,
            groups: report.groups.iter().map(TrafficGroup::of).collect(),
        }
    }
}

impl TrafficGroup {
    fn of(group: &Group) -> Self {
        let example = |example: &Example| TrafficExample {
            request_id: example.request_id.clone(),
            method: example.method.clone(),
            target: example.target.clone(),
            why: example.why.clone(),
        };
        Self {
            difference: group.difference.label().to_owned(),
            before: group.before.to_string(),
            after: group.after.to_string(),
            recorded: group.recorded,
            share: group.share,
            examples: group.examples.iter().map(example).collect(),
        }
    }
}
