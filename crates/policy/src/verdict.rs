//! What a policy is, and what it can decide.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;

use crate::{Asked, Gate};

/// A policy's place in line. Within a stage the order is the route's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Whether the request may come in at all, whoever sends it: addresses, its shape, its origin.
    Admit,
    /// Who sends it.
    Identify,
    /// Whether they may.
    Authorise,
    /// How much they may.
    Limit,
    /// What is changed on the way.
    Transform,
}

/// What is applied to the requests of a route.
pub trait Policy: fmt::Debug + Send + Sync {
    /// What the document calls it: `auth`, `rate_limit per-consumer`.
    fn name(&self) -> &str;

    /// Its place in line.
    fn stage(&self) -> Stage;

    /// Decides about a request. `resolution` is what came of the future that it wanted to wait for, when it is
    /// asked again about the same request.
    ///
    /// With [`Mode::Explain`](crate::Mode::Explain) nothing may change that other requests depend on.
    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Verdict;

    /// Whether it decides by the snapshot, the request, its caller and the time alone. Then a recorded verdict
    /// can be made again, and is.
    fn is_repeatable(&self) -> bool {
        false
    }
}

/// What a policy decides.
#[derive(Debug)]
pub enum Verdict {
    /// The request may go on. The number is the policy's own, told by `why`: what is left of a limit.
    Continue(Option<i64>),
    /// The same, with something that the operator is told: it passed otherwise than usual.
    Noted(Option<i64>, Cow<'static, str>),
    /// It is refused.
    Refuse(Refused),
    /// It gets this answer.
    Answer(Box<Answer>),
    /// It has to wait.
    Wait(Wait),
}

impl Verdict {
    /// The request may go on.
    pub const CONTINUE: Self = Self::Continue(None);

    /// A refusal with nothing to add to its reason.
    pub fn refuse(reason: Reason) -> Self {
        Self::Refuse(reason.into())
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: Reason,
    /// What exactly was wrong, for the operator only.
    pub note: Option<Cow<'static, str>>,
    /// When it may be tried again, in seconds: the value of `Retry-After`.
    pub retry_after_s: Option<u64>,
}

impl Refused {
    /// With what exactly was wrong, for the operator only.
    pub fn because(reason: Reason, note: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, note: Some(note.into()), retry_after_s: None }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, note: None, retry_after_s: None }
    }
}

/// An answer that a policy gives itself.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Why; `None` only before it is set.
    pub reason: Option<Reason>,
    /// The status.
    pub status: u16,
    /// Its fields. The gate's changes to responses come on top.
    pub fields: Edits,
    /// `Content-Type`; none for an empty body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// What is to be known of it, for the operator only.
    pub note: Option<Cow<'static, str>>,
}

/// What came of a future: a value of a type that only the policy knows.
pub type Resolution = Box<dyn Any + Send>;

/// Something that has to be waited for. Nothing happens before the future is polled, so that explaining a
/// request can drop it.
pub struct Wait {
    /// What for, in words that follow "waits for": `the key set of https://…`.
    pub what: Cow<'static, str>,
    /// The wait itself is what the policy does to the request: throttling. In shadow it is not done. Waits for
    /// knowledge are, since without it nothing can be decided.
    pub is_effect: bool,
    /// The future. It ends by itself: its time limit is its own.
    pub future: Pin<Box<dyn Future<Output = Resolution> + Send>>,
}

impl Wait {
    /// Waits for a future, `what` in words that follow "waits for".
    pub fn new<T: Send + 'static>(
        what: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        let future = async move { Box::new(future.await) as Resolution };
        Self { what: what.into(), is_effect: false, future: Box::pin(future) }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wait({})", self.what)
    }
}
