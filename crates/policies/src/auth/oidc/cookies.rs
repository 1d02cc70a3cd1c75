//! The cookies of a login: what browsers keep for us, sealed.
//!
//! A session that is too long for one cookie is split over `name`, `name.1`, …; the first one begins with how many
//! there are. Each login under way has a cookie of its own, `name.login.` and the beginning of its state, so that
//! several tabs can log in at once.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_credentials::sealed::{Rejection, Sealer};
use tollgate_http1::edits::Edits;
use tollgate_message::Known;
use tollgate_policy::Asked;

use super::settings::{CookieSettings, SameSite, Settings};
use crate::Unusable;
use crate::unusable::is_token;

/// Bytes of a cookie's value: browsers take about 4096 of name, value and attributes together.
const PART: usize = 3800;
/// Cookies of one session.
const PARTS: usize = 4;
/// Logins that one browser can have under way.
const LOGINS: usize = 5;
/// How long a login may take, in seconds.
pub(super) const LOGIN_S: u64 = 600;

/// Writes and reads the cookies.
#[derive(Debug)]
pub(super) struct Cookies {
    name: String,
    session: Sealer,
    login: Sealer,
    /// What stands behind `Max-Age` of either.
    session_attributes: String,
    login_attributes: String,
}

impl Cookies {
    /// By these settings. What is sealed is bound to the provider and the client, so that it is good for no other
    /// login with the same secrets.
    pub(super) fn new(settings: &Settings) -> Result<Self, Unusable> {
        let CookieSettings { name, secrets, same_site, secure, .. } = &settings.cookie;
        if *same_site == SameSite::None && !secure {
            return Err(Unusable::new("same_site", 0, "browsers take `none` of secure cookies only"));
        }
        let usual = if *secure { "__Host-tollgate" } else { "tollgate" };
        let name = name.clone().unwrap_or_else(|| usual.to_owned());
        let is_prefixed =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        if !is_token(name.as_bytes()) || name.len() > 64 {
            return Err(Unusable::new("name", 0, "not a name that a cookie can have"));
        }
        if !secure && (is_prefixed("__Host-") || is_prefixed("__Secure-")) {
            return Err(Unusable::new("name", 0, "browsers take this name of secure cookies only"));
        }
        let sealer = |what: &str| {
            let purpose = format!("{what} {} {}", settings.client_id, settings.issuer);
            Sealer::new(&purpose, secrets).map_err(|why| Unusable::new("secrets", 0, why.to_string()))
        };
        let attributes = |same_site: &str| {
            let secure = if *secure { "; Secure" } else { "" };
            format!("; Path=/; HttpOnly{secure}; SameSite={same_site}")
        };
        let same_site = match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        Ok(Self {
            name,
            session: sealer("session")?,
            login: sealer("login")?,
            session_attributes: attributes(same_site),
            // The provider sends the browser here from another site.
            login_attributes: attributes("Lax"),
        })
    }

    /// The session that a request shows; `None` where it shows none.
    pub(super) fn session<T: DeserializeOwned>(&self, asked: &Asked<'_>) -> Option<Result<T, Rejection>> {
        let first = asked.cookie(self.name.as_bytes())?;
        Some(
            self.joined(asked, first)
                .and_then(|sealed| open(&self.session, &self.name, &sealed, asked.moment.wall_s())),
        )
    }

    fn joined(&self, asked: &Asked<'_>, first: &[u8]) -> Result<Vec<u8>, Rejection> {
        let (parts, first) = match first {
            [digit @ b'1'..=b'4', b'.', first @ ..] => (usize::from(digit - b'0'), first),
            _ => return Err(Rejection::Malformed),
        };
        let mut sealed = first.to_vec();
        for part in 1..parts {
            let more = asked.cookie(self.part(part).as_bytes()).ok_or(Rejection::Malformed)?;
            sealed.extend_from_slice(more);
        }
        Ok(sealed)
    }

    fn part(&self, part: usize) -> String {
        if part == 0 { self.name.clone() } else { format!("{}.{part}", self.name) }
    }

    /// Has the browser keep a session until `ends`, seconds since 1970. `false` where it is too long.
    pub(super) fn keep_session(
        &self,
        edits: &mut Edits,
        asked: &Asked<'_>,
        session: &impl Serialize,
        ends: u64,
        random: &dyn Fn(&mut [u8]),
    ) -> bool {
        let Some(sealed) = seal(&self.session, &self.name, session, ends, random) else { return false };
        let text = format!("{}.{sealed}", sealed.len().saturating_add(2).div_ceil(PART));
        let parts: Vec<_> = text.as_bytes().chunks(PART).collect();
        if parts.len() > PARTS {
            return false;
        }
        let left = ends.saturating_sub(asked.moment.wall_s());
        for (part, value) in parts.iter().enumerate() {
            let value = String::from_utf8_lossy(value);
            let attributes = &self.session_attributes;
            edits.add("Set-Cookie", &format!("{}={value}; Max-Age={left}{attributes}", self.part(part)));
        }
        self.forget_parts(edits, asked, parts.len());
        true
    }

