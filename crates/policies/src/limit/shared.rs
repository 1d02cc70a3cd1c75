//! Where limits count: in this process, or in a Redis for all instances together, and what happens while that
//! cannot be asked.

use std::borrow::Cow;
use std::future::pending;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Refused, Resolution, Verdict, Wait};
use tollgate_stores::Decision;
use tollgate_stores::redis::{Counting, Leased, Leases, RedisStore, Take, Unavailable, UnavailableKind};

/// When a client may come again whose limit could not be asked. A store that was gone is found again within two
/// seconds of its return.
const RETRY_AFTER_S: u64 = 2;

/// Where a limit counts. `L` is what counts in this process.
#[derive(Debug)]
pub enum Counter<L> {
    /// In this process.
    Here(L),
    /// In a Redis, for all instances together.
    Shared(Shared, IfDown<L>),
}

/// What happens to requests while the Redis cannot decide.
#[derive(Debug)]
pub enum IfDown<L> {
    /// They pass uncounted.
    Open,
    /// They are refused.
    Closed,
    /// They are counted here, as if this instance were the only one.
    Local(L),
}

/// A limit in a Redis.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The Redis, in words: `Redis shared`.
    pub what: String,
    /// The store.
    pub store: RedisStore,
    /// Units that are taken from the store in advance; without them each request asks it.
    pub leases: Option<Leases>,
    /// The limit's name there: the same in all instances that share it, and never with `{` in it.
    pub limit: String,
}

/// What a request is to be charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    /// For whom it is counted.
    pub(super) key: &'a [u8],
    /// How.
    pub(super) counting: Counting,
    /// What it costs.
    pub(super) cost: u64,
}

/// What a limit came to, and what the operator is to know of how it did.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) decision: Decision,
    pub(super) note: Option<Cow<'static, str>>,
}

impl Counted {
    /// The request may go on.
    pub(super) fn passes(self, remaining: u64) -> Verdict {
        let remaining = i64::try_from(remaining).ok();
        match self.note {
            None => Verdict::Continue(remaining),
            Some(note) => Verdict::Noted(remaining, note),
        }
    }

    /// It may not, and is told when to come again.
    pub(super) fn refuses(self, reason: Reason) -> Verdict {
        let Some(us) = self.decision.retry_after_us else {
            return refuse(reason, None, self.note, "it costs more than the limit ever has".into());
        };
        let note = format!("the next one could pass in {}.{:03} s", us / 1_000_000, us / 1000 % 1000);
        refuse(reason, Some(us.div_ceil(1_000_000).max(1)), self.note, note.into())
    }
}

fn refuse(
    reason: Reason,
    retry_after_s: Option<u64>,
    before: Option<Cow<'static, str>>,
    note: Cow<'static, str>,
) -> Verdict {
    let note = match before {
        None => note,
        Some(before) => format!("{before}; {note}").into(),
    };
    Verdict::Refuse(Refused { retry_after_s, ..Refused::because(reason, note) })
}

/// What asking a Redis comes to.
enum Answer {
    Decided(Decision),
    Wait(Wait),
    Unavailable(Unavailable),
}

impl<L> Counter<L> {
    /// Counts a request; `here` does so in this process. Where it is not decided by a count, what the request gets
    /// instead is the error.
    pub(super) fn count(
        &self,
        asked: &Asked<'_>,
        charge: &Charge<'_>,
        resolution: Option<Resolution>,
        here: impl FnOnce(&L) -> Decision,
    ) -> Result<Counted, Verdict> {
        let (shared, if_down) = match self {
            Self::Here(counter) => return Ok(Counted { decision: here(counter), note: None }),
            Self::Shared(shared, if_down) => (shared, if_down),
        };
        let problem = match shared.ask(asked, charge, resolution) {
            Answer::Decided(decision) => return Ok(Counted { decision, note: None }),
            Answer::Wait(wait) => return Err(Verdict::Wait(wait)),
            Answer::Unavailable(problem) => problem,
        };
        let so = |so: &str| {
            let Unavailable { kind, detail } = &problem;
            Cow::from(format!("{} does not decide ({kind}: {detail}), so {so}", shared.what))
        };
        match if_down {
            IfDown::Open => Err(Verdict::Noted(None, so("it passed uncounted"))),
            IfDown::Closed => Err(Verdict::Refuse(Refused {
                retry_after_s: Some(RETRY_AFTER_S),
                ..Refused::because(Reason::LimitUnavailable, so("it was refused"))
            })),
            IfDown::Local(counter) => {
                let note = Some(so("this instance counted it alone"));
                Ok(Counted { decision: here(counter), note })
            }
        }
    }
}

impl Shared {
    fn ask(&self, asked: &Asked<'_>, charge: &Charge<'_>, resolution: Option<Resolution>) -> Answer {
        if let Some(resolution) = resolution {
            return match resolution.downcast::<Result<Decision, Unavailable>>() {
                Ok(answer) => Answer::of(*answer),
                Err(_) => Answer::Unavailable(garbled()),
            };
        }
        if !asked.mode.serves() {
            // Whoever explains drops this: nothing is asked, let alone leased.
            let wait = || Answer::Wait(Wait::new(self.what.clone(), pending::<()>()));
            return self.store.problem().map_or_else(wait, Answer::Unavailable);
        }
        let Charge { key, counting, cost } = *charge;
        let take = Take { limit: &self.limit, key, counting, cost };
        let Some(leases) = &self.leases else { return self.ask_store(&take) };
        match leases.take(&take, asked.moment.now_us) {
            Leased::Decided(decision) => Answer::Decided(decision),
            Leased::Ask(asking) => Answer::Wait(Wait::new(self.what.clone(), asking)),
            Leased::Unavailable(problem) => Answer::Unavailable(problem),
        }
    }

    fn ask_store(&self, take: &Take<'_>) -> Answer {
        if let Some(problem) = self.store.problem() {
            return Answer::Unavailable(problem);
        }
        let asking = self.store.take(std::slice::from_ref(take));
        let first = async move { asking.await?.into_iter().next().ok_or_else(garbled) };
        Answer::Wait(Wait::new(self.what.clone(), first))
    }
}

impl Answer {
    fn of(answer: Result<Decision, Unavailable>) -> Self {
        match answer {
            Ok(decision) => Self::Decided(decision),
            Err(problem) => Self::Unavailable(problem),
        }
    }
}

fn garbled() -> Unavailable {
    Unavailable { kind: UnavailableKind::Garbled, detail: "no answer".into() }
}

#[cfg(test)]
mod tests;
