//! What the compiler, `explain` and `findings` say.

use tollgate_message::{FieldList, Fields};
use tollgate_routing::{
    FieldPredicate, Finding, PathMatch, Place, QueryPredicate, RequestView, RouteSpec, RouteTable, ValueTest,
};

fn route(name: &str, host: &str, path: PathMatch) -> RouteSpec {
    RouteSpec {
        name: name.to_owned(),
        hosts: vec![host.parse().unwrap()],
        paths: vec![path],
        ..RouteSpec::default()
    }
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.to_owned())
}

fn with_methods(methods: &[&str], spec: RouteSpec) -> RouteSpec {
    RouteSpec { methods: methods.iter().map(|method| (*method).to_owned()).collect(), ..spec }
}

fn with_header(name: &str, test: ValueTest, mut spec: RouteSpec) -> RouteSpec {
    spec.headers.push(FieldPredicate { name: name.to_owned(), test });
    spec
}

fn with_query(name: &str, value: &str, mut spec: RouteSpec) -> RouteSpec {
    spec.query.push(QueryPredicate { name: name.to_owned(), test: ValueTest::Exact(value.to_owned()) });
    spec
}

fn exactly(value: &str) -> ValueTest {
    ValueTest::Exact(value.to_owned())
}

fn findings(specs: &[RouteSpec]) -> Vec<Finding> {
    RouteTable::compile(specs).unwrap().findings()
}

fn place(host: &str, path: PathMatch) -> Place {
    Place { host: host.to_owned(), path }
}

#[test]
fn every_wrong_route_is_named_with_what_is_wrong() {
    let any = |path| route("r", "*", path);
    let specs = [
        any(prefix("/fine")),
        any(prefix("no-slash")),
        any(prefix("/a//b")),
        any(PathMatch::Exact("/a/../b".into())),
        any(PathMatch::Exact("/a/.".into())),
        any(prefix("/a%2fb")),
        any(prefix("/a b")),
        any(PathMatch::Exact("/a?b".into())),
        any(PathMatch::Regex("/(".into())),
        any(PathMatch::Regex("/(a{900}){900}".into())),
        with_methods(&["GET", "G T", ""], any(prefix("/"))),
        with_header("a b", ValueTest::Present, any(prefix("/"))),
        with_header("x", exactly(" y"), any(prefix("/"))),
        with_header("X", ValueTest::Present, with_header("x", exactly("y"), any(prefix("/")))),
        with_query("q", "1", with_query("q", "2", any(prefix("/")))),
        with_header("x", ValueTest::Regex("[".into()), any(prefix("/"))),
    ];
    let errors = RouteTable::compile(&specs[..9]).unwrap_err();
    let routes: Vec<usize> = errors.iter().map(|error| error.route).collect();
    assert_eq!(routes, [1, 2, 3, 4, 5, 6, 7, 8]);
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts[1], "route 2: path `/a//b` can be in no request: write `/a/b`");
    assert!(texts[4].contains("encoded slash"), "{}", texts[4]);
    let large = RouteTable::compile(&[specs[0].clone(), specs[9].clone()]).unwrap_err();
    assert_eq!(large.len(), 1);
    assert!(large[0].route == 1 && large[0].to_string().contains("KiB"), "{}", large[0]);
    let errors = RouteTable::compile(&specs[10..]).unwrap_err();
    let routes: Vec<usize> = errors.iter().map(|error| error.route).collect();
    assert_eq!(routes, [0, 0, 1, 2, 3, 4, 5]);
}

#[test]
fn explain_names_the_first_failed_condition_of_every_route() {
    let specs = [
        route("other host", "b.example", prefix("/")),
        route("other path", "a.example", prefix("/x")),
        route("fallback", "*", prefix("/")),
        with_methods(&["POST"], route("post", "a.example", prefix("/api"))),
        with_header("X-Team", exactly("blue"), route("blue", "a.example", prefix("/api"))),
        with_query("v", "2", route("second", "a.example", prefix("/api"))),
        route("api", "a.example", prefix("/api")),
        route("api again", "*.example", prefix("/api")),
    ];
    let table = RouteTable::compile(&specs).unwrap();
    let list = FieldList::default();
    let request = RequestView {
        host: b"a.example",
        path: b"/api/x",
        query: b"v=1",
        method: b"GET",
        fields: Fields::new(b"", &list),
    };
    let explained: Vec<String> =
        table.explain(&request).iter().map(|entry| format!("{}: {}", entry.name, entry.outcome)).collect();
    assert_eq!(
        explained,
        [
            "post: method",
            "blue: header x-team",
            "second: query v",
            "api: matched",
            "api again: another route won: api",
            "fallback: another route won: api",
            "other path: path",
            "other host: host",
        ]
    );
}

