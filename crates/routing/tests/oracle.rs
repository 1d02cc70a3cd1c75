//! Random tables and requests against a plain reading of the rules.

use std::cmp::Reverse;

use tollgate_message::{Field, FieldList, Fields, Known, Span};
use tollgate_routing::{
    FieldPredicate, Outcome, PathMatch, QueryPredicate, RequestView, RouteSpec, RouteTable, Scratch,
    ValueTest,
};

const HOSTS: [&str; 8] = ["*", "a.com", "b.a.com", "*.a.com", "*.b.a.com", "*.com", "c.com", "[::1]"];
const ASKED_HOSTS: [&str; 10] =
    ["", "a.com", "b.a.com", "x.b.a.com", "x.a.com", "y.x.b.a.com", "c.com", "d.com", "[::1]", "com"];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a/bb", "/c/"];
const ASKED_PATHS: [&str; 14] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/",
    "/a/b/c",
    "/a/b/c/d/e",
    "/ab",
    "/abc",
    "/a/bb/",
    "/c",
    "/c/c",
    "*",
    "/a//b",
];
const METHODS: [&str; 4] = ["GET", "POST", "PURGE", "get"];
const VALUES: [&str; 4] = ["", "1", "22", "x y"];
const NAMES: [&str; 3] = ["x-a", "Accept", "X-C"];
const PARAMETERS: [&str; 3] = ["p", "q", "two words"];

/// An expression and what it means.
type Meaning = (&'static str, fn(&str) -> bool);

const REGEXES: [Meaning; 6] = [
    (".*", |_| true),
    ("/a/?", |text| text == "/a" || text == "/a/"),
    ("/[a-c]", |text| matches!(text, "/a" | "/b" | "/c")),
    ("/a|/ab+", |text| {
        text == "/a" || text.strip_prefix("/a").is_some_and(|t| !t.is_empty() && t.bytes().all(|b| b == b'b'))
    }),
    ("[0-9]+", |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())),
    ("(x y)?", |text| text.is_empty() || text == "x y"),
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn some<T>(&mut self, often: &[usize], mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = often[self.below(often.len())];
        (0..count).map(|_| make(self)).collect()
    }
}

fn random_test(random: &mut Random) -> ValueTest {
    match random.below(4) {
        0 => ValueTest::Present,
        1 => ValueTest::Regex(REGEXES[random.below(REGEXES.len())].0.to_owned()),
        _ => ValueTest::Exact(random.pick(&VALUES).to_owned()),
    }
}

fn random_route(random: &mut Random, number: usize) -> RouteSpec {
    let mut names = NAMES.to_vec();
    let mut parameters = PARAMETERS.to_vec();
    RouteSpec {
        name: format!("r{number}"),
        hosts: random.some(&[0, 0, 1, 1, 2], |r| r.pick(&HOSTS).parse().unwrap()),
        paths: random.some(&[0, 1, 1, 1, 3], |r| match r.below(5) {
            0 => PathMatch::Regex(REGEXES[r.below(REGEXES.len())].0.to_owned()),
            1 => PathMatch::Exact(r.pick(&PATHS).to_owned()),
            _ => PathMatch::Prefix(r.pick(&PATHS).to_owned()),
        }),
        methods: random.some(&[0, 0, 0, 1, 2], |r| r.pick(&METHODS).to_owned()),
        headers: random.some(&[0, 0, 0, 1, 2], |r| FieldPredicate {
            name: names.swap_remove(r.below(names.len())).to_owned(),
            test: random_test(r),
        }),
        query: random.some(&[0, 0, 0, 1, 2], |r| QueryPredicate {
            name: parameters.swap_remove(r.below(parameters.len())).to_owned(),
            test: random_test(r),
        }),
    }
}

#[derive(Debug)]
struct Asked {
    host: &'static str,
    path: &'static str,
    method: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    parameters: Vec<(&'static str, &'static str)>,
}

