//! The compiled table, and the walk through the routes that a request's host and path leave.

use std::ops::ControlFlow;
use std::sync::Arc;

use memchr::memrchr;
use regex_automata::meta::Regex;

use crate::byte_map::{ByteMap, Lengths};
use crate::explain::Condition;
use crate::host_index::HostIndex;
use crate::host_pattern::HostPattern;
use crate::predicates::Conditions;
use crate::regexes::{PathSetScratch, Scratch, ValueScratch};
use crate::request::RequestView;

/// Routes compiled for look-up. Immutable; workers share it without a lock.
///
/// A look-up costs the same for ten routes and for a hundred thousand: host and path are found by hash, for
/// prefixes once for each path element that some prefix of the host ends at. It grows only with routes that
/// share their host and path and differ in predicates, which are asked in turn, and with a host's regular
/// expressions, which run as one automaton over the path.
#[derive(Debug)]
pub struct RouteTable {
    pub(crate) routes: Vec<Route>,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) host_index: HostIndex,
    /// By host number.
    pub(crate) path_tables: Vec<PathTable>,
    /// Salted with [`exact_salt`] and [`prefix_salt`]; prefixes without the slash at their end.
    pub(crate) paths: ByteMap<Bucket>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) conditions: Vec<Conditions>,
    pub(crate) path_sets: Vec<PathSet>,
    pub(crate) value_regexes: Vec<Regex>,
    /// The same in every scratch that belongs to this table.
    pub(crate) identity: Arc<()>,
}

/// What errors, explanations and findings need to know of a route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Box<str>,
    /// Host numbers, without repetition.
    pub(crate) hosts: Box<[u32]>,
    /// Without repetition.
    pub(crate) paths: Box<[PathKey]>,
    /// Place in [`RouteTable::conditions`], or [`NONE`].
    pub(crate) conditions: u32,
}

/// A normalised path condition; a prefix without the slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PathKey {
    pub(crate) kind: PathKind,
    pub(crate) text: Box<str>,
}

/// The kinds of path conditions in their order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PathKind {
    Exact,
    Regex,
    Prefix,
}

/// Stands for "no such thing" where an `Option` would double the size.
pub(crate) const NONE: u32 = u32::MAX;

/// A route that host and path leave; the rest is up to its conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) route: u32,
    /// Place in [`RouteTable::conditions`], or [`NONE`].
    pub(crate) conditions: u32,
}

/// The candidates of one host and path, in order of precedence.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What paths one host has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTable {
    /// The routes on the prefix `/`.
    pub(crate) root: Bucket,
    pub(crate) exact: Lengths,
    pub(crate) prefixes: Lengths,
    pub(crate) longest_prefix: u32,
    /// Place in [`RouteTable::path_sets`], or [`NONE`].
    pub(crate) path_set: u32,
}

impl Default for PathTable {
    fn default() -> Self {
        Self {
            root: Bucket::default(),
            exact: Lengths::default(),
            prefixes: Lengths::default(),
            longest_prefix: 0,
            path_set: NONE,
        }
    }
}

/// The path expressions of one host: pattern n belongs to the n-th candidate.
#[derive(Debug)]
pub(crate) struct PathSet {
    pub(crate) regex: Regex,
    pub(crate) bucket: Bucket,
}

pub(crate) fn exact_salt(host: u32) -> u32 {
    host * 2
}

pub(crate) fn prefix_salt(host: u32) -> u32 {
    host * 2 + 1
}

/// The route of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The route's place in the list that the table was compiled from.
    pub route: u32,
    /// How many bytes of the path the route's prefix covers, without a slash at its end (0 for the prefix
    /// `/`); for an exact path and a regular expression the whole path.
    pub matched: u32,
}

impl RouteTable {
    /// The route that takes this request. Allocates nothing, but for states of regular expressions met for
    /// the first time.
    #[inline]
    pub fn find(&self, request: &RequestView<'_>, scratch: &mut Scratch) -> Option<Found> {
        let walk = self.walk(request, scratch, |candidate, matched, values| {
            match self.first_failed(candidate, request, values) {
                None => ControlFlow::Break(Found { route: candidate.route, matched: matched as u32 }),
                Some(_) => ControlFlow::Continue(()),
            }
        });
        walk.break_value()
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The name of a route, by its place in the list; empty if there is no such place.
    pub fn name(&self, route: u32) -> &str {
        self.routes.get(route as usize).map_or("", |route| &route.name)
    }

    /// The first condition besides host and path that the request fails.
    #[inline]
    pub(crate) fn first_failed(
        &self,
        candidate: Candidate,
        request: &RequestView<'_>,
        scratch: &mut ValueScratch,
    ) -> Option<Condition<'_>> {
        if candidate.conditions == NONE {
            return None;
        }
        self.conditions[candidate.conditions as usize].first_failed(request, &self.value_regexes, scratch)
    }

    /// Calls `visit` with each candidate and the length of the path it matched, in order of precedence, until
    /// it breaks. A route with several hosts or paths can come more than once.
    #[inline]
    pub(crate) fn walk<B>(
        &self,
        request: &RequestView<'_>,
        scratch: &mut Scratch,
        mut visit: impl FnMut(Candidate, usize, &mut ValueScratch) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if !self.path_sets.is_empty() || !self.value_regexes.is_empty() {
            scratch.belong_to(&self.identity, self.path_sets.len(), self.value_regexes.len());
        }
        self.host_index.walk(request.host, |host| self.walk_paths(host, request.path, scratch, &mut visit))
    }

    #[inline]
    fn walk_paths<B>(
        &self,
        host: u32,
        path: &[u8],
        scratch: &mut Scratch,
        visit: &mut impl FnMut(Candidate, usize, &mut ValueScratch) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let table = &self.path_tables[host as usize];
        if table.exact.may_hold(path.len())
            && let Some(bucket) = self.paths.get(exact_salt(host), path)
        {
            for candidate in self.bucket(bucket) {
                visit(*candidate, path.len(), &mut scratch.values)?;
            }
        }
        if table.path_set != NONE {
            let number = table.path_set as usize;
            let set = &self.path_sets[number];
            let candidates = self.bucket(set.bucket);
            for pattern in PathSetScratch::matches(&mut scratch.paths[number], &set.regex, path) {
                visit(candidates[pattern], path.len(), &mut scratch.values)?;
            }
        }
        // Prefixes end at a slash or at the path's end; from the longest that the table could hold down.
        let longest = table.longest_prefix as usize;
        let mut end = if path.len() > longest { boundary(&path[..=longest]) } else { path.len() };
        while end > 0 {
            if table.prefixes.may_hold(end)
                && let Some(bucket) = self.paths.get(prefix_salt(host), &path[..end])
            {
                for candidate in self.bucket(bucket) {
                    visit(*candidate, end, &mut scratch.values)?;
                }
            }
            end = boundary(&path[..end]);
        }
        for candidate in self.bucket(table.root) {
            visit(*candidate, 0, &mut scratch.values)?;
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn bucket(&self, bucket: Bucket) -> &[Candidate] {
        &self.candidates[bucket.start as usize..bucket.end as usize]
    }
}

/// Where the last path element begins: the length of the path above it.
#[inline]
fn boundary(path: &[u8]) -> usize {
    memrchr(b'/', path).unwrap_or(0)
}
