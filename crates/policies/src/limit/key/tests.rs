use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tollgate_policy::{Caller, Consumer};

use super::*;
use crate::sample::Sample;

fn key(source: &KeySource, request: &Sample, caller: &Caller) -> Vec<u8> {
    source.check().unwrap();
    let mut out = b"before".to_vec();
    source.write(&request.asked(), caller, &mut out);
    out.split_off(b"before".len())
}

fn get(source: &KeySource, target: &str, fields: &str) -> Vec<u8> {
    key(source, &Sample::new(&format!("GET {target}"), fields), &Caller::default())
}

fn from(source: &KeySource, address: &str) -> Vec<u8> {
    let mut request = Sample::new("GET /", "");
    request.client = address.parse().unwrap();
    key(source, &request, &Caller::default())
}

fn named(name: &str) -> Caller {
    let consumer = Some(Arc::new(Consumer { name: name.into(), ..Consumer::default() }));
    Caller { consumer, ..Caller::default() }
}

#[test]
fn a_path_is_a_key_and_connections_go_by_their_address() {
    assert_eq!(get(&KeySource::Path, "/a?b", ""), b"\x0c\x02/a");
    let address = "2001:db8::1".parse().unwrap();
    let of = |source: &KeySource| {
        let mut out = Vec::new();
        source.write_address(address, &mut out);
        out
    };
    let whole = KeySource::Address { v6_prefix: 128 };
    assert_eq!(of(&whole), from(&whole, "2001:db8::1"));
    assert_eq!(of(&KeySource::Path), from(&KeySource::Address { v6_prefix: USUAL_V6_PREFIX }, "2001:db8::2"));
}

#[test]
fn a_source_is_told_without_any_value() {
    let sources = vec![KeySource::Consumer, KeySource::Header("x-team".into()), KeySource::Path];
    assert_eq!(KeySource::Several(sources).to_string(), "consumer, header x-team, path");
}

#[test]
fn a_key_says_its_kind_and_length_before_each_part() {
    let request = Sample::new("GET /", "X-Team: blue\r\n");
    let sources = vec![KeySource::Route, KeySource::Consumer, KeySource::Header("x-team".into())];
    let several = KeySource::Several(sources);
    assert_eq!(key(&several, &request, &named("alice")), b"\x01\x01r\x02\x05alice\x05\x04blue");
}

#[test]
fn strangers_count_by_their_address_and_never_as_a_consumer() {
    let request = Sample::new("GET /", "");
    let stranger = key(&KeySource::Consumer, &request, &Caller::default());
    assert_eq!(stranger, key(&KeySource::Address { v6_prefix: 64 }, &request, &Caller::default()));
    assert_eq!(stranger, b"\x03\x04\xc0\x00\x02\x01");
    assert_ne!(stranger, key(&KeySource::Consumer, &request, &named("\u{c0}\u{0}\u{2}\u{1}")));
    assert_ne!(stranger, from(&KeySource::Consumer, "192.0.2.2"));
}

#[test]
fn addresses_of_one_subscriber_are_one_client() {
    let usual = KeySource::Address { v6_prefix: USUAL_V6_PREFIX };
    assert_eq!(from(&usual, "2001:db8::1"), from(&usual, "2001:db8::ffff:2:3:4"));
    assert_ne!(from(&usual, "2001:db8::1"), from(&usual, "2001:db8:0:1::1"));
    assert_eq!(from(&usual, "::ffff:192.0.2.1"), from(&usual, "192.0.2.1"));
    let single = KeySource::Address { v6_prefix: 128 };
    assert_ne!(from(&single, "2001:db8::1"), from(&single, "2001:db8::2"));
    let all = KeySource::Address { v6_prefix: 0 };
    assert_eq!(from(&all, "2001:db8::1"), from(&all, "ffff::"));
    assert!(KeySource::Address { v6_prefix: 129 }.check().is_err());
}

#[test]
fn what_is_absent_counts_by_address_and_is_not_what_is_empty() {
    for (source, empty) in [
        (KeySource::Header("x-a".into()), get(&KeySource::Header("x-a".into()), "/", "X-A:\r\n")),
        (KeySource::Cookie("a".into()), get(&KeySource::Cookie("a".into()), "/", "Cookie: a=\r\n")),
        (KeySource::Query("a".into()), get(&KeySource::Query("a".into()), "/?a=", "")),
    ] {
        let absent = get(&source, "/", "");
        assert_eq!((absent.as_slice(), empty.len()), (&b"\x03\x04\xc0\0\x02\x01"[..], 2), "{source:?}");
        assert_ne!(absent, empty, "{source:?}");
    }
}

