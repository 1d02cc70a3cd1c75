//! Past exchanges, as the flight recorder has kept them, and why they ended as they did.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tollgate_config::{StatusRange, Switch, ValueError, nearest};
use tollgate_control::why::{RequestTold, Show, why};
use tollgate_control::{Filter, Recorded};
use tollgate_decision::{Class, Reason};
use tollgate_runtime::{Clock, date};

use crate::Api;
use crate::problem::Problem;
use crate::report::RecorderStatus;
use crate::sent::{Answer, Asked, Json};

/// How many are listed if nothing is asked for, and how many can be.
const LISTED: usize = 20;
const LISTED_MAX: usize = 1000;
/// How many can be explained at once: each is decided again.
const EXPLAINED_MAX: usize = 20;
/// What is slow where the document keeps no recorder.
const SLOW: Duration = Duration::from_secs(1);

/// Which exchanges are listed: those that meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The newest so many; 20 if left out, at most 1000.
    pub last: Option<usize>,
    /// The reason's code.
    pub reason: Option<String>,
    /// The route's name.
    pub route: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// A status or statuses: `404`, `5xx`, `400-499`.
    pub status: Option<String>,
    /// Those that took so long, such as `250ms`; without a value, what the document's recorder calls slow.
    pub slow: Option<String>,
    /// Those that began in the time before now, such as `10m`.
    pub since: Option<String>,
    /// Also why each ended as it did; for at most 20.
    #[serde(default)]
    pub explain: bool,
    /// Whether the values of queries are shown, with `explain`.
    #[serde(default)]
    pub query: QueryValues,
}

/// Which exchange is explained how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneQuery {
    /// Whether the values of its query are shown.
    #[serde(default)]
    pub query: QueryValues,
}

/// What becomes of the values of a query, which may be secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryValues {
    /// They are hidden.
    #[default]
    Hide,
    /// They are shown.
    Show,
}

/// Recorded exchanges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchanges {
    /// Those that were asked for, newest first.
    pub exchanges: Vec<ExchangeStatus>,
    /// What they were found in.
    pub recorder: RecorderStatus,
}

/// A recorded exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangeStatus {
    /// When it began, RFC 3339.
    pub time: String,
    /// Its request id.
    pub request_id: String,
    /// The method; empty where it could not be read.
    pub method: String,
    /// The target without its query; empty where it could not be read.
    pub path: String,
    /// The status that the client got; null where it got none.
    pub status: Option<u16>,
    /// The reason's code.
    pub reason: String,
    /// Who is at fault: `nobody`, `client`, `upstream` or `proxy`.
    pub side: String,
    /// Where it went.
    pub went: Went,
    /// How long it took, in microseconds.
    pub total_us: u64,
    /// What it was kept as: `failed`, `slow`, `sample`, or `mirror` where a mirror answered otherwise.
    pub kept_as: String,
    /// Why it ended as it did, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
}

/// Where an exchange went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Went {
    /// The route's name.
    pub route: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The name of the endpoint that was tried last.
    pub endpoint: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
}

/// Why an exchange ended as it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// For people.
    pub text: String,
    /// The same for programs.
    pub why: Map<String, Value>,
}

