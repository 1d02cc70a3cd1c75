//! What is shown: the last look, what changed since the one before, and what the keys have chosen.

use std::collections::{HashMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::Serialize;
use tollgate_admin::report::{Latency, RouteStatus, Status};

use crate::overview::route_name;

/// How many intervals the curve shows at most.
const HISTORY: usize = 512;
/// How long a filter may be.
const FILTER_MAX: usize = 60;

/// The state of the picture.
pub struct Model {
    before: Option<Status>,
    now: Status,
    /// Requests a second in the last intervals, the newest last.
    history: VecDeque<u64>,
    /// What routes are sorted by.
    pub sort: Sort,
    /// What routes' and endpoints' names must contain.
    pub filter: String,
    /// Whether keys go to the filter.
    pub typing: bool,
    /// Why the last look failed.
    pub trouble: Option<String>,
}

/// What routes are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The busiest first.
    Rate,
    /// The slowest first.
    Slowest,
    /// Those with most server errors first.
    Errors,
    /// By name.
    Name,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// It is over.
    End,
}

/// What changed between two looks.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// How far they are apart; `None` after one look, or where the process was started anew.
    pub seconds: Option<f64>,
    /// Exchanges a second.
    pub exchanges_per_second: Option<f64>,
    /// Those a second where neither the client nor nobody is at fault.
    pub failures_per_second: Option<f64>,
    /// All routes' durations together, within the interval.
    pub latency: Latency,
    /// The routes.
    pub routes: Vec<RouteChanges>,
    /// Why exchanges failed, by frequency.
    pub reasons: Vec<ReasonChanges>,
}

/// What changed at a route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteChanges {
    /// Its name.
    pub name: String,
    /// Exchanges a second.
    pub per_second: Option<f64>,
    /// Those answered with 4xx.
    pub client_errors_per_second: Option<f64>,
    /// Those answered with 5xx.
    pub server_errors_per_second: Option<f64>,
    /// Their durations.
    pub latency: Latency,
}

/// How often a reason occurred.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonChanges {
    /// Its code.
    pub reason: String,
    /// Who is at fault.
    pub side: String,
    /// How often a second.
    pub per_second: Option<f64>,
    /// How often since the process started.
    pub total: u64,
}

impl Model {
    /// After the first look.
    pub fn new(now: Status) -> Self {
        Self {
            before: None,
            now,
            history: VecDeque::new(),
            sort: Sort::Rate,
            filter: String::new(),
            typing: false,
            trouble: None,
        }
    }

    /// After another look.
    pub fn see(&mut self, status: Status) {
        self.before = Some(std::mem::replace(&mut self.now, status));
        self.trouble = None;
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(self.changes().exchanges_per_second.unwrap_or(0.0).round() as u64);
    }

    /// The last look.
    pub fn status(&self) -> &Status {
        &self.now
    }

