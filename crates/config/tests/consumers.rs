//! Files of consumers, and how `defaults` and routes combine.

use std::fmt::Write as _;

use tollgate_config::{
    Credential, Document, EffectiveAccess, LimitUse, LoadedConsumers, MAX_CONSUMER_FILE, MemoryFiles, Route,
    consumer_paths, load_consumers, parse_str, render,
};

fn consumers(text: &str) -> LoadedConsumers {
    let mut files = MemoryFiles::default();
    files.insert("consumers/key", "hex:00ff\n");
    load_consumers("consumers/a.yaml", text.to_owned(), &files, &|name| {
        (name == "USER").then(|| "u".to_owned())
    })
}

fn findings(loaded: &LoadedConsumers) -> String {
    render(&loaded.diagnostics, &loaded.sources, false)
}

#[test]
fn a_file_of_consumers_is_a_mapping_as_in_the_document() {
    let loaded = consumers(
        "alice:
  groups: [gold]
  credentials:
    - password:
        user: ${USER}
        hash: $2b$12$hunter2
    - signature: { key_id: k, algorithm: hmac-sha256, secret: { file: key } }
bob: {}
",
    );
    assert_eq!(findings(&loaded), "");
    let names: Vec<_> = loaded.consumers.iter().map(|(name, _)| (name.as_str(), name.origin.line)).collect();
    assert_eq!(names, [("alice", 1), ("bob", 8)]);
    let alice = loaded.consumers.get("alice").unwrap();
    let Credential::Signature(key) = &alice.credentials[1].value else { panic!("{alice:?}") };
    let tollgate_config::SignatureMaterial::Secret(secret) = &key.material else { panic!("{key:?}") };
    assert_eq!((secret.reveal(), secret.file()), (&[0, 0xff][..], Some("key")));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!loaded.sources.line(0, 6).unwrap().contains("hunter2"));
}

#[test]
fn what_is_wrong_with_a_consumer_leaves_the_others() {
    let loaded = consumers(
        "alice: { credentials: [{ subject: x }] }
bob: { group: gold }
carol: { credentials: [{ api_key: hunter2 }] }
alice: {}
dave:
eve: { credentials: { subject: x } }
-x: {}
",
    );
    let names: Vec<_> = loaded.consumers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol", "eve"]);
    let text = findings(&loaded);
    for part in [
        "did you mean `groups`?",
        "this is not the hash of a credential",
        "the consumer `alice` is written twice",
        "`dave` has no value",
        "`eve` and `alice` have the same subject",
        "`-x` is not a name",
        "6 errors",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn texts_that_are_no_mapping_are_refused() {
    for (text, part) in [
        ("- alice", "a file of consumers is a mapping, but this is a list"),
        ("alice", "a file of consumers is a mapping, but this is a single value"),
        ("a: { b: ]", "this is not YAML"),
        ("a: {}\n---\nb: {}", "a second YAML document"),
    ] {
        let text = findings(&consumers(text));
        assert!(text.contains(part), "{text}");
    }
    for text in ["", "{}", "# nobody yet\n"] {
        let loaded = consumers(text);
        assert!(findings(&loaded).is_empty() && loaded.consumers.is_empty(), "{text:?}");
    }
}

#[test]
fn a_hundred_thousand_consumers_load_whole() {
    let mut text = String::new();
    for number in 0..100_000 {
        let _ = writeln!(
            text,
            "c{number}: {{ groups: [g{}], labels: {{ team: t }}, credentials: [{{ api_key: \"sha256:{number:064x}\" }}, {{ subject: s{number} }}] }}",
            number % 100
        );
    }
    assert!((text.len() as u64) < MAX_CONSUMER_FILE);
    // The last one has what the first one has.
    text.push_str("again: { credentials: { subject: s0 } }\n");
    let loaded = consumers(&text);
    assert_eq!(loaded.consumers.len(), 100_001);
    assert_eq!(loaded.diagnostics.errors(), 1);
    let finding = loaded.diagnostics.iter().next().unwrap();
    assert_eq!((finding.origin.line, finding.notes[0].origin.line), (100_001, 1));
}

#[test]
fn patterns_of_consumer_files_name_files() {
    let mut files = MemoryFiles::default();
    for name in ["/etc/t/consumers/b.yaml", "/etc/t/consumers/a.yaml", "/etc/t/consumers/.c.yaml"] {
        files.insert(name, "{}");
    }
    let text = "{ version: 1, listen: ':80', routes: [{ to: 'a:1' }], consumer_files: ['consumers/*.yaml', one.yaml, 'none/*'] }";
    let document = parse_str("/etc/t/main.yaml", text, &files, &|_| None).document.unwrap();
    let paths = document.gate.consumer_files.iter().map(|pattern| consumer_paths(pattern, &files).unwrap());
    let paths: Vec<_> = paths.flatten().map(|path| path.display().to_string()).collect();
    assert_eq!(paths, ["/etc/t/consumers/a.yaml", "/etc/t/consumers/b.yaml", "/etc/t/one.yaml"]);
}

fn gate(routes: &str) -> Document {
    let text = format!(
        "version: 1
listen: ':80'
auth: {{ partners: {{ api_key: {{ header: X-Key }} }}, office: {{ basic: {{}} }} }}
rate_limits: {{ all: 100/s }}
defaults:
  auth: partners
  allow_if: 'true'
  security_headers: true
  rate_limit: all
  concurrency_limit: 5
routes:
{routes}"
    );
    let loaded = parse_str("t.yaml", &text, &MemoryFiles::default(), &|_| None);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    loaded.document.unwrap_or_else(|| panic!("{findings}"))
}

#[test]
fn a_route_has_its_own_policies_or_those_of_defaults_key_by_key() {
    let document = gate(
        "- { to: 'a:1' }
- { path: /own, to: 'a:1', auth: office, access: { deny: { group: x } }, rate_limit: [all, 1/s], csrf: true }
- { path: /off, to: 'a:1', auth: none, access: none, rate_limit: none, concurrency_limit: none, security_headers: none }
",
    );
    let route = |number: usize| -> &Route { &document.routes[number] };
    assert!(route(0).policies.is_none(), "nothing is kept for a route that says nothing");
    let inherited = document.policies(route(0));
    let auth = inherited.auth.as_ref().unwrap();
    assert_eq!((auth.methods.names()[0].as_str(), auth.origin.line), ("partners", 6));
    assert!(matches!(&inherited.access, Some(EffectiveAccess::AllowIf(text)) if text.as_str() == "true"));
    assert!(inherited.security_headers.is_some_and(|headers| headers.nosniff));
    assert!(
        matches!(&inherited.rate_limit.unwrap()[0].value, LimitUse::Named(name) if name.as_str() == "all")
    );
    assert!(matches!(inherited.concurrency_limit.unwrap().value, LimitUse::Own(own) if own.max.get() == 5));
    assert!(inherited.csrf.is_none() && inherited.quota.is_none());

    let own = document.policies(route(1));
    assert_eq!(own.auth.unwrap().methods.names()[0].as_str(), "office");
    assert!(matches!(own.access, Some(EffectiveAccess::Rules(_))), "both forms are one policy");
    assert_eq!(own.rate_limit.unwrap().len(), 2);
    assert!(own.csrf.is_some() && own.concurrency_limit.is_some());

    let off = document.policies(route(2));
    assert!(off.auth.is_none() && off.access.is_none() && off.rate_limit.is_none());
    assert!(off.concurrency_limit.is_none() && off.security_headers.is_none());
}
