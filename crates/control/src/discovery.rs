//! The sources of the upstreams in force, followed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{AbortHandle, JoinSet};
use tollgate_discovery::dns::{Client, Settings};
use tollgate_discovery::{Course, Step, follow};
use tollgate_runtime::{Clock, Random};
use tollgate_upstream::Member;

use crate::compile::Plans;
use crate::compile::sources::{FirstFound, Known, SourcePlan, members_of};
use crate::resolve::source;

/// Takes the whole list that a source has found: upstream, key of the source, list.
pub type Apply = Arc<dyn Fn(&str, &str, Vec<Member>) + Send + Sync>;

/// Follows the sources of the document in force, on the runtime it is used on. Dropping it ends that.
pub struct Discovery {
    tasks: JoinSet<()>,
    /// By upstream and key of the source.
    running: HashMap<(Arc<str>, Arc<str>), Following>,
    settings: Settings,
    client: Arc<Client>,
    apply: Apply,
    say: fn(&str),
}

/// A source that is followed.
struct Following {
    plan: SourcePlan,
    course: Arc<Mutex<Course>>,
    task: AbortHandle,
}

/// What is known of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The upstream that it is one of.
    pub upstream: String,
    /// What it is called there: `dns api.internal:8080`.
    pub source: String,
    /// The word for its kind: `dns`, `srv` or `file`.
    pub kind: &'static str,
    /// How many endpoints its last good answer has; `None` where there was none.
    pub endpoints: Option<usize>,
    /// Milliseconds since its last good answer.
    pub age_ms: Option<u64>,
    /// How many looks at it have failed.
    pub failures: u64,
    /// What is wrong with it now.
    pub problem: Option<String>,
}

impl Discovery {
    /// Nothing is followed yet. `apply` gets each list, `say` writes a line of the process's log.
    pub fn new(apply: Apply, say: fn(&str)) -> Self {
        let settings = Settings::default();
        let client = Arc::new(Client::new(settings.clone()));
        Self { tasks: JoinSet::new(), running: HashMap::new(), settings, client, apply, say }
    }

    /// Follows the sources of the document in force, and no others. One that is the same as before goes on; what one that
    /// is changed had found stays until it finds something else.
    pub fn adopt(&mut self, plans: &Plans) {
        let same_client = self.settings == plans.dns;
        if !same_client {
            self.settings.clone_from(&plans.dns);
            self.client = Arc::new(Client::new(plans.dns.clone()));
        }
        let mut before = std::mem::take(&mut self.running);
        let mut random = Random::from_machine();
        for (upstream, plan) in &plans.upstreams {
            let upstream: Arc<str> = upstream.as_str().into();
            for source in &plan.sources {
                let key = (upstream.clone(), source.key.clone());
                let found = plans.first_found.get(&upstream, &source.key);
                let following = match before.remove(&key) {
                    Some(same) if same.plan == *source && (same_client || !source.asks()) => same,
                    other => {
                        let course = other.map(|other| {
                            other.task.abort();
                            other.course
                        });
                        self.begin(&upstream, source, course, found, random.next_u64())
                    }
                };
                self.running.insert(key, following);
            }
        }
        before.values().for_each(|gone| gone.task.abort());
        // Takes the tasks that have ended out of the set.
        while self.tasks.try_join_next().is_some() {}
    }

    fn begin(
        &mut self,
        upstream: &Arc<str>,
        plan: &SourcePlan,
        before: Option<Arc<Mutex<Course>>>,
        found: Option<&Known>,
        seed: u64,
    ) -> Following {
        let clock = Clock::new();
        let mut course = Course::new(plan.rules, seed);
        let before = before.and_then(|before| known(&lock(&before)));
        if let Some(Known { list, good_ms }) = found.cloned().or(before) {
            (self.apply)(upstream, &plan.key, members_of(&list, &plan.traits));
            course = course.known(list, good_ms, clock.now_ms());
        }
        let (course, source) = (Arc::new(Mutex::new(course)), source(plan, &self.client));
        let (apply, say) = (self.apply.clone(), self.say);
        let (name, key, for_telling) = (upstream.clone(), plan.key.clone(), course.clone());
        let traits = plan.traits.clone();
        let tell = move |Step { list, line }: Step| {
            if let Some(list) = &list {
                apply(&name, &key, members_of(list, &traits));
            }
            // Who takes the list tells what that changed; what is told here is what is wrong, and that it is over.
            let is_wrong = lock(&for_telling).problem().is_some();
            if let Some(line) = line.filter(|_| list.is_none() || is_wrong) {
                say(&format!("upstream {name}, {key}: {line}"));
            }
        };
        let following = follow(source, course.clone(), move || clock.now_ms(), tell);
        let task = self.tasks.spawn(following);
        Following { plan: plan.clone(), course, task }
    }

    /// What all sources have found, for the document that may come next.
    pub fn found(&self) -> FirstFound {
        let mut found = FirstFound::default();
        for ((upstream, key), following) in &self.running {
            if let Some(known) = known(&lock(&following.course)) {
                found.set(upstream, key, known);
            }
        }
        found
    }

    /// What is known of each source, by upstream and name.
    pub fn states(&self, now_ms: u64) -> Vec<SourceState> {
        let state = |((upstream, key), following): (&(Arc<str>, Arc<str>), &Following)| {
            let course = lock(&following.course);
            SourceState {
                upstream: upstream.to_string(),
                source: key.to_string(),
                kind: following.plan.kind(),
                endpoints: course.list().map(|list| list.len()),
                age_ms: course.good_ms().map(|good| now_ms.saturating_sub(good)),
                failures: course.failures(),
                problem: course.problem().map(ToString::to_string),
            }
        };
        let mut states: Vec<_> = self.running.iter().map(state).collect();
        states.sort_unstable_by(|a, b| (&a.upstream, &a.source).cmp(&(&b.upstream, &b.source)));
        states
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").field("sources", &self.running.len()).finish_non_exhaustive()
    }
}

fn known(course: &Course) -> Option<Known> {
    Some(Known { list: course.list()?.clone(), good_ms: course.good_ms()? })
}

fn lock(course: &Mutex<Course>) -> MutexGuard<'_, Course> {
    course.lock().unwrap_or_else(PoisonError::into_inner)
}