#[test]
fn covered_routes_are_unreachable() {
    let at = |name, path| route(name, "*", prefix(path));
    let found = findings(&[
        at("a", "/a"),
        at("a again", "/a/"),
        with_methods(&["GET"], at("a get", "/a")),
        with_methods(&["POST"], at("a post", "/a")),
        with_methods(&["POST", "GET"], at("a both", "/a")),
        with_methods(&["POST", "PURGE"], at("a purge", "/a")),
        with_header("x", exactly("1"), at("a header", "/a")),
        with_header("X", exactly("1"), at("a same header", "/a")),
        at("ab", "/a/b"),
        route("host", "h", prefix("/a")),
        RouteSpec { paths: vec![prefix("/a"), prefix("/only")], ..at("partly", "/") },
    ]);
    assert_eq!(
        found,
        [
            Finding::Unreachable { route: 1, by: vec![0] },
            Finding::Unreachable { route: 4, by: vec![2, 3] },
            Finding::Ambiguous { route: 5, with: 3, place: place("*", prefix("/a")) },
            Finding::Unreachable { route: 7, by: vec![6] },
            Finding::Shadowed { route: 10, place: place("*", prefix("/a")), by: vec![0] },
        ]
    );
}

#[test]
fn an_expression_for_every_path_covers_prefixes() {
    let catch_all = |pattern: &str| route("all", "h", PathMatch::Regex(pattern.to_owned()));
    let below =
        [route("root", "h", prefix("/")), route("a", "h", prefix("/a")), route("any", "*", prefix("/a"))];
    let with = |first| [&[first][..], &below].concat();
    let one = |route| Finding::Unreachable { route, by: vec![0] };
    assert_eq!(findings(&with(catch_all(".*"))), [one(1), one(2)]);
    assert_eq!(findings(&with(catch_all("/.*"))), [one(2)]);
    assert_eq!(findings(&with(catch_all("/x.*"))), []);
    assert_eq!(findings(&with(with_methods(&["GET"], catch_all(".*")))), []);
}

#[test]
fn pairs_that_only_order_decides_are_ambiguous() {
    let at = |name| route(name, "h", prefix("/a"));
    let ambiguous = |route, with| Finding::Ambiguous { route, with, place: place("h", prefix("/a")) };
    let present = ValueTest::Present;
    // Two different headers can both be there.
    let by_x = with_header("x", exactly("1"), at("x"));
    let by_y = with_header("y", exactly("1"), at("y"));
    assert_eq!(findings(&[by_x.clone(), by_y.clone()]), [ambiguous(1, 0)]);
    // Two values of one header cannot.
    assert_eq!(findings(&[by_x.clone(), with_header("x", exactly("2"), at("x2"))]), []);
    // A value and an expression that takes it, or does not.
    let digits = with_header("x", ValueTest::Regex("[0-9]".into()), at("digits"));
    let letters = with_header("x", ValueTest::Regex("[a-z]".into()), at("letters"));
    assert_eq!(findings(&[digits, by_x.clone()]), [ambiguous(1, 0)]);
    assert_eq!(findings(&[letters, by_x.clone()]), []);
    assert_eq!(findings(&[with_header("x", present, at("present")), by_x.clone()]), [ambiguous(1, 0)]);
    // Methods: disjoint ones exclude each other, overlapping ones do not.
    let get = |spec| with_methods(&["GET", "PUT"], spec);
    let post = |spec| with_methods(&["POST"], spec);
    assert_eq!(findings(&[get(by_x.clone()), post(by_y.clone())]), []);
    assert_eq!(findings(&[get(by_x.clone()), get(by_y.clone())]), [ambiguous(1, 0)]);
    // More predicates win by rule, not by order.
    assert_eq!(findings(&[by_x.clone(), with_header("x", exactly("1"), by_y)]), []);
    // The same number, but of headers on one side and query parameters on the other: headers win by rule.
    assert_eq!(findings(&[by_x, with_query("q", "1", at("q"))]), []);
}
