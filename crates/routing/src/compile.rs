//! From route specs to a table.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use regex_automata::meta::Regex;
use tollgate_message::Known;

use crate::byte_map::ByteMap;
use crate::error::{RouteError, RouteProblem};
use crate::host_index::HostIndex;
use crate::host_pattern::HostPattern;
use crate::normalise::{PathForm, PathProblem, PathRules, normalise_path};
use crate::predicates::{Conditions, FieldTest, MethodSet, QueryTest, Test};
use crate::regexes;
use crate::spec::{PathMatch, RouteSpec, ValueTest};
use crate::table::{
    Bucket, Candidate, NONE, PathKey, PathKind, PathSet, PathTable, Route, RouteTable, exact_salt,
    prefix_salt,
};

/// The most combinations of host and path over all routes: keeps every number in a table within 31 bits and its
/// memory within a few GiB, whatever the document says.
const MAX_PLACES: usize = 1 << 24;
/// The most bytes of paths over all places, so that their offsets fit.
const MAX_PATH_BYTES: usize = 1 << 31;

impl RouteTable {
    /// Compiles `specs`, or says what is wrong with each route that cannot be.
    pub fn compile(specs: &[RouteSpec]) -> Result<Self, Vec<RouteError>> {
        let mut compiler = Compiler::default();
        for (index, spec) in specs.iter().enumerate() {
            compiler.add(index, spec);
        }
        compiler.finish()
    }
}

#[derive(Default)]
struct Compiler {
    routes: Vec<Route>,
    hosts: Vec<HostPattern>,
    host_numbers: HashMap<HostPattern, u32>,
    conditions: Vec<Conditions>,
    value_regexes: Vec<Regex>,
    value_numbers: HashMap<String, u32>,
    places: usize,
    path_bytes: usize,
    errors: Vec<RouteError>,
}

impl Compiler {
    fn add(&mut self, index: usize, spec: &RouteSpec) {
        let before = self.errors.len();
        let mut problems = Vec::new();
        let hosts = self.add_hosts(&spec.hosts);
        let paths = path_keys(&spec.paths, &mut problems);
        let conditions = Conditions {
            methods: methods(&spec.methods, &mut problems),
            fields: self.field_tests(spec, &mut problems),
            query: self.query_tests(spec, &mut problems),
        };
        self.places = self.places.saturating_add(hosts.len().saturating_mul(paths.len()));
        let bytes: usize = paths.iter().map(|path| path.text.len()).sum();
        self.path_bytes = self.path_bytes.saturating_add(bytes.saturating_mul(hosts.len()));
        if self.places > MAX_PLACES || self.path_bytes > MAX_PATH_BYTES {
            problems.push(RouteProblem::TooMany);
        }
        self.errors.extend(problems.into_iter().map(|problem| RouteError { route: index, problem }));
        if self.errors.len() > before {
            return;
        }
        let unconditional =
            conditions.methods.is_any() && conditions.fields.is_empty() && conditions.query.is_empty();
        let number = if unconditional {
            NONE
        } else {
            self.conditions.push(conditions);
            (self.conditions.len() - 1) as u32
        };
        self.routes.push(Route { name: spec.name.as_str().into(), hosts, paths, conditions: number });
    }

