//! Expressions and requests made to hurt: each ends, within its bounds, with an answer or an error.

mod request;

use request::Request;
use tollgate_expression::{EvaluateError, Expression, ListVariable, MapVariable, Wanted};

/// A request at the limits of what a listener takes: 256 headers, long values, large claims.
fn hostile() -> Request {
    let mut request = Request::default();
    let headers: Vec<_> =
        (0..256).map(|n| (format!("x-{n}").into_bytes(), vec![b'a' + (n % 26) as u8; 250])).collect();
    request.maps = vec![
        (MapVariable::Headers, headers.clone()),
        (MapVariable::Query, headers.clone()),
        (MapVariable::Cookies, headers),
    ];
    let items: Vec<_> = (0..1000).map(|n| format!("item-{n}").into_bytes()).collect();
    request.lists = vec![(ListVariable::Segments, items.clone()), (ListVariable::Scopes, items)];
    request.texts[1].1 = [b"/".to_vec(), b"a".repeat(64 << 10)].concat();
    let nested = (0..100).fold(serde_json::json!([1]), |inner, _| serde_json::json!([inner]));
    request.claims.insert("deep".to_owned(), nested.clone());
    request.claims.insert("twin".to_owned(), nested);
    request.claims.insert("long".to_owned(), "a".repeat(64 << 10).into());
    request.claims.insert("many".to_owned(), (0..8000).collect::<Vec<i32>>().into());
    request
}

#[test]
fn bombs_end_with_an_error() {
    let request = hostile();
    for text in [
        "segments.all(a, scopes.all(b, a != b + 'x'))",
        "headers.all(a, query.all(b, headers[a] != query[b] + 'x'))",
        "claims.many.all(a, claims.many.all(b, a + b >= 0))",
        "claims.many.map(a, claims.many.map(b, [a, b])).size() > 0",
        "segments.map(a, scopes + segments).size() > 0",
        "segments.map(a, path + path).size() > 0",
        "segments.filter(a, (path + a).size() > 0).size() > 0",
        "segments.map(a, path + a).all(b, segments.all(c, b + c != ''))",
        "segments.all(a, path.contains('b') || true)",
        "segments.all(a, !path.matches('(a+)+b'))",
        "segments.all(a, headers == claims)",
        "[claims.many].map(m, m + m + m + m + m + m + m + m).all(x, x == x + [1])",
        "segments.all(a, claims.many == claims.many)",
        "segments.all(a, string(path).lowerAscii() != '')",
        "segments.exists(a, scopes.exists(b, a == b + 'x')) || true",
        "true || segments.all(a, scopes.all(b, a != b + 'x')) ? segments.all(a, scopes.all(b, a != b + 'x')) : true",
    ] {
        let text =
            text.replace("headers == claims", "[claims] == [claims, claims] || claims.many == claims.many");
        let expression = match Expression::compile(&text, Wanted::Bool) {
            Ok(expression) => expression,
            Err(error) => panic!("{text}: {error}"),
        };
        assert_eq!(expression.test(&request), Err(EvaluateError::TooCostly), "{text}");
    }
    let doubled = (0..11).fold("path".to_owned(), |text, _| format!("({text} + {text})"));
    let expression =
        Expression::compile(&format!("{doubled} == ''"), Wanted::Bool).map(|it| it.test(&request));
    assert!(matches!(expression, Err(_) | Ok(Err(EvaluateError::TooCostly))));
}

#[test]
fn what_is_large_but_plain_has_an_answer() {
    let request = hostile();
    for text in [
        "headers.exists(h, headers[h].startsWith('z'))",
        "headers.all(h, h.startsWith('x-') && headers[h].matches('^[a-z]+$') && size(h) < 10)",
        "!('nobody' in scopes) && segments[999] == 'item-999'",
        "claims.deep == claims.twin && claims.long.size() == 65536 && 7999 in claims.many",
        "!path.matches('^/(a+)+b$')",
        "!path.matches('^/(a|aa)+b$')",
        "groups.all(g, scopes.all(s, s != g))",
    ] {
        let expression =
            Expression::compile(text, Wanted::Bool).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.test(&request), Ok(true), "{text}");
    }
}

#[test]
fn long_chains_and_deep_brackets_are_refused_or_work() {
    let request = Request::default();
    let chain = vec!["method=='POST'"; 800].join(" || ");
    assert_eq!(Expression::compile(&chain, Wanted::Bool).unwrap().test(&request), Ok(false));
    for text in [
        "(".repeat(10_000),
        format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("{}true", "!".repeat(10_000)),
        vec!["true"; 3_500].join(" ? true : "),
        format!("size == {}", vec!["1"; 5_000].join("+")),
        format!("claims{} == 1", ".a".repeat(5_000)),
        format!("{}1{} == []", "[".repeat(5_000), "]".repeat(5_000)),
        vec!["tls"; 5_000].join("||"),
        "a".repeat(1 << 20),
    ] {
        assert!(Expression::compile(&text, Wanted::Bool).is_err());
    }
}

#[test]
fn the_deepest_tree_fits_a_small_stack() {
    let deepest =
        |n: usize| format!("{}tls{}", "[".repeat(n), "].all(x, true)".repeat(0) + &"][0]".repeat(n));
    let text = (1..100)
        .map(deepest)
        .take_while(|text| Expression::compile(text, Wanted::Bool).is_ok())
        .last()
        .unwrap();
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let run = move || Expression::compile(&text, Wanted::Bool).unwrap().test(&Request::default());
    assert_eq!(small.spawn(run).unwrap().join().unwrap(), Ok(true));
}