    /// Requests a second in the last intervals, the newest last.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.history.iter().copied()
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Flow {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Flow::End } else { Flow::Continue };
        }
        match key.code {
            KeyCode::Esc if self.typing || !self.filter.is_empty() => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Backspace if self.typing => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.typing && self.filter.len() < FILTER_MAX => self.filter.push(c),
            KeyCode::Char(_) if self.typing => {}
            KeyCode::Char('q') | KeyCode::Esc => return Flow::End,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('/') => self.typing = true,
            _ => {}
        }
        Flow::Continue
    }

    /// Whether the filter lets a name through.
    pub fn lets_through(&self, name: &str) -> bool {
        self.filter.is_empty() || name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// What changed since the look before; without one, what happened since the process started, and no rates.
    pub fn changes(&self) -> Changes {
        let before = self.before.as_ref().filter(|before| of_one_process(before, &self.now));
        let apart_ms = before.map(|b| self.now.process.uptime_ms.saturating_sub(b.process.uptime_ms));
        let seconds = apart_ms.filter(|ms| *ms > 0).map(|ms| ms as f64 / 1000.0);
        let rate = |now: u64, before: u64| seconds.map(|seconds| now.saturating_sub(before) as f64 / seconds);

        let routes_before: HashMap<_, _> =
            before.iter().flat_map(|before| &before.routes.list).map(|route| (&route.name, route)).collect();
        let mut latency = Latency::default();
        let routes: Vec<RouteChanges> = (self.now.routes.list.iter())
            .map(|route| {
                let changes = route_changes(route, routes_before.get(&route.name).copied(), &rate);
                latency.add(&changes.latency);
                changes
            })
            .collect();

        let counted = |status: &Status, counts: fn(&str) -> bool| -> u64 {
            status.exchanges.iter().filter(|r| counts(&r.side)).map(|r| r.count).sum()
        };
        let rate_of = |counts: fn(&str) -> bool| {
            rate(counted(&self.now, counts), before.map_or(0, |before| counted(before, counts)))
        };
        Changes {
            seconds,
            exchanges_per_second: rate_of(|_| true),
            failures_per_second: rate_of(|side| side != "nobody" && side != "client"),
            latency,
            routes,
            reasons: self.reasons(before, &rate),
        }
    }

    /// The routes that the filter lets through, in the chosen order.
    pub fn routes(&self, changes: &Changes) -> Vec<RouteChanges> {
        let mut routes: Vec<RouteChanges> =
            changes.routes.iter().filter(|route| self.lets_through(&route.name)).cloned().collect();
        // After one look all that is known is how many there were.
        let busy = |route: &RouteChanges| route.per_second.unwrap_or(route.latency.count as f64);
        let slow = |route: &RouteChanges| route.latency.quantile(0.99).unwrap_or(-1.0);
        routes.sort_by(|a, b| {
            let by = match self.sort {
                Sort::Rate => busy(b).total_cmp(&busy(a)),
                Sort::Slowest => slow(b).total_cmp(&slow(a)),
                Sort::Errors => {
                    let errors = |route: &RouteChanges| route.server_errors_per_second.unwrap_or(0.0);
                    errors(b).total_cmp(&errors(a))
                }
                Sort::Name => std::cmp::Ordering::Equal,
            };
            by.then_with(|| a.name.cmp(&b.name))
        });
        routes
    }

    fn reasons(
        &self,
        before: Option<&Status>,
        rate: &impl Fn(u64, u64) -> Option<f64>,
    ) -> Vec<ReasonChanges> {
        let counts: HashMap<&str, u64> = (before.iter().flat_map(|before| &before.exchanges))
            .map(|reason| (reason.reason.as_str(), reason.count))
            .collect();
        let mut reasons: Vec<ReasonChanges> = (self.now.exchanges.iter())
            .filter(|reason| reason.side != "nobody")
            .map(|reason| ReasonChanges {
                reason: reason.reason.clone(),
                side: reason.side.clone(),
                per_second: rate(reason.count, counts.get(reason.reason.as_str()).copied().unwrap_or(0)),
                total: reason.count,
            })
            .collect();
        reasons.sort_by(|a, b| {
            let rates = b.per_second.unwrap_or(0.0).total_cmp(&a.per_second.unwrap_or(0.0));
            rates.then(b.total.cmp(&a.total)).then_with(|| a.reason.cmp(&b.reason))
        });
        reasons
    }
}

/// Whether two answers are of the same process.
fn of_one_process(before: &Status, now: &Status) -> bool {
    let (before, now) = (&before.process, &now.process);
    before.pid == now.pid && before.uptime_ms <= now.uptime_ms
}

fn route_changes(
    route: &RouteStatus,
    before: Option<&RouteStatus>,
    rate: &impl Fn(u64, u64) -> Option<f64>,
) -> RouteChanges {
    let was = |count: fn(&RouteStatus) -> u64| before.map_or(0, count);
    RouteChanges {
        name: route_name(route).to_owned(),
        per_second: rate(route.exchanges, was(|route| route.exchanges)),
        client_errors_per_second: rate(route.classes.client_errors, was(|route| route.classes.client_errors)),
        server_errors_per_second: rate(route.classes.server_errors, was(|route| route.classes.server_errors)),
        latency: before.map_or_else(|| route.latency.clone(), |before| route.latency.since(&before.latency)),
    }
}

impl Sort {
    /// The word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Slowest => "p99",
            Self::Errors => "5xx",
            Self::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Rate => Self::Slowest,
            Self::Slowest => Self::Errors,
            Self::Errors => Self::Name,
            Self::Name => Self::Rate,
        }
    }
}