    fn add_hosts(&mut self, patterns: &[HostPattern]) -> Box<[u32]> {
        let any = [HostPattern::ANY];
        let patterns = if patterns.is_empty() { &any } else { patterns };
        let mut numbers: Vec<u32> = patterns
            .iter()
            .map(|pattern| match self.host_numbers.get(pattern) {
                Some(number) => *number,
                None => {
                    let number = self.hosts.len() as u32;
                    self.hosts.push(pattern.clone());
                    self.host_numbers.insert(pattern.clone(), number);
                    number
                }
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into()
    }

    fn field_tests(&mut self, spec: &RouteSpec, problems: &mut Vec<RouteProblem>) -> Box<[FieldTest]> {
        let mut tests: Vec<FieldTest> = Vec::with_capacity(spec.headers.len());
        for predicate in &spec.headers {
            let name = predicate.name.to_ascii_lowercase();
            if !is_token(&name) {
                problems.push(RouteProblem::FieldName(predicate.name.clone()));
                continue;
            }
            if tests.iter().any(|test| *test.name == *name) {
                problems.push(RouteProblem::RepeatedField(name));
                continue;
            }
            if matches!(&predicate.test, ValueTest::Exact(value) if !is_field_value(value)) {
                problems.push(RouteProblem::FieldValue(name));
                continue;
            }
            let known = Known::from_name(name.as_bytes());
            if let Some(test) = self.value_test(&predicate.test, problems) {
                tests.push(FieldTest { name: name.into(), known, test });
            }
        }
        tests.into()
    }

    fn query_tests(&mut self, spec: &RouteSpec, problems: &mut Vec<RouteProblem>) -> Box<[QueryTest]> {
        let mut tests: Vec<QueryTest> = Vec::with_capacity(spec.query.len());
        for predicate in &spec.query {
            if tests.iter().any(|test| *test.name == *predicate.name) {
                problems.push(RouteProblem::RepeatedParameter(predicate.name.clone()));
                continue;
            }
            if let Some(test) = self.value_test(&predicate.test, problems) {
                tests.push(QueryTest { name: predicate.name.as_str().into(), test });
            }
        }
        tests.into()
    }

    fn value_test(&mut self, test: &ValueTest, problems: &mut Vec<RouteProblem>) -> Option<Test> {
        let pattern = match test {
            ValueTest::Present => return Some(Test::Present),
            ValueTest::Exact(value) => return Some(Test::Exact(value.as_bytes().into())),
            ValueTest::Regex(pattern) => pattern,
        };
        if let Some(number) = self.value_numbers.get(pattern) {
            return Some(Test::Regex(*number));
        }
        match regexes::build_value(pattern) {
            Ok(regex) => {
                let number = self.value_regexes.len() as u32;
                self.value_regexes.push(regex);
                self.value_numbers.insert(pattern.clone(), number);
                Some(Test::Regex(number))
            }
            Err(message) => {
                problems.push(RouteProblem::Regex { pattern: pattern.clone(), message });
                None
            }
        }
    }

    fn finish(self) -> Result<RouteTable, Vec<RouteError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut layout = Layout {
            path_tables: vec![PathTable::default(); self.hosts.len()],
            paths: ByteMap::with_room_for(self.places),
            candidates: Vec::with_capacity(self.places),
            path_sets: Vec::new(),
            errors: Vec::new(),
        };
        let places = self.places_in_order();
        for bucket in places.chunk_by(|a, b| a.shares_bucket(b)) {
            layout.add(bucket);
        }
        drop(places);
        if !layout.errors.is_empty() {
            return Err(layout.errors);
        }
        Ok(RouteTable {
            routes: self.routes,
            host_index: HostIndex::new(&self.hosts),
            hosts: self.hosts,
            path_tables: layout.path_tables,
            paths: layout.paths,
            candidates: layout.candidates,
            conditions: self.conditions,
            path_sets: layout.path_sets,
            value_regexes: self.value_regexes,
            identity: Arc::new(()),
        })
    }

    fn places_in_order(&self) -> Vec<PlaceOf<'_>> {
        let mut places = Vec::with_capacity(self.places);
        for (number, route) in (0..).zip(&self.routes) {
            let specificity = match self.conditions.get(route.conditions as usize) {
                None => Specificity::default(),
                Some(conditions) => Specificity(
                    Reverse(!conditions.methods.is_any()),
                    Reverse(conditions.fields.len()),
                    Reverse(conditions.query.len()),
                ),
            };
            for host in &route.hosts {
                for path in &route.paths {
                    let regex = path.kind == PathKind::Regex;
                    places.push(PlaceOf {
                        host: *host,
                        kind: path.kind,
                        shorter: Reverse(if regex { path.text.len() } else { 0 }),
                        path: if regex { "" } else { &path.text },
                        specificity,
                        route: number,
                        conditions: route.conditions,
                        pattern: if regex { &path.text } else { "" },
                    });
                }
            }
        }
        places.sort_unstable();
        places
    }
}

/// Orders routes of equal host and path: a condition on the method, more on fields, more on the query.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity(Reverse<bool>, Reverse<usize>, Reverse<usize>);

/// A route at one of its hosts and paths. The order of its fields is the order of precedence.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PlaceOf<'c> {
    host: u32,
    kind: PathKind,
    /// Longer regular expressions first; the same for all other paths.
    shorter: Reverse<usize>,
    /// The exact path or prefix; empty for regular expressions, which share a bucket.
    path: &'c str,
    specificity: Specificity,
    route: u32,
    conditions: u32,
    /// The regular expression; empty for other paths.
    pattern: &'c str,
}

impl PlaceOf<'_> {
    fn shares_bucket(&self, other: &Self) -> bool {
        self.host == other.host && self.kind == other.kind && self.path == other.path
    }
}

/// The parts of the table that places are laid out in.
struct Layout {
    path_tables: Vec<PathTable>,
    paths: ByteMap<Bucket>,
    candidates: Vec<Candidate>,
    path_sets: Vec<PathSet>,
    errors: Vec<RouteError>,
}

