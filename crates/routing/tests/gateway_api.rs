//! The Kubernetes Gateway API's matching rules, restated as tables.

use tollgate_message::{Field, FieldList, Fields, Known, Span};
use tollgate_routing::{
    FieldPredicate, HostPattern, Outcome, PathMatch, QueryPredicate, RequestView, RouteSpec, RouteTable,
    Scratch, ValueTest,
};

#[derive(Clone, Default)]
struct Asked {
    host: &'static str,
    path: &'static str,
    query: &'static str,
    method: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

fn asked(host: &'static str, path: &'static str) -> Asked {
    Asked { host, path, method: "GET", ..Asked::default() }
}

/// The name of the route that takes the request; empty if none does. Holds `explain` to the same answer.
fn routed(table: &RouteTable, asked: &Asked) -> String {
    let (mut bytes, mut list) = (Vec::new(), FieldList::default());
    for (name, value) in asked.fields {
        let name_at = bytes.len();
        bytes.extend_from_slice(name.as_bytes());
        let value_at = bytes.len();
        bytes.extend_from_slice(value.as_bytes());
        list.push(Field {
            name: Span::new(name_at, value_at),
            value: Span::new(value_at, bytes.len()),
            known: Known::from_name(name.as_bytes()),
        });
    }
    let request = RequestView {
        host: asked.host.as_bytes(),
        path: asked.path.as_bytes(),
        query: asked.query.as_bytes(),
        method: asked.method.as_bytes(),
        fields: Fields::new(&bytes, &list),
    };
    let found = table.find(&request, &mut Scratch::new());
    let explained = table.explain(&request);
    let matched = explained.iter().find(|considered| considered.outcome == Outcome::Matched);
    assert_eq!(found.map(|found| found.route), matched.map(|considered| considered.route));
    found.map_or(String::new(), |found| table.name(found.route).to_owned())
}

fn route(name: &str, hosts: &[&str], paths: &[PathMatch]) -> RouteSpec {
    RouteSpec {
        name: name.to_owned(),
        hosts: hosts.iter().map(|host| host.parse::<HostPattern>().unwrap()).collect(),
        paths: paths.to_vec(),
        ..RouteSpec::default()
    }
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.to_owned())
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.to_owned())
}

fn regex(pattern: &str) -> PathMatch {
    PathMatch::Regex(pattern.to_owned())
}

fn header(name: &str, test: ValueTest) -> FieldPredicate {
    FieldPredicate { name: name.to_owned(), test }
}

fn parameter(name: &str, value: &str) -> QueryPredicate {
    QueryPredicate { name: name.to_owned(), test: ValueTest::Exact(value.to_owned()) }
}

#[test]
fn exact_paths_and_prefixes_match_by_element() {
    let table = RouteTable::compile(&[
        route("exact", &[], &[exact("/one"), exact("/slash/")]),
        route("prefix", &[], &[prefix("/abc")]),
        route("slashed", &[], &[prefix("/def/")]),
        route("spelled", &[], &[exact("/%63af\u{e9}")]),
    ])
    .unwrap();
    for (path, name) in [
        ("/one", "exact"),
        ("/one/", ""),
        ("/One", ""),
        ("/onex", ""),
        ("/slash/", "exact"),
        ("/slash", ""),
        ("/abc", "prefix"),
        ("/abc/", "prefix"),
        ("/abc/def", "prefix"),
        ("/abcd", ""),
        ("/Abc", ""),
        ("/def", "slashed"),
        ("/def/", "slashed"),
        ("/def/x", "slashed"),
        ("/defx", ""),
        ("/caf%C3%A9", "spelled"),
        ("/", ""),
        ("", ""),
        ("*", ""),
    ] {
        assert_eq!(routed(&table, &asked("", path)), name, "{path}");
    }
}

#[test]
fn the_order_of_path_matches_does_not_depend_on_the_list() {
    let mut specs = vec![
        route("root", &[], &[]),
        route("match", &[], &[prefix("/match")]),
        route("match prefix", &[], &[prefix("/match/prefix")]),
        route("match prefix one", &[], &[prefix("/match/prefix/one")]),
        route("match exact", &[], &[exact("/match/exact")]),
        route("exact one", &[], &[exact("/match/exact/one")]),
        route("short regex", &[], &[regex("/match/[0-9]+")]),
        route("long regex", &[], &[regex("/match/[0-9][0-9]*(/x)?")]),
    ];
    for _ in 0..specs.len() {
        let table = RouteTable::compile(&specs).unwrap();
        for (path, name) in [
            ("/match/exact/one", "exact one"),
            ("/match/exact", "match exact"),
            ("/match", "match"),
            ("/match/", "match"),
            ("/match/prefix", "match prefix"),
            ("/match/prefix/one/any", "match prefix one"),
            ("/match/prefix/onefoo", "match prefix"),
            ("/match/prefix/two", "match prefix"),
            ("/match/any", "match"),
            ("/match/12", "long regex"),
            ("/match/12/x", "long regex"),
            ("/match/12/y", "match"),
            ("/matched", "root"),
            ("*", "root"),
        ] {
            assert_eq!(routed(&table, &asked("a.example", path)), name, "{path}");
        }
        specs.rotate_left(1);
    }
}

