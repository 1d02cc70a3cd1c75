//! One difference, for people and for programs.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Value as Json, json};

use crate::write::scalar;

/// What a new document does to one thing of the old one.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whether the thing is new, gone, or other than before.
    pub kind: ChangeKind,
    /// The thing.
    pub subject: Subject,
    /// What is worth knowing of a thing that is new or gone, in a few words.
    pub about: Option<String>,
    /// The keys that differ. Of a thing that is new or gone, what is written for it.
    pub what: Vec<What>,
    /// Why it takes effect only when the process is started anew. `None` if it does at once.
    pub restart: Option<&'static str>,
}

/// How a thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Only the new document has it.
    Added,
    /// Only the old document has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// A thing of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// What operators call it: a name, an address, the path of a key; for a route without a name, what it matches.
    pub name: String,
    /// The upstream of an endpoint.
    pub of: Option<String>,
}

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A listener, by its address.
    Listener,
    /// A route, by its name or what it matches.
    Route,
    /// An upstream, by its name.
    Upstream,
    /// An endpoint, by its address.
    Endpoint,
    /// A consumer, by its name.
    Consumer,
    /// A method of authentication, by its name.
    AuthMethod,
    /// A rate limit that routes share, by its name.
    RateLimit,
    /// A concurrency limit that routes share, by its name.
    ConcurrencyLimit,
    /// A quota that routes share, by its name.
    Quota,
    /// A Redis, by its name.
    Redis,
    /// A test of the document, by its name.
    Test,
    /// A key of `limits`.
    Limit,
    /// A key of `timeouts`.
    Timeout,
    /// Any other key.
    Setting,
}

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq)]
pub struct What {
    /// The path of the key within its subject; empty if the subject is the key.
    pub key: String,
    /// The value before, secrets masked. `None` if there was none.
    pub old: Option<Json>,
    /// The value after, secrets masked. `None` if there is none.
    pub new: Option<Json>,
    /// The values hold secrets, so that they may look the same.
    pub secret: bool,
}

impl Change {
    /// Whether it takes effect only when the process is started anew.
    pub fn needs_restart(&self) -> bool {
        self.restart.is_some()
    }

    /// For programs.
    pub fn to_json(&self) -> Json {
        let kind = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        };
        let mut out = json!({
            "kind": kind,
            "subject": self.subject.to_json(),
            "what": self.what.iter().map(What::to_json).collect::<Vec<_>>(),
            "needs_restart": self.needs_restart(),
        });
        if let Some(about) = &self.about {
            out["about"] = about.as_str().into();
        }
        if let Some(reason) = self.restart {
            out["restart_because"] = reason.into();
        }
        out
    }
}

impl Subject {
    pub(super) fn new(kind: SubjectKind, name: String) -> Self {
        Self { kind, name, of: None }
    }

    fn to_json(&self) -> Json {
        let mut out = json!({ "kind": self.kind.word(), "name": self.name });
        if let Some(of) = &self.of {
            out["of"] = of.as_str().into();
        }
        out
    }
}

impl SubjectKind {
    /// The kind of a top-level key.
    pub(super) fn of_setting(key: &str) -> Self {
        match key.split('.').next() {
            Some("limits") => Self::Limit,
            Some("timeouts") => Self::Timeout,
            _ => Self::Setting,
        }
    }

    /// The kind in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Upstream => "upstream",
            Self::Endpoint => "endpoint",
            Self::Consumer => "consumer",
            Self::AuthMethod => "auth",
            Self::RateLimit => "rate_limit",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::Quota => "quota",
            Self::Redis => "redis",
            Self::Test => "test",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Setting => "setting",
        }
    }
}

impl What {
    fn to_json(&self) -> Json {
        json!({ "key": self.key, "old": self.old, "new": self.new, "secret": self.secret })
    }
}

