//! What differs between two documents, in words.
//!
//! Things are matched by what operators call them (an upstream by its name, an endpoint and a listener by their
//! address, a route by its name or else by what it matches), so that what is inserted does not make all after it
//! look changed. Their settings are compared as [`Item`] trees, whatever the keys are.

mod change;
mod gate;
mod order;
mod routes;

use std::collections::HashMap;

pub use change::{Change, ChangeKind, Subject, SubjectKind, What};

use crate::item::{Builder, Content, Item, path};
use crate::model::{Document, Endpoint, Listener, Upstream};
use crate::setting::Setting;
use crate::source::Located;

/// What a running process cannot change, and why. A key stands for all below it.
const NEEDS_RESTART: &[(&str, &str)] = &[
    ("workers", "threads start once"),
    ("data_dir", "opened once"),
    ("admin", "bound once"),
    ("admin.socket", "bound once"),
    ("admin.listen", "bound once"),
    ("admin.token", "read once"),
];

/// What is told thing by thing, and not as a setting. The texts that an include names are compared, not the name.
const ELSEWHERE: [&str; 11] = [
    "include",
    "listen",
    "upstreams",
    "routes",
    "consumers",
    "auth",
    "rate_limits",
    "concurrency_limits",
    "quotas",
    "redis",
    "tests",
];

/// What a new document changes of an old one: listeners, settings, what
/// is said of callers, upstreams, routes. Empty if both say the
/// same. The order of listeners, upstreams and endpoints means nothing and is not told, that of routes only where
/// it decides which of two gets a request. Takes time in proportion to the documents' size.
pub fn difference(old: &Document, new: &Document) -> Vec<Change> {
    let mut comparer = Comparer { builder: Builder::default(), changes: Vec::new() };
    comparer.listeners(&old.listen, &new.listen);
    comparer.settings(old, new);
    comparer.gate(&old.gate, &new.gate);
    comparer.upstreams(old, new);
    comparer.routes(&old.routes, &new.routes);
    comparer.changes
}

/// The same for the settings alone, without all that has a name of its own: its time does not depend on how
/// many of them there are.
pub fn difference_of_settings(old: &Document, new: &Document) -> Vec<Change> {
    let mut comparer = Comparer { builder: Builder::default(), changes: Vec::new() };
    comparer.settings(old, new);
    comparer.changes
}

struct Comparer {
    builder: Builder,
    changes: Vec<Change>,
}

impl Comparer {
    fn listeners(&mut self, old: &[Located<Listener>], new: &[Located<Listener>]) {
        let address = |listener: &Located<Listener>| listener.place.to_string();
        for (before, after) in matched(old, new, address) {
            let name = after.or(before).map(address).unwrap_or_default();
            self.compare(Subject::new(SubjectKind::Listener, name), before, after, &[], None);
        }
    }

    /// All that is not a list of things with names of their own.
    fn settings(&mut self, old: &Document, new: &Document) {
        let elsewhere = ELSEWHERE;
        let shape = Document::shape();
        let [old, new] = [old, new]
            .map(|document| self.builder.item(&document.encode_without(&elsewhere), &shape, None, true));
        let mut what = Vec::new();
        walk(String::new(), Some(&old), Some(&new), &mut what);
        for what in what.into_iter().filter(|what| !elsewhere.contains(&what.key.as_str())) {
            let subject = Subject::new(SubjectKind::of_setting(&what.key), what.key.clone());
            let restart = restart(&what.key);
            let what = vec![What { key: String::new(), ..what }];
            self.changes.push(Change { kind: ChangeKind::Changed, subject, about: None, what, restart });
        }
    }

    fn upstreams(&mut self, old: &Document, new: &Document) {
        let [old, new] = [old, new].map(|document| document.upstreams.iter().collect::<Vec<_>>());
        for (before, after) in matched(&old, &new, |(name, _)| name.value.to_string()) {
            let Some((name, _)) = after.or(before) else { continue };
            let subject = Subject::new(SubjectKind::Upstream, name.value.to_string());
            let [before, after] = [before, after].map(|found| found.map(|(_, upstream)| upstream));
            match (before, after) {
                (Some(before), Some(after)) if before != after => {
                    self.compare(subject, Some(before), Some(after), &["endpoints"], None);
                    self.endpoints(name.value.as_ref(), before, after);
                }
                (Some(_), Some(_)) => {}
                (before, after) => {
                    let count = after.or(before).map_or(0, |upstream| upstream.endpoints.len());
                    let about = format!("{count} endpoint{}", if count == 1 { "" } else { "s" });
                    self.compare(subject, before, after, &[], Some(about));
                }
            }
        }
    }

