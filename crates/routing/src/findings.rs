//! What is odd about a table: routes that can never win, and pairs that only their order tells apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::predicates::{Conditions, MethodKey, Test};
use crate::spec::PathMatch;
use crate::table::{NONE, PathKey, PathKind, Route, RouteTable};

/// Something about a table that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The route never takes a request: at each of its hosts and paths other routes take them all.
    Unreachable {
        /// The route's place in the list.
        route: u32,
        /// The routes that take its requests, ascending.
        by: Vec<u32>,
    },
    /// The route takes no request at one of its hosts and paths.
    Shadowed {
        /// The route's place in the list.
        route: u32,
        /// Where it takes none.
        place: Place,
        /// The routes that take its requests there, ascending.
        by: Vec<u32>,
    },
    /// Two routes can take the same request, and nothing but their order in the list decides.
    Ambiguous {
        /// The route that loses.
        route: u32,
        /// The route before it, which wins.
        with: u32,
        /// A host and path where this happens.
        place: Place,
    },
}

/// A host and path condition of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host pattern as text; `*` for any.
    pub host: String,
    /// The path in normal form.
    pub path: PathMatch,
}

/// With how many earlier routes of the same host and path one is compared for ambiguity, and how many are
/// kept for that of each combination of names. Keeps the time linear; only pairs among more routes than
/// these at one place can be missed.
const MAX_COMPARED: usize = 64;
const MAX_KEPT: usize = 8;

/// Conditions in an order of their own, so that equal ones are equal.
type Signature<'t> = (Vec<(&'t str, &'t Test)>, Vec<(&'t str, &'t Test)>);
type Names<'t> = (Vec<&'t str>, Vec<&'t str>);

/// A route at one of its hosts and paths.
#[derive(Clone, Copy)]
struct Spot<'t> {
    host: u32,
    path: &'t PathKey,
    route: u32,
}

impl RouteTable {
    /// The table's oddities, by route. Near-linear in the number of routes; made on demand.
    ///
    /// Looks at routes that share host and path, and at expressions that take every path (`.*`) above
    /// prefixes. No others can cover a route: a less specific path or host never comes first, and a more
    /// specific one leaves requests over. Whether different regular expressions overlap is not looked into.
    pub fn findings(&self) -> Vec<Finding> {
        let mut spots: Vec<Spot<'_>> = Vec::with_capacity(self.candidates.len());
        for (number, route) in (0..).zip(&self.routes) {
            for host in &route.hosts {
                spots.extend(route.paths.iter().map(|path| Spot { host: *host, path, route: number }));
            }
        }
        spots.sort_unstable_by(|a, b| (a.host, a.path, a.route).cmp(&(b.host, b.path, b.route)));
        let mut report = Report::default();
        for of_host in spots.chunk_by(|a, b| a.host == b.host) {
            let catch_alls: Vec<Spot<'_>> =
                of_host.iter().filter(|spot| spot.is_catch_all()).take(MAX_KEPT).copied().collect();
            for bucket in of_host.chunk_by(|a, b| a.path == b.path) {
                self.examine(bucket, &catch_alls, &mut report);
            }
        }
        report.finish(self)
    }

