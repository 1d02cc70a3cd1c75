//! OCSP: whether certificates are revoked is asked for here, and the answers are stapled (RFC 6066 section 8), so
//! that no client has to ask.

mod fetch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tollgate_runtime::Clock;
use tollgate_tls::ocsp::{self, Staple};
use tollgate_tls::{Certificate, Certificates};

use crate::compile::acceptors::CertificateSet;
use crate::instance::Instance;

/// How often is looked for something to ask.
const EVERY: Duration = Duration::from_secs(1);

/// How long after a failure is asked again; each further failure doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// The longest time from one question to the next after failures.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// The shortest time between two answers, whatever the authority says of their validity.
const SHORTEST: Duration = Duration::from_secs(60);

/// How many questions are under way at once.
const AT_ONCE: usize = 8;

/// A certificate of a set: the set by its address, the id and the serial number.
type Key = (usize, String, String);

/// What is known of a certificate's staple. Times are since 1970.
#[derive(Clone, Debug, Default)]
struct Known {
    /// When to ask; `None` while a question is under way.
    ask_at: Option<Duration>,
    failures: u32,
    /// Until when what is stapled may be shown.
    until: Option<Duration>,
}

/// A question and what came of it.
struct Answered {
    key: Key,
    certificates: Arc<Certificates>,
    id: String,
    result: Result<Staple, String>,
}

/// Asks for and staples answers for all certificates of the document in force whose authority names a responder,
/// unless the document has the answer or does not want any. Goes on as long as it is polled.
pub async fn staple(instance: Arc<Instance>) {
    let mut known: HashMap<Key, Known> = HashMap::new();
    let mut asking = JoinSet::new();
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            Some(Ok(answered)) = asking.join_next() => {
                conclude(&instance, &mut known, answered);
                continue;
            }
        }
        let now = Clock::new().wall();
        let sets = instance.certificate_sets();
        let wanted = wanted(&sets);
        known.retain(|key, _| wanted.iter().any(|(wanted, ..)| wanted == key));
        for (key, set, certificate) in wanted {
            let state = known.entry(key.clone()).or_insert(Known { ask_at: Some(now), ..Known::default() });
            if state.until.is_some_and(|until| until <= now) {
                state.until = None;
                set.certificates.staple(&key.1, None);
            }
            if state.ask_at.is_none_or(|at| at > now) || asking.len() >= AT_ONCE {
                continue;
            }
            state.ask_at = None;
            let (certificates, id) = (set.certificates.clone(), key.1.clone());
            asking.spawn(async move { Answered { key, certificates, id, result: ask(&certificate).await } });
        }
    }
}

/// The certificates that have a responder and no answer from the document.
fn wanted(sets: &[Arc<CertificateSet>]) -> Vec<(Key, &CertificateSet, Arc<Certificate>)> {
    let mut wanted = Vec::new();
    for set in sets.iter().filter(|set| set.plan.ocsp) {
        for certificate in set.certificates.all() {
            let has_own = certificate.files().is_some_and(|files| files.ocsp.is_some());
            let mut chain = certificate.chain();
            let named = chain.next().and_then(ocsp::responder).is_some();
            if has_own || !named || chain.next().is_none() {
                continue;
            }
            let key = (Arc::as_ptr(set).addr(), certificate.id().to_owned(), certificate.describe().serial);
            wanted.push((key, &**set, certificate.clone()));
        }
    }
    wanted
}

async fn ask(certificate: &Certificate) -> Result<Staple, String> {
    let mut chain = certificate.chain();
    let (Some(leaf), Some(issuer)) = (chain.next(), chain.next()) else {
        return Err("its issuer's certificate is not in its file".to_owned());
    };
    let url = ocsp::responder(leaf).ok_or("it names no responder")?;
    let question = ocsp::request(leaf, issuer).map_err(|problem| problem.to_string())?;
    let answer = fetch::post(&url, question).await.map_err(|problem| format!("{url}: {problem}"))?;
    let accepted = ocsp::accept(&answer, leaf, issuer, Clock::new().wall());
    accepted.map_err(|problem| format!("{url}: {problem}"))
}

fn conclude(instance: &Instance, known: &mut HashMap<Key, Known>, answered: Answered) {
    let Answered { key, certificates, id, result } = answered;
    // It may have gone meanwhile, or another may be in its place.
    let Some(state) = known.get_mut(&key) else { return };
    let is_same = certificates.describe().iter().any(|now| now.id == id && now.serial == key.2);
    let now = Clock::new().wall();
    match result {
        Ok(staple) => {
            if is_same {
                certificates.staple(&id, Some(staple.der.clone()));
            }
            if state.failures > 0 {
                instance.say(&format!("certificate {id}: there is an OCSP answer again"));
            }
            *state = after(&staple, now);
        }
        Err(problem) => {
            // Once: it may go on for days.
            if state.failures == 0 {
                instance.say(&format!("certificate {id}: no OCSP answer that could be stapled: {problem}"));
            }
            state.failures = state.failures.saturating_add(1);
            state.ask_at = Some(now + delay(state.failures));
        }
    }
}

/// At half of its validity the next answer is asked for.
fn after(staple: &Staple, now: Duration) -> Known {
    let until = Duration::from_secs(u64::try_from(staple.next_update).unwrap_or_default());
    let half = until.saturating_sub(now) / 2;
    Known { ask_at: Some(now + half.max(SHORTEST)), failures: 0, until: Some(until) }
}

/// How long after so many failures is waited.
fn delay(failures: u32) -> Duration {
    let doubled = FIRST_DELAY.checked_mul(1 << failures.saturating_sub(1).min(16));
    doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Staple, after, delay};

    #[test]
    fn failures_wait_longer_each_time_but_not_for_ever() {
        assert_eq!([1, 2, 3, 7, 8, 1000].map(|n| delay(n).as_secs()), [30, 60, 120, 1920, 3600, 3600]);
    }

    #[test]
    fn an_answer_is_renewed_at_half_of_what_is_left_of_it() {
        let staple = |next_update| Staple { der: Vec::new(), this_update: 0, next_update };
        let at = |next_update| after(&staple(next_update), Duration::from_secs(1000));
        assert_eq!(at(5000).ask_at, Some(Duration::from_secs(3000)));
        assert_eq!(at(5000).until, Some(Duration::from_secs(5000)));
        assert_eq!(at(1010).ask_at, Some(Duration::from_secs(1060)));
    }
}
