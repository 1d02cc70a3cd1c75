//! What the server knows: accounts, orders, nonces, and what it counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use super::jws::Key;
use super::mischief::Mischief;
use super::orders::{Authorization, Order};

/// What happened at an ACME server.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests of any kind.
    pub requests: usize,
    /// Connections of any kind, also such that did not become TLS.
    pub connections: usize,
    /// Accounts that were made.
    pub accounts: usize,
    /// The contacts of the last account that was made or changed.
    pub contacts: Vec<String>,
    /// Orders that were made.
    pub orders: usize,
    /// Of them, those that said which certificate they replace (RFC 9773 section 5).
    pub replacements: usize,
    /// The most orders that were open at the same time.
    pub open_orders_max: usize,
    /// Challenges that were fetched from the client, successfully or not.
    pub validations: usize,
    /// Certificates that were issued.
    pub certificates: usize,
    /// Questions for renewal information.
    pub renewal_questions: usize,
    /// The kinds of the problems that were answered, as the last part of their URN, in order.
    pub problems: Vec<&'static str>,
}

/// Where a name is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) http: Option<SocketAddr>,
    pub(super) tls: Option<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) names: HashMap<String, Addresses>,
    /// Names that will be found later.
    pub(super) expected: HashSet<String>,
    pub(super) lifetime: Duration,
    pub(super) now: Option<Duration>,
    pub(super) window: Option<(Duration, Duration)>,
    pub(super) mischief: VecDeque<Mischief>,
    nonces: HashSet<String>,
    /// So many of the accounts, the first ones, are not known any more.
    pub(super) forgotten: usize,
    /// Their place is their number in addresses.
    pub(super) accounts: Vec<Key>,
    pub(super) orders: Vec<Order>,
    pub(super) authorizations: Vec<Authorization>,
    /// Chains as PEM, with the account that may fetch them.
    pub(super) certificates: Vec<(usize, String)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            names: HashMap::new(),
            expected: HashSet::new(),
            lifetime: Duration::from_secs(90 * 86_400),
            now: None,
            window: None,
            mischief: VecDeque::new(),
            nonces: HashSet::new(),
            forgotten: 0,
            accounts: Vec::new(),
            orders: Vec::new(),
            authorizations: Vec::new(),
            certificates: Vec::new(),
        }
    }
}

impl State {
    /// The time since 1970.
    pub(super) fn now(&self) -> Duration {
        self.now.unwrap_or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    pub(super) fn new_nonce(&mut self) -> String {
        let nonce = random_text();
        self.nonces.insert(nonce.clone());
        nonce
    }

    /// Whether the nonce was handed out and not used before. It is used now.
    pub(super) fn use_nonce(&mut self, nonce: &str) -> bool {
        self.nonces.remove(nonce)
    }

    /// What is to go wrong now, if it is of a kind that can go wrong here.
    pub(super) fn take_mischief(&mut self, fits: impl Fn(&Mischief) -> bool) -> Option<Mischief> {
        let at = self.mischief.iter().position(fits)?;
        self.mischief.remove(at)
    }

    pub(super) fn count_open_orders(&mut self) {
        let open = self.orders.iter().filter(|order| order.is_open(&self.authorizations)).count();
        self.counts.open_orders_max = self.counts.open_orders_max.max(open);
    }
}

/// 128 random bits as text.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
