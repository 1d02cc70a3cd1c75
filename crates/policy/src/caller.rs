//! Who sends a request: consumers, how they are found by what they show, and what is known of one request's
//! sender.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use crate::key_table::KeyTable;

/// A known caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: Box<str>,
    /// The groups that it is in.
    pub groups: Box<[Box<str>]>,
    /// Labels, sorted by name.
    pub labels: Box<[(Box<str>, Box<str>)]>,
}

impl Consumer {
    /// Whether it is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| &**known == group)
    }
}

/// The kinds of credentials that lead to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// An API key: the value is the SHA-256 of the key.
    ApiKey,
    /// A user with a password: the value is the user's name; its secret is the password's hash.
    User,
    /// Whom a token or a login is about.
    Subject,
    /// A client certificate: `sha256:…`, `san:…` or `subject:…`.
    Certificate,
    /// A key that requests are signed with: the value is its id.
    SigningKey,
}

/// A credential of a consumer.
#[derive(Debug)]
struct Held {
    consumer: Arc<Consumer>,
    secret: Option<Arc<str>>,
}

/// All consumers, found by what they show in one step however many there are. Bounded by the document and the
/// files that they come from.
#[derive(Debug, Default)]
pub struct Consumers {
    by_name: HashMap<Box<str>, Arc<Consumer>>,
    by_key: KeyTable<Arc<Consumer>>,
    by_credential: HashMap<(CredentialKind, Box<[u8]>), Held>,
}

impl Consumers {
    /// None yet, with room for so many consumers, API keys and other credentials, so that a great number is not moved
    /// again and again.
    pub fn with_room(consumers: usize, keys: usize, others: usize) -> Self {
        Self {
            by_name: HashMap::with_capacity(consumers),
            by_key: KeyTable::with_room(keys),
            by_credential: HashMap::with_capacity(others),
        }
    }

    /// Adds a consumer. `false` if there is one of this name, which then stays.
    pub fn add(&mut self, consumer: impl Into<Arc<Consumer>>) -> bool {
        let consumer = consumer.into();
        match self.by_name.entry(consumer.name.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(consumer);
                true
            }
        }
    }

    /// Gives a consumer a credential, with the secret that it is proved by if it has one. `Err` names the consumer
    /// that has the credential already, and keeps it.
    pub fn give(
        &mut self,
        consumer: &str,
        kind: CredentialKind,
        value: &[u8],
        secret: Option<Arc<str>>,
    ) -> Result<(), String> {
        let Some(consumer) = self.by_name.get(consumer) else { return Ok(()) };
        if let (CredentialKind::ApiKey, Ok(hash)) = (kind, value.try_into()) {
            return self.by_key.insert(hash, consumer.clone()).map_err(|taken| taken.name.to_string());
        }
        match self.by_credential.entry((kind, value.into())) {
            std::collections::hash_map::Entry::Occupied(taken) => Err(taken.get().consumer.name.to_string()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(Held { consumer: consumer.clone(), secret });
                Ok(())
            }
        }
    }

    /// The consumer of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Consumer>> {
        self.by_name.get(name)
    }

    /// The consumer that has a credential, and the secret that it is proved by.
    pub fn find(&self, kind: CredentialKind, value: &[u8]) -> Option<(&Arc<Consumer>, Option<&Arc<str>>)> {
        if let (CredentialKind::ApiKey, Ok(hash)) = (kind, <&[u8; 32]>::try_from(value)) {
            return self.by_key.get(hash).map(|consumer| (consumer, None));
        }
        let hash = self.by_credential.get(&Asked(kind, value) as &dyn AsCredential)?;
        Some((&hash.consumer, hash.secret.as_ref()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// A credential to look for, borrowed.
struct Asked<'a>(CredentialKind, &'a [u8]);

/// So that looking does not need a box.
trait AsCredential {
    fn parts(&self) -> (CredentialKind, &[u8]);
}

impl AsCredential for Asked<'_> {
    fn parts(&self) -> (CredentialKind, &[u8]) {
        (self.0, self.1)
    }
}

impl AsCredential for (CredentialKind, Box<[u8]>) {
    fn parts(&self) -> (CredentialKind, &[u8]) {
        (self.0, &self.1)
    }
}

impl<'a> std::borrow::Borrow<dyn AsCredential + 'a> for (CredentialKind, Box<[u8]>) {
    fn borrow(&self) -> &(dyn AsCredential + 'a) {
        self
    }
}

impl std::hash::Hash for dyn AsCredential + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // As the tuple does it.
        let (kind, value) = self.parts();
        kind.hash(state);
        value.hash(state);
    }
}

impl PartialEq for dyn AsCredential + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn AsCredential + '_ {}

/// The consumers in force. They change without a reload; whoever reads keeps a copy of the pointer and asks for
/// the generation only.
#[derive(Debug, Default)]
pub struct ConsumerCell {
    generation: AtomicU64,
    current: Mutex<Arc<Consumers>>,
}

impl ConsumerCell {
    /// A cell with these.
    pub fn new(consumers: Arc<Consumers>) -> Self {
        Self { generation: AtomicU64::new(0), current: Mutex::new(consumers) }
    }

