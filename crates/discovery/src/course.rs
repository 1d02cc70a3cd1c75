//! What becomes of a look at a source, and when the next one is due. No clock, no randomness, no I/O.

use std::sync::Arc;

use tollgate_runtime::Random;

use crate::found::{Found, changes, sorted};

/// So many looks in a row have to find nothing before a list that had something becomes empty: one wrong answer of one
/// name server takes nobody out.
const EMPTY_LOOKS: u32 = 3;

/// What is done when a source says that there is nothing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnEmpty {
    /// The last list stays: an upstream without endpoints answers nobody, and a name that vanished is more often a
    /// mistake than a wish.
    #[default]
    Keep,
    /// After three looks in a row that found nothing the list is empty.
    Remove,
}

/// How a source is followed. All times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// From one good look to the next, at least.
    pub soonest_ms: u64,
    /// From one good look to the next, at most; a tenth may be added by chance.
    pub latest_ms: u64,
    /// After a failure, at first; twice as long after each further one.
    pub retry_first_ms: u64,
    /// After failures, at most.
    pub retry_latest_ms: u64,
    /// What to do when there is nothing any more.
    pub on_empty: OnEmpty,
    /// How many endpoints of a list are used.
    pub max: usize,
}

/// What a look at a source found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The whole list, in any order. An empty one is meant.
    List {
        /// The endpoints.
        found: Vec<Found>,
        /// How long it holds, in milliseconds, if its source says so.
        fresh_ms: Option<u64>,
        /// What could not be learned and is as it was before.
        problem: Option<String>,
    },
    /// There is nothing, which may be a mistake; in words.
    Nothing(String),
    /// It could not be learned; why.
    Failed(String),
    /// Nothing that would have to be read again.
    Unchanged,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The list, if it is another than before.
    pub list: Option<Arc<[Found]>>,
    /// What there is to tell the operator: each change, and the first of the same failures in a row.
    pub line: Option<String>,
}

/// What is known of a source.
#[derive(Clone, Debug)]
pub struct Course {
    rules: Rules,
    random: Random,
    list: Option<Arc<[Found]>>,
    problem: Option<Arc<str>>,
    /// Failures in a row.
    failing: u32,
    /// Looks in a row that found nothing.
    empty: u32,
    failures: u64,
    good_ms: Option<u64>,
    due_ms: u64,
}

impl Course {
    /// Of a source that nobody has looked at yet: it is due at once. `seed` is what times are spread by.
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            rules,
            random: Random::from_seed(seed),
            list: None,
            problem: None,
            failing: 0,
            empty: 0,
            failures: 0,
            good_ms: None,
            due_ms: 0,
        }
    }

    /// The same for a source of which a list is known already, that was last good at `good_ms`: it is due about as soon as
    /// it may be.
    #[must_use]
    pub fn known(mut self, list: Arc<[Found]>, good_ms: u64, now_ms: u64) -> Self {
        self.list = Some(list);
        self.good_ms = Some(good_ms);
        self.due_ms = now_ms.saturating_add(self.wait(Some(0)));
        self
    }

    /// The last good list; `None` while there was none.
    pub fn list(&self) -> Option<&Arc<[Found]>> {
        self.list.as_ref()
    }

    /// What is wrong since the last look; `None` if nothing is.
    pub fn problem(&self) -> Option<&Arc<str>> {
        self.problem.as_ref()
    }

    /// How many looks have failed in all.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// When the source last gave a list that was good, in milliseconds since the process started.
    pub fn good_ms(&self) -> Option<u64> {
        self.good_ms
    }

    /// When the next look is due, in milliseconds since the process started.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Takes what a look found that ended now.
    pub fn take(&mut self, look: Look, now_ms: u64) -> Step {
        match look {
            Look::List { found, fresh_ms, problem } => self.good(found, fresh_ms, problem, now_ms),
            Look::Nothing(why) => {
                self.empty = self.empty.saturating_add(1);
                let remove = self.rules.on_empty == OnEmpty::Remove && self.empty >= EMPTY_LOOKS;
                match remove && self.list.is_some() {
                    true => self.good(Vec::new(), Some(self.rules.retry_latest_ms), Some(why), now_ms),
                    false => self.failed(why, now_ms),
                }
            }
            Look::Failed(why) => {
                self.empty = 0;
                self.failed(why, now_ms)
            }
            Look::Unchanged => {
                // Of something that could not be used nothing has changed either.
                if self.problem.is_none() {
                    self.good_ms = Some(now_ms);
                }
                self.due_ms = now_ms.saturating_add(self.wait(None));
                Step { list: None, line: None }
            }
        }
    }

    fn good(
        &mut self,
        found: Vec<Found>,
        fresh_ms: Option<u64>,
        problem: Option<String>,
        now_ms: u64,
    ) -> Step {
        let sorted = sorted(found, self.rules.max);
        let problem = problem.or(sorted.problem);
        let was_failing = std::mem::take(&mut self.failing) > 0;
        if !sorted.list.is_empty() {
            self.empty = 0;
        }
        self.good_ms = Some(now_ms);
        self.due_ms = now_ms.saturating_add(self.wait(fresh_ms));
        let is_same = self.list.as_deref() == Some(&*sorted.list);
        let mut line = match (&self.list, is_same) {
            (_, true) => was_failing.then(|| "answers again, with the same endpoints".to_owned()),
            (before, false) => {
                let changes = changes(before.as_deref().unwrap_or_default(), &sorted.list);
                Some(match sorted.list.len() {
                    0 => format!("has no endpoints now: {changes}"),
                    1 => format!("has 1 endpoint now: {changes}"),
                    n => format!("has {n} endpoints now: {changes}"),
                })
            }
        };
        if let Some(problem) = problem.as_deref().filter(|problem| self.problem.as_deref() != Some(*problem))
        {
            line = Some(line.map_or_else(|| problem.to_owned(), |line| format!("{line}; {problem}")));
        }
        self.failures += u64::from(problem.is_some());
        self.problem = problem.map(Arc::from);
        let list = (!is_same).then(|| Arc::from(sorted.list));
        if list.is_some() {
            self.list.clone_from(&list);
        }
        Step { list, line }
    }

    fn failed(&mut self, why: String, now_ms: u64) -> Step {
        self.failing = self.failing.saturating_add(1);
        self.failures += 1;
        let doublings = (self.failing - 1).min(32);
        let Rules { retry_first_ms, retry_latest_ms, .. } = self.rules;
        let wait = retry_first_ms.saturating_mul(1 << doublings).min(retry_latest_ms);
        // From half of it to all of it: those that failed together do not come back together.
        let wait = wait / 2 + self.below(wait - wait / 2 + 1);
        self.due_ms = now_ms.saturating_add(wait);
        let line = (self.problem.as_deref() != Some(&*why)).then(|| match self.list.as_deref() {
            None => format!("{why}; it has no endpoints yet"),
            Some([]) => format!("{why}; it has no endpoints"),
            Some([_]) => format!("{why}; the endpoint that it had stays"),
            Some(list) => format!("{why}; the {} endpoints that it had stay", list.len()),
        });
        self.problem = Some(why.into());
        Step { list: None, line }
    }

    /// How long a good answer is good for.
    fn wait(&mut self, fresh_ms: Option<u64>) -> u64 {
        let Rules { soonest_ms, latest_ms, .. } = self.rules;
        let fresh = fresh_ms.unwrap_or(latest_ms).min(latest_ms).max(soonest_ms);
        // Later, never sooner: before the time is over a name server that remembers would give the same answer, with
        // what is left of its time.
        fresh.saturating_add(self.below(fresh / 10 + 1))
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.random.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
