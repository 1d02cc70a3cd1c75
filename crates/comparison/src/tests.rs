use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Answer, BodyRule, Comparison, Headers, PathPattern, Place, Rules, Verdict, compare};

fn answer<'a>(status: u16, head: &'a str, body: &'a [u8]) -> Answer<'a> {
    Answer { status, head: head.as_bytes(), trailers: b"", body: Some(body) }
}

fn bodies(rules: &Rules, one: &str, other: &str) -> Comparison {
    compare(rules, &answer(200, "", one.as_bytes()), &answer(200, "", other.as_bytes()))
}

fn places(found: &Comparison) -> Vec<String> {
    found.differences.iter().map(|difference| difference.place.to_string()).collect()
}

fn ignoring(paths: &[&str]) -> Rules {
    Rules { ignored_paths: paths.iter().map(|path| path.parse().unwrap()).collect(), ..Rules::default() }
}

#[test]
fn a_status_a_header_and_a_member_are_told_in_this_order() {
    let rules = Rules::default();
    let one = answer(200, "Content-Type: application/json\r\nDate: now\r\n", br#"{"a":1,"b":[1,2]}"#);
    let other = answer(500, "content-type: text/plain\r\n", br#"{"b":[1,3],"a":1.0}"#);
    let found = compare(&rules, &one, &other);
    assert_eq!(places(&found), ["status", "header content-type", "$.b[1]"]);
    assert_eq!(found.verdict(), Verdict::Status);
    assert_eq!(found.differences[1].second.as_deref(), Some("text/plain"));
    assert_eq!(found.differences[2].place.general(), "$.b[*]");
    assert_eq!(compare(&rules, &one, &one).verdict(), Verdict::Same);
}

#[test]
fn headers_without_noise_and_cookies_by_name() {
    let rules = Rules { headers: Headers::All, ignored_headers: vec!["x-node".into()], ..Rules::default() };
    let one = "Date: a\r\nServer: x\r\nX-Node: 1\r\nSet-Cookie: id=1; Path=/\r\nVary: a\r\nVary: b\r\nContent-Length: 1\r\n";
    let same = "Vary: a\r\nVary: b\r\nSet-Cookie: id=2\r\nX-Node: 2\r\nX-Request-ID: 7\r\n";
    assert_eq!(compare(&rules, &answer(200, one, b""), &answer(200, same, b"")).verdict(), Verdict::Same);
    let other = "Vary: a\r\nSet-Cookie: sid=2\r\nX-New: 1\r\n";
    let found = compare(&rules, &answer(200, one, b""), &answer(200, other, b""));
    assert_eq!(places(&found), ["header set-cookie", "header vary", "header x-new"]);
    assert_eq!((found.differences[2].first.as_deref(), found.verdict()), (None, Verdict::Headers));
    let mut trailing = answer(200, one, b"");
    trailing.trailers = b"grpc-status: 0\r\n";
    assert_eq!(places(&compare(&rules, &trailing, &answer(200, one, b""))), ["header grpc-status"]);
}

#[test]
fn secrets_differ_without_being_shown() {
    let named = ["set-cookie", "x-api-key", "x-node"].map(str::to_owned).to_vec();
    let rules = Rules { headers: Headers::Named(named), ..Rules::default() };
    let one = "Set-Cookie: id=1\r\nX-Api-Key: a\r\nX-Node: a\r\n";
    let other = "Set-Cookie: id=2\r\nX-Api-Key: b\r\nX-Node: b\r\n";
    let found = compare(&rules, &answer(200, one, b""), &answer(200, other, b""));
    let values: Vec<_> = found.differences.iter().map(|d| d.first.as_deref().unwrap()).collect();
    assert_eq!(values, ["(hidden)", "(hidden)", "a"]);
}

#[test]
fn numbers_have_values() {
    let rules = Rules::default();
    for (one, other) in
        [("1", "1.0"), ("100", "1e2"), ("0", "-0"), ("18446744073709551615", "18446744073709551615")]
    {
        assert_eq!(bodies(&rules, one, other).verdict(), Verdict::Same, "{one} {other}");
    }
    for (one, other) in [("1", "2"), ("9007199254740993", "9007199254740992"), ("1", "\"1\""), ("0", "null")]
    {
        assert_eq!(bodies(&rules, one, other).verdict(), Verdict::Body, "{one} {other}");
    }
}

#[test]
fn what_is_no_json_on_both_sides_is_compared_as_bytes() {
    let found = bodies(&Rules::default(), "hello world", "hello there");
    assert_eq!(places(&found), ["$"]);
    assert_eq!(found.differences[0].second.as_deref(), Some("11 bytes, from 0: hello there"));
    let found = bodies(&Rules::default(), "{}", "<html>");
    assert_eq!((found.verdict(), found.note), (Verdict::Body, Some("the mirror's body is not JSON")));
    let strict = Rules { body: BodyRule::Bytes, ..Rules::default() };
    assert_eq!(bodies(&strict, "{ }", "{}").verdict(), Verdict::Body);
    let none = Rules { body: BodyRule::None, ..Rules::default() };
    assert_eq!(bodies(&none, "1", "2").verdict(), Verdict::Same);
}

#[test]
fn content_codings_are_not_looked_into() {
    let rules = Rules::default();
    let (gzip, plain) = ("Content-Encoding: gzip\r\n", "Content-Encoding: identity\r\n");
    let found = compare(&rules, &answer(200, gzip, b"1"), &answer(200, gzip, b"2"));
    assert!(found.verdict() == Verdict::Body && found.note.unwrap().contains("compressed"));
    let found = compare(&rules, &answer(200, gzip, b"1"), &answer(200, plain, b"2"));
    assert!(found.verdict() == Verdict::Same && found.note.unwrap().contains("content codings"));
    let large = Answer { body: None, ..answer(200, "", b"") };
    let found = compare(&rules, &large, &answer(200, "", b"2"));
    assert!(found.verdict() == Verdict::Same && found.note.unwrap().contains("too large"));
}

#[test]
fn patterns_take_what_they_say() {
    let one = r#"{"at":1,"items":[{"id":1,"n":1},{"id":2,"n":1}],"a b":{"at":1},"x":{"y":{"at":1}}}"#;
    let other = r#"{"at":2,"items":[{"id":3,"n":1},{"id":4,"n":2}],"a b":{"at":2},"x":{"y":{"at":2}}}"#;
    let all = ["$.at", "$.items[0].id", "$.items[1].id", "$.items[1].n", "$[\"a b\"].at", "$.x.y.at"];
    let left = |paths: &[&str]| {
        let mut found = places(&bodies(&ignoring(paths), one, other));
        found.sort();
        found
    };
    let without = |taken: &[&str]| {
        let mut rest: Vec<_> = all.iter().filter(|p| !taken.contains(p)).map(ToString::to_string).collect();
        rest.sort();
        rest
    };
    assert_eq!(left(&[]), without(&[]));
    assert_eq!(left(&["at"]), without(&["$.at"]));
    assert_eq!(left(&["items[*].id", "$.items[1].n"]), without(&all[1..4]));
    assert_eq!(left(&["$[\"a b\"]"]), without(&["$[\"a b\"].at"]));
    assert_eq!(left(&["$.**.at"]), without(&["$.at", "$[\"a b\"].at", "$.x.y.at"]));
    assert_eq!(left(&["*"]), Vec::<String>::new());
    assert_eq!(left(&["x.*"]), without(&["$.x.y.at"]));
    for wrong in
        ["", "$", "$$", "a..b", "a[", "a[x]", "a[-1]", "a[1", "a b", "$a", "[\"a]", "[\"a\"", ".", "a]"]
    {
        assert!(wrong.parse::<PathPattern>().is_err(), "{wrong}");
    }
    for right in ["$.a[3][*].b[\"c d\"].*.**.e", "$[0]", "$.a-b_c"] {
        assert_eq!(right.parse::<PathPattern>().unwrap().to_string(), right);
    }
}

#[test]
fn what_is_deep_or_large_is_bounded() {
    let deep = |leaf: &str| format!("{}{leaf}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(bodies(&Rules::default(), &deep("1"), &deep("2")).verdict(), Verdict::Body);
    let many = |leaf: &str| format!("[{}]", vec![leaf; 50_000].join(","));
    let found = bodies(&Rules::default(), &many("1"), &many("2"));
    assert_eq!((found.differences.len(), found.more), (16, 49_984));
    let long = |leaf: &str| json!({ "n".repeat(100_000): leaf.repeat(100_000) }).to_string();
    let found = bodies(&Rules::default(), &long("a"), &long("b"));
    let difference = &found.differences[0];
    assert!(difference.place.to_string().len() < 200 && difference.first.as_ref().unwrap().len() < 100);
    let steps = format!("{}z", "**.".repeat(31)).parse::<PathPattern>().unwrap();
    let rules = Rules { ignored_paths: vec![steps; 64], ..Rules::default() };
    let nested = |leaf: &str| format!("{}{leaf}{}", "{\"a\":".repeat(120), "}".repeat(120));
    assert_eq!(bodies(&rules, &nested("1"), &nested("2")).verdict(), Verdict::Body);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z \"\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map("[a-z. ]{0,3}", inner, 0..5).prop_map(|m| Value::Object(Map::from_iter(m))),
        ]
    })
}

