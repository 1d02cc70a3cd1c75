//! What the provider knows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};

use super::keys::{Keys, encode};

/// A client that may ask for tokens.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) secret: String,
    /// Where users may be sent back to, after logging in or out.
    pub(super) redirect_uris: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) password: String,
    pub(super) claims: Map<String, Value>,
}

/// What a user agreed to.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// Tokens of one login share it: when something is wrong with one of them, none is good any more.
    pub(super) family: usize,
    pub(super) client: String,
    pub(super) user: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
}

/// A code that waits to be exchanged.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) is_used: bool,
}

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) keys: Keys,
    pub(super) clients: HashMap<String, Client>,
    pub(super) users: HashMap<String, User>,
    /// Who agrees without being asked.
    pub(super) consenting: Option<String>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh_tokens: HashMap<String, (Grant, bool)>,
    /// What is said about tokens that are asked about.
    pub(super) tokens: HashMap<String, Value>,
    pub(super) revoked_families: Vec<usize>,
    families: usize,
    pub(super) manner: Manner,
    pub(super) requests: BTreeMap<String, usize>,
}

/// How the provider behaves.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) token_lifetime: Duration,
    /// Seconds, in `Cache-Control` of keys and description.
    pub(super) max_age: Option<u64>,
    /// Members of the description that are other than they should be.
    pub(super) description: Map<String, Value>,
    /// Claims of ID tokens that are other than they should be.
    pub(super) id_token: Map<String, Value>,
    pub(super) failures: VecDeque<u16>,
    pub(super) is_stalled: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            keys: Keys::generate(1),
            clients: HashMap::new(),
            users: HashMap::new(),
            consenting: None,
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            tokens: HashMap::new(),
            revoked_families: Vec::new(),
            families: 0,
            manner: Manner {
                token_lifetime: Duration::from_secs(300),
                max_age: None,
                description: Map::new(),
                id_token: Map::new(),
                failures: VecDeque::new(),
                is_stalled: false,
            },
            requests: BTreeMap::new(),
        }
    }

    pub(super) fn new_family(&mut self) -> usize {
        self.families += 1;
        self.families
    }

    pub(super) fn is_revoked(&self, family: usize) -> bool {
        self.revoked_families.contains(&family)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// 192 random bits as text.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).unwrap();
    encode(bytes)
}