    /// Changes with each set.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The consumers in force.
    pub fn get(&self) -> Arc<Consumers> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others into force.
    pub fn set(&self, consumers: Arc<Consumers>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = consumers;
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// What a token, an introspection or a login says of its subject.
pub type Claims = Map<String, Json>;

/// Who sends a request, as far as that is proved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The consumer; `None` where the proof names nobody who is one.
    pub consumer: Option<Arc<Consumer>>,
    /// Whom the proof names, in its issuer's words; a consumer of the same name is somebody else.
    pub subject: Option<Arc<str>>,
    /// The name of the method that proved it; empty for an anonymous consumer.
    pub auth: Arc<str>,
    /// What the proof says besides.
    pub claims: Option<Arc<Claims>>,
    /// Nobody proved anything, and the route allows that.
    pub anonymous: bool,
}

impl Caller {
    /// The consumer's name; empty for nobody.
    pub fn name(&self) -> &str {
        self.consumer.as_ref().map_or("", |consumer| &consumer.name)
    }

    /// The consumer's groups.
    pub fn groups(&self) -> &[Box<str>] {
        self.consumer.as_ref().map_or(&[], |consumer| &consumer.groups)
    }

    /// Whether the proof gives a scope: one of the words of the claim `scope`, or of the list `scope` or `scp`
    /// (RFC 8693 section 4.2, RFC 9068 section 2.2.3).
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|known| known == scope)
    }

    /// The scopes that the proof gives.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let claims = self.claims.as_deref();
        ["scope", "scp"].into_iter().filter_map(move |name| claims?.get(name)).flat_map(|value| {
            let words = value.as_str().into_iter().flat_map(str::split_ascii_whitespace);
            words.chain(value.as_array().into_iter().flatten().filter_map(Json::as_str))
        })
    }

    /// The claim at a path of names with dots between them. A claim whose own name has dots is found first.
    pub fn claim(&self, path: &str) -> Option<&Json> {
        let claims = self.claims.as_deref()?;
        if let Some(found) = claims.get(path) {
            return Some(found);
        }
        let mut parts = path.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_leads_to_its_consumer_in_one_step() {
        let mut consumers = Consumers::default();
        assert!(consumers.add(Consumer { name: "alice".into(), ..Consumer::default() }));
        assert!(consumers.add(Consumer { name: "bob".into(), ..Consumer::default() }));
        assert!(!consumers.add(Consumer { name: "bob".into(), ..Consumer::default() }));
        consumers.give("alice", CredentialKind::User, b"al", Some("hash".into())).unwrap();
        consumers.give("bob", CredentialKind::Subject, b"al", None).unwrap();
        assert_eq!(consumers.give("bob", CredentialKind::User, b"al", None), Err("alice".into()));
        let (consumer, secret) = consumers.find(CredentialKind::User, b"al").unwrap();
        assert_eq!((&*consumer.name, secret.map(|s| &**s)), ("alice", Some("hash")));
        assert_eq!(&*consumers.find(CredentialKind::Subject, b"al").unwrap().0.name, "bob");
        assert!(consumers.find(CredentialKind::ApiKey, b"al").is_none());
    }

    #[test]
    fn keys_lead_to_their_consumers_and_to_nobody_else() {
        let mut consumers = Consumers::with_room(2, 2, 0);
        for name in ["alice", "bob"] {
            assert!(consumers.add(Consumer { name: name.into(), ..Consumer::default() }));
        }
        // They begin alike, as far as the table looks for their places.
        let (mut one, mut other) = ([7; 32], [7; 32]);
        (one[31], other[31]) = (1, 2);
        consumers.give("alice", CredentialKind::ApiKey, &one, None).unwrap();
        consumers.give("bob", CredentialKind::ApiKey, &other, None).unwrap();
        assert_eq!(consumers.give("bob", CredentialKind::ApiKey, &one, None), Err("alice".into()));
        let found = |key: &[u8]| Some(&*consumers.find(CredentialKind::ApiKey, key)?.0.name);
        assert_eq!((found(&one), found(&other)), (Some("alice"), Some("bob")));
        assert_eq!((found(&[7; 32]), found(&one[..31]), found(b"")), (None, None, None));
        assert!(consumers.find(CredentialKind::Subject, &one).is_none());
    }

    #[test]
    fn scopes_and_claims_are_found_in_their_usual_forms() {
        let claims = serde_json::json!({
            "scope": "a b", "scp": ["c", 1], "realm_access": { "roles": ["x"] }, "https://x.example/y": 1,
        });
        let claims = claims.as_object().cloned().map(Arc::new);
        let caller = Caller { claims, ..Caller::default() };
        assert_eq!(caller.scopes().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(caller.has_scope("b") && !caller.has_scope("a b"));
        assert_eq!(caller.claim("realm_access.roles").unwrap()[0], "x");
        assert_eq!(caller.claim("https://x.example/y").unwrap(), 1);
        assert_eq!(caller.claim("realm_access.none"), None);
    }
}