/// Tells of all that have this request id.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    Path(request_id): Path<String>,
    Asked(OneQuery { query }): Asked<OneQuery>,
) -> Answer<Exchanges> {
    let mut found = api.process().recorder().find(&request_id);
    if found.is_empty() {
        // Of what a mirror answered otherwise the recorder has kept what it would have kept anyway.
        let differing = api.instance.comparer().board().find(request_id.as_bytes());
        let entry = differing.iter().find_map(|differing| differing.entry.clone());
        found.extend(entry.map(|entry| Recorded { class: Class::Mirror, entry }));
    }
    let recorder = RecorderStatus::of(&api);
    if found.is_empty() {
        let detail = format!("no exchange with the request id `{request_id}` is recorded; {recorder}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let exchanges = found.iter().take(EXPLAINED_MAX).map(|one| told(&api, one, Some(query)));
    Ok(Json(Exchanges { exchanges: exchanges.collect(), recorder }))
}

/// Lists.
pub(crate) async fn list(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Exchanges> {
    let filter = filter(&api, &query)?;
    let (count, most) =
        (query.last.unwrap_or(LISTED), if query.explain { EXPLAINED_MAX } else { LISTED_MAX });
    if count > most {
        let how = if query.explain { "explained" } else { "listed" };
        return Err(bad("last", &format!("{count} are too many: at most {most} can be {how}")));
    }
    let found = api.process().recorder().last(count, &filter);
    if found.is_empty() {
        check_names(&api, &filter)?;
    }
    let explained = query.explain.then_some(query.query);
    let exchanges = found.iter().map(|one| told(&api, one, explained)).collect();
    Ok(Json(Exchanges { exchanges, recorder: RecorderStatus::of(&api) }))
}

fn filter(api: &Api, query: &Query) -> Result<Filter, Problem> {
    let slow = match query.slow.as_deref() {
        Some("") => Some(slow_by_document(api)),
        other => other.map(|text| duration("slow", text)).transpose()?,
    };
    let since = query.since.as_deref().map(|text| duration("since", text)).transpose()?;
    let status = query.status.as_deref().map(|text| parsed::<StatusRange>("status", text)).transpose()?;
    Ok(Filter {
        reason: query.reason.as_deref().map(reason).transpose()?,
        route: query.route.clone(),
        upstream: query.upstream.clone(),
        slow,
        status: status.map(|status| (status.first(), status.last())),
        since: since.map(|ago| Clock::new().wall().saturating_sub(ago)),
    })
}

fn slow_by_document(api: &Api) -> Duration {
    match &api.instance.document().recorder {
        Switch::On(settings) => settings.slow.get(),
        Switch::Off => SLOW,
    }
}

fn reason(code: &str) -> Result<Reason, Problem> {
    Reason::from_code(code).ok_or_else(|| {
        let codes = || Reason::ALL.iter().map(|reason| reason.code());
        let contains: Vec<_> = codes().filter(|known| !code.is_empty() && known.contains(code)).collect();
        let near = match (nearest(code, codes()), contains.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "docs/reasons.md lists them".to_owned(),
            (None, some) => format!("did you mean one of `{}`?", some.join("`, `")),
        };
        bad("reason", &format!("there is no reason `{code}`; {near}"))
    })
}

fn duration(key: &str, text: &str) -> Result<Duration, Problem> {
    parsed::<tollgate_config::Duration>(key, text).map(tollgate_config::Duration::get)
}

fn parsed<T: FromStr<Err = ValueError>>(key: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: ValueError| bad(key, &error.to_string()))
}

fn bad(key: &str, what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("{key}: {what}"))
}

/// Nothing was found: says so where it cannot be found, since there is nothing of that name. Names of earlier
/// documents are not looked up, since what is recorded of them would have been found.
fn check_names(api: &Api, filter: &Filter) -> Result<(), Problem> {
    let snapshot = api.process().snapshot();
    if let Some(wanted) = &filter.route {
        check_name("route", wanted, || snapshot.routes.iter().map(|route| route.name.as_str()))?;
    }
    match &filter.upstream {
        Some(wanted) => check_name("upstream", wanted, || snapshot.upstreams.iter().map(|u| &**u.name())),
        None => Ok(()),
    }
}

fn check_name<'n, I: Iterator<Item = &'n str>>(
    what: &str,
    wanted: &str,
    names: impl Fn() -> I,
) -> Result<(), Problem> {
    if names().any(|name| name == wanted) {
        return Ok(());
    }
    let near = nearest(wanted, names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let detail = format!("there is no {what} `{wanted}`, and nothing is recorded of one{near}");
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

fn told(api: &Api, recorded: &Recorded, explained: Option<QueryValues>) -> ExchangeStatus {
    let entry = &*recorded.entry;
    let (method, path) = entry.head.as_deref().map(RequestTold::method_and_path).unwrap_or_default();
    let reason = entry.reason();
    ExchangeStatus {
        time: date::rfc3339(entry.began),
        request_id: String::from_utf8_lossy(&entry.request_id).into_owned(),
        method,
        path,
        status: (entry.status != 0).then_some(entry.status),
        reason: reason.code().to_owned(),
        side: reason.side().label().to_owned(),
        went: Went {
            route: entry.names.route.clone(),
            upstream: entry.names.upstream.as_deref().map(str::to_owned),
            endpoint: entry.names.endpoints.last().map(ToString::to_string),
            attempts: entry.record.attempts,
        },
        total_us: entry.timings.total_us,
        kept_as: recorded.class.label().to_owned(),
        explained: explained.map(|values| explain(api, recorded, values)),
    }
}

fn explain(api: &Api, recorded: &Recorded, values: QueryValues) -> Explained {
    let entry = &recorded.entry;
    let kept = || api.instance.snapshot(entry.snapshot_number).filter(|snapshot| entry.is_of(snapshot));
    let snapshot = entry.snapshot.upgrade().or_else(kept);
    let mirrors = api.instance.comparer().board().find(&entry.request_id);
    let why = why(recorded, snapshot.as_deref(), Show { query: values == QueryValues::Show })
        .beside(mirrors.iter().map(|differing| &**differing));
    let json = match why.to_json() {
        Value::Object(json) => json,
        other => Map::from_iter([("why".to_owned(), other)]),
    };
    Explained { text: why.to_string(), why: json }
}