fn random_request(random: &mut Random) -> Asked {
    Asked {
        host: random.pick(&ASKED_HOSTS),
        path: random.pick(&ASKED_PATHS),
        method: random.pick(&METHODS),
        fields: random.some(&[0, 1, 2, 3], |r| (r.pick(&["X-A", "x-a", "accept", "x-c"]), r.pick(&VALUES))),
        parameters: random.some(&[0, 1, 2, 3], |r| (r.pick(&PARAMETERS), r.pick(&VALUES))),
    }
}

fn regex_holds(pattern: &str, text: &str) -> bool {
    REGEXES.iter().find(|(known, _)| *known == pattern).unwrap().1(text)
}

fn test_holds(test: &ValueTest, value: &str) -> bool {
    match test {
        ValueTest::Present => true,
        ValueTest::Exact(wanted) => wanted == value,
        ValueTest::Regex(pattern) => regex_holds(pattern, value),
    }
}

fn predicates_hold(spec: &RouteSpec, asked: &Asked) -> bool {
    let method = spec.methods.is_empty() || spec.methods.iter().any(|method| method == asked.method);
    let headers = spec.headers.iter().all(|predicate| {
        let mut lines = asked.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&predicate.name));
        lines.any(|(_, value)| test_holds(&predicate.test, value))
    });
    let query = spec.query.iter().all(|predicate| {
        let first = asked.parameters.iter().find(|(name, _)| *name == predicate.name);
        first.is_some_and(|(_, value)| test_holds(&predicate.test, value))
    });
    method && headers && query
}

/// How specifically a host pattern takes the host: smaller is more.
fn host_rank(pattern: &str, host: &str) -> Option<(u8, Reverse<usize>)> {
    match pattern.strip_prefix('*') {
        Some("") => Some((2, Reverse(0))),
        Some(suffix) if host.len() > suffix.len() && host.ends_with(suffix) => {
            Some((1, Reverse(suffix.len())))
        }
        None if pattern == host => Some((0, Reverse(0))),
        _ => None,
    }
}

fn path_rank(path: &PathMatch, asked: &str) -> Option<(u8, Reverse<usize>)> {
    match path {
        PathMatch::Exact(path) => (path == asked).then_some((0, Reverse(0))),
        PathMatch::Regex(pattern) => regex_holds(pattern, asked).then_some((1, Reverse(pattern.len()))),
        PathMatch::Prefix(prefix) => {
            let prefix = prefix.trim_end_matches('/');
            let holds = prefix.is_empty() || asked == prefix || asked.starts_with(&format!("{prefix}/"));
            holds.then_some((2, Reverse(prefix.len())))
        }
    }
}

type Rank =
    (((u8, Reverse<usize>), (u8, Reverse<usize>)), (Reverse<bool>, Reverse<usize>, Reverse<usize>, usize));

/// The rank of the route among those that host and path leave.
fn rank(spec: &RouteSpec, number: usize, asked: &Asked) -> Option<Rank> {
    let hosts: Vec<String> = match spec.hosts.as_slice() {
        [] => vec!["*".to_owned()],
        hosts => hosts.iter().map(ToString::to_string).collect(),
    };
    let root = [PathMatch::Prefix("/".to_owned())];
    let paths = if spec.paths.is_empty() { &root[..] } else { &spec.paths };
    let host = hosts.iter().filter_map(|host| host_rank(host, asked.host)).min()?;
    let path = paths.iter().filter_map(|path| path_rank(path, asked.path)).min()?;
    let rest =
        (Reverse(!spec.methods.is_empty()), Reverse(spec.headers.len()), Reverse(spec.query.len()), number);
    Some(((host, path), rest))
}

fn oracle(specs: &[RouteSpec], asked: &Asked) -> Option<u32> {
    let ranked = specs.iter().enumerate().filter(|(_, spec)| predicates_hold(spec, asked));
    let best = ranked.filter_map(|(number, spec)| rank(spec, number, asked)).min()?;
    Some(best.1.3 as u32)
}

