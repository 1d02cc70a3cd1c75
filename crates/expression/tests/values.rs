//! What expressions give for a request.

mod request;

use request::Request;
use tollgate_expression::{EvaluateError, Expression, MapVariable, TextVariable, Wanted};

fn test(text: &str, request: &Request) -> Result<bool, EvaluateError> {
    match Expression::compile(text, Wanted::Bool) {
        Ok(expression) => expression.test(request),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn conditions_that_hold() {
    let request = Request::default();
    for text in [
        "method == 'GET' && host != 'a' && scheme in ['http', 'https'] && tls && size == 120",
        "headers['x-tenant'] == 'a' && headers['X-Tenant'] == 'a' && headers.accept == '*/*'",
        "'accept' in headers && 'Accept' in headers && !('x' in headers) && has(headers.host) && !has(headers.x)",
        "headers[['x-TENANT'][0]] == 'a'",
        "cookies.session == 'abc' && query.page == '7' && int(query.page) + 1 == 8",
        "'orders:write' in scopes && !('admin' in scopes) && groups == ['gold', 'staff']",
        "segments[0] == 'v1' && segments.size() == 3 && size(segments) == 3 && size(headers) == 6",
        "address == '192.0.2.1' && in_network(address, '192.0.2.0/24') && !address.in_network('10.0.0.0/8')",
        "consumer == 'alice' && auth == '' && labels.team == 'red'",
        "claims.plan == 'pro' && claims['level'] == 3 && claims.level == 3.0 && claims.level < 3.5",
        "claims.roles.exists(r, r.startsWith('team-')) && claims.realm.roles[0] == 'x' && 'admin' in claims.roles",
        "has(claims.realm.n) && !has(claims.realm.m) && !has(claims.x) && claims.none == null",
        "claims.sub != 5 && !(claims.sub == 5) && claims.realm == {'roles': ['x'], 'n': 1}",
        "claims.big > 9223372036854775807",
        "!claims.admin || claims.missing",
        "claims.missing == 'x' || true",
        "!(claims.missing == 'x' && false)",
        "groups.all(g, g.size() > 3) && groups.exists_one(g, g == 'gold') && groups.existsOne(g, g == 'staff')",
        "groups.filter(g, g != 'gold') == ['staff'] && groups.map(g, g + '!') == ['gold!', 'staff!']",
        "groups.map(g, g == 'gold', size(g)) == [4] && [1, 2].map(x, x * x) == [1, 4]",
        "groups.exists(g, scopes.exists(s, s.startsWith('orders') && g == 'gold'))",
        "headers.exists(h, h.startsWith('x-') && headers[h] == 'a') && {'a': 1}.all(k, k == 'a')",
        "[].all(x, x) && ![].exists(x, x)",
        "[claims.x, true].exists(x, x) || true",
        "path.matches('^/v[0-9]+/orders') && !path.matches('^/orders') && matches(path, 'orders')",
        "'\\u00e4b'.size() == 2 && 'AbC'.lowerAscii() == 'abc' && 'x'.upperAscii() == 'X' && 'abc'.contains('bc')",
        "string(size) == '120' && string(true) == 'true' && string(1.5) == '1.5' && double('1.5') == 1.5",
        "int(1.9) == 1 && int(-1.9) == -1 && int('-5') == -5 && double(2) == 2.0",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1 && 2 + 3 * 4 == 14 && 1.0 / 0.0 > 1e300",
        "size > 100 ? path == '/v1/orders/7' : false",
        "{'gold': 5, 'free': 1}[labels.plan] == 5 && [1, 2] + [3] == [1, 2, 3] && 'a' < 'b' && false < true",
        "now > timestamp('2026-11-22T12:30:00Z') && now < timestamp('2026-11-22T12:30:01Z')",
        "now.getDayOfWeek() == 0 && now.getHours() == 12 && now.getHours('+02:00') == 14 && now.getMilliseconds() == 250",
        "now - duration('30m') == timestamp('2026-11-22T12:00:00.25Z') && now - now == duration('0s')",
        "string(now) == '2026-11-22T12:30:00.25Z' && string(duration('90m')) == '5400s' && int(now) == 1795350600",
        "duration('90m').getHours() == 1 && duration('1h') + duration('30m') > duration('1h29m')",
        "timestamp(claims.level) == timestamp('1970-01-01T00:00:03Z')",
    ] {
        assert_eq!(test(text, &request), Ok(true), "{text}");
    }
}

#[test]
fn what_has_no_value_is_an_error() {
    let request = Request::default();
    let wrong = |wanted, found| EvaluateError::WrongType { wanted, found };
    for (text, wanted) in [
        ("headers['x-other'] == 'a'", EvaluateError::Missing("x-other".into())),
        ("claims.realm.m == 1", EvaluateError::Missing("m".into())),
        ("{'a': 1}[method] == 1", EvaluateError::Missing("GET".into())),
        ("segments[3] == 'a'", EvaluateError::OutOfRange(3)),
        ("segments[-1] == 'a'", EvaluateError::OutOfRange(-1)),
        ("claims.roles[9223372036854775807] == 'a'", EvaluateError::OutOfRange(i64::MAX)),
        ("size / (size - 120) == 1", EvaluateError::DivisionByZero),
        ("size % 0 == 1", EvaluateError::DivisionByZero),
        ("size + 9223372036854775807 > 0", EvaluateError::Overflow),
        ("size * 9223372036854775807 > 0", EvaluateError::Overflow),
        ("(-9223372036854775808) / -1 > 0", EvaluateError::Overflow),
        ("(-9223372036854775808) % -1 == 0", EvaluateError::Overflow),
        ("-(-9223372036854775808) > 0", EvaluateError::Overflow),
        ("-9223372036854775808 - size > 0", EvaluateError::Overflow),
        ("int(1e300) > 0", EvaluateError::Overflow),
        ("int(0.0 / 0.0) > 0", EvaluateError::Overflow),
        ("now + duration('90000000h') > now", EvaluateError::Overflow),
        ("timestamp(9223372036854775807) > now", EvaluateError::Overflow),
        ("timestamp('9999-12-31T23:59:59Z').getHours('+01:00') == 0", EvaluateError::Overflow),
        ("duration('2562047788h') + duration('2562047788h') > duration('0s')", EvaluateError::Overflow),
        ("int(path) > 0", EvaluateError::Unreadable("an integer")),
        ("double('nan') > 0.0", EvaluateError::Unreadable("a number")),
        ("in_network(path, '10.0.0.0/8')", EvaluateError::Unreadable("an address")),
        ("timestamp(path) > now", EvaluateError::Unreadable("a timestamp")),
        ("claims.sub > 1", wrong("string", "int")),
        ("claims.sub", wrong("bool", "string")),
        ("claims.sub && true", wrong("bool", "string")),
        ("claims.sub + 1 == 2", wrong("string", "int")),
        ("claims.sub.x == 2", wrong("map", "string")),
        ("has(claims.sub.x)", wrong("map", "string")),
        ("claims.realm[0] == 2", wrong("string", "int")),
        ("claims.level.startsWith('a')", wrong("string", "int")),
        ("claims.level.exists(x, x)", wrong("list", "int")),
        ("'a' in claims.level", wrong("list", "int")),
        ("size(claims.level) == 1", wrong("string", "int")),
        ("claims.missing == 'x' || false", EvaluateError::Missing("missing".into())),
        ("claims.roles.exists(r, r > 1)", wrong("string", "int")),
        ("claims.roles.exists_one(r, r == 'admin' || claims.a)", EvaluateError::Missing("a".into())),
    ] {
        assert_eq!(test(text, &request), Err(wanted), "{text}");
    }
    let unix = Request { address: None, ..Request::default() };
    assert_eq!(test("in_network(address, '0.0.0.0/0')", &unix), Err(EvaluateError::Unreadable("an address")));
    assert_eq!(test("address == ''", &unix), Ok(true));
}

#[test]
fn numbers_and_keys() {
    let request = Request::default();
    let number = |text: &str| Expression::compile(text, Wanted::Int).unwrap().integer(&request);
    assert_eq!(number("size / 50 + 1"), Ok(3));
    assert_eq!(number("claims.level"), Ok(3));
    assert!(number("claims.sub").is_err());
    let key = |text: &str| {
        let mut out = b"k:".to_vec();
        let result = Expression::compile(text, Wanted::Key).unwrap().key(&request, &mut out);
        result.map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(key("consumer + ':' + segments[1]"), Ok("k:alice:orders".to_owned()));
    assert_eq!(key("address"), Ok("k:192.0.2.1".to_owned()));
    assert_eq!(key("size"), Ok("k:120".to_owned()));
    assert_eq!(key("tls"), Ok("k:true".to_owned()));
    assert!(key("claims.roles").is_err());
}

#[test]
fn bytes_stay_what_they_are() {
    let mut request = Request::default();
    request.maps[1].1 = vec![
        (b"a".to_vec(), b"x\xff".to_vec()),
        (b"b".to_vec(), b"x\xfe".to_vec()),
        (b"c".to_vec(), "x\u{fffd}".as_bytes().to_vec()),
        (b"d".to_vec(), b"x\0y".to_vec()),
    ];
    request.texts[1] = (TextVariable::Path, b"/admin\xff".to_vec());
    for (text, wanted) in [
        // No two different values are equal, whatever a decoder would make of them.
        ("headers.a == headers.b", false),
        ("headers.a == headers.c", false),
        ("headers.a == 'x\u{fffd}'", false),
        ("headers.a != 'x\u{fffd}'", true),
        ("headers.a in ['x\u{fffd}', 'x']", false),
        ("headers.c == 'x\u{fffd}'", true),
        ("headers.a.startsWith('x') && headers.a.contains('x')", true),
        ("headers.a.size() == 2 && headers.d.size() == 3", true),
        ("headers.d == 'x\\x00y' && headers.d != 'x'", true),
        // A broken sequence is a character to patterns: it dodges no `.`.
        ("path.matches('^/admin.*$')", true),
        ("path.matches('^/admin$')", false),
        ("path.startsWith('/admin')", true),
    ] {
        assert_eq!(test(text, &request), Ok(wanted), "{text}");
    }
    let expression = Expression::compile("headers.a", Wanted::Key).unwrap();
    let mut out = Vec::new();
    expression.key(&request, &mut out).unwrap();
    assert_eq!(out, b"x\xff");
    assert_eq!(request.map(MapVariable::Headers).len(), 4);
}
