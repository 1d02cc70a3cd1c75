//! The end of a session (OpenID Connect RP-Initiated Logout 1.0).

use tollgate_decision::Reason;
use tollgate_message::{Known, Method as HttpMethod};
use tollgate_policy::{Asked, Refused};

use super::Oidc;
use super::login::{is_local, redirect};
use super::session::Session;
use crate::auth::{Finding, percent};

impl Oidc {
    /// The browser forgets the session, and goes to where the provider's own ends, if it has such a place.
    pub(super) fn log_out(&self, asked: &Asked<'_>) -> Finding {
        if let Some(note) = foreign(asked) {
            return Finding::Refused(Refused::because(Reason::CrossSite, note));
        }
        let after = &self.settings.after_logout;
        // Nobody has to wait for the provider to be rid of a session here.
        let provider = self.outside.provider.current();
        let end = provider.as_ref().and_then(|provider| provider.value.end_session.as_ref());
        let to = match end {
            None => after.clone(),
            Some(end) => {
                let mut url = end.to_string();
                let session = self.cookies.session::<Session>(asked).and_then(Result::ok);
                if let Some(hint) = session.and_then(|session| session.id_token) {
                    percent::add(&mut url, "id_token_hint", &hint);
                }
                let back = match is_local(after.as_bytes()) {
                    true => format!("{}{after}", self.origin(asked)),
                    false => after.clone(),
                };
                percent::add(&mut url, "client_id", &self.settings.client_id);
                percent::add(&mut url, "post_logout_redirect_uri", &back);
                url
            }
        };
        let mut answer = redirect(Reason::LoggedOut, &to);
        self.cookies.forget_session(&mut answer.fields, asked);
        Finding::Answer(Box::new(answer))
    }
}

/// What tells that a page of another site is behind a request.
fn foreign(asked: &Asked<'_>) -> Option<&'static str> {
    let mut sites =
        asked.fields.iter().filter(|(name, _, _)| name.eq_ignore_ascii_case(b"sec-fetch-site")).peekable();
    if sites.peek().is_some() {
        let is_own = |site: &[u8]| matches!(site, b"same-origin" | b"same-site" | b"none");
        return (!sites.all(|(_, site, _)| is_own(site))).then_some("Sec-Fetch-Site is of another site");
    }
    // Older browsers say it with POST.
    let host =
        |origin: &[u8]| origin.windows(3).position(|part| part == b"://").map(|at| origin[at + 3..].to_vec());
    let is_own = |origin: &[u8]| host(origin).is_some_and(|host| host.eq_ignore_ascii_case(asked.authority));
    let is_foreign = asked.method == HttpMethod::Post && !asked.fields.all(Known::Origin).all(is_own);
    is_foreign.then_some("Origin is another than the request's")
}
