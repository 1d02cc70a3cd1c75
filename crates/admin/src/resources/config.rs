//! The document: which one is in force, which were before, and the way to another one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_config::{Bundle, Change, effective};
use tollgate_control::history::Version;
use tollgate_control::instance::{Applied, Fault, Preview, Refused, TrialTimes};
use tollgate_control::prepare::Text;
use tollgate_runtime::date;

use crate::Api;
use crate::problem::Problem;
use crate::report::TrafficReport;
use crate::sent::{Answer, Asked, Json, Sent};

/// How many bytes of JSON a document may be sent as: its texts have at most 64 MiB, and JSON spells some
/// characters longer.
const DOCUMENT_MAX: usize = 160 << 20;
/// How many changes an answer lists.
const CHANGES_MAX: usize = 1_000;
/// How many seconds a trial can last.
const CONFIRM_MAX: u64 = 86_400;
/// For how many seconds exchanges are watched before a trial unless told, and at most.
const BASELINE: u64 = 5;
const BASELINE_MAX: u64 = 600;

/// How the document is shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Beside each value where it is from.
    #[serde(default)]
    pub origin: bool,
    /// Only what differs from the defaults.
    #[serde(default)]
    pub changed: bool,
}

/// The document in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Its number.
    pub number: u64,
    /// Where it came from.
    pub source: String,
    /// The effective document as YAML, secrets hidden.
    pub yaml: String,
    /// The same as a list of path, value and origin.
    pub values: Value,
}

/// A document that is or was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionStatus {
    /// Its number.
    pub number: u64,
    /// When it was put into force, RFC 3339.
    pub at: String,
    /// Why: `start`, `reload`, `apply`, `rollback to N`, `taken back to N`.
    pub occasion: String,
    /// Tells texts apart.
    pub fingerprint: String,
    /// How many routes it has.
    pub routes: usize,
    /// Whether it is in force now.
    pub in_force: bool,
}

/// The documents that are kept, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// The documents.
    pub versions: Vec<VersionStatus>,
}

/// A document that is sent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentDocument {
    /// The name of the main file; secret files are looked for beside it.
    pub root: String,
    /// The texts by name, the main file's among them.
    pub files: std::collections::BTreeMap<String, String>,
    /// Put it to work on trial: so many seconds until it is taken back, unless it is confirmed.
    #[serde(default)]
    pub confirm_seconds: Option<u64>,
    /// With a trial: for so many seconds exchanges are watched before, to know what is usual; 5 if left out.
    #[serde(default)]
    pub baseline_seconds: Option<u64>,
    /// With a comparison: what would become of the recorded requests.
    #[serde(default)]
    pub traffic: bool,
}

/// Which document to go back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Back {
    /// Its number; the one before the one in force if left out.
    #[serde(default)]
    pub number: Option<u64>,
}

/// One difference between two documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeStatus {
    /// In words.
    pub text: String,
    /// Whether it takes effect only when the process is started anew.
    pub needs_restart: bool,
    /// For programs: the kind of change, its subject, and each key with its old and new value.
    pub change: Value,
}

/// A document that was put into force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedStatus {
    /// The number of the document in force.
    pub number: u64,
    /// It was in force already, so nothing was done.
    pub unchanged: bool,
    /// What it changed, at most 1000.
    pub changes: Vec<ChangeStatus>,
    /// How many further changes there are.
    pub left_out: usize,
    /// Findings that did not keep it from being used, for people.
    pub warnings: String,
}

/// What a document would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// What it says otherwise than the document in force, at most 1000.
    pub changes: Vec<ChangeStatus>,
    /// How many further changes there are.
    pub left_out: usize,
    /// Findings that would not keep it from being used, for people.
    pub warnings: String,
    /// What would become of the recorded requests; null if that was not asked for.
    pub traffic: Option<TrafficReport>,
}

impl ChangeStatus {
    /// A difference, in words and for programs.
    pub fn of(change: &Change) -> Self {
        Self { text: change.to_string(), needs_restart: change.needs_restart(), change: change.to_json() }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.fault {
            Fault::Document => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::NotKept => StatusCode::NOT_FOUND,
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::Machine => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let report = Some(refused.report).filter(|report| !report.is_empty());
        Self { report, ..Self::new(status, refused.problem) }
    }
}

/// Shows the document in force.
pub(crate) async fn show(State(api): State<Arc<Api>>, Asked(query): Asked<Query>) -> Answer<Shown> {
    let versions = api.instance.versions();
    let Some(version) = versions.last() else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no document is in force"));
    };
    let (number, bundle) = (version.number, version.bundle.clone());
    let work = move || {
        let loaded = Text::Bundle(bundle.clone()).load();
        let document = loaded.document.as_ref()?;
        let effective = effective(document, &loaded.sources);
        Some(Shown {
            number,
            source: bundle.root.clone(),
            yaml: effective.to_yaml(query.origin, query.changed),
            values: effective.to_json(query.changed),
        })
    };
    let shown = tokio::task::spawn_blocking(work).await.ok().flatten();
    let gone = "the document can no longer be read as it was: a variable or a file of secrets has gone";
    shown.map(Json).ok_or_else(|| Problem::new(StatusCode::CONFLICT, gone))
}