    fn endpoints(&mut self, upstream: &str, old: &Upstream, new: &Upstream) {
        let address = |endpoint: &Located<Endpoint>| endpoint.name();
        for (before, after) in matched(&old.endpoints, &new.endpoints, address) {
            let name = after.or(before).map(address).unwrap_or_default();
            let subject =
                Subject { of: Some(upstream.to_owned()), ..Subject::new(SubjectKind::Endpoint, name) };
            self.compare(subject, before, after, &["address", "dns", "srv", "file"], None);
        }
    }

    /// Tells what differs between two values, or that one of them is not there. `but` names keys that are told
    /// elsewhere.
    fn compare<T: Setting + PartialEq>(
        &mut self,
        subject: Subject,
        old: Option<&T>,
        new: Option<&T>,
        but: &[&str],
        about: Option<String>,
    ) {
        if old == new {
            return;
        }
        let kind = match (old, new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        let shape = T::shape();
        let [old, new] = [old, new].map(|value| {
            value.map(|value| self.builder.item(&value.encode_without(but), &shape, None, true))
        });
        let mut what = Vec::new();
        walk(String::new(), old.as_ref(), new.as_ref(), &mut what);
        if kind != ChangeKind::Changed || !what.is_empty() {
            self.changes.push(Change { kind, subject, about, what, restart: None });
        }
    }
}

/// Why a setting cannot change while the process runs, if it cannot.
fn restart(key: &str) -> Option<&'static str> {
    let below =
        |row: &str| key.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    NEEDS_RESTART.iter().find(|(row, _)| below(row)).map(|(_, reason)| *reason)
}

/// Pairs the elements of two lists that have the same key, the first with the first where several have it. What
/// is only in the old list comes first, then the new list in its order.
fn matched<'t, T>(
    old: &'t [T],
    new: &'t [T],
    key: impl Fn(&T) -> String,
) -> Vec<(Option<&'t T>, Option<&'t T>)> {
    let mut waiting: HashMap<String, Vec<usize>> = HashMap::with_capacity(old.len());
    for (at, item) in old.iter().enumerate().rev() {
        waiting.entry(key(item)).or_default().push(at);
    }
    let mut left: Vec<bool> = vec![true; old.len()];
    let mut pairs = Vec::with_capacity(new.len());
    for item in new {
        let at = waiting.get_mut(&key(item)).and_then(Vec::pop);
        at.into_iter().for_each(|at| left[at] = false);
        pairs.push((at.map(|at| &old[at]), Some(item)));
    }
    let removed = old.iter().zip(left).filter(|(_, left)| *left).map(|(item, _)| (Some(item), None));
    removed.chain(pairs).collect()
}

/// Collects where two values differ, down to single values and lists. Of a mapping that one side does not have,
/// what is set counts: the rest follows from that.
fn walk(key: String, old: Option<&Item>, new: Option<&Item>, what: &mut Vec<What>) {
    if old == new {
        return;
    }
    let has_some = |entries: &[(String, Item)]| Item::shown(entries, true).next().is_some();
    match (entries(old), entries(new)) {
        (Some(before), Some(after)) => walk_entries(&key, before, after, false, what),
        (Some(before), None) if new.is_none() && has_some(before) => {
            walk_entries(&key, before, &[], true, what);
        }
        (None, Some(after)) if old.is_none() && has_some(after) => {
            walk_entries(&key, &[], after, true, what);
        }
        _ => what.push(leaf(key, old, new)),
    }
}

fn entries(item: Option<&Item>) -> Option<&[(String, Item)]> {
    match &item?.content {
        Content::Mapping(entries) => Some(entries),
        _ => None,
    }
}

fn walk_entries(
    key: &str,
    old: &[(String, Item)],
    new: &[(String, Item)],
    only_set: bool,
    what: &mut Vec<What>,
) {
    let mut before: HashMap<&str, &Item> = old.iter().map(|(key, item)| (key.as_str(), item)).collect();
    let counts = |item: &Item| item.set || !only_set;
    for (name, item) in new.iter().filter(|(_, item)| counts(item)) {
        walk(path(key, name), before.remove(name.as_str()), Some(item), what);
    }
    for (name, item) in old.iter().filter(|(name, item)| counts(item) && before.contains_key(name.as_str())) {
        walk(path(key, name), Some(item), None, what);
    }
}

fn leaf(key: String, old: Option<&Item>, new: Option<&Item>) -> What {
    let sealed = |item: Option<&Item>| item.is_some_and(|item| matches!(item.content, Content::Secret(_)));
    let secret = sealed(old) || sealed(new);
    let [old, new] = [old, new].map(|item| item.map(Item::masked));
    // Lists of secrets may look the same once they are masked.
    What { secret: secret || old == new, key, old, new }
}
