//! Login of browsers at an OpenID provider: the code flow of OpenID Connect Core with PKCE (RFC 7636), state and
//! nonce, kept in encrypted cookies. Nothing is kept here: any instance with the same secrets knows the session.
//!
//! | request | finding |
//! | --- | --- |
//! | a good session | the caller, by the claims of the ID token |
//! | a session whose tokens have expired | the same after a refresh, where there is a refresh token |
//! | none, a page is asked for | a login: the browser is sent to the provider |
//! | none, anything else (a script's call, a picture) | absent: a redirect would lead it nowhere |
//! | one that cannot be opened any more, anything else than a page | refused; the browser forgets it |
//! | the callback path | back to the page that was asked for |
//! | the logout path | to the provider's end of the session, or to where the settings say |
//!
//! **Logging out** takes GET and POST, as peers do, so that a link can do it. A request that a browser says comes
//! from another site (`Sec-Fetch-Site`, or `Origin` with POST) is refused: no foreign picture ends a session.
//!
//! **Back** goes only to a path of the same host, which was sealed when the login began: no login is an open redirect.
//!
//! **Cookies** of sessions and logins are taken out of the request that goes to the origin.

mod cookies;
mod login;
mod logout;
mod refresh;
mod refreshes;
mod session;
mod settings;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tollgate_credentials::sealed::Rejection;
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_message::{Known, Method as HttpMethod};
use tollgate_outbound::Url;
use tollgate_outbound::oidc::Provider;
use tollgate_policy::{Asked, Gate, Refused, Resolution, Wait};

use super::{Finding, Method};
use crate::Unusable;
use cookies::Cookies;
use login::Pending;
use session::Session;
use tokens::{TokenAnswer, TokenError};

pub use refreshes::Refreshes;
pub use settings::{CookieSettings, Outside, SameSite, Settings, TokenSettings};

/// A description or keys that are missing are not asked for more often.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The method.
#[derive(Debug)]
pub struct Oidc {
    name: Arc<str>,
    settings: Settings,
    outside: Outside,
    cookies: Cookies,
    callback: Callback,
    ask_again: Duration,
}

/// Where browsers come back to.
#[derive(Debug)]
struct Callback {
    path: String,
    /// Scheme and authority, where they are not the request's.
    origin: Option<String>,
}

/// What a request waited for.
enum Step {
    /// The provider's description.
    Described,
    /// Tokens, and whether newer keys were asked for to verify them.
    Tokens { purpose: Purpose, answer: Result<Arc<TokenAnswer>, TokenError>, has_new_keys: bool },
}

/// What tokens were asked for.
enum Purpose {
    Login(Pending),
    Refresh(Session),
}

impl Oidc {
    /// The method of these settings.
    ///
    /// # Errors
    /// Secrets, names, paths or URLs that cannot be used.
    pub fn new(settings: Settings, outside: Outside) -> Result<Self, Unusable> {
        if !settings.scopes.iter().any(|scope| scope == "openid") {
            return Err(Unusable::new("scopes", 0, "`openid` is missing"));
        }
        let callback = callback(&settings.callback)?;
        for (setting, path) in
            [("logout", settings.logout.as_deref()), ("after_logout", Some(&*settings.after_logout))]
        {
            let is_url = setting == "after_logout" && path.is_some_and(|path| path.parse::<Url>().is_ok());
            if path.is_some_and(|path| !login::is_local(path.as_bytes())) && !is_url {
                return Err(Unusable::new(setting, 0, "not a path that begins with one slash"));
            }
        }
        if settings.logout.as_ref() == Some(&callback.path) {
            return Err(Unusable::new("logout", 0, "the same path as the callback's"));
        }
        let cookies = Cookies::new(&settings)?;
        Ok(Self {
            name: settings.name.as_str().into(),
            settings,
            outside,
            cookies,
            callback,
            ask_again: ASK_AGAIN,
        })
    }

    fn begin(&self, asked: &Asked<'_>, gate: &mut Gate, has_waited: bool) -> Finding {
        if asked.path == self.callback.path.as_bytes() && asked.method == HttpMethod::Get {
            return self.come_back(asked, gate, has_waited);
        }
        let is_logout = self.settings.logout.as_ref().is_some_and(|path| asked.path == path.as_bytes());
        if is_logout && matches!(asked.method, HttpMethod::Get | HttpMethod::Post) {
            return self.log_out(asked);
        }
        let now = asked.moment.wall_s();
        match self.cookies.session::<Session>(asked) {
            None => self.nobody(asked, gate, None, has_waited),
            Some(Err(why)) => {
                let note = match why {
                    Rejection::Expired => "the session has ended".to_owned(),
                    why => format!("the session's cookie is not one of ours: {why}"),
                };
                self.nobody(asked, gate, Some(note), has_waited)
            }
            Some(Ok(session)) if now < session.tokens_until => self.known(asked, gate, &session),
            Some(Ok(session)) if session.refresh_token.is_some() => self.refresh(asked, session, has_waited),
            Some(Ok(_)) if self.settings.tokens.forward_access => {
                let note = "the session's access token has expired, and cannot be refreshed".to_owned();
                self.nobody(asked, gate, Some(note), has_waited)
            }
            Some(Ok(session)) => self.known(asked, gate, &session),
        }
    }

