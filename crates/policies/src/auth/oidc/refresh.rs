//! New tokens for a session whose own have expired.

use std::sync::Arc;

use tollgate_policy::{Asked, Gate, Wait};

use super::session::Session;
use super::tokens::{Expected, TokenAnswer, TokenError, Untrue, id_token, read, request};
use super::{Oidc, Purpose, Step};
use crate::auth::Finding;

/// How long new tokens are good, in seconds, where the provider does not say.
const UNSAID_S: u64 = 300;

impl Oidc {
    /// Waits for new tokens, together with all who come with the same session.
    pub(super) fn refresh(&self, asked: &Asked<'_>, session: Session, has_waited: bool) -> Finding {
        let provider = match self.provider(has_waited) {
            Ok(provider) => provider,
            Err(finding) => return finding,
        };
        let token = session.refresh_token.clone().unwrap_or_default();
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let Some(request) = request(&self.settings, &provider, &pairs) else {
            return Self::unavailable("the provider has no token end point");
        };
        let client = self.outside.client.clone();
        let runtime = client.runtime().clone();
        let call = async move { read(client.call(request).await).map(Arc::new) };
        let refreshes = self.outside.refreshes.clone();
        let refreshing = refreshes.run(runtime, token, asked.moment.now_us, call);
        let refreshed = async move {
            let answer = refreshing.await;
            Step::Tokens { purpose: Purpose::Refresh(session), answer, has_new_keys: false }
        };
        Finding::Wait(Wait::new(format!("new tokens of {}", self.settings.issuer), refreshed))
    }

    /// There are new tokens, or there will be none.
    pub(super) fn refreshed(
        &self,
        asked: &Asked<'_>,
        gate: &mut Gate,
        mut session: Session,
        answer: Result<Arc<TokenAnswer>, TokenError>,
        has_new_keys: bool,
    ) -> Finding {
        let answer = match answer {
            Ok(answer) => answer,
            Err(TokenError::Refused(why)) => {
                let note = format!("the provider does not refresh the session: {why}");
                return self.nobody(asked, gate, Some(note), true);
            }
            Err(TokenError::Unavailable(why)) => return Self::unavailable(why),
        };
        let now = asked.moment.wall_s();
        session.tokens_until = now.saturating_add(UNSAID_S);
        if let Some(token) = &answer.id_token {
            let expected = Expected {
                nonce: None,
                subject: session.subject(),
                access_token: answer.access_token.as_deref(),
            };
            let keys = self.outside.keys.current();
            match keys.as_ref().map(|keys| id_token(&self.settings, &keys.value, token, &expected, now)) {
                Some(Ok((claims, until))) => session.renew(claims, until),
                None | Some(Err(Untrue::Key(_))) if !has_new_keys => {
                    return self.fetch_keys(Purpose::Refresh(session), answer);
                }
                None => return Self::unavailable(format!("there are no keys of {}", self.settings.issuer)),
                Some(Err(Untrue::Key(why))) => return self.nobody(asked, gate, Some(why.to_string()), true),
                Some(Err(Untrue::Wrong(why))) => return self.nobody(asked, gate, Some(why), true),
            }
        }
        session.take(&self.settings, &answer, now);
        let random = &*self.outside.random;
        if !self.cookies.keep_session(&mut gate.response, asked, &session, session.ends, random) {
            let note = "the session does not fit into its cookies any more".to_owned();
            return self.nobody(asked, gate, Some(note), true);
        }
        self.known(asked, gate, &session)
    }
}
