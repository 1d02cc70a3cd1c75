//! Deciding in Redis.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{RedisError, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tollgate_runtime::Clock;

use super::cluster::{Cluster, slot};
use super::connect::Server;
use super::node::Node;
use super::script::{Answer, Deed, Question, Take, answers, command, key};
use super::settings::{RedisSettings, Topology};
use super::unavailable::{Unavailable, UnavailableKind};
use crate::Decision;

/// A Redis, Valkey, or cluster of them, in which limits of all instances count.
///
/// Connections are made and driven on the runtime given at the start; who asks may be on any runtime with timers.
/// Redis's own clock decides, so those of the instances do not matter. Keys end by themselves.
///
/// **When Redis is slow or gone**: no call lasts longer than [`RedisSettings::timeout`]. After three in a row without an
/// answer in time, or when the connection cannot be had, calls fail at once, while a task in the background tries to
/// connect again (first after 25 to 50 ms, at most every 2 s). It is never a request that tries.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Arc<RedisSettings>,
    runtime: Handle,
    servers: Servers,
    clock: Clock,
}

enum Servers {
    One(Arc<Node>),
    Cluster(Cluster),
}

/// Questions that one server can answer in one call, and their places in the request.
struct Group {
    slot: u16,
    places: Vec<usize>,
    questions: Vec<Question>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({:?})", self.inner.settings)
    }
}

impl RedisStore {
    /// Begins to connect, on `runtime`. Connections end when the last copy of the store is dropped.
    pub fn start(settings: RedisSettings, runtime: &Handle) -> Self {
        let settings = Arc::new(settings);
        let one = |server| Servers::One(Node::start(Arc::clone(&settings), server, runtime));
        let servers = match &settings.topology {
            Topology::Single(address) => one(Server::At(address.clone())),
            Topology::Sentinel { .. } => one(Server::Master),
            Topology::Cluster(_) => Servers::Cluster(Cluster::start(Arc::clone(&settings), runtime)),
        };
        let inner = Inner { settings, runtime: runtime.clone(), servers, clock: Clock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Decides all that is asked, in one round trip (in a cluster: one to each server that has to be asked, at the same
    /// time). Each limit decides for itself: where one refuses, the others have counted.
    ///
    /// The future borrows nothing, and begins when it is awaited.
    ///
    /// # Errors
    ///
    /// If any of it could not be decided, within the time there is. Whether it was counted is then not known.
    pub fn take(
        &self,
        request: &[Take<'_>],
    ) -> impl Future<Output = Result<Vec<Decision>, Unavailable>> + Send + use<> {
        let questions = request.iter().map(|take| self.question(take, Deed::Take(take.cost))).collect();
        let store = self.clone();
        async move {
            let answers = store.ask(questions).await?;
            Ok(answers.into_iter().map(|answer| answer.decision).collect())
        }
    }

    /// Why Redis cannot be asked at this moment; `None` if it can, or soon will be.
    pub fn problem(&self) -> Option<Unavailable> {
        match &self.inner.servers {
            Servers::One(node) => node.problem(),
            Servers::Cluster(cluster) => cluster.problem(),
        }
    }

    pub(super) fn question(&self, take: &Take<'_>, deed: Deed) -> Question {
        let key = key(&self.inner.settings.prefix, take.limit, take.key);
        Question { key, counting: take.counting, deed }
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    pub(super) fn clock(&self) -> Clock {
        self.inner.clock
    }

    pub(super) async fn ask(&self, questions: Vec<Question>) -> Result<Vec<Answer>, Unavailable> {
        let mut groups = self.groups(questions);
        let Some(first) = groups.pop() else { return Ok(Vec::new()) };
        // All at the same time: the first from here, the others, of a cluster, each by a task.
        let others: Vec<_> = groups
            .into_iter()
            .map(|group| self.inner.runtime.spawn(Arc::clone(&self.inner).decide(group)))
            .collect();
        let mut found = Arc::clone(&self.inner).decide(first).await?;
        for other in others {
            let ended = |_| Unavailable::new(UnavailableKind::Lost, "the runtime of the connections ended");
            found.extend(other.await.map_err(ended)??);
        }
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, answer)| answer).collect())
    }

    fn groups(&self, questions: Vec<Question>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (place, question) in questions.into_iter().enumerate() {
            let slot = match &self.inner.servers {
                Servers::One(_) => 0,
                Servers::Cluster(_) => slot(&question.key),
            };
            match groups.iter_mut().find(|group| group.slot == slot) {
                Some(group) => {
                    group.places.push(place);
                    group.questions.push(question);
                }
                None => groups.push(Group { slot, places: vec![place], questions: vec![question] }),
            }
        }
        groups
    }
}

impl Inner {
    /// Asks one server, for as long as a decision may take.
    async fn decide(self: Arc<Self>, group: Group) -> Result<Vec<(usize, Answer)>, Unavailable> {
        let asked = Mutex::new(None);
        let Ok(value) = timeout(self.settings.timeout, self.send(&group, &asked)).await else {
            if let Some(node) = asked.into_inner().unwrap_or_else(PoisonError::into_inner) {
                node.timed_out();
            }
            return Err(Unavailable::timed_out());
        };
        let answers = answers(&value?, group.questions.len())?;
        Ok(group.places.into_iter().zip(answers).collect())
    }

    /// Sends the questions to whom they belong, and notes down whom it asked.
    async fn send(&self, group: &Group, asked: &Mutex<Option<Arc<Node>>>) -> Result<Value, Unavailable> {
        let note = |node: &Arc<Node>| {
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(node));
        };
        let cluster = match &self.servers {
            Servers::One(node) => {
                note(node);
                return Ok(self.ask_node(node, group).await??);
            }
            Servers::Cluster(cluster) => cluster,
        };
        let node = cluster.node(group.slot).await?;
        note(&node);
        let answer = match self.ask_node(&node, group).await {
            Ok(Err(error)) => error,
            Ok(Ok(value)) => return Ok(value),
            Err(unavailable) => {
                // Perhaps another one has its keys by now.
                cluster.is_stale();
                return Err(unavailable);
            }
        };
        let Some(node) = cluster.redirected(&answer) else { return Err(answer.into()) };
        note(&node);
        if answer.code() == Some("ASK") {
            let questions: Vec<&Question> = group.questions.iter().collect();
            let mut commands = redis::pipe();
            commands.add_command(redis::cmd("ASKING"));
            commands.add_command(command(&questions, true, self.clock.wall().as_secs()));
            return Ok(node.call_last(&commands).await??);
        }
        Ok(self.ask_node(&node, group).await??)
    }

    async fn ask_node(&self, node: &Node, group: &Group) -> Result<Result<Value, RedisError>, Unavailable> {
        let questions: Vec<&Question> = group.questions.iter().collect();
        let wall_s = self.clock.wall().as_secs();
        let answer = node.call(&command(&questions, false, wall_s)).await?;
        match &answer {
            // A server that was restarted or flushed has it again after this.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                node.call(&command(&questions, true, wall_s)).await
            }
            _ => Ok(answer),
        }
    }
}