#[test]
fn hosts_match_exactly_then_by_longest_suffix_then_any() {
    let table = RouteTable::compile(&[
        route("any", &[], &[prefix("/any")]),
        route("example", &["*.example.com"], &[]),
        route("deep", &["*.deep.example.com"], &[prefix("/deep")]),
        route("exact", &["very.specific.com", "Upper.Example.com"], &[prefix("/s")]),
        route("six", &["[::1]", "127.0.0.1"], &[]),
    ])
    .unwrap();
    for (host, path, name) in [
        ("a.example.com", "/", "example"),
        ("a.b.c.example.com", "/", "example"),
        ("example.com", "/", ""),
        (".example.com", "/", ""),
        ("badexample.com", "/", ""),
        ("a.example.com.evil", "/", ""),
        ("x.deep.example.com", "/deep", "deep"),
        // A more specific host without a matching route leaves the request to the less specific ones.
        ("x.deep.example.com", "/other", "example"),
        ("deep.example.com", "/deep", "example"),
        ("very.specific.com", "/s", "exact"),
        ("very.specific.com", "/any", "any"),
        ("very.specific.com", "/x", ""),
        ("upper.example.com", "/s", "exact"),
        ("upper.example.com", "/x", "example"),
        ("", "/any/x", "any"),
        ("[::1]", "/", "six"),
        ("127.0.0.1", "/", "six"),
        ("1.127.0.0.1", "/", ""),
    ] {
        assert_eq!(routed(&table, &asked(host, path)), name, "{host}{path}");
    }
}

#[test]
fn header_predicates_are_all_needed_and_more_of_them_win() {
    let exactly = |value: &str| ValueTest::Exact(value.to_owned());
    let table = RouteTable::compile(&[
        RouteSpec { headers: vec![header("Version", exactly("one"))], ..route("one", &[], &[]) },
        RouteSpec {
            headers: vec![header("version", exactly("two")), header("color", exactly("orange"))],
            ..route("two orange", &[], &[])
        },
        RouteSpec { headers: vec![header("Version", exactly("two"))], ..route("two", &[], &[]) },
        RouteSpec { headers: vec![header("COLOR", exactly("blue"))], ..route("blue", &[], &[]) },
        RouteSpec {
            headers: vec![header("user-agent", ValueTest::Regex("curl/[0-9.]+".into()))],
            ..route("curl", &[], &[])
        },
        RouteSpec { headers: vec![header("cookie", ValueTest::Present)], ..route("cookie", &[], &[]) },
    ])
    .unwrap();
    for (fields, name) in [
        (&[("version", "one")][..], "one"),
        (&[("VERSION", "one")], "one"),
        (&[("version", "One")], ""),
        (&[("version", "two")], "two"),
        (&[("version", "two"), ("color", "orange")], "two orange"),
        (&[("version", "two"), ("color", "blue")], "two"),
        (&[("color", "blue")], "blue"),
        (&[("color", "red"), ("Color", "blue")], "blue"),
        (&[("color", "orange")], ""),
        (&[("some-other-header", "one")], ""),
        (&[("user-agent", "curl/8.1")], "curl"),
        (&[("user-agent", "curl/8.1 x")], ""),
        (&[("cookie", "")], "cookie"),
        (&[], ""),
    ] {
        assert_eq!(routed(&table, &Asked { fields, ..asked("", "/") }), name, "{fields:?}");
    }
}

