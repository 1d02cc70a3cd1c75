//! How much a request costs, and how much a caller has.

use std::collections::HashMap;

use tollgate_expression::Expression;
use tollgate_policy::{Asked, Caller, Told};

/// What a request costs.
#[derive(Clone, Debug, Default)]
pub struct Cost(Option<Expression>);

impl Cost {
    /// What an expression gives; 1 without.
    pub fn new(expression: Option<Expression>) -> Self {
        Self(expression)
    }

    /// The cost of a request. Of one whose cost cannot be told, or is negative, it is 1: who can make the expression
    /// fail must not get through for nothing.
    pub fn of(&self, asked: &Asked<'_>, caller: &Caller) -> u64 {
        let Some(expression) = &self.0 else { return 1 };
        let cost = expression.integer(&Told { asked, caller }).ok();
        cost.and_then(|cost| u64::try_from(cost).ok()).unwrap_or(1)
    }
}

/// An amount, with other amounts for some consumers and for groups of them.
#[derive(Clone, Debug)]
pub struct Amounts<T> {
    usual: T,
    /// By name.
    consumers: HashMap<Box<str>, T>,
    /// The largest first.
    groups: Box<[(Box<str>, T)]>,
}

impl<T> Amounts<T> {
    /// The amount of everybody, and those of groups. `size` tells which of several is the largest, and so counts for
    /// a consumer of several groups.
    pub fn new<K: Ord>(usual: T, mut groups: Vec<(Box<str>, T)>, size: impl Fn(&T) -> K) -> Self {
        groups.sort_by_key(|(_, amount)| std::cmp::Reverse(size(amount)));
        Self { usual, consumers: HashMap::new(), groups: groups.into() }
    }

    /// With amounts of consumers, which count before those of their groups.
    pub fn with_consumers(self, consumers: HashMap<Box<str>, T>) -> Self {
        Self { consumers, ..self }
    }

    /// The amount of a caller.
    pub fn of(&self, caller: &Caller) -> &T {
        if self.groups.is_empty() && self.consumers.is_empty() {
            return &self.usual;
        }
        let Some(consumer) = caller.consumer.as_deref() else { return &self.usual };
        if let Some(own) = self.consumers.get(&consumer.name) {
            return own;
        }
        let found = self.groups.iter().find(|(group, _)| consumer.is_in(group));
        found.map_or(&self.usual, |(_, amount)| amount)
    }
}
