//! Orders, authorizations and challenges (RFC 8555 section 7.1).

use serde_json::{Value, json};

use super::jws::Key;
use super::problem::Problem;
use super::state::random_text;

#[derive(Debug)]
pub(super) struct Order {
    pub(super) account: usize,
    pub(super) names: Vec<String>,
    /// Their numbers.
    pub(super) authorizations: Vec<usize>,
    pub(super) replaces: Option<String>,
    pub(super) outcome: Option<Outcome>,
}

/// What became of an order that was finalized.
#[derive(Debug)]
pub(super) enum Outcome {
    Issued {
        certificate: usize,
        /// How often the order must be looked at before it says so.
        looks: usize,
    },
    Refused(Problem),
}

impl Order {
    pub(super) fn status(&self, all: &[Authorization]) -> &'static str {
        match &self.outcome {
            Some(Outcome::Issued { looks: 0, .. }) => return "valid",
            Some(Outcome::Issued { .. }) => return "processing",
            Some(Outcome::Refused(_)) => return "invalid",
            None => {}
        }
        let statuses = || self.authorizations.iter().map(|number| all[*number].status());
        if statuses().any(|status| status == "invalid") {
            "invalid"
        } else if statuses().all(|status| status == "valid") {
            "ready"
        } else {
            "pending"
        }
    }

    pub(super) fn is_open(&self, all: &[Authorization]) -> bool {
        !matches!(self.status(all), "valid" | "invalid")
    }

    /// Looks at the order as its client does.
    pub(super) fn look(&mut self, base: &str, number: usize, all: &[Authorization]) -> Value {
        if let Some(Outcome::Issued { looks, .. }) = &mut self.outcome {
            *looks = looks.saturating_sub(1);
        }
        self.json(base, number, all)
    }

    pub(super) fn json(&self, base: &str, number: usize, all: &[Authorization]) -> Value {
        let mut order = json!({
            "status": self.status(all),
            "identifiers": self.names.iter().map(|name| identifier(name)).collect::<Vec<_>>(),
            "authorizations":
                self.authorizations.iter().map(|n| format!("{base}/authorization/{n}")).collect::<Vec<_>>(),
            "finalize": format!("{base}/order/{number}/finalize"),
        });
        if let Some(replaces) = &self.replaces {
            order["replaces"] = json!(replaces);
        }
        match &self.outcome {
            Some(Outcome::Issued { certificate, looks: 0 }) => {
                order["certificate"] = json!(format!("{base}/certificate/{certificate}"));
            }
            Some(Outcome::Refused(problem)) => order["error"] = problem.json(),
            _ => {}
        }
        order
    }
}

/// The two kinds of challenge, as in addresses.
pub(super) const KINDS: [&str; 2] = ["http-01", "tls-alpn-01"];

#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) account: usize,
    pub(super) name: String,
    pub(super) token: String,
    /// Which challenge the client chose.
    pub(super) chosen: Option<&'static str>,
    pub(super) outcome: Option<Result<(), Problem>>,
}

impl Authorization {
    pub(super) fn new(account: usize, name: &str) -> Self {
        Self { account, name: name.to_owned(), token: random_text(), chosen: None, outcome: None }
    }

    /// RFC 8555 section 8.1.
    pub(super) fn key_authorization(&self, key: &Key) -> String {
        format!("{}.{}", self.token, key.thumbprint())
    }

    pub(super) fn status(&self) -> &'static str {
        match &self.outcome {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        }
    }

    pub(super) fn json(&self, base: &str, number: usize) -> Value {
        let challenges = KINDS.iter().map(|kind| self.challenge(kind, base, number));
        json!({
            "status": self.status(),
            "identifier": identifier(&self.name),
            "challenges": challenges.collect::<Vec<_>>(),
        })
    }

    pub(super) fn challenge(&self, kind: &str, base: &str, number: usize) -> Value {
        let mut challenge = json!({
            "type": kind,
            "url": format!("{base}/challenge/{number}/{kind}"),
            "token": self.token,
            "status": "pending",
        });
        if self.chosen == Some(kind) {
            challenge["status"] = json!(match &self.outcome {
                None => "processing",
                Some(_) => self.status(),
            });
            if let Some(Err(problem)) = &self.outcome {
                challenge["error"] = problem.json();
            }
        }
        challenge
    }
}

fn identifier(name: &str) -> Value {
    json!({ "type": "dns", "value": name })
}