    fn examine<'t>(&'t self, bucket: &[Spot<'t>], catch_alls: &[Spot<'t>], report: &mut Report<'t>) {
        let mut open: Vec<Spot<'_>> = Vec::new();
        for spot in bucket {
            match catch_alls.iter().find(|catch_all| self.takes_all(catch_all, spot)) {
                Some(catch_all) => report.covered(*spot, BTreeSet::from([catch_all.route])),
                None => open.push(*spot),
            }
        }
        if open.len() < 2 {
            return;
        }
        let mut groups: HashMap<Signature<'_>, Group<'_>> = HashMap::new();
        let mut classes: HashMap<(bool, usize, usize), Class<'_>> = HashMap::new();
        for spot in open {
            let conditions = self.conditions_of(spot.route);
            let group = groups.entry(signature(conditions)).or_default();
            if let Some(by) = group.cover(conditions) {
                report.covered(spot, by);
                continue;
            }
            let with_methods = conditions.is_some_and(|conditions| !conditions.methods.is_any());
            if let Some(with) = group.overlapping(conditions) {
                report.ambiguous(spot, with);
            } else {
                let (fields, query) = conditions.map_or((0, 0), |c| (c.fields.len(), c.query.len()));
                let class = classes.entry((with_methods, fields, query)).or_default();
                if let Some(with) = class.add(self, spot.route, conditions) {
                    report.ambiguous(spot, with);
                }
            }
            group.add(spot.route, conditions);
        }
    }

    fn conditions_of(&self, route: u32) -> Option<&Conditions> {
        match self.routes[route as usize].conditions {
            NONE => None,
            number => self.conditions.get(number as usize),
        }
    }

    /// Whether `catch_all` comes before `spot` on the same host and takes every request that `spot` could.
    fn takes_all(&self, catch_all: &Spot<'_>, spot: &Spot<'_>) -> bool {
        if catch_all.route == spot.route || !catch_all.takes_every_path_of(spot) {
            return false;
        }
        let Some(conditions) = self.conditions_of(catch_all.route) else { return true };
        let Some(other) = self.conditions_of(spot.route) else { return false };
        let methods = conditions.methods.is_any()
            || !other.methods.is_any()
                && other.methods.iter().all(|method| conditions.methods.iter().any(|own| own == method));
        let (fields, query) = signature(Some(conditions));
        let (other_fields, other_query) = signature(Some(other));
        methods
            && fields.iter().all(|test| other_fields.contains(test))
            && query.iter().all(|test| other_query.contains(test))
    }

    /// Whether some request fulfils both. Expressions are taken to overlap unless one meets an exact value.
    fn can_both_hold(&self, left: &Conditions, right: &Conditions) -> bool {
        let fields = left.fields.iter().flat_map(|test| {
            right.fields.iter().filter(|other| other.name == test.name).map(|other| (&test.test, &other.test))
        });
        let query = left.query.iter().flat_map(|test| {
            right.query.iter().filter(|other| other.name == test.name).map(|other| (&test.test, &other.test))
        });
        let excluded = fields.chain(query).any(|pair| match pair {
            (Test::Exact(one), Test::Exact(two)) => one != two,
            (Test::Exact(value), Test::Regex(number)) | (Test::Regex(number), Test::Exact(value)) => {
                !self.value_regexes[*number as usize].is_match(&**value)
            }
            _ => false,
        });
        !excluded && overlap(left, right)
    }
}

impl Spot<'_> {
    fn is_catch_all(&self) -> bool {
        self.path.kind == PathKind::Regex && matches!(&*self.path.text, ".*" | "/.*")
    }

    /// Of a catch-all: whether it stands above this prefix. The prefix `/` also takes the `*` of an OPTIONS
    /// request, which `/.*` does not.
    fn takes_every_path_of(&self, spot: &Self) -> bool {
        spot.path.kind == PathKind::Prefix && (&*self.path.text == ".*" || !spot.path.text.is_empty())
    }
}

impl PathKey {
    fn to_match(&self) -> PathMatch {
        match self.kind {
            PathKind::Exact => PathMatch::Exact(self.text.to_string()),
            PathKind::Regex => PathMatch::Regex(self.text.to_string()),
            PathKind::Prefix if self.text.is_empty() => PathMatch::Prefix("/".to_owned()),
            PathKind::Prefix => PathMatch::Prefix(self.text.to_string()),
        }
    }
}

/// Routes of one host and path with the same predicates; only their methods differ.
#[derive(Default)]
struct Group<'t> {
    any_method: Option<u32>,
    by_method: HashMap<MethodKey<'t>, u32>,
}

impl<'t> Group<'t> {
    /// The earlier routes that take every request of these conditions, if they do.
    fn cover(&self, conditions: Option<&'t Conditions>) -> Option<BTreeSet<u32>> {
        match methods_of(conditions) {
            // A route without a method condition comes after those with one, and cannot cover them.
            None => self.any_method.map(|route| BTreeSet::from([route])),
            Some(mut methods) => methods.try_fold(BTreeSet::new(), |mut by, method| {
                by.insert(*self.by_method.get(&method)?);
                Some(by)
            }),
        }
    }

    /// The first earlier route that takes some of the requests.
    fn overlapping(&self, conditions: Option<&'t Conditions>) -> Option<u32> {
        methods_of(conditions)?.filter_map(|method| self.by_method.get(&method).copied()).min()
    }

    fn add(&mut self, route: u32, conditions: Option<&'t Conditions>) {
        match methods_of(conditions) {
            None => self.any_method = Some(route),
            Some(methods) => {
                for method in methods {
                    self.by_method.entry(method).or_insert(route);
                }
            }
        }
    }
}

