//! What an exchange takes with it from its route's policies.

use std::any::Any;
use std::fmt;

use tollgate_http1::edits::{Edits, Mark};

use crate::{Caller, Refused};

/// Buffers that grew beyond this are given back instead of being kept.
const KEEP: usize = 4 * 1024;

/// What the policies of an exchange have come to so far: who sends it, what is changed of its fields, what is
/// held until it ends. Lives in a box that is used again.
#[derive(Debug, Default)]
pub struct Gate {
    /// Who sends it.
    pub caller: Caller,
    /// Changes to the request that goes to the origin.
    pub request: Edits,
    /// The query that the origin gets instead of the client's; empty for none.
    pub query: Option<Vec<u8>>,
    /// Changes to the response, whoever makes it.
    pub response: Edits,
    /// Looks at the request's body as it comes. The request is held until all of it has come and was found right.
    pub body: Option<Box<dyn BodyCheck>>,
    /// Dropped when the exchange ends: places that it takes.
    pub(crate) held: Vec<Held>,
    /// The policy that looks at the body.
    pub body_policy: u16,
    /// The policy that is asked next.
    pub(crate) next: usize,
}

pub(crate) struct Held(
    #[expect(dead_code, reason = "it is held for what its drop does")] Box<dyn Any + Send>,
);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// Looks at the body of a request before the origin gets any of it.
pub trait BodyCheck: fmt::Debug {
    /// How many bytes may be held; a larger body is refused.
    fn limit(&self) -> usize;

    /// Takes the next part.
    fn part(&mut self, bytes: &[u8]);

    /// All of it has come.
    fn end(self: Box<Self>) -> Result<(), Refused>;
}

/// How far a gate had come, to go back there.
#[derive(Debug)]
pub(crate) struct Before {
    request: Mark,
    response: Mark,
    held: usize,
    query: bool,
    body: bool,
}

impl Gate {
    /// Holds something until the exchange ends.
    pub fn hold(&mut self, held: impl Any + Send) {
        self.held.push(Held(Box::new(held)));
    }

    /// Lets go of everything, and keeps the buffers for another exchange.
    pub fn reset(&mut self) {
        self.caller = Caller::default();
        self.request.clear(KEEP);
        self.response.clear(KEEP);
        self.query = None;
        self.body = None;
        self.held.clear();
        self.next = 0;
    }

    /// Whether policies left nothing to be done to the request.
    pub fn changes_nothing(&self) -> bool {
        self.request.is_empty() && self.query.is_none()
    }

    pub(crate) fn so_far(&self) -> Before {
        Before {
            request: self.request.so_far(),
            response: self.response.so_far(),
            held: self.held.len(),
            query: self.query.is_some(),
            body: self.body.is_some(),
        }
    }

    /// Takes back what a policy changed that only runs in shadow. The caller stays: to know who it is changes
    /// nothing.
    pub(crate) fn back_to(&mut self, before: &Before) {
        self.request.back_to(before.request);
        self.response.back_to(before.response);
        self.held.truncate(before.held);
        if !before.query {
            self.query = None;
        }
        if !before.body {
            self.body = None;
        }
    }
}
