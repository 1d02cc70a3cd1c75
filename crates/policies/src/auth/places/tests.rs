use tollgate_policy::Gate;

use super::*;
use crate::sample::Sample;

fn places() -> Places {
    Places::new(Some("X-API-Key"), Some("key"), Some("key"))
}

fn one(text: &str) -> Shown<'_> {
    Shown::One(text.as_bytes().into())
}

#[test]
fn each_place_is_looked_at_and_all_must_show_the_same() {
    for (target, fields, shown) in [
        ("/", "", Shown::Nothing),
        ("/", "x-api-key: a\r\n", one("a")),
        ("/", "x-api-key:\r\n", one("")),
        ("/?x=1&key=a", "", one("a")),
        ("/?k%65y=%61%2b", "", one("a+")),
        ("/?key", "", one("")),
        ("/?key=%zz%", "", one("%zz%")),
        ("/?monkey=a&keys=b&KEY=c", "", Shown::Nothing),
        ("/", "Cookie: x=1; key=a\r\nCookie: y=2\r\n", one("a")),
        ("/", "Cookie: key=\"a\"\r\n", one("a")),
        ("/", "Cookie: key=\"\r\n", one("\"")),
        ("/", "Cookie: monkey=a; Key=b; key\r\n", Shown::Nothing),
        ("/?key=a&key=a", "X-API-Key: a\r\nCookie: key=a\r\n", one("a")),
    ] {
        let sample = Sample::new(&format!("GET {target}"), fields);
        assert_eq!(places().only(&sample.asked()), shown, "{target} {fields}");
    }
    for (target, fields) in [
        ("/?key=a&key=b", ""),
        ("/?key=a&k%65y=b", ""),
        ("/?key=a&key=", ""),
        ("/?key=a", "X-API-Key: b\r\n"),
        ("/", "X-API-Key: a\r\nCookie: key=b\r\n"),
        ("/", "Cookie: key=a; key=b\r\n"),
        ("/", "X-API-Key: a\r\nX-API-Key: a\r\n"),
        ("/?key=a", "X-API-Key: a\r\nX-API-Key: b\r\n"),
    ] {
        let sample = Sample::new(&format!("GET {target}"), fields);
        let shown = places().only(&sample.asked());
        assert!(matches!(shown, Shown::Unclear(_)), "{target} {fields}: {shown:?}");
    }
}

#[test]
fn the_first_place_that_holds_something_counts() {
    let places = Places::new(Some("Authorization"), Some("t"), Some("t"));
    for (target, fields, shown) in [
        ("/?t=b", "Authorization: Bearer a\r\nCookie: t=c\r\n", one("a")),
        ("/?t=b", "authorization: bEaReR   a \r\n", one("a")),
        ("/?t=b", "Authorization: Basic a\r\nCookie: t=c\r\n", one("b")),
        ("/?t=", "Cookie: t=c\r\n", one("c")),
        ("/?t=", "Cookie: t=\r\n", Shown::Nothing),
        ("/?t=b", "Authorization: Bearer\r\n", one("")),
        ("/", "Authorization: Bearerx a\r\n", Shown::Nothing),
    ] {
        let sample = Sample::new(&format!("GET {target}"), fields);
        assert_eq!(places.first(&sample.asked()), shown, "{target} {fields}");
    }
    let twice = Sample::new("GET /", "Authorization: Bearer a\r\nAuthorization: Basic a\r\n");
    assert!(matches!(places.first(&twice.asked()), Shown::Unclear(_)));
}

#[test]
fn what_is_taken_away_is_gone_and_nothing_else() {
    for (target, fields, query, lines) in [
        (
            "/?a=1&key=s&b=%20&k%65y=s",
            "Cookie: a=1; key=s;b=2\r\n",
            Some("a=1&b=%20"),
            "Cookie: a=1; b=2\r\n",
        ),
        ("/?key=s", "Cookie: key=s\r\n", Some(""), ""),
        ("/?a=1", "Cookie: a=1\r\n", None, ""),
        (
            "/",
            "Cookie: a=1; monkey=s\r\nCookie: key=\"s\"; key=s; c=\"3\"\r\n",
            None,
            "Cookie: a=1; monkey=s; c=\"3\"\r\n",
        ),
    ] {
        let sample = Sample::new(&format!("GET {target}"), fields);
        let mut gate = Gate::default();
        places().take_away(&sample.asked(), &mut gate);
        assert!(gate.request.replaces("x-api-key"));
        assert_eq!(gate.query.as_deref().map(|q| std::str::from_utf8(q).unwrap()), query, "{target}");
        assert_eq!(std::str::from_utf8(gate.request.lines()).unwrap(), lines, "{target} {fields}");
        assert_eq!(gate.request.replaces("cookie"), fields.contains("key=\"s") || fields.contains("key=s"));
    }
}

#[test]
fn a_parameter_goes_out_of_a_query_that_was_cut_before() {
    let sample = Sample::new("GET /?a=1&key=s&other=t", "");
    let mut gate = Gate::default();
    places().take_away(&sample.asked(), &mut gate);
    Places::new(None, Some("other"), None).take_away(&sample.asked(), &mut gate);
    assert_eq!(gate.query.as_deref(), Some(&b"a=1"[..]));
}