/// Routes of one host and path that precedence does not tell apart.
#[derive(Default)]
struct Class<'t> {
    /// By the names that their predicates are on, a few each. Predicates on the same names that are all exact
    /// exclude each other unless they are equal, and then they share a [`Group`]: those are kept apart
    /// by the flag and not compared, however many there are.
    kept: BTreeMap<(Names<'t>, bool), Vec<(u32, &'t Conditions)>>,
}

impl<'t> Class<'t> {
    /// Adds a route; names the earliest one found that it is ambiguous with.
    fn add(&mut self, table: &RouteTable, route: u32, conditions: Option<&'t Conditions>) -> Option<u32> {
        let conditions = conditions?;
        let shape = (names(conditions), all_exact(conditions));
        let with = self
            .kept
            .iter()
            .filter(|(other, _)| !(shape.1 && **other == shape))
            .flat_map(|(_, routes)| routes)
            .take(MAX_COMPARED)
            .filter(|(_, other)| table.can_both_hold(conditions, other))
            .map(|(other, _)| *other)
            .min();
        let same = self.kept.entry(shape).or_default();
        if same.len() < MAX_KEPT {
            same.push((route, conditions));
        }
        with
    }
}

fn methods_of<'t>(
    conditions: Option<&'t Conditions>,
) -> Option<impl Iterator<Item = MethodKey<'t>> + use<'t>> {
    conditions.map(|conditions| &conditions.methods).filter(|methods| !methods.is_any()).map(|set| set.iter())
}

fn overlap(left: &Conditions, right: &Conditions) -> bool {
    left.methods.is_any()
        || right.methods.is_any()
        || left.methods.iter().any(|method| right.methods.iter().any(|other| other == method))
}

fn signature(conditions: Option<&Conditions>) -> Signature<'_> {
    let Some(conditions) = conditions else { return Signature::default() };
    let mut fields: Vec<_> = conditions.fields.iter().map(|test| (&*test.name, &test.test)).collect();
    let mut query: Vec<_> = conditions.query.iter().map(|test| (&*test.name, &test.test)).collect();
    // Names do not repeat within a route.
    fields.sort_unstable_by_key(|(name, _)| *name);
    query.sort_unstable_by_key(|(name, _)| *name);
    (fields, query)
}

fn names(conditions: &Conditions) -> Names<'_> {
    let (fields, query) = signature(Some(conditions));
    (fields.into_iter().map(|(name, _)| name).collect(), query.into_iter().map(|(name, _)| name).collect())
}

fn all_exact(conditions: &Conditions) -> bool {
    let fields = conditions.fields.iter().map(|test| &test.test);
    let mut all = fields.chain(conditions.query.iter().map(|test| &test.test));
    all.all(|test| matches!(test, Test::Exact(_)))
}

#[derive(Default)]
struct Report<'t> {
    covered: BTreeMap<u32, Vec<(Spot<'t>, BTreeSet<u32>)>>,
    /// One place for each pair.
    ambiguous: BTreeMap<(u32, u32), Spot<'t>>,
}

impl<'t> Report<'t> {
    fn covered(&mut self, spot: Spot<'t>, by: BTreeSet<u32>) {
        self.covered.entry(spot.route).or_default().push((spot, by));
    }

    fn ambiguous(&mut self, spot: Spot<'t>, with: u32) {
        self.ambiguous.entry((spot.route, with)).or_insert(spot);
    }

    fn finish(self, table: &RouteTable) -> Vec<Finding> {
        let place = |spot: Spot<'_>| Place {
            host: table.hosts[spot.host as usize].to_string(),
            path: spot.path.to_match(),
        };
        let mut findings = Vec::new();
        for (route, spots) in self.covered {
            if spots.len() == table.routes[route as usize].places() {
                let by: BTreeSet<u32> = spots.into_iter().flat_map(|(_, by)| by).collect();
                findings.push(Finding::Unreachable { route, by: by.into_iter().collect() });
                continue;
            }
            findings.extend(spots.into_iter().map(|(spot, by)| Finding::Shadowed {
                route,
                place: place(spot),
                by: by.into_iter().collect(),
            }));
        }
        findings.extend(self.ambiguous.into_iter().map(|((route, with), spot)| Finding::Ambiguous {
            route,
            with,
            place: place(spot),
        }));
        findings.sort_by_key(Finding::route);
        findings
    }
}

impl Route {
    fn places(&self) -> usize {
        self.hosts.len() * self.paths.len()
    }
}

impl Finding {
    /// The route that it is about.
    pub fn route(&self) -> u32 {
        match self {
            Self::Unreachable { route, .. }
            | Self::Shadowed { route, .. }
            | Self::Ambiguous { route, .. } => *route,
        }
    }
}
