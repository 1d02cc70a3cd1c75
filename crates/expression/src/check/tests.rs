use crate::{CompileError, Expression, Source, TextVariable, Wanted};

fn error(text: &str, wanted: Wanted) -> CompileError {
    match Expression::compile(text, wanted) {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => error,
    }
}

#[test]
fn errors_have_place_and_mend() {
    for (text, column, message, mend) in [
        ("metod == 'GET'", 1, "no variable `metod`", "did you mean `method`?"),
        ("tls && request.path == '/'", 8, "no variable `request`", "variables of their own"),
        ("headers.x-tenant == 'a'", 11, "no variable `tenant`", "headers[\"x-tenant\"]"),
        ("path.startswith('/a')", 6, "no function `startswith`", "did you mean `startsWith`?"),
        ("startsWith(path, '/a')", 1, "not called like this", "text.startsWith(text)"),
        ("path.startsWith()", 6, "not called like this", "text.startsWith(text)"),
        ("size(1)", 6, "needs a string or a list(dyn) or a map(string, dyn), this is an int", ""),
        ("path.startsWith(1)", 17, "needs a string, this is an int", ""),
        ("method == 1", 8, "`==` does not go with a string and an int", "int(text)"),
        ("size > '5'", 6, "`>` does not go with an int and a string", "convert"),
        ("'admin' in path", 12, "this is a string", "contains"),
        ("groups == 'admin'", 8, "`==`", "item in list"),
        ("1 in groups", 3, "`in` does not go with an int and a list(string)", ""),
        ("size + 1.5 > 2.0", 6, "`+`", "double(number)"),
        ("-path == 'a'", 2, "`-` needs an int or a double, this is a string", ""),
        ("!size", 2, "`!` needs a bool, this is an int", ""),
        ("tls && size", 8, "`&&` needs a bool, this is an int", ""),
        ("tls ? 1 : 'a'", 5, "between an int and a string", ""),
        ("path.x == 'a'", 6, "a string has no field `x`", ""),
        ("path[0] == 'a'", 5, "a string has no items", ""),
        ("groups['a'] == 'a'", 8, "the place in a list needs an int", ""),
        ("query[1] == 'a'", 7, "the key of a map needs a string", ""),
        ("path.matches(method)", 14, "between quotes", ""),
        ("path.matches('(')", 14, "unclosed group", ""),
        ("in_network(address, host)", 21, "between quotes", ""),
        ("in_network(address, '10.1.0.0/8')", 21, "bits set", "10.0.0.0/8"),
        ("in_network(size, '10.0.0.0/8')", 12, "needs a string", ""),
        ("now > timestamp('yesterday')", 17, "not a timestamp", "2026-01-31"),
        ("now - now > duration('1 hour')", 22, "not a duration", "1h30m"),
        ("now.getHours('Europe/Berlin') == 1", 14, "an offset", "+02:00"),
        ("now.getHours(host) == 1", 14, "an offset", ""),
        ("duration('1h').getHours('UTC') == 1", 25, "no time zone", ""),
        ("duration('1h').getFullYear() == 1", 1, "needs a timestamp", ""),
        ("has(headers['x'])", 5, "needs a field", "\"x\" in"),
        ("has(path)", 5, "needs a field", ""),
        ("has(path.x)", 10, "has no field", ""),
        ("groups.all(x, x)", 15, "the condition needs a bool", ""),
        ("groups.all('x', true)", 12, "the name for each item", ""),
        ("groups.exists(path, true)", 15, "a variable already", "another name"),
        ("path.exists(x, true)", 1, "only lists and maps", ""),
        ("groups.exists(a, scopes.exists(b, segments.exists(c, c == a)))", 44, "more than 2 deep", ""),
        ("{size: 1}['a'] == 1", 2, "strings between quotes", ""),
        ("{'a': 1, 'a': 2}['a'] == 1", 10, "twice", ""),
        ("headers == {'a': 1}", 9, "`==` does not go with a map", ""),
        ("null == size", 6, "`==` does not go with null and an int", ""),
        ("size == null", 6, "`==` does not go with an int and null", ""),
        ("method", 0, "gives a string, where a bool is needed", ""),
        ("size()", 1, "not called like this", ""),
        ("path()", 1, "a variable, not a function", ""),
        ("matches == 'a'", 1, "a function, not a variable", ""),
        ("a.b.c", 1, "no variable `a`", ""),
    ] {
        let error = error(text, Wanted::Bool);
        assert_eq!(error.column.unwrap_or(0), column, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        let its_mend = error.mend.clone().unwrap_or_default();
        assert!(if mend.is_empty() { true } else { its_mend.contains(mend) }, "{text}: {error}");
    }
}

#[test]
fn columns_count_characters() {
    assert_eq!(error("'\u{e4}\u{1f600}' == metod", Wanted::Bool).column, Some(9));
    let shown = error("metod", Wanted::Bool).to_string();
    assert_eq!(shown, "column 1: there is no variable `metod` (did you mean `method`?)");
}

#[test]
fn the_result_has_the_wanted_type() {
    for (text, wanted, fits) in [
        ("size + 1", Wanted::Int, true),
        ("size + 1", Wanted::Key, true),
        ("size + 1", Wanted::Bool, false),
        ("tls", Wanted::Key, true),
        ("path", Wanted::Int, false),
        ("claims.weight", Wanted::Int, true),
        ("claims.sub", Wanted::Key, true),
        ("claims.admin", Wanted::Bool, true),
        ("groups", Wanted::Key, false),
        ("now", Wanted::Key, false),
        ("1.5", Wanted::Int, false),
    ] {
        assert_eq!(Expression::compile(text, wanted).is_ok(), fits, "{text} {wanted:?}");
    }
}

#[test]
fn what_is_good_is_taken() {
    for text in [
        "method == \"GET\" || \"orders:write\" in scopes",
        "headers[\"x-tenant\"] == \"a\" && path.startsWith(\"/v1\")",
        "claims.roles.exists(r, r == 'admin' || r.startsWith('team-'))",
        "claims['realm_access'].roles[0] in ['a', 'b']",
        "has(claims.plan) && claims.plan != null",
        "now.getHours('+02:00') >= 9 && now.getDayOfWeek() in [1, 2, 3, 4, 5]",
        "now < timestamp('2027-01-01T00:00:00Z') + duration('1h')",
        "segments.size() > 2 && segments[1] == labels.tenant",
        "size <= {'gold': 1000, 'free': 10}[labels['plan']]",
        "address.in_network('10.0.0.0/8') || in_network(headers['x-real-ip'], '::1')",
        "groups.map(g, g.size() > 3, g + '!').exists_one(g, g == 'gold!')",
        "groups + scopes == [] || size == 1.0 || 1 < 2.5",
        "claims == {} || claims.a == claims.b",
        "cookies.exists(name, name.startsWith('session') && cookies[name].size() < 10)",
        "int(query.page) * 2 % 3 == -1 // a comment",
        "matches(path, r'^/v\\d+/') ? tls : !tls",
        "(claims.level > 3) == (claims.level >= 4.0)",
    ] {
        if let Err(error) = Expression::compile(text, Wanted::Bool) {
            panic!("{text}: {error}");
        }
    }
}

#[test]
fn it_is_known_what_is_read() {
    let expression = Expression::compile("method == 'GET' || 'a' in headers", Wanted::Bool).unwrap();
    let names: Vec<_> = expression.needs().variables().map(|variable| variable.name).collect();
    assert_eq!(names, ["method", "headers"]);
    assert!(expression.needs().reads(Source::Text(TextVariable::Method)));
    assert!(!expression.needs().reads_caller());
    assert!(Expression::compile("groups == []", Wanted::Bool).unwrap().needs().reads_caller());
}
