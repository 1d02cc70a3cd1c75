//! The way to the provider and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_credentials::pkce;
use tollgate_decision::Reason;
use tollgate_outbound::oidc::Provider;
use tollgate_policy::{Answer, Asked, Gate, Refused, Wait};

use super::session::Session;
use super::settings::SameSite;
use super::tokens::{Expected, TokenAnswer, TokenError, Untrue, id_token, read, request, told};
use super::{Oidc, Purpose, Step};
use crate::auth::{Finding, called, percent};

/// The longest page that browsers come back to; others come back to `/`.
const BACK_MAX: usize = 2048;

/// A login under way.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    #[serde(rename = "s")]
    state: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v")]
    verifier: String,
    /// The page that was asked for.
    #[serde(rename = "b")]
    back: String,
    #[serde(rename = "u")]
    redirect_uri: String,
}

impl Oidc {
    /// Sends the browser to the provider.
    pub(super) fn send_to(&self, asked: &Asked<'_>, provider: &Provider) -> Finding {
        let Some(url) = &provider.authorization else {
            return Self::unavailable("the provider has no authorization end point");
        };
        let random = &*self.outside.random;
        let proof = pkce::pkce(random);
        let pending = Pending {
            state: pkce::random_token(random),
            nonce: pkce::random_token(random),
            verifier: proof.verifier,
            back: back(asked),
            redirect_uri: format!("{}{}", self.origin(asked), self.callback.path),
        };
        let mut url = url.to_string();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &pending.redirect_uri),
            ("scope", &self.settings.scopes.join(" ")),
            ("state", &pending.state),
            ("nonce", &pending.nonce),
            ("code_challenge", &proof.challenge),
            ("code_challenge_method", "S256"),
        ] {
            percent::add(&mut url, name, value);
        }
        let mut answer = redirect(Reason::LoginRequired, &url);
        if !self.cookies.keep_login(&mut answer.fields, asked, (&pending.state, &pending), random) {
            let note = "the login does not fit into a cookie";
            return Finding::Refused(Refused::because(Reason::LoginFailed, note));
        }
        Finding::Login(Box::new(answer))
    }

    /// The browser comes back.
    pub(super) fn come_back(&self, asked: &Asked<'_>, gate: &mut Gate, has_waited: bool) -> Finding {
        let come = match Come::of(asked.query.unwrap_or_default()) {
            Ok(come) => come,
            Err(note) => return failed(note),
        };
        let (name, pending) = match self.cookies.login::<Pending>(asked, &come.state) {
            Ok(found) => found,
            Err(None) => return failed("no login of this state is under way in this browser"),
            Err(Some(why)) => return failed(format!("the login's cookie is not one of ours: {why}")),
        };
        if !pkce::same(pending.state.as_bytes(), come.state.as_bytes()) {
            return failed("the state is not the login's");
        }
        let provider = match self.provider(has_waited) {
            Ok(provider) => provider,
            Err(finding) => return finding,
        };
        // Once is enough, whatever comes of it.
        self.cookies.forget_login(&mut gate.response, &name);
        // RFC 9207: the answer is the one of the provider that was asked.
        let is_other = come.issuer.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer);
        if is_other || (provider.names_itself && come.issuer.is_none()) {
            return failed("the answer is another provider's");
        }
        let code = match come.code {
            Ok(code) => code,
            Err(error) => return failed(format!("the provider says: {}", told(&error))),
        };
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &pending.redirect_uri),
            ("code_verifier", &pending.verifier),
        ];
        let Some(request) = request(&self.settings, &provider, &pairs) else {
            return Self::unavailable("the provider has no token end point");
        };
        let calling = self.outside.client.call(request);
        let exchanged = async move {
            let answer = read(calling.await).map(Arc::new);
            Step::Tokens { purpose: Purpose::Login(pending), answer, has_new_keys: false }
        };
        Finding::Wait(Wait::new(format!("the tokens of {}", self.settings.issuer), exchanged))
    }

    /// The code was exchanged.
    pub(super) fn log_in(
        &self,
        asked: &Asked<'_>,
        gate: &mut Gate,
        pending: Pending,
        answer: Result<Arc<TokenAnswer>, TokenError>,
        has_new_keys: bool,
    ) -> Finding {
        let answer = match answer {
            Ok(answer) => answer,
            Err(TokenError::Refused(why)) => return failed(format!("the provider gives no tokens: {why}")),
            Err(TokenError::Unavailable(why)) => return Self::unavailable(why),
        };
        let Some(token) = &answer.id_token else { return failed("the provider gives no ID token") };
        let expected = Expected {
            nonce: Some(&pending.nonce),
            subject: None,
            access_token: answer.access_token.as_deref(),
        };
        let now = asked.moment.wall_s();
        let keys = self.outside.keys.current();
        let verified = keys.as_ref().map(|keys| id_token(&self.settings, &keys.value, token, &expected, now));
        let (claims, until) = match verified {
            Some(Ok(verified)) => verified,
            Some(Err(Untrue::Wrong(why))) => return failed(why),
            None | Some(Err(Untrue::Key(_))) if !has_new_keys => {
                return self.fetch_keys(Purpose::Login(pending), answer);
            }
            Some(Err(Untrue::Key(why))) => return failed(why.to_string()),
            None => return Self::unavailable(format!("there are no keys of {}", self.settings.issuer)),
        };
        let mut session = Session::begin(&self.settings, claims, until, now);
        session.take(&self.settings, &answer, now);
        let random = &*self.outside.random;
        if !self.cookies.keep_session(&mut gate.response, asked, &session, session.ends, random) {
            return failed("the session does not fit into its cookies");
        }
        Finding::Answer(Box::new(self.lead_back(&pending.back)))
    }

    /// Where the browser wanted to go. A cookie of `SameSite=Strict` is not sent along a chain of redirections that
    /// began at the provider: a page of our own has to begin another.
    fn lead_back(&self, back: &str) -> Answer {
        let back = if is_local(back.as_bytes()) { back } else { "/" };
        if self.settings.cookie.same_site != SameSite::Strict {
            return redirect(Reason::LoggedIn, back);
        }
        let mut answer = redirect(Reason::LoggedIn, back);
        answer.fields = uncached();
        answer.status = 200;
        answer.content_type = Some("text/html; charset=utf-8".to_owned());
        let back =
            back.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('\'', "%27");
        let page = format!(
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url='{back}'\"><a href=\"{back}\">Continue</a>"
        );
        answer.body = page.into_bytes();
        answer
    }
}