/// The text of a value with the members of its objects the other way round.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let texts = members.iter().rev().map(|(n, v)| format!("{} : {}", json!(n), reversed(v)));
            format!("{{ {} }}", texts.collect::<Vec<_>>().join(" , "))
        }
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(reversed).collect::<Vec<_>>().join(","))
        }
        leaf => leaf.to_string(),
    }
}

/// The places of all leaves, as pointers (RFC 6901).
fn leaves(value: &Value, at: String, out: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(n, v)| leaves(v, format!("{at}/{}", escaped(n)), out));
        }
        Value::Array(elements) if !elements.is_empty() => {
            elements.iter().enumerate().for_each(|(i, v)| leaves(v, format!("{at}/{i}"), out));
        }
        _ => out.push(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_answer_is_the_same_as_itself_in_another_order(value in values()) {
        let found = bodies(&Rules::default(), &value.to_string(), &reversed(&value));
        prop_assert_eq!(found.verdict(), Verdict::Same);
    }

    #[test]
    fn one_changed_leaf_is_found_where_it_is_and_can_be_ignored(value in values(), which in any::<prop::sample::Index>()) {
        let mut all = Vec::new();
        leaves(&value, String::new(), &mut all);
        let pointer = &all[which.index(all.len())];
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).unwrap() = json!("changed to this");
        let found = bodies(&Rules::default(), &value.to_string(), &changed.to_string());
        prop_assert_eq!(found.differences.len(), 1, "{} {}", value, changed);
        let second = found.differences[0].second.as_deref();
        prop_assert_eq!(second, Some("\"changed to this\""));
        let Place::Body { path, pattern } = &found.differences[0].place else { panic!() };
        if !pointer.is_empty() {
            for ignored in [path, pattern] {
                let again = bodies(&ignoring(&[ignored]), &value.to_string(), &changed.to_string());
                prop_assert_eq!(again.verdict(), Verdict::Same, "{}", ignored);
            }
        }
    }

    #[test]
    fn comparing_is_symmetric(one in values(), other in values()) {
        let there = bodies(&Rules::default(), &one.to_string(), &other.to_string());
        let back = bodies(&Rules::default(), &other.to_string(), &one.to_string());
        prop_assert_eq!(there.differences.len() + there.more, back.differences.len() + back.more);
    }

    #[test]
    fn anything_can_be_compared(head in vec(any::<u8>(), 0..200), one in vec(any::<u8>(), 0..200), pattern in "\\PC{0,40}") {
        let rules = Rules { headers: Headers::All, ignored_paths: pattern.parse().into_iter().collect(), ..Rules::default() };
        let answer = Answer { status: 200, head: &head, trailers: &one, body: Some(&one) };
        let other = Answer { body: Some(&head), ..answer };
        let found = compare(&rules, &answer, &other);
        prop_assert!(found.differences.len() <= 16);
        prop_assert_eq!(compare(&rules, &answer, &answer).verdict(), Verdict::Same);
    }
}