fn check(table: &RouteTable, specs: &[RouteSpec], asked: &Asked, scratch: &mut Scratch, case: u64) {
    let (mut bytes, mut list) = (Vec::new(), FieldList::default());
    for (name, value) in &asked.fields {
        let start = bytes.len();
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
        list.push(Field {
            name: Span::new(start, start + name.len()),
            value: Span::new(start + name.len(), bytes.len()),
            known: Known::from_name(name.as_bytes()),
        });
    }
    let query: Vec<String> = asked
        .parameters
        .iter()
        .map(|(name, value)| format!("{}={}", name.replace(' ', "%20"), value.replace(' ', "+")))
        .collect();
    let query = query.join("&");
    let request = RequestView {
        host: asked.host.as_bytes(),
        path: asked.path.as_bytes(),
        query: query.as_bytes(),
        method: asked.method.as_bytes(),
        fields: Fields::new(&bytes, &list),
    };
    let expected = oracle(specs, asked);
    let found = table.find(&request, scratch).map(|found| found.route);
    assert_eq!(found, expected, "case {case}: {asked:?} in {specs:#?}");

    let explained = table.explain(&request);
    assert_eq!(explained.len(), specs.len(), "case {case}");
    let matched = explained.iter().find(|entry| entry.outcome == Outcome::Matched).map(|entry| entry.route);
    assert_eq!(matched, expected, "case {case}: {asked:?} in {specs:#?}");
    for entry in &explained {
        let spec = &specs[entry.route as usize];
        let would = predicates_hold(spec, asked) && rank(spec, entry.route as usize, asked).is_some();
        let says = matches!(entry.outcome, Outcome::Matched | Outcome::Lost { .. });
        assert_eq!(says, would, "case {case}: {entry:?} for {asked:?} in {specs:#?}");
    }
    let left: Vec<Rank> = explained
        .iter()
        .map_while(|entry| rank(&specs[entry.route as usize], entry.route as usize, asked))
        .collect();
    assert!(left.is_sorted(), "case {case}: order of {explained:?}");
}

#[test]
fn find_and_explain_agree_with_a_plain_reading() {
    let mut scratch = Scratch::new();
    let mut found = 0;
    for case in 0..500 {
        let mut random = Random(case);
        let count = 1 + random.below(12);
        let specs: Vec<RouteSpec> = (0..count).map(|number| random_route(&mut random, number)).collect();
        let table = RouteTable::compile(&specs).unwrap_or_else(|errors| panic!("case {case}: {errors:?}"));
        for _ in 0..40 {
            let asked = random_request(&mut random);
            found += usize::from(oracle(&specs, &asked).is_some());
            check(&table, &specs, &asked, &mut scratch, case);
        }
    }
    assert!(found > 5_000, "the requests hit routes: {found}");
}

#[test]
fn unreachable_routes_are_never_found() {
    let (mut scratch, mut unreachable) = (Scratch::new(), 0);
    for case in 0..300 {
        let mut random = Random(case + 1_000_000);
        let specs: Vec<RouteSpec> = (0..16).map(|number| random_route(&mut random, number)).collect();
        let table = RouteTable::compile(&specs).unwrap_or_else(|errors| panic!("case {case}: {errors:?}"));
        let dead: Vec<u32> = table
            .findings()
            .iter()
            .filter_map(|finding| match finding {
                tollgate_routing::Finding::Unreachable { route, .. } => Some(*route),
                _ => None,
            })
            .collect();
        unreachable += dead.len();
        for _ in 0..40 {
            let asked = random_request(&mut random);
            let winner = oracle(&specs, &asked);
            assert!(
                !winner.is_some_and(|winner| dead.contains(&winner)),
                "case {case}: {asked:?} in {specs:#?}"
            );
            check(&table, &specs, &asked, &mut scratch, case);
        }
    }
    assert!(unreachable > 60, "the tables hold unreachable routes: {unreachable}");
}
