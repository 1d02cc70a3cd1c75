//! Refreshes of sessions: each refresh token is used once, whoever asks.
//!
//! A page has its browser ask for many things at once, all with the same session. Providers that give a new refresh
//! token with each use take a second use of the old one for theft, and end the login. So all who come with a token
//! wait for one refresh, and those that were on their way meanwhile get what came of it, too.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::tokens::{TokenAnswer, TokenError};

/// What came of a refresh.
pub(super) type Refreshed = Result<Arc<TokenAnswer>, TokenError>;

/// Refreshes that are remembered.
const MOST: usize = 10_000;
/// How long what came of one is remembered, in microseconds.
const KEPT_US: u64 = 60_000_000;

/// Refreshes under way, and what came of the last ones; bounded.
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<HashMap<Vec<u8>, Refresh>>);

#[derive(Debug)]
struct Refresh {
    began_us: u64,
    done: watch::Receiver<Option<Refreshed>>,
}

impl Refresh {
    fn is_good(&self, now_us: u64) -> bool {
        let is_unanswered = matches!(&*self.done.borrow(), Some(Err(TokenError::Unavailable(_))));
        !is_unanswered && now_us.saturating_sub(self.began_us) < KEPT_US
    }
}

impl Refreshes {
    /// What comes of using a refresh token: by `call`, which goes on if nobody waits for it any more, or by that of
    /// somebody else.
    pub(super) async fn run(
        self: Arc<Self>,
        runtime: Handle,
        token: String,
        now_us: u64,
        call: impl Future<Output = Refreshed> + Send + 'static,
    ) -> Refreshed {
        let unavailable = |why: &str| Err(TokenError::Unavailable(why.to_owned()));
        let Some(mut done) = self.join(&runtime, &token, now_us, call) else {
            return unavailable("too many sessions are being refreshed");
        };
        match done.wait_for(Option::is_some).await {
            Ok(done) => done.clone().unwrap_or_else(|| unavailable("it was given up")),
            Err(_) => unavailable("the program is being stopped"),
        }
    }

    /// `None` where there are too many.
    fn join(
        &self,
        runtime: &Handle,
        token: &str,
        now_us: u64,
        call: impl Future<Output = Refreshed> + Send + 'static,
    ) -> Option<watch::Receiver<Option<Refreshed>>> {
        let key = digest(&SHA256, token.as_bytes()).as_ref().to_vec();
        let mut refreshes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refresh) = refreshes.get(&key).filter(|refresh| refresh.is_good(now_us)) {
            return Some(refresh.done.clone());
        }
        // When it doubles, so that looking through all costs each of them a constant.
        if refreshes.len() == refreshes.capacity() || refreshes.len() >= MOST {
            refreshes.retain(|_, refresh| refresh.is_good(now_us));
        }
        if refreshes.len() >= MOST {
            return None;
        }
        let (tell, done) = watch::channel(None);
        runtime.spawn(async move { drop(tell.send_replace(Some(call.await))) });
        refreshes.insert(key, Refresh { began_us: now_us, done: done.clone() });
        Some(done)
    }
}