/// Lists the documents that are kept.
pub(crate) async fn versions(State(api): State<Arc<Api>>) -> Answer<Versions> {
    let kept = api.instance.versions();
    let last = kept.last().map(|version| version.number);
    let status = |version: &Version| VersionStatus {
        number: version.number,
        at: date::rfc3339(version.at),
        occasion: version.occasion.to_string(),
        fingerprint: version.fingerprint.clone(),
        routes: version.routes,
        in_force: Some(version.number) == last,
    };
    Ok(Json(Versions { versions: kept.iter().map(status).collect() }))
}

/// Reads the document's file again.
pub(crate) async fn reload(State(api): State<Arc<Api>>) -> Answer<AppliedStatus> {
    carried_out(api, |api| async move { api.instance.reload().await }).await
}

/// Puts a document into force that was sent.
pub(crate) async fn apply(
    State(api): State<Arc<Api>>,
    Sent(sent): Sent<SentDocument, DOCUMENT_MAX>,
) -> Answer<AppliedStatus> {
    let times = trial_times(&sent)?;
    let bundle = bundle(sent)?;
    carried_out(api, move |api| async move {
        match times {
            None => api.instance.apply(bundle).await,
            Some(times) => api.instance.apply_on_trial(bundle, times).await,
        }
    })
    .await
}

fn trial_times(sent: &SentDocument) -> Result<Option<TrialTimes>, Problem> {
    let within = |name: &str, seconds: u64, least: u64, most: u64| match (least..=most).contains(&seconds) {
        true => Ok(Duration::from_secs(seconds)),
        false => {
            let detail = format!("{name} is {seconds}, but it must be between {least} and {most}");
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    };
    match (sent.confirm_seconds, sent.baseline_seconds) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let detail = "baseline_seconds is for a trial, so it needs confirm_seconds";
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
        (Some(trial), baseline) => Ok(Some(TrialTimes {
            trial: within("confirm_seconds", trial, 1, CONFIRM_MAX)?,
            baseline: within("baseline_seconds", baseline.unwrap_or(BASELINE), 0, BASELINE_MAX)?,
        })),
    }
}

/// Goes back to an earlier document.
pub(crate) async fn rollback(State(api): State<Arc<Api>>, Sent(back): Sent<Back>) -> Answer<AppliedStatus> {
    carried_out(api, move |api| async move { api.instance.rollback(back.number).await }).await
}

/// Compares a document with the one in force.
pub(crate) async fn compare(
    State(api): State<Arc<Api>>,
    Sent(sent): Sent<SentDocument, DOCUMENT_MAX>,
) -> Answer<Compared> {
    let traffic = sent.traffic;
    let Preview { changes, warnings, traffic } = api.instance.preview(bundle(sent)?, traffic).await?;
    let (changes, left_out) = told(&changes);
    let traffic = traffic.as_ref().map(TrafficReport::of);
    Ok(Json(Compared { changes, left_out, warnings, traffic }))
}

fn bundle(sent: SentDocument) -> Result<Bundle, Problem> {
    let bundle = Bundle { root: sent.root, files: sent.files };
    match bundle.verify() {
        Ok(()) => Ok(bundle),
        Err(error) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    }
}

/// Carries a change out to its end, also if the client goes away meanwhile.
async fn carried_out<F>(api: Arc<Api>, change: impl FnOnce(Arc<Api>) -> F) -> Answer<AppliedStatus>
where
    F: Future<Output = Result<Applied, Refused>> + Send + 'static,
{
    let applied = tokio::spawn(change(api)).await;
    let Applied { number, unchanged, changes, warnings } =
        applied.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let (changes, left_out) = told(&changes);
    Ok(Json(AppliedStatus { number, unchanged, changes, left_out, warnings }))
}

fn told(changes: &[Change]) -> (Vec<ChangeStatus>, usize) {
    (
        changes.iter().take(CHANGES_MAX).map(ChangeStatus::of).collect(),
        changes.len().saturating_sub(CHANGES_MAX),
    )
}
