//! That a secret is never shown, wherever a document may hold one.

use std::collections::BTreeSet;

use crate::setting::Setting;
use crate::shape::{Section, Shape};
use crate::{Bundle, Document, MemoryFiles, difference, effective, parse_str, render};

/// The keys that may hold a secret, as `Section.key`. A key that is missing here needs a secret in [`PLANTED`].
const PLACES: &[&str] = &[
    "Admin.token",
    "HttpProbe.headers",
    "IntrospectionAuth.client_secret",
    "JwtKey.secret",
    "MessageEdits.add",
    "MessageEdits.set",
    "OidcAuth.client_secret",
    "PasswordCredential.hash",
    "RedisStore.password",
    "SessionCookie.secrets",
    "SignatureKey.secret",
    "Sticky.key",
    "Tracing.headers",
];

/// A document with a secret in each of them, in all ways that the key knows.
const PLANTED: &str = "
version: 1
listen: ':80'
admin: { listen: ':81', token: SECRET-inline }
tracing:
  otlp: http://a:4318
  headers:
    X-Inline: SECRET-inline
    X-File: { file: secret }
    X-Variable: ${VARIABLE}
upstreams:
  a:
    endpoints: [a:1]
    sticky: { header: X-Session, key: [SECRET-inline-of-more-than-32-bytes, { file: secret }] }
    health:
      http:
        path: /
        headers:
          X-Inline: SECRET-inline
          X-File: { file: secret }
          X-Variable: ${VARIABLE}
consumers:
  c:
    credentials:
      - { password: { user: c, hash: $2b$12$SECRET-inline } }
      - { password: { user: d, hash: '$2b$12$SECRET-inline' } }
      - { signature: { key_id: a, algorithm: hmac-sha256, secret: SECRET-inline } }
      - { signature: { key_id: b, algorithm: hmac-sha256, secret: { file: secret } } }
redis:
  r: { url: 'redis://r', password: SECRET-inline }
  s:
    url: redis://s
    password: ${VARIABLE}
auth:
  asked:
    introspection: { url: 'https://i', client_id: x, client_secret: SECRET-inline }
  login:
    oidc:
      issuer: https://i
      client_id: x
      client_secret: { file: secret }
      cookie: { secrets: [SECRET-inline-SECRET-inline, { file: secret }] }
  known:
    jwt:
      issuer: x
      keys:
        - { secret: SECRET-inline, algorithm: HS256, id: a }
        - { secret: { file: secret }, algorithm: HS256, id: b }
routes:
  - to: a
    auth: [asked, login, known]
    headers:
      request: { set: { X-File: { file: secret } }, add: { X-Add: { file: secret } } }
      response: { set: { X-File: { file: secret } }, add: { X-Add: { file: secret } } }
";

#[test]
fn a_secret_is_planted_in_every_place_that_may_hold_one() {
    let mut places = BTreeSet::new();
    let mut seen = BTreeSet::new();
    collect(&Document::shape(), "", &mut seen, &mut places);
    let expected: BTreeSet<String> = PLACES.iter().map(|place| (*place).to_owned()).collect();
    assert_eq!(places, expected, "plant a secret in each new place");
}

/// Collects the keys below which a value may be a secret.
fn collect(shape: &Shape, key: &str, seen: &mut BTreeSet<&'static str>, places: &mut BTreeSet<String>) {
    match shape {
        Shape::Text(text) if matches!(text.word, "secret" | "password hash") => {
            places.insert(key.to_owned());
        }
        Shape::Section(Section { name: "SecretFile", .. }) => {
            places.insert(key.to_owned());
        }
        Shape::Section(section) if seen.insert(section.name) => {
            for row in (section.rows)() {
                collect(&row.shape, &format!("{}.{}", section.name, row.names[0]), seen, places);
            }
        }
        Shape::List { of, .. } | Shape::Map { of, .. } => collect(of, key, seen, places),
        Shape::AnyOf(shapes) => shapes.iter().for_each(|shape| collect(shape, key, seen, places)),
        _ => {}
    }
}

/// All that can be said of a document, and of what one changes of another.
fn everything(secret: &str, other: &str) -> String {
    let load = |secret: &str| {
        let mut files = MemoryFiles::default();
        files.insert("secret", secret);
        let variable = |name: &str| (name == "VARIABLE").then(|| secret.to_owned());
        let loaded = parse_str("t.yaml", &PLANTED.replace("SECRET-inline", secret), &files, &variable);
        assert!(loaded.document.is_some(), "{}", render(&loaded.diagnostics, &loaded.sources, false));
        loaded
    };
    let (old, new) = (load(secret), load(other));
    let mut out = format!("{old:?}{:?}", Bundle::of(&old.sources));
    let (Some(before), Some(after)) = (&old.document, &new.document) else { return out };
    let effective = effective(before, &old.sources);
    for (origins, changed) in [(false, false), (true, false), (false, true), (true, true)] {
        out.push_str(&effective.to_yaml(origins, changed));
        out.push_str(&effective.to_json(changed).to_string());
    }
    out.push_str(&before.to_yaml());
    let changes = difference(before, after);
    assert!(changes.len() > 10, "each secret differs: {changes:?}");
    let empty = parse_str(
        "e.yaml",
        "{ version: 1, listen: ':80', routes: [{ to: 'b:1' }] }",
        &MemoryFiles::default(),
        &|_| None,
    );
    let empty = empty.document.expect("nothing is wrong with it");
    for changes in [changes, difference(before, &empty), difference(&empty, before)] {
        for change in changes {
            out.push_str(&format!("{change}{change:?}{}", change.to_json()));
        }
    }
    // Every line that a finding could point at, too.
    for line in 1..=70 {
        out.push_str(&old.sources.line(0, line).unwrap_or_default());
    }
    out
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn secrets_are_never_shown(secret in "q[a-zA-Z0-9]{30,40}Q", other in "z[a-zA-Z0-9]{30,40}Z") {
        let shown = everything(&secret, &other);
        proptest::prop_assert!(!shown.contains(&secret), "{}", shown);
        proptest::prop_assert!(!shown.contains(&other), "{}", shown);
        proptest::prop_assert!(shown.contains("secret changed"), "{}", shown);
    }
}
