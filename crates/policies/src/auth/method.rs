//! A way of proving who one is.

use std::fmt;
use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Answer, Asked, Caller, Gate, Refused, Resolution, Wait};

/// Looks for one kind of proof in a request, and verifies it.
pub trait Method: fmt::Debug + Send + Sync {
    /// What the document calls it.
    fn name(&self) -> &Arc<str>;

    /// Who the request proves to come from. `resolution` is what came of the future that it wanted to wait for.
    /// It may change what the origin gets: take the proof away, hand on what it says.
    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding;

    /// What a request is refused for that lacks its proof, where no other could do instead.
    fn absence(&self) -> Reason {
        Reason::Unauthenticated
    }

    /// A challenge for a request that is refused with `reason` (RFC 9110 section 11.3); `None` where the method has
    /// no scheme of that kind. It must not say why in more words than its scheme's standard has.
    fn challenge(&self, reason: Reason) -> Option<String>;

    /// Removes the fields that the method hands on to origins, so that no client can forge them.
    fn remove_forged(&self, edits: &mut Edits);
}

/// What a method finds.
#[derive(Debug)]
pub enum Finding {
    /// No proof of its kind.
    Absent,
    /// A proof, and it is good.
    Known(Caller),
    /// A proof, and it is not good.
    Refused(Refused),
    /// The request is the method's own, and gets this answer: a login that comes back, a logout.
    Answer(Box<Answer>),
    /// No proof, but it can be got: unless another method finds one, the client is sent for it.
    Login(Box<Answer>),
    /// It has to wait.
    Wait(Wait),
}