/// One line, such as `~ route checkout: retry.attempts 3 -> 5` or `+ upstream payments (2 endpoints)`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kind, self.restart) {
            (_, Some(_)) => "! ",
            (ChangeKind::Added, None) => "+ ",
            (ChangeKind::Removed, None) => "- ",
            (ChangeKind::Changed, None) => "~ ",
        })?;
        self.subject.fmt(f)?;
        if let Some(about) = &self.about {
            write!(f, " ({about})")?;
        }
        if self.kind == ChangeKind::Changed {
            let of_keys = self.what.iter().any(|what| !what.key.is_empty());
            f.write_str(if of_keys { ": " } else { " " })?;
            for (at, what) in self.what.iter().enumerate() {
                f.write_str(if at > 0 { ", " } else { "" })?;
                what.fmt(f)?;
            }
        }
        match self.restart {
            Some(reason) => write!(f, " (takes effect at the next start: {reason})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = on_one_line(&self.name);
        match self.kind {
            SubjectKind::Limit | SubjectKind::Timeout | SubjectKind::Setting => f.write_str(&name)?,
            kind => write!(f, "{} {name}", kind.word())?,
        }
        self.of.as_ref().map_or(Ok(()), |of| write!(f, " of {of}"))
    }
}

/// The key and both values; of a list, what was added and removed.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} ", on_one_line(&self.key))?;
        }
        match (&self.old, &self.new) {
            (Some(_), Some(_)) if self.secret => f.write_str("secret changed"),
            (None, Some(_)) if self.secret => f.write_str("secret set"),
            (Some(_), None) if self.secret => f.write_str("secret removed"),
            (Some(Json::Array(old)), Some(Json::Array(new))) => list(f, old, new),
            (old, new) => write!(f, "{} -> {}", value(old.as_ref()), value(new.as_ref())),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, old: &[Json], new: &[Json]) -> fmt::Result {
    let [mut old_items, mut new_items] =
        [old, new].map(|items| items.iter().map(compact).collect::<Vec<_>>());
    if old_items.len() + new_items.len() <= 4 {
        return write!(f, "[{}] -> [{}]", old_items.join(", "), new_items.join(", "));
    }
    let mut count: HashMap<String, i64> = HashMap::new();
    old_items.iter().for_each(|item| *count.entry(item.clone()).or_default() += 1);
    new_items.iter().for_each(|item| *count.entry(item.clone()).or_default() -= 1);
    only_once(&mut old_items, &mut count, 1);
    only_once(&mut new_items, &mut count, -1);
    if old_items.is_empty() && new_items.is_empty() {
        return f.write_str("in another order");
    }
    let signed = |sign: char, items: &[String]| {
        let more = items.len().saturating_sub(LISTED);
        let shown = items.iter().take(LISTED).map(|item| format!("{sign}{item}"));
        shown.chain((more > 0).then(|| format!("{sign}{more} more"))).collect::<Vec<_>>()
    };
    let all = [signed('+', &new_items), signed('-', &old_items)].concat();
    f.write_str(&all.join(" "))
}

/// Keeps the items that one side has more often than the other; `side` is the sign of its counts.
fn only_once(items: &mut Vec<String>, count: &mut HashMap<String, i64>, side: i64) {
    items.retain(|item| match count.get_mut(item) {
        Some(left) if *left * side > 0 => {
            *left -= side;
            true
        }
        _ => false,
    });
}

/// Entries of a list that are told one by one.
const LISTED: usize = 8;

/// Characters of a value that are shown.
const SHOWN: usize = 200;

fn value(value: Option<&Json>) -> String {
    value.map_or_else(|| "unset".to_owned(), compact)
}

/// A value on one line, as it would be written in a document.
fn compact(value: &Json) -> String {
    let text = match value {
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key}: {}", compact(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        value => shown(value),
    };
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Without the quotes of a document where nothing can be mistaken.
fn shown(value: &Json) -> String {
    let unclear = |text: &str| {
        let marks = [", ", " -> ", "\""];
        text.is_empty()
            || text.trim() != text
            || text.contains(char::is_control)
            || marks.iter().any(|mark| text.contains(mark))
    };
    match value {
        Json::String(text) if unclear(text) => scalar(value),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
