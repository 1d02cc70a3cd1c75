//! User and password (HTTP Basic, RFC 7617).
//!
//! Verifying a password costs tens of milliseconds on purpose, so it never runs on a worker: a first login waits for
//! [`PasswordChecks`], a pool with bounds. Those that follow are found in the cache of right passwords. A user
//! that nobody knows costs the same check and gets the same refusal as a wrong password.

mod checks;
mod users;

use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tollgate_credentials::password::{LONGEST, PasswordCache, Stored};
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Asked, Caller, Consumer, CredentialKind, Gate, Refused, Resolution, Wait};

use super::places::{authorization, credentials};
use super::{Finding, Method, bearer};

use checks::Checked;
pub use checks::{ChecksSettings, PasswordChecks};
pub use users::{Users, UsersCell};

/// With or without padding: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest name of a user, in bytes: that of htpasswd files.
const LONGEST_USER: usize = 255;
/// The longest encoded pair.
const LONGEST_ENCODED: usize = (LONGEST_USER + 1 + LONGEST).div_ceil(3) * 4;

/// What a document sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the document calls the method.
    pub name: Arc<str>,
    /// The protection space, which browsers show when they ask for a password.
    pub realm: String,
    /// Whether the origin gets user and password too.
    pub forward: bool,
}

/// Finds out who calls by user and password: those of consumers, then those of a file.
#[derive(Debug)]
pub struct Basic {
    settings: Settings,
    users: Arc<UsersCell>,
    checks: Arc<PasswordChecks>,
    right: Arc<PasswordCache>,
}

/// A user and a password, as they were shown.
struct Pair<'a> {
    user: &'a str,
    password: &'a [u8],
}

/// Who is known by a user's name, and by which hash.
struct Known<'a> {
    consumer: Option<&'a Arc<Consumer>>,
    stored: Stored,
}

impl Basic {
    /// A method with these settings. Consumers have users as [`CredentialKind::User`], the name as value and the hash
    /// as secret; without a secret, a user of the file of that name is the consumer. What was right is remembered in
    /// `right`, by user, password and hash, so that several methods can share one.
    pub fn new(
        settings: Settings,
        users: Arc<UsersCell>,
        checks: Arc<PasswordChecks>,
        right: Arc<PasswordCache>,
    ) -> Self {
        Self { settings, users, checks, right }
    }

    fn look_up<'a>(&self, asked: &Asked<'a>, users: &Users, user: &str) -> Option<Known<'a>> {
        let found = asked.consumers.find(CredentialKind::User, user.as_bytes());
        let consumer = found.map(|(consumer, _)| consumer);
        let stored = match found.and_then(|(_, secret)| secret) {
            Some(hash) => Stored::parse(hash).ok(),
            None => users.file().and_then(|file| file.get(user)).cloned(),
        };
        stored.map(|stored| Known { consumer, stored })
    }

    fn check(&self, asked: &Asked<'_>, gate: &mut Gate, pair: &Pair<'_>) -> Finding {
        let (users, now) = (self.users.get(), asked.moment.wall_s());
        let known = self.look_up(asked, &users, pair.user);
        let is_right =
            |known: &Known<'_>| self.right.knows(pair.user.as_bytes(), pair.password, &known.stored, now);
        if let Some(known) = known.as_ref().filter(|known| is_right(known)) {
            return self.accept(asked, gate, pair, known.consumer);
        }
        let stored = known.map(|known| known.stored);
        let (checks, right) = (self.checks.clone(), self.right.clone());
        let (user, password) = (pair.user.to_owned(), pair.password.to_vec());
        Finding::Wait(Wait::new("the check of a password", async move {
            let Some(stored) = stored else { return checks.refuse(users, password).await };
            let checked = checks.verify(stored.clone(), password.clone()).await;
            if let Checked::Right(_) = checked {
                right.put(user.as_bytes(), &password, &stored, now);
            }
            checked
        }))
    }

    /// After the wait. Consumers may have changed in the meantime, so that what was right has to be looked at again.
    fn resume(&self, asked: &Asked<'_>, gate: &mut Gate, pair: &Pair<'_>, checked: &Checked) -> Finding {
        match checked {
            Checked::Right(stored) => match self.look_up(asked, &self.users.get(), pair.user) {
                Some(known) if known.stored == **stored => self.accept(asked, gate, pair, known.consumer),
                _ => bearer::refused(Reason::PasswordWrong, "the password was changed during the check"),
            },
            Checked::Wrong => Finding::Refused(Reason::PasswordWrong.into()),
            Checked::Busy => {
                Finding::Refused(Refused { retry_after_s: Some(1), ..Reason::IdentityBusy.into() })
            }
        }
    }

    fn accept(
        &self,
        asked: &Asked<'_>,
        gate: &mut Gate,
        pair: &Pair<'_>,
        consumer: Option<&Arc<Consumer>>,
    ) -> Finding {
        debug_assert!(asked.fields.has(tollgate_message::Known::Authorization));
        if !self.settings.forward {
            gate.request.remove("authorization");
        }
        Finding::Known(Caller {
            consumer: consumer.cloned(),
            subject: Some(pair.user.into()),
            auth: self.settings.name.clone(),
            ..Caller::default()
        })
    }
}

impl Method for Basic {
    fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        let malformed = |why: &'static str| bearer::refused(Reason::CredentialMalformed, why);
        let encoded = match authorization(asked) {
            Ok(value) => value.and_then(|value| credentials(value, b"basic")),
            Err(why) => return malformed(why),
        };
        let Some(encoded) = encoded else { return Finding::Absent };
        if encoded.len() > LONGEST_ENCODED {
            return malformed("user and password are longer than 255 and 1024 bytes");
        }
        let Ok(decoded) = BASE64.decode(encoded) else {
            return malformed("user and password are not base64");
        };
        let pair = match Pair::read(&decoded) {
            Ok(pair) => pair,
            Err(why) => return malformed(why),
        };
        match resolution.map(Resolution::downcast::<Checked>) {
            Some(Ok(checked)) => self.resume(asked, gate, &pair, &checked),
            _ => self.check(asked, gate, &pair),
        }
    }

    /// Section 2.1: clients that read it send UTF-8.
    fn challenge(&self, _: Reason) -> Option<String> {
        Some(format!("{}, charset=\"UTF-8\"", bearer::realm("Basic", &self.settings.realm)))
    }

    fn remove_forged(&self, _: &mut Edits) {}
}

impl<'a> Pair<'a> {
    /// Section 2: the first colon ends the user's name, and neither part has control characters.
    fn read(decoded: &'a [u8]) -> Result<Self, &'static str> {
        let colon =
            decoded.iter().position(|byte| *byte == b':').ok_or("there is no colon behind the user")?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        let user = std::str::from_utf8(user).map_err(|_| "the user's name is not UTF-8")?;
        if user.is_empty() || user.len() > LONGEST_USER {
            return Err("the user's name is empty or longer than 255 bytes");
        }
        if user.chars().any(char::is_control) || password.iter().any(u8::is_ascii_control) {
            return Err("there are control characters in user or password");
        }
        if password.len() > LONGEST {
            Err("the password is longer than 1024 bytes")
        } else {
            Ok(Self { user, password })
        }
    }
}

#[cfg(test)]
mod tests;