    /// Nobody is logged in; `why` tells what is wrong with what was shown.
    fn nobody(&self, asked: &Asked<'_>, gate: &mut Gate, why: Option<String>, has_waited: bool) -> Finding {
        if is_page(asked) {
            return match self.provider(has_waited) {
                Ok(provider) => self.send_to(asked, &provider),
                Err(finding) => finding,
            };
        }
        match why {
            None => Finding::Absent,
            Some(note) => {
                self.cookies.forget_session(&mut gate.response, asked);
                Finding::Refused(Refused::because(Reason::Unauthenticated, note))
            }
        }
    }

    /// The provider's description, or a wait for it.
    fn provider(&self, has_waited: bool) -> Result<Provider, Finding> {
        let source = &self.outside.provider;
        match source.current() {
            Some(published) => Ok(published.value.clone()),
            None if has_waited => {
                let note = format!("there is no description of {}", self.settings.issuer);
                Err(Finding::Refused(Refused::because(Reason::IdentityUnavailable, note)))
            }
            None => {
                let what = format!("the description of {}", self.settings.issuer);
                let (source, ask_again) = (source.clone(), self.ask_again);
                let described = async move {
                    source.refresh_if_older_than(ask_again).await;
                    Step::Described
                };
                Err(Finding::Wait(Wait::new(what, described)))
            }
        }
    }

    /// A wait for newer keys, to verify tokens once more.
    fn fetch_keys(&self, purpose: Purpose, answer: Arc<TokenAnswer>) -> Finding {
        let what = format!("the keys of {}", self.settings.issuer);
        let (source, ask_again) = (self.outside.keys.clone(), self.ask_again);
        let fetched = async move {
            source.refresh_if_older_than(ask_again).await;
            Step::Tokens { purpose, answer: Ok(answer), has_new_keys: true }
        };
        Finding::Wait(Wait::new(what, fetched))
    }

    /// Scheme and authority that the browser sees.
    fn origin(&self, asked: &Asked<'_>) -> String {
        let own = || format!("{}://{}", asked.scheme(), String::from_utf8_lossy(asked.authority));
        self.callback.origin.clone().unwrap_or_else(own)
    }

    fn unavailable(note: impl Into<String>) -> Finding {
        Finding::Refused(Refused::because(Reason::IdentityUnavailable, note.into()))
    }
}

fn callback(text: &str) -> Result<Callback, Unusable> {
    let callback = match text.parse::<Url>() {
        Ok(url) => Callback {
            path: url.target().to_owned(),
            origin: Some(format!("{}://{}", url.scheme().as_str(), url.authority())),
        },
        Err(_) => Callback { path: text.to_owned(), origin: None },
    };
    if login::is_local(callback.path.as_bytes()) && !callback.path.contains('?') {
        Ok(callback)
    } else {
        Err(Unusable::new(
            "callback",
            0,
            "neither a path that begins with one slash, nor a URL, without a query",
        ))
    }
}

/// Whether a page is asked for that a person will look at.
fn is_page(asked: &Asked<'_>) -> bool {
    let is_mode = |mode: &[u8]| mode.eq_ignore_ascii_case(b"navigate");
    let accepts = |accept: &[u8]| accept.to_ascii_lowercase().windows(9).any(|part| part == b"text/html");
    matches!(asked.method, HttpMethod::Get | HttpMethod::Head)
        && asked.fields.all(Known::Accept).any(accepts)
        && asked.fields.get_by_name(b"sec-fetch-mode").is_none_or(is_mode)
        && !asked.fields.has(Known::Upgrade)
}

impl Method for Oidc {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        match resolution.map(Resolution::downcast::<Step>) {
            Some(Ok(step)) => match *step {
                Step::Described => self.begin(asked, gate, true),
                Step::Tokens { purpose: Purpose::Login(pending), answer, has_new_keys } => {
                    self.log_in(asked, gate, pending, answer, has_new_keys)
                }
                Step::Tokens { purpose: Purpose::Refresh(session), answer, has_new_keys } => {
                    self.refreshed(asked, gate, session, answer, has_new_keys)
                }
            },
            _ => {
                self.cookies.cut(asked, &mut gate.request);
                self.begin(asked, gate, false)
            }
        }
    }

    /// Browsers know no scheme of a login by redirection.
    fn challenge(&self, _: Reason) -> Option<String> {
        None
    }

    fn remove_forged(&self, edits: &mut Edits) {
        self.settings.claims_to_headers.remove(edits);
    }
}

#[cfg(test)]
mod tests;