#[test]
fn methods_come_before_headers_before_query_before_order() {
    let with = |name: &str, method: &str, headers: usize, query: usize| RouteSpec {
        methods: (!method.is_empty()).then(|| method.to_owned()).into_iter().collect(),
        headers: (0..headers).map(|n| header(&format!("h{n}"), ValueTest::Present)).collect(),
        query: (0..query).map(|n| parameter(&format!("q{n}"), "1")).collect(),
        ..route(name, &[], &[prefix("/p")])
    };
    let mut specs = vec![
        with("plain", "", 0, 0),
        with("one parameter", "", 0, 1),
        with("two parameters", "", 0, 2),
        with("one header", "", 1, 0),
        with("two headers", "", 2, 0),
        with("method", "GET", 0, 0),
        with("method and header", "GET", 1, 0),
        with("extension", "PURGE", 0, 0),
        RouteSpec { paths: vec![prefix("/p/long")], ..with("long path", "", 0, 0) },
    ];
    let two = &[("h0", ""), ("h1", "")][..];
    for _ in 0..specs.len() {
        let table = RouteTable::compile(&specs).unwrap();
        for (method, path, query, fields, name) in [
            ("POST", "/p", "", &[][..], "plain"),
            ("POST", "/p", "q0=1", &[], "one parameter"),
            ("POST", "/p", "q1=1&q0=1", &[], "two parameters"),
            ("POST", "/p", "q1=1&q0=1", &two[..1], "one header"),
            ("POST", "/p", "q1=1&q0=1", two, "two headers"),
            ("GET", "/p", "q0=1", &[], "method"),
            ("GET", "/p", "", two, "method and header"),
            ("get", "/p", "", &[], "plain"),
            ("PURGE", "/p", "", two, "extension"),
            ("GET", "/p/long", "", two, "long path"),
        ] {
            let asked = Asked { host: "", path, query, method, fields };
            assert_eq!(routed(&table, &asked), name, "{method} {path} {query} {fields:?}");
        }
        specs.rotate_left(1);
    }
}

#[test]
fn query_parameters_match_by_name_and_first_decoded_value() {
    let with = |name: &str, query| RouteSpec { query, ..route(name, &[], &[]) };
    let table = RouteTable::compile(&[
        with("whale", vec![parameter("animal", "whale")]),
        with("dolphin", vec![parameter("animal", "dolphin")]),
        with("blue dolphin", vec![parameter("animal", "dolphin"), parameter("color", "blue")]),
        with("spaced", vec![parameter("two words", "a b&c")]),
        with("number", vec![QueryPredicate { name: "n".into(), test: ValueTest::Regex("[0-9]+ ?".into()) }]),
        with("flag", vec![QueryPredicate { name: "flag".into(), test: ValueTest::Present }]),
    ])
    .unwrap();
    for (query, name) in [
        ("animal=whale", "whale"),
        ("animal=dolphin", "dolphin"),
        ("animal=dolphin&color=blue", "blue dolphin"),
        ("color=blue&animal=dolphin", "blue dolphin"),
        ("ANIMAL=whale", ""),
        ("animal=Whale", ""),
        ("animal=whale&animal=dolphin", "whale"),
        ("animal=cat&animal=dolphin", ""),
        ("color=blue", ""),
        ("%61nimal=wh%61le", "whale"),
        ("two+words=a%20b%26c", "spaced"),
        ("n=12", "number"),
        ("n=%31+", "number"),
        ("n=1x", ""),
        ("flag", "flag"),
        ("flag=", "flag"),
        ("", ""),
    ] {
        assert_eq!(routed(&table, &Asked { query, ..asked("", "/") }), name, "{query}");
    }
}

#[test]
fn the_matched_length_is_that_of_the_prefix() {
    let table = RouteTable::compile(&[
        route("root", &[], &[]),
        route("many", &[], &[prefix("/a/"), prefix("/b/c"), exact("/e"), regex("/r+")]),
    ])
    .unwrap();
    let list = FieldList::default();
    let mut scratch = Scratch::new();
    for (path, matched) in
        [("/", 0), ("/x", 0), ("/a/x", 2), ("/a", 2), ("/a/", 2), ("/b/c/d", 4), ("/e", 2), ("/rrr", 4)]
    {
        let request = RequestView {
            host: b"",
            path: path.as_bytes(),
            query: b"",
            method: b"GET",
            fields: Fields::new(b"", &list),
        };
        assert_eq!(table.find(&request, &mut scratch).map(|found| found.matched), Some(matched), "{path}");
    }
}

#[test]
fn a_scratch_can_go_from_table_to_table() {
    let one = RouteTable::compile(&[route("digits", &[], &[regex("/[0-9]+")])]).unwrap();
    let two = RouteTable::compile(&[
        route("letters", &["a.b"], &[regex("/[a-z]+")]),
        route("x", &[], &[regex("/x|/y")]),
    ])
    .unwrap();
    let list = FieldList::default();
    let mut scratch = Scratch::new();
    for _ in 0..3 {
        for (table, path, name) in
            [(&one, "/12", "digits"), (&two, "/ab", "letters"), (&two, "/y", "letters")]
        {
            let request = RequestView {
                host: b"a.b",
                path: path.as_bytes(),
                query: b"",
                method: b"GET",
                fields: Fields::new(b"", &list),
            };
            assert_eq!(table.find(&request, &mut scratch).map(|found| table.name(found.route)), Some(name));
        }
    }
}