impl Layout {
    /// Adds the places of one bucket, in order.
    fn add(&mut self, places: &[PlaceOf<'_>]) {
        let Some(first) = places.first() else { return };
        let start = self.candidates.len() as u32;
        self.candidates.extend(
            places.iter().map(|place| Candidate { route: place.route, conditions: place.conditions }),
        );
        let bucket = Bucket { start, end: self.candidates.len() as u32 };
        let table = &mut self.path_tables[first.host as usize];
        match first.kind {
            PathKind::Exact => {
                table.exact.add(first.path.len());
                self.paths.insert(exact_salt(first.host), first.path.as_bytes(), bucket);
            }
            PathKind::Prefix if first.path.is_empty() => table.root = bucket,
            PathKind::Prefix => {
                table.prefixes.add(first.path.len());
                table.longest_prefix = table.longest_prefix.max(first.path.len() as u32);
                self.paths.insert(prefix_salt(first.host), first.path.as_bytes(), bucket);
            }
            PathKind::Regex => {
                table.path_set = self.path_sets.len() as u32;
                self.add_path_set(places, bucket);
            }
        }
    }

    fn add_path_set(&mut self, places: &[PlaceOf<'_>], bucket: Bucket) {
        // All patterns parsed when their routes were added.
        let anchored: Result<Vec<String>, String> =
            places.iter().map(|place| regexes::anchor(place.pattern)).collect();
        match anchored.and_then(|anchored| regexes::build_path_set(&anchored)) {
            Ok(regex) => self.path_sets.push(PathSet { regex, bucket }),
            Err(message) => self.blame(places, &message),
        }
    }

    /// Names the routes whose expression is too large on its own, else the one with the longest.
    fn blame(&mut self, places: &[PlaceOf<'_>], message: &str) {
        let alone = |place: &&PlaceOf<'_>| regexes::build_value(place.pattern).is_err();
        let mut guilty: Vec<(&PlaceOf<'_>, String)> =
            places.iter().filter(alone).map(|place| (place, message.to_owned())).collect();
        if guilty.is_empty() {
            let together = format!("all {} path expressions of this host together: {message}", places.len());
            guilty.extend(places.first().map(|place| (place, together)));
        }
        self.errors.extend(guilty.into_iter().map(|(place, message)| RouteError {
            route: place.route as usize,
            problem: RouteProblem::Regex { pattern: place.pattern.to_owned(), message },
        }));
    }
}

fn path_keys(paths: &[PathMatch], problems: &mut Vec<RouteProblem>) -> Box<[PathKey]> {
    if paths.is_empty() {
        return [PathKey { kind: PathKind::Prefix, text: "".into() }].into();
    }
    let mut keys: Vec<PathKey> = Vec::with_capacity(paths.len());
    for path in paths {
        match path_key(path) {
            Ok(key) => keys.push(key),
            Err(problem) => problems.push(problem),
        }
    }
    keys.sort_unstable_by(|a, b| (a.kind, &a.text).cmp(&(b.kind, &b.text)));
    keys.dedup();
    keys.into()
}

fn path_key(path: &PathMatch) -> Result<PathKey, RouteProblem> {
    let (kind, text) = match path {
        PathMatch::Exact(path) => (PathKind::Exact, normal_path(path)?),
        PathMatch::Prefix(path) => {
            let mut path = normal_path(path)?;
            if path.ends_with('/') {
                path.pop();
            }
            (PathKind::Prefix, path)
        }
        PathMatch::Regex(pattern) => {
            regexes::anchor(pattern)
                .map_err(|message| RouteProblem::Regex { pattern: pattern.clone(), message })?;
            (PathKind::Regex, pattern.clone())
        }
    };
    Ok(PathKey { kind, text: text.into() })
}

/// The path in the spelling of request paths, if there are requests with this path.
fn normal_path(path: &str) -> Result<String, RouteProblem> {
    let wrong = |problem| RouteProblem::Path { path: path.to_owned(), problem };
    if !path.starts_with('/') {
        return Err(wrong(PathProblem::NotAbsolute));
    }
    let mut normal = Vec::new();
    if normalise_path(path.as_bytes(), &PathRules::default(), &mut normal).map_err(wrong)? == PathForm::AsIs {
        return Ok(path.to_owned());
    }
    // Normalised paths are ASCII.
    let normal = String::from_utf8_lossy(&normal).into_owned();
    let slashes = |path: &str| path.bytes().filter(|b| *b == b'/').count();
    if slashes(&normal) != slashes(path) || normal.ends_with('/') != path.ends_with('/') {
        return Err(RouteProblem::PathNotNormal { path: path.to_owned(), normal });
    }
    Ok(normal)
}

fn methods(names: &[String], problems: &mut Vec<RouteProblem>) -> MethodSet {
    let mut methods = MethodSet::default();
    for name in names {
        if is_token(name) {
            methods.add(name.as_bytes());
        } else {
            problems.push(RouteProblem::Method(name.clone()));
        }
    }
    methods
}

/// A token by RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a field can have this value (RFC 9110 section 5.5).
fn is_field_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || !b.is_ascii_control())
        && !value.starts_with([' ', '\t'])
        && !value.ends_with([' ', '\t'])
}
