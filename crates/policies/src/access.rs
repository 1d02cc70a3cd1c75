//! Whether who sends a request may: rules that allow and deny by group, consumer, scope, claim and expression.

#[cfg(test)]
mod tests;

use serde_json::Value as Json;
use tollgate_decision::Reason;
use tollgate_expression::Expression;
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Told, Verdict};

/// What is allowed and what is denied. A rule that denies wins.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// One of these must hold, if there are any and `otherwise` is to deny.
    pub allow: Vec<Rule>,
    /// None of these may hold.
    pub deny: Vec<Rule>,
    /// Whether requests pass that no rule is about.
    pub otherwise_allow: bool,
}

/// A rule about the caller or the request.
#[derive(Clone, Debug)]
pub enum Rule {
    /// The consumer is in one of these groups.
    Group(Vec<Box<str>>),
    /// The consumer is one of these.
    Consumer(Vec<Box<str>>),
    /// The proof gives one of these scopes.
    Scope(Vec<Box<str>>),
    /// Each of these claims has one of its values.
    Claim(Vec<(Box<str>, Vec<Json>)>),
    /// An expression is true.
    If(Expression),
}

/// Allows and denies by rules.
#[derive(Debug)]
pub struct Access(Settings);

/// What a rule says of a request.
enum Holds {
    Yes,
    No,
    /// It could not be evaluated, and this is why.
    Failed(String),
}

impl Access {
    /// A policy of these rules.
    pub fn new(settings: Settings) -> Self {
        Self(settings)
    }

    fn judge(&self, told: &Told<'_>) -> Verdict {
        for rule in &self.0.deny {
            match rule.holds(told) {
                Holds::Yes => return refuse(Reason::DeniedByRule, format!("denied by {}", rule.name())),
                Holds::No => {}
                // Who can make a rule fail must not get past it.
                Holds::Failed(why) => return refuse(Reason::RuleFailed, format!("{}: {why}", rule.name())),
            }
        }
        let mut failed = None;
        for rule in &self.0.allow {
            match rule.holds(told) {
                Holds::Yes => return Verdict::CONTINUE,
                Holds::No => {}
                Holds::Failed(why) => failed = failed.or(Some(format!("{}: {why}", rule.name()))),
            }
        }
        match failed {
            _ if self.0.otherwise_allow => Verdict::CONTINUE,
            Some(why) => refuse(Reason::RuleFailed, why),
            None => refuse(Reason::NotAllowed, format!("none of the {} rules allows it", self.0.allow.len())),
        }
    }
}

impl Policy for Access {
    fn name(&self) -> &str {
        "access"
    }

    fn stage(&self) -> Stage {
        Stage::Authorise
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        self.judge(&Told { asked, caller: &gate.caller })
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

fn refuse(reason: Reason, note: String) -> Verdict {
    Verdict::Refuse(Refused::because(reason, note))
}

impl Rule {
    fn holds(&self, told: &Told<'_>) -> Holds {
        let caller = told.caller;
        let holds = match self {
            Self::Group(groups) => groups
                .iter()
                .any(|group| caller.consumer.as_ref().is_some_and(|consumer| consumer.is_in(group))),
            Self::Consumer(names) => names.iter().any(|name| &**name == caller.name()),
            Self::Scope(scopes) => scopes.iter().any(|scope| caller.has_scope(scope)),
            Self::Claim(claims) => claims.iter().all(|(path, values)| {
                caller.claim(path).is_some_and(|claim| values.iter().any(|value| matches(claim, value)))
            }),
            Self::If(expression) => match expression.test(told) {
                Ok(holds) => holds,
                Err(error) => return Holds::Failed(error.to_string()),
            },
        };
        if holds { Holds::Yes } else { Holds::No }
    }

    /// The rule in the document's words.
    fn name(&self) -> String {
        let list = |names: &[Box<str>]| names.join(" or ");
        match self {
            Self::Group(groups) => format!("the rule group {}", list(groups)),
            Self::Consumer(names) => format!("the rule consumer {}", list(names)),
            Self::Scope(scopes) => format!("the rule scope {}", list(scopes)),
            Self::Claim(claims) => {
                let paths: Vec<_> = claims.iter().map(|(path, _)| &**path).collect();
                format!("the rule claim {}", paths.join(" and "))
            }
            Self::If(expression) => format!("the rule `{}`", expression.text()),
        }
    }
}

/// Whether a claim has a value, or is a list with it.
fn matches(claim: &Json, value: &Json) -> bool {
    match claim {
        Json::Array(entries) => entries.iter().any(|entry| same(entry, value)),
        claim => same(claim, value),
    }
}

/// Numbers are the same if they are equal, however they are written.
fn same(one: &Json, other: &Json) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}