#[test]
fn attack_spellings_of_one_parameter_count_together() {
    let source = KeySource::Query("user".into());
    let plain = get(&source, "/?user=al%20ice", "");
    for target in ["/?user=%61l+ice", "/?x=1&user=%61%6C%20%69c%65", "/?user=al%20ice&user=bob"] {
        assert_eq!(get(&source, target, ""), plain, "{target}");
    }
    assert_eq!(get(&source, "/?user=%6&x", ""), b"\x07\x02%6");
    assert_eq!(get(&source, "/?user=%zz%", ""), b"\x07\x04%zz%");
}

#[test]
fn attack_a_second_line_or_a_made_up_boundary_is_another_key_and_not_somebody_elses() {
    let source = KeySource::Header("x-a".into());
    assert_ne!(get(&source, "/", "X-A: 1\r\nX-A: 2\r\n"), get(&source, "/", "X-A: 1\r\n"));
    assert_eq!(get(&source, "/", "X-A: 1\r\nx-a: 2\r\n"), get(&source, "/", "X-A: 1, 2\r\n"));
    let two = KeySource::Several(vec![KeySource::Header("x-a".into()), KeySource::Header("x-b".into())]);
    assert_ne!(get(&two, "/", "X-A: 12\r\nX-B: 3\r\n"), get(&two, "/", "X-A: 1\r\nX-B: 23\r\n"));
    assert_ne!(get(&two, "/", "X-A: 1\r\n"), get(&two, "/", "X-B: 1\r\n"));
}

#[test]
fn attack_long_values_stay_apart_in_short_keys() {
    let source = KeySource::Header("x-a".into());
    let of = |value: &str| get(&source, "/", &format!("X-A: {value}\r\n"));
    assert_eq!(of(&"a".repeat(64)).len(), 66);
    let (long, other) = (of(&"a".repeat(10_000)), of(&format!("{}b", "a".repeat(9_999))));
    assert_eq!((long.len(), other.len(), long[0]), (34, 34, 0x85));
    assert_ne!(long, other);
}

#[test]
fn claims_count_by_value_and_type() {
    let claim = |value: Json, path: &str| {
        let claims = value.as_object().cloned().map(Arc::new);
        let caller = Caller { claims, ..Caller::default() };
        key(&KeySource::Claim(path.into()), &Sample::new("GET /", ""), &caller)
    };
    assert_eq!(claim(json!({ "org": { "id": "x" } }), "org.id"), b"\x08\x01x");
    assert_eq!(claim(json!({ "n": 1 }), "n"), b"\x09\x011");
    assert_ne!(claim(json!({ "n": 1 }), "n"), claim(json!({ "n": "1" }), "n"));
    assert_eq!(claim(json!({ "n": [1, "a"] }), "n"), b"\x09\x07[1,\"a\"]");
    assert_eq!(claim(json!({ "n": null }), "n"), claim(json!({}), "n"));
}

#[test]
fn names_that_no_field_has_are_refused() {
    assert!(KeySource::Header("x y".into()).check().is_err());
    assert!(KeySource::Several(vec![]).check().is_err());
    assert!(KeySource::Several(vec![KeySource::Route, KeySource::Cookie("".into())]).check().is_err());
}

/// Reads a key as the rule says that it is written.
fn parts(mut key: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut parts = Vec::new();
    while let [kind, length, rest @ ..] = key {
        let (value, behind) = rest.split_at(usize::from(*length));
        parts.push((*kind, value.to_vec()));
        key = behind;
    }
    assert!(key.is_empty());
    parts
}

proptest! {
    /// A key can be taken apart again, so that no two rows of parts share one.
    #[test]
    fn no_two_rows_of_parts_have_one_key(
        values in prop::collection::vec(prop::option::of("[!-~]{0,80}"), 1..5),
    ) {
        let name = |index: usize| format!("x-{index}");
        let sources = (0..values.len()).map(|index| KeySource::Header(name(index).into())).collect();
        let lines: String = values.iter().enumerate()
            .filter_map(|(index, value)| Some(format!("{}: {}\r\n", name(index), value.as_ref()?)))
            .collect();
        let read = parts(&get(&KeySource::Several(sources), "/", &lines));
        prop_assert_eq!(read.len(), values.len());
        for (value, (kind, bytes)) in values.iter().zip(read) {
            match value {
                None => prop_assert_eq!((kind, bytes.len()), (3, 4)),
                Some(value) if value.len() > LONGEST_PART => prop_assert_eq!((kind, bytes.len()), (0x85, 32)),
                Some(value) => prop_assert_eq!((kind, bytes.as_slice()), (5, value.as_bytes())),
            }
        }
    }
}