/// What the provider has a browser say.
struct Come {
    state: String,
    issuer: Option<String>,
    /// The code, or the error.
    code: Result<String, String>,
}

impl Come {
    fn of(query: &[u8]) -> Result<Self, &'static str> {
        let (mut state, mut issuer, mut code, mut error) = (None, None, None, None);
        for (name, value) in percent::parameters(query) {
            let place = match name.as_str() {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            // RFC 6749 section 3.1.
            if place.replace(value).is_some() {
                return Err("a parameter is there twice");
            }
        }
        let state = state.filter(|state| !state.is_empty()).ok_or("there is no state")?;
        let code = match (code, error) {
            (_, Some(error)) => Err(error),
            (Some(code), None) => Ok(code),
            (None, None) => return Err("there is neither a code nor an error"),
        };
        Ok(Self { state, issuer, code })
    }
}

/// The page that was asked for, if one can come back to it.
fn back(asked: &Asked<'_>) -> String {
    let target = called::target(asked);
    let is_fit = target.len() <= BACK_MAX && is_local(&target);
    String::from_utf8(target).ok().filter(|_| is_fit).unwrap_or_else(|| "/".to_owned())
}

/// Whether a browser takes it for a path of the host that it is at: `//host` and `/\host` are other hosts, and tabs
/// and line ends are nothing to it (WHATWG URL section 4.4).
pub(super) fn is_local(path: &[u8]) -> bool {
    let is_visible = path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    is_visible && path.first() == Some(&b'/') && path.get(1) != Some(&b'/')
}

/// Sends a browser elsewhere, this time.
pub(super) fn redirect(reason: Reason, to: &str) -> Answer {
    let mut fields = uncached();
    fields.add("Location", to);
    Answer { reason: Some(reason), status: 302, fields, ..Answer::default() }
}

fn uncached() -> tollgate_http1::edits::Edits {
    let mut fields = tollgate_http1::edits::Edits::default();
    fields.add("Cache-Control", "no-store");
    fields
}

fn failed(note: impl Into<std::borrow::Cow<'static, str>>) -> Finding {
    Finding::Refused(Refused::because(Reason::LoginFailed, note))
}
