//! A document on trial.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_control::trial::{Figures, Trial, Verdict};
use tollgate_runtime::Clock;

use crate::Api;
use crate::problem::Problem;
use crate::sent::{Answer, Json};

/// How many routes are told of, the busiest ones.
const ROUTES_MAX: usize = 50;

/// A document on trial, or the last one that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialStatus {
    /// The document's number.
    pub number: u64,
    /// The number of the document that it is taken back to.
    pub back_to: u64,
    /// How it stands: `running`, `taking_back`, and at its end `confirmed`, `taken_back`, or `stays` where it
    /// should have been taken back and could not.
    pub state: String,
    /// Why it was taken back, or should have been; null while it is well.
    pub reason: Option<String>,
    /// Until it is taken back, in seconds; 0 where the trial is over.
    pub seconds_left: f64,
    /// The routes that had requests, the busiest first.
    pub routes: Vec<RouteTrial>,
}

/// A route before and on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteTrial {
    /// Its name.
    pub route: String,
    /// What its exchanges came to before.
    pub before: TrialFigures,
    /// What they came to since.
    pub since: TrialFigures,
}

/// What exchanges came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialFigures {
    /// How many there were.
    pub exchanges: u64,
    /// The share that failed, 0 to 1; null while there are none.
    pub failed_share: Option<f64>,
    /// The share that was answered with 4xx, 0 to 1; null while there are none.
    pub refused_share: Option<f64>,
    /// The duration that 99 % did not exceed, in microseconds; null while there are none.
    pub p99_us: Option<u64>,
}

impl TrialFigures {
    fn of(figures: Option<&Figures>) -> Self {
        let Some(figures) = figures.filter(|figures| figures.exchanges > 0) else { return Self::default() };
        let share = |count: u64| Some(count as f64 / figures.exchanges as f64);
        Self {
            exchanges: figures.exchanges,
            failed_share: share(figures.failed),
            refused_share: share(figures.refused),
            p99_us: figures.durations.quantile(0.99),
        }
    }
}

impl TrialStatus {
    /// Whether it goes on: neither confirmed nor taken back yet.
    pub fn goes_on(&self) -> bool {
        matches!(self.state.as_str(), "running" | "taking_back")
    }

    fn of(trial: &Trial) -> Self {
        let (state, reason) = match &trial.verdict {
            Verdict::Running => ("running", None),
            Verdict::Confirmed => ("confirmed", None),
            Verdict::TakingBack(reason) => ("taking_back", Some(reason.clone())),
            Verdict::Stays(reason) => ("stays", Some(reason.clone())),
            Verdict::TakenBack(reason) => ("taken_back", Some(reason.clone())),
        };
        let left_ms =
            if state == "running" { trial.until_ms.saturating_sub(Clock::new().now_ms()) } else { 0 };
        let mut routes: Vec<RouteTrial> = trial
            .since
            .iter()
            .map(|(route, since)| RouteTrial {
                route: route.clone(),
                before: TrialFigures::of(trial.before.get(route)),
                since: TrialFigures::of(Some(since)),
            })
            .collect();
        routes.sort_by(|a, b| b.since.exchanges.cmp(&a.since.exchanges).then_with(|| a.route.cmp(&b.route)));
        routes.truncate(ROUTES_MAX);
        Self {
            number: trial.number,
            back_to: trial.back_to,
            state: state.to_owned(),
            reason,
            seconds_left: left_ms as f64 / 1000.0,
            routes,
        }
    }
}

/// Tells how the trial stands.
pub(crate) async fn get(State(api): State<Arc<Api>>) -> Answer<TrialStatus> {
    match api.instance.trial() {
        Some(trial) => Ok(Json(TrialStatus::of(&trial))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no document was put to work on trial")),
    }
}

/// Keeps the document.
pub(crate) async fn confirm(State(api): State<Arc<Api>>) -> Answer<TrialStatus> {
    api.instance.confirm()?;
    get(State(api)).await
}
