//! Listeners, routes and reasons.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::bind::Bound;
use tollgate_control::process::Current;
use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_telemetry::Shard;
use tollgate_telemetry::histogram::Sum;

use super::Latency;

/// A socket that takes traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerStatus {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted so far.
    pub accepted: u64,
}

/// How often an exchange ended for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonCount {
    /// The reason's code.
    pub reason: String,
    /// Who is at fault: `nobody`, `client`, `upstream` or `tollgate`.
    pub side: String,
    /// How often.
    pub count: u64,
}

/// Which routes to tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteChoice {
    /// Those that had a request.
    #[default]
    Used,
    /// All.
    All,
    /// None.
    None,
}

/// The routes that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routes {
    /// How many routes the document has.
    pub in_document: usize,
    /// How many were asked for but are left out for their number. The busiest are not.
    pub left_out: usize,
    /// The routes, in the document's order; last those requests that no route matched.
    pub list: Vec<RouteStatus>,
}

/// A route and what it had to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteStatus {
    /// Its name; null for the requests that no route matched.
    pub name: Option<String>,
    /// Ended exchanges.
    pub exchanges: u64,
    /// The same by status.
    pub classes: Classes,
    /// From the first byte of a request to the last of its response.
    pub latency: Latency,
}

/// Exchanges by the class of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Classes {
    /// Those that had no response.
    pub none: u64,
    /// Those whose last response was an interim one, such as 101.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// Successful ones.
    #[serde(rename = "2xx")]
    pub successful: u64,
    /// Redirects.
    #[serde(rename = "3xx")]
    pub redirects: u64,
    /// Those where the client was at fault.
    #[serde(rename = "4xx")]
    pub client_errors: u64,
    /// Those where the server was.
    #[serde(rename = "5xx")]
    pub server_errors: u64,
}

impl Classes {
    fn of(counts: [u64; 6]) -> Self {
        let [none, informational, successful, redirects, client_errors, server_errors] = counts;
        Self { none, informational, successful, redirects, client_errors, server_errors }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.none
            + self.informational
            + self.successful
            + self.redirects
            + self.client_errors
            + self.server_errors
    }
}

pub(super) fn listeners(current: &Current) -> Vec<ListenerStatus> {
    let status = |(index, listener): (usize, &Bound)| {
        let series = || current.shards.iter().filter_map(|shard| shard.listeners.get(index));
        // First what has ended: a connection between the two looks counts as open.
        let closed: u64 = series().map(|series| series.closed.get()).sum();
        let accepted: u64 = series().map(|series| series.accepted.get()).sum();
        ListenerStatus {
            name: listener.settings.name.clone(),
            address: listener.address.to_string(),
            open: accepted.saturating_sub(closed),
            accepted,
        }
    };
    current.listeners.iter().enumerate().map(status).collect()
}

pub(super) fn exchanges(shards: &[Arc<Shard>]) -> Vec<ReasonCount> {
    let count = |reason: &Reason| ReasonCount {
        reason: reason.code().to_owned(),
        side: reason.side().label().to_owned(),
        count: shards.iter().map(|shard| shard.reason(*reason).get()).sum(),
    };
    Reason::ALL.iter().map(count).filter(|reason| reason.count > 0).collect()
}

pub(super) fn routes(
    snapshot: &Snapshot,
    shards: &[Arc<Shard>],
    choice: RouteChoice,
    limit: usize,
) -> Routes {
    let in_document = snapshot.routes.len();
    // By index; the last one is for those that no route matched.
    let total =
        |index: usize| -> u64 { shards.iter().map(|shard| classes(shard, index).iter().sum::<u64>()).sum() };
    let mut chosen: Vec<(usize, u64)> = match choice {
        RouteChoice::None => Vec::new(),
        RouteChoice::All => (0..=in_document).map(|index| (index, total(index))).collect(),
        RouteChoice::Used => {
            (0..=in_document).map(|index| (index, total(index))).filter(|(_, total)| *total > 0).collect()
        }
    };
    let left_out = chosen.len().saturating_sub(limit);
    if left_out > 0 {
        chosen.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        chosen.truncate(limit);
        chosen.sort_by_key(|(index, _)| *index);
    }
    let list = chosen.into_iter().map(|(index, _)| route(snapshot, shards, index)).collect();
    Routes { in_document, left_out, list }
}

fn route(snapshot: &Snapshot, shards: &[Arc<Shard>], index: usize) -> RouteStatus {
    let mut counts = [0; 6];
    let mut sum = Sum::default();
    for shard in shards {
        for (count, more) in counts.iter_mut().zip(classes(shard, index)) {
            *count += more;
        }
        if let Some(histogram) = shard.routes.get(index).and_then(|series| series.duration()) {
            histogram.add_to(&mut sum);
        }
    }
    let classes = Classes::of(counts);
    RouteStatus {
        name: snapshot.routes.get(index).map(|route| route.name.clone()),
        exchanges: classes.total(),
        classes,
        latency: Latency::of(&sum),
    }
}

fn classes(shard: &Shard, index: usize) -> [u64; 6] {
    shard.routes.get(index).map_or([0; 6], |series| series.classes())
}

#[cfg(test)]
mod tests {
    use super::Classes;

    #[test]
    fn classes_are_in_the_order_of_their_digit() {
        let classes = Classes::of([1, 10, 100, 1_000, 10_000, 100_000]);
        assert_eq!((classes.none, classes.successful, classes.server_errors), (1, 100, 100_000));
        assert_eq!(classes.total(), 111_111);
    }
}
