//! Who sends a request: methods that look for a proof and verify it, and how a route puts them together.

pub mod api_key;
pub mod basic;
mod bearer;
mod called;
pub mod certificate;
pub mod ext_authz;
pub mod forward;
mod handed_on;
pub mod introspection;
pub mod jwt;
mod method;
pub mod oidc;
mod percent;
mod places;
pub mod signature;

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Answer, Asked, Caller, Gate, Mode, Policy, Refused, Resolution, Stage, Verdict, Wait};

pub use bearer::{Good, TokenSettings};
pub use called::IfUnreachable;
pub use handed_on::{HandedOn, IdentityFields};
pub use method::{Finding, Method};
pub use places::Places;

/// How a route finds out who sends a request.
#[derive(Debug)]
pub struct Auth {
    name: String,
    methods: Box<[Arc<dyn Method>]>,
    wanted: Wanted,
    anonymous: Option<Anonymous>,
    identity: IdentityFields,
    /// Removes what only the methods may say to the origin.
    forged: Edits,
}

/// How many of the methods must find somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One. The others are asked in their order until one does.
    Any,
    /// All, and nobody else than the others find.
    All,
}

/// Who a request comes from that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// This consumer.
    Consumer(String),
    /// Nobody in particular.
    Nobody,
}

/// How far the methods of a request have been asked when one of them wants to wait.
struct Progress {
    at: usize,
    found: Found,
    resolution: Resolution,
}

/// What the methods asked so far have found.
#[derive(Default)]
struct Found {
    caller: Option<Caller>,
    refused: Option<Refused>,
    login: Option<Box<Answer>>,
    /// What is said of a proof that is not there and that no other can stand in for.
    absence: Option<Reason>,
}

impl Auth {
    /// Puts methods together.
    pub fn new(
        methods: Vec<Arc<dyn Method>>,
        wanted: Wanted,
        anonymous: Option<Anonymous>,
        identity: IdentityFields,
    ) -> Self {
        let mut forged = Edits::default();
        identity.remove(&mut forged);
        methods.iter().for_each(|method| method.remove_forged(&mut forged));
        let names: Vec<_> = methods.iter().map(|method| &**method.name()).collect();
        let name = format!("auth {}", names.join(if wanted == Wanted::Any { " or " } else { " and " }));
        Self { name, methods: methods.into(), wanted, anonymous, identity, forged }
    }

    fn ask(
        &self,
        asked: &Asked<'_>,
        gate: &mut Gate,
        mut found: Found,
        from: usize,
        r: Option<Resolution>,
    ) -> Verdict {
        let mut resolution = r;
        for (at, method) in self.methods.iter().enumerate().skip(from) {
            match method.identify(asked, gate, resolution.take()) {
                Finding::Known(caller) => match found.caller.take() {
                    Some(before) if differ(&before, &caller) => {
                        let note = format!("{} and {}", told(&before), told(&caller));
                        return self.refuse(gate, Refused::because(Reason::IdentityConflict, note));
                    }
                    Some(before) => found.caller = Some(merge(before, &caller)),
                    // Moved, not copied: all workers count in the same few places who else holds its parts.
                    None => found.caller = Some(caller),
                },
                Finding::Wait(wait) => return pause(wait, at, found),
                Finding::Answer(answer) => return Verdict::Answer(answer),
                Finding::Login(answer) if self.wanted == Wanted::All => {
                    found.login = Some(answer);
                    break;
                }
                Finding::Login(answer) => found.login = found.login.or(Some(answer)),
                Finding::Refused(refused) if self.wanted == Wanted::All => return self.refuse(gate, refused),
                // What was shown and is wrong says more than what was not shown.
                Finding::Refused(refused) => found.refused = found.refused.or(Some(refused)),
                Finding::Absent if self.wanted == Wanted::All || self.methods.len() == 1 => {
                    found.absence = Some(method.absence());
                    break;
                }
                Finding::Absent => {}
            }
            let is_enough = self.wanted == Wanted::Any || at + 1 == self.methods.len();
            if is_enough && let Some(caller) = found.caller.take() {
                return self.pass(gate, caller);
            }
        }
        self.nobody(asked, gate, found)
    }

    fn pass(&self, gate: &mut Gate, caller: Caller) -> Verdict {
        self.identity.write(&mut gate.request, &caller);
        gate.caller = caller;
        Verdict::CONTINUE
    }

    /// Nobody has proved anything.
    fn nobody(&self, asked: &Asked<'_>, gate: &mut Gate, found: Found) -> Verdict {
        if let Some(refused) = found.refused {
            return self.refuse(gate, refused);
        }
        let caller = Caller { anonymous: true, ..Caller::default() };
        match &self.anonymous {
            Some(Anonymous::Nobody) => self.pass(gate, caller),
            Some(Anonymous::Consumer(name)) => match asked.consumers.by_name(name) {
                Some(consumer) => self.pass(gate, Caller { consumer: Some(consumer.clone()), ..caller }),
                None => {
                    let note = format!("the anonymous consumer {name} is not known");
                    self.refuse(gate, Refused::because(Reason::ConsumerUnknown, note))
                }
            },
            None => match found.login {
                Some(login) => Verdict::Answer(login),
                None => self.refuse(gate, found.absence.unwrap_or(Reason::Unauthenticated).into()),
            },
        }
    }

    /// Refuses, and tells how to prove who one is (RFC 9110 section 11.6.1).
    fn refuse(&self, gate: &mut Gate, refused: Refused) -> Verdict {
        if refused.reason.status() == 401 {
            for method in &self.methods {
                if let Some(challenge) = method.challenge(refused.reason) {
                    gate.response.add("WWW-Authenticate", &challenge);
                }
            }
        }
        Verdict::Refuse(refused)
    }
}

/// Whether two proofs are of two consumers.
fn differ(one: &Caller, other: &Caller) -> bool {
    one.consumer.as_ref().zip(other.consumer.as_ref()).is_some_and(|(one, other)| one.name != other.name)
}

fn told(caller: &Caller) -> String {
    format!("{} proves {}", caller.auth, caller.name())
}

/// What both proofs say: the first one counts where both say something.
fn merge(first: Caller, second: &Caller) -> Caller {
    let auth = format!("{}+{}", first.auth, second.auth).into();
    Caller {
        consumer: first.consumer.or_else(|| second.consumer.clone()),
        subject: first.subject.or_else(|| second.subject.clone()),
        claims: first.claims.or_else(|| second.claims.clone()),
        auth,
        anonymous: false,
    }
}

fn pause(wait: Wait, at: usize, found: Found) -> Verdict {
    let Wait { what, future, is_effect } = wait;
    let resumed = async move { Progress { at, found, resolution: future.await } };
    Verdict::Wait(Wait { is_effect, ..Wait::new(what, resumed) })
}

impl Policy for Auth {
    fn name(&self) -> &str {
        &self.name
    }

    fn stage(&self) -> Stage {
        Stage::Identify
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Verdict {
        if let Mode::Explain(Some(caller)) = asked.mode {
            return self.pass(gate, caller.clone());
        }
        match resolution.map(Resolution::downcast::<Progress>) {
            Some(Ok(progress)) => {
                let Progress { at, found, resolution } = *progress;
                self.ask(asked, gate, found, at, Some(resolution))
            }
            _ => {
                gate.request.extend(&self.forged);
                self.ask(asked, gate, Found::default(), 0, None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
