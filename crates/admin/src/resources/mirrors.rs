//! Mirrors: what they get, and how their answers differ from those that clients get.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::why::MirrorTold;
use tollgate_proxy::mirroring::board::{Differing, Tally};
use tollgate_runtime::date;

use crate::Api;
use crate::sent::{Answer, Asked, Json};

/// How many exchanges are listed if nothing is asked for.
const LISTED: usize = 20;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The newest so many exchanges that differed; 20 if left out.
    pub last: Option<usize>,
}

/// Mirrors, and exchanges whose answers differed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mirrors {
    /// Each mirror of the document in force, by route and upstream.
    pub mirrors: Vec<MirrorStatus>,
    /// The last exchanges that differed, newest first.
    pub exchanges: Vec<Differed>,
}

/// A mirror.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorStatus {
    /// The route's name.
    pub route: String,
    /// The name of the mirror's upstream.
    pub upstream: String,
    /// What became of copies, by outcome.
    pub mirrored: BTreeMap<String, u64>,
    /// What comparisons came to, by result.
    pub compared: BTreeMap<String, u64>,
    /// Where answers differed, most often first; `[*]` stands for every index of a list.
    pub places: Vec<PlaceStatus>,
    /// Differences at further places.
    pub elsewhere: u64,
    /// The request id of the last exchange that differed.
    pub example: Option<String>,
}

/// A place where answers differed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceStatus {
    /// The place: `status`, `header NAME`, or a path in the body.
    pub place: String,
    /// In how many exchanges.
    pub count: u64,
    /// The request id of the last of them.
    pub example: String,
}

/// An exchange whose answers differed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Differed {
    /// When it began, RFC 3339.
    pub time: String,
    /// Its request id.
    pub request_id: String,
    /// The route's name.
    pub route: String,
    /// The name of the mirror's upstream.
    pub upstream: String,
    /// How the answers differed, in one sentence.
    pub summary: String,
    /// Where, and what stands there.
    pub differences: Vec<DifferenceStatus>,
    /// How many more differences there were.
    pub more: usize,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceStatus {
    /// The place: `status`, `header NAME`, or a path in the body.
    pub place: String,
    /// What the origin's answer has there, shortened; null for nothing.
    pub origin: Option<String>,
    /// What the mirror's has.
    pub mirror: Option<String>,
}

/// Tells of mirrors.
pub(crate) async fn get(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Mirrors> {
    let comparer = api.instance.comparer();
    let board = comparer.board();
    let tallies: BTreeMap<_, _> = board.mirrors().into_iter().collect();
    let words =
        |counts: Vec<(&'static str, u64)>| counts.into_iter().map(|(w, n)| (w.to_owned(), n)).collect();
    let mirrors = api.instance.mirrors().into_iter().map(|state| {
        let key = (state.route.as_str().into(), state.upstream.as_str().into());
        let tally = tallies.get(&key).cloned().unwrap_or_default();
        MirrorStatus {
            route: state.route,
            upstream: state.upstream,
            mirrored: words(state.mirrored),
            compared: words(state.compared),
            places: places(&tally),
            elsewhere: tally.elsewhere,
            example: tally.example.as_deref().map(text),
        }
    });
    let exchanges = board.last(query.last.unwrap_or(LISTED));
    Ok(Json(Mirrors {
        mirrors: mirrors.collect(),
        exchanges: exchanges.iter().map(|differing| differed(differing)).collect(),
    }))
}

fn places(tally: &Tally) -> Vec<PlaceStatus> {
    let mut places: Vec<_> = tally
        .places
        .iter()
        .map(|(place, tally)| PlaceStatus {
            place: place.clone(),
            count: tally.count,
            example: text(&tally.example),
        })
        .collect();
    // Stable: of the same count, in the order of their names.
    places.sort_by_key(|place| std::cmp::Reverse(place.count));
    places
}

fn differed(differing: &Differing) -> Differed {
    let told = MirrorTold::new(differing);
    let difference = |difference: tollgate_comparison::Difference| DifferenceStatus {
        place: difference.place.to_string(),
        origin: difference.first,
        mirror: difference.second,
    };
    Differed {
        time: date::rfc3339(differing.subject.began),
        request_id: text(&differing.subject.request_id),
        route: differing.subject.route.to_string(),
        upstream: told.upstream,
        summary: told.summary,
        differences: told.differences.into_iter().map(difference).collect(),
        more: told.more,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
