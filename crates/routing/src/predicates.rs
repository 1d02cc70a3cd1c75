//! A route's conditions besides host and path, compiled.

use regex_automata::meta::Regex;
use tollgate_message::{Known, Method};

use crate::explain::Condition;
use crate::query;
use crate::regexes::ValueScratch;
use crate::request::RequestView;

/// The conditions on method, fields and query of one route.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) methods: MethodSet,
    pub(crate) fields: Box<[FieldTest]>,
    pub(crate) query: Box<[QueryTest]>,
}

/// A set of methods; empty means any.
#[derive(Debug, Default)]
pub(crate) struct MethodSet {
    /// A bit for each named [`Method`].
    pub(crate) named: u16,
    pub(crate) extensions: Vec<Box<[u8]>>,
}

/// One method of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MethodKey<'t> {
    /// The number of a named [`Method`].
    Named(u32),
    Extension(&'t [u8]),
}

#[derive(Debug)]
pub(crate) struct FieldTest {
    /// In lower case.
    pub(crate) name: Box<str>,
    pub(crate) known: Known,
    pub(crate) test: Test,
}

#[derive(Debug)]
pub(crate) struct QueryTest {
    pub(crate) name: Box<str>,
    pub(crate) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Present,
    Exact(Box<[u8]>),
    /// The number of an expression; equal patterns have equal numbers.
    Regex(u32),
}

impl Conditions {
    /// The first condition that does not hold; none if all do.
    pub(crate) fn first_failed(
        &self,
        request: &RequestView<'_>,
        regexes: &[Regex],
        scratch: &mut ValueScratch,
    ) -> Option<Condition<'_>> {
        if !self.methods.holds(request.method) {
            return Some(Condition::Method);
        }
        for test in &self.fields {
            if !test.holds(request, regexes, scratch) {
                return Some(Condition::Header(&test.name));
            }
        }
        for test in &self.query {
            if !test.holds(request, regexes, scratch) {
                return Some(Condition::Query(&test.name));
            }
        }
        None
    }
}

impl MethodSet {
    pub(crate) fn add(&mut self, method: &[u8]) {
        match Method::from_bytes(method) {
            Method::Other if self.extensions.iter().any(|known| **known == *method) => {}
            Method::Other => self.extensions.push(method.into()),
            named => self.named |= 1 << named as u16,
        }
    }

    pub(crate) fn is_any(&self) -> bool {
        self.named == 0 && self.extensions.is_empty()
    }

    /// The methods of the set; none if it means any.
    pub(crate) fn iter(&self) -> impl Iterator<Item = MethodKey<'_>> {
        let named = (0..u16::BITS).filter(|bit| self.named >> bit & 1 != 0).map(MethodKey::Named);
        named.chain(self.extensions.iter().map(|method| MethodKey::Extension(method)))
    }

    fn holds(&self, method: &[u8]) -> bool {
        self.is_any()
            || match Method::from_bytes(method) {
                Method::Other => self.extensions.iter().any(|wanted| **wanted == *method),
                named => self.named & (1 << named as u16) != 0,
            }
    }
}

impl FieldTest {
    fn holds(&self, request: &RequestView<'_>, regexes: &[Regex], scratch: &mut ValueScratch) -> bool {
        let mut passes = |value: &[u8]| match &self.test {
            Test::Present => true,
            Test::Exact(wanted) => **wanted == *value,
            Test::Regex(number) => scratch.matches(*number, regexes, value),
        };
        let fields = &request.fields;
        match self.known {
            Known::Other => fields
                .iter()
                .filter(|(name, ..)| name.eq_ignore_ascii_case(self.name.as_bytes()))
                .any(|(_, value, _)| passes(value)),
            known => fields.has(known) && fields.all(known).any(&mut passes),
        }
    }
}

impl QueryTest {
    fn holds(&self, request: &RequestView<'_>, regexes: &[Regex], scratch: &mut ValueScratch) -> bool {
        let Some(value) = query::first_value(request.query, self.name.as_bytes()) else { return false };
        match &self.test {
            Test::Present => true,
            Test::Exact(wanted) => query::means(value, wanted),
            Test::Regex(number) => scratch.matches_decoded(*number, regexes, value),
        }
    }
}