    /// Has the browser forget the session.
    pub(super) fn forget_session(&self, edits: &mut Edits, asked: &Asked<'_>) {
        self.forget_parts(edits, asked, 0);
    }

    fn forget_parts(&self, edits: &mut Edits, asked: &Asked<'_>, from: usize) {
        for name in (from..PARTS).map(|part| self.part(part)) {
            if asked.cookie(name.as_bytes()).is_some() {
                edits.add("Set-Cookie", &format!("{name}=; Max-Age=0{}", self.session_attributes));
            }
        }
    }

    /// Has the browser keep a login under way, in place of the oldest where there are too many. `false` where it
    /// is too long.
    pub(super) fn keep_login(
        &self,
        edits: &mut Edits,
        asked: &Asked<'_>,
        (state, login): (&str, &impl Serialize),
        random: &dyn Fn(&mut [u8]),
    ) -> bool {
        let now = asked.moment.wall_s();
        let name = self.login_name(state);
        let Some(sealed) = seal(&self.login, &name, login, now.saturating_add(LOGIN_S), random) else {
            return false;
        };
        if sealed.len() > PART {
            return false;
        }
        self.make_room(edits, asked);
        edits.add("Set-Cookie", &format!("{name}={sealed}; Max-Age={LOGIN_S}{}", self.login_attributes));
        true
    }

    /// Browsers send the cookies of one path in the order of their making (RFC 6265 section 5.4).
    fn make_room(&self, edits: &mut Edits, asked: &Asked<'_>) {
        let prefix = format!("{}.login.", self.name);
        let names: Vec<_> =
            named(asked).map(|(name, _)| name).filter(|name| name.starts_with(prefix.as_bytes())).collect();
        let too_many = (names.len() + 1).saturating_sub(LOGINS);
        for name in &names[..too_many] {
            if is_token(name) {
                self.forget_login(edits, &String::from_utf8_lossy(name));
            }
        }
    }

    /// The login of a state that this browser has under way, with the name of its cookie.
    pub(super) fn login<T: DeserializeOwned>(
        &self,
        asked: &Asked<'_>,
        state: &str,
    ) -> Result<(String, T), Option<Rejection>> {
        let name = self.login_name(state);
        let sealed = asked.cookie(name.as_bytes()).ok_or(None)?;
        let login = open(&self.login, &name, sealed, asked.moment.wall_s())?;
        Ok((name, login))
    }

    /// Has the browser forget a login, by the name of its cookie.
    pub(super) fn forget_login(&self, edits: &mut Edits, name: &str) {
        edits.add("Set-Cookie", &format!("{name}=; Max-Age=0{}", self.login_attributes));
    }

    fn login_name(&self, state: &str) -> String {
        let is_fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        format!("{}.login.{}", self.name, state.chars().filter(is_fit).take(8).collect::<String>())
    }

    /// Takes the cookies away from the request that goes to the origin.
    pub(super) fn cut(&self, asked: &Asked<'_>, edits: &mut Edits) {
        if !asked.fields.has(Known::Cookie) || !named(asked).any(|(name, _)| self.is_own(name)) {
            return;
        }
        edits.remove("Cookie");
        let others: Vec<_> =
            named(asked).filter(|(name, _)| !self.is_own(name)).map(|(_, pair)| pair).collect();
        if !others.is_empty() {
            edits.add_with("Cookie", |out| out.extend_from_slice(&others.join(&b"; "[..])));
        }
    }

    fn is_own(&self, name: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(self.name.as_bytes()) else { return false };
        matches!(rest, [] | [b'.', b'1'..=b'9']) || rest.starts_with(b".login.")
    }
}

/// The cookies of a request: the name of each, and all of it.
fn named<'a>(asked: &Asked<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let lines = asked.fields.all(Known::Cookie);
    lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|c| !c.is_empty())
        .map(|cookie| {
            let end = cookie.iter().position(|byte| *byte == b'=').unwrap_or(cookie.len());
            (&cookie[..end], cookie)
        })
}

fn seal(
    sealer: &Sealer,
    name: &str,
    content: &impl Serialize,
    until: u64,
    random: &dyn Fn(&mut [u8]),
) -> Option<String> {
    let content = serde_json::to_vec(content).ok()?;
    sealer.seal(name, &content, until, random).ok()
}

fn open<T: DeserializeOwned>(sealer: &Sealer, name: &str, sealed: &[u8], now: u64) -> Result<T, Rejection> {
    let content = sealer.open(name, sealed, now)?;
    // Sealed by us, but by a version of us that wrote something else.
    serde_json::from_slice(&content).map_err(|_| Rejection::Malformed)
}
