use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tollgate_policy::{Consumers, CredentialKind};
use tollgate_upstream::HealthEvents;

use super::super::Predecessor;
use crate::prepare::{Prepared, Text, prepare};
use crate::resolve::SystemResolver;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    gVhHWWfrzzSTd8PcW9nbPwGcj0ERJSSUSbcMuM6Pwc8";

struct Folder(TempDir);

impl Folder {
    fn new(document: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let head = "version: 1\nlisten: '127.0.0.1:0'\nroutes: [{ path: /, to: 'http://127.0.0.1:1' }]\n";
        folder.write("tollgate.yaml", &format!("{head}{document}"));
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn prepare(&self) -> Prepared {
        let text = Text::File(self.path().join("tollgate.yaml"));
        prepare(&text, &Predecessor::default(), &SystemResolver, &HealthEvents::unheard())
    }

    fn report(&self) -> String {
        let prepared = self.prepare();
        assert!(prepared.ready.is_none());
        prepared.report(false).replace(&format!("{}/", self.path().display()), "")
    }
}

fn consumers(prepared: &Prepared) -> Arc<Consumers> {
    let ready = prepared.ready.as_ref().unwrap_or_else(|| panic!("{}", prepared.report(false)));
    ready.snapshot.consumers.get()
}

fn whose(consumers: &Consumers, kind: CredentialKind, value: &[u8]) -> Option<String> {
    consumers.find(kind, value).map(|(consumer, _)| consumer.name.to_string())
}

fn key(byte: u8) -> String {
    format!("sha256:{}", format!("{byte:02x}").repeat(32))
}

#[test]
fn consumers_of_the_document_and_of_files_are_found_by_each_credential() {
    let folder = Folder::new(&format!(
        "consumers:\n  alice:\n    groups: [gold, staff]\n    labels: {{ team: red, age: '9' }}\n    credentials:\n      \
         - api_key: '{}'\n      - password: {{ user: al, hash: '{HASH}' }}\nconsumer_files: ['more/*.yaml']\n",
        key(1)
    ));
    folder.write(
        "more/a.yaml",
        "bob:\n  credentials:\n    - { subject: 'auth0|1' }\n    - { certificate: 'san:BOB.example' }\n    \
         - { certificate: 'subject:CN=bob, O=x' }\n    \
         - { signature: { key_id: k1, algorithm: hmac-sha256, secret: { file: k1.secret } } }\n",
    );
    folder.write("more/k1.secret", &"s".repeat(32));
    folder.write("more/note.txt", "not one of them");
    let found = consumers(&folder.prepare());
    assert_eq!(found.len(), 2);
    let alice = found.by_name("alice").unwrap();
    assert_eq!(format!("{:?}", alice.groups), r#"["gold", "staff"]"#);
    assert_eq!(format!("{:?}", alice.labels), r#"[("age", "9"), ("team", "red")]"#);
    assert_eq!(whose(&found, CredentialKind::ApiKey, &[1; 32]).as_deref(), Some("alice"));
    assert_eq!(whose(&found, CredentialKind::ApiKey, &[2; 32]), None);
    let (consumer, secret) = found.find(CredentialKind::User, b"al").unwrap();
    assert_eq!((&*consumer.name, secret.map(|s| &**s)), ("alice", Some(HASH)));
    for certificate in ["san:bob.example", "subject:CN=bob,O=x"] {
        let bob = whose(&found, CredentialKind::Certificate, certificate.as_bytes());
        assert_eq!(bob.as_deref(), Some("bob"), "{certificate}");
    }
    assert_eq!(whose(&found, CredentialKind::Subject, b"auth0|1").as_deref(), Some("bob"));
    let (_, secret) = found.find(CredentialKind::SigningKey, b"k1").unwrap();
    assert_eq!(secret.map(|s| &**s), Some("hmac-sha256:c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M="));
}

#[test]
fn what_two_texts_both_say_is_told_at_both_places() {
    let folder = Folder::new(&format!(
        "consumers:\n  alice: {{ credentials: [{{ api_key: '{}' }}] }}\nconsumer_files: ['b.yaml', 'c.yaml']\n",
        key(1)
    ));
    folder.write("b.yaml", &format!("bob: {{ credentials: [{{ api_key: '{}' }}] }}\nalice: {{}}\n", key(1)));
    folder.write("c.yaml", "bob: {}\n");
    let report = folder.report();
    for part in [
        "`bob` and `alice` have the same API key\n --> b.yaml:1:",
        "note: first here\n --> tollgate.yaml:5:",
        "there are two consumers `alice`\n --> b.yaml:2:1",
        "there are two consumers `bob`\n --> c.yaml:1:1",
        "note: first here\n --> b.yaml:1:1",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(report.contains("3 errors"), "{report}");
}

#[test]
fn what_is_wrong_in_a_file_is_told_at_its_place_without_its_secret() {
    let folder = Folder::new("consumer_files: 'x.yaml'\n");
    folder.write(
        "x.yaml",
        "ann:\n  credentials:\n    - { api_key: hunter2 }\n    \
         - { password: { user: ann, hash: '$argon2id$hunter3' } }\n    \
         - { signature: { key_id: k, algorithm: ed25519, public_key: none.pem } }\n",
    );
    let report = folder.report();
    for place in ["x.yaml:3:", "x.yaml:4:", "x.yaml:5:", "cannot read `none.pem`"] {
        assert!(report.contains(place), "{place}: {report}");
    }
    assert!(!report.contains("hunter"), "{report}");
    fs::remove_file(folder.path().join("x.yaml")).unwrap();
    let report = folder.report();
    assert!(report.contains("cannot read `x.yaml`") && report.contains("tollgate.yaml:4:"), "{report}");
}

/// Looks until what has changed has settled and was taken.
fn look(prepared: &Prepared) -> Vec<String> {
    let watched = &prepared.ready.as_ref().unwrap().plans.watched;
    assert_eq!(watched.look(), Vec::<String>::new(), "taken before it settled");
    watched.look()
}

#[test]
fn changed_files_are_taken_and_broken_ones_keep_what_they_held() {
    let folder = Folder::new("consumer_files: ['more/*.yaml']\nconsumers: { own: {} }\n");
    folder.write("more/a.yaml", &format!("alice: {{ credentials: [{{ api_key: '{}' }}] }}\n", key(1)));
    let prepared = folder.prepare();
    let cell = prepared.ready.as_ref().unwrap().snapshot.consumers.clone();
    assert_eq!(cell.get().len(), 2);
    assert!(look(&prepared).is_empty());

    // Another file, and another key.
    folder.write("more/b.yaml", "bob: {}\n");
    folder.write("more/a.yaml", &format!("alice: {{ credentials: [{{ api_key: '{}' }}] }} # x\n", key(2)));
    let told = look(&prepared);
    assert!(told.len() == 1 && told[0].contains("3 consumers are in force"), "{told:?}");
    assert_eq!(whose(&cell.get(), CredentialKind::ApiKey, &[1; 32]), None);
    assert_eq!(whose(&cell.get(), CredentialKind::ApiKey, &[2; 32]).as_deref(), Some("alice"));
    assert!(cell.get().by_name("own").is_some() && cell.get().by_name("bob").is_some());

    // One breaks, the other changes.
    folder.write("more/a.yaml", "alice: { credentials: [{ api_key: hunter2 }] }\n");
    folder.write("more/b.yaml", "bert: {}\nbob: {}\n");
    let told = look(&prepared).join("\n");
    assert!(told.contains("4 consumers") && told.contains("more/a.yaml:1:"), "{told}");
    assert!(told.contains("this is not the hash of a credential") && !told.contains("hunter"), "{told}");
    assert_eq!(whose(&cell.get(), CredentialKind::ApiKey, &[2; 32]).as_deref(), Some("alice"));
    let watched = &prepared.ready.as_ref().unwrap().plans.watched;
    assert_eq!(watched.stuck(), [("consumers", 1)].into());

    // A third takes a name that there is: what came first stays, told once and at its place.
    folder.write("more/c.yaml", "\nbob: { groups: x }\ncarl: {}\n");
    let told = look(&prepared).join("\n");
    assert!(told.contains("more/c.yaml:2:1: there are two consumers `bob`"), "{told}");
    assert!(cell.get().by_name("carl").is_some() && !cell.get().by_name("bob").unwrap().is_in("x"));

    // A new one that is broken gives nothing yet.
    folder.write("more/d.yaml", "dan: {}\ndora: { grups: x }\n");
    let told = look(&prepared).join("\n");
    assert!(told.contains("more/d.yaml:2:") && !told.contains("in force: "), "{told}");
    assert!(cell.get().by_name("dan").is_none());
    assert_eq!(watched.stuck(), [("consumers", 3)].into());

    // All is mended: by removing it.
    fs::remove_file(folder.path().join("more/d.yaml")).unwrap();
    fs::remove_file(folder.path().join("more/a.yaml")).unwrap();
    fs::remove_file(folder.path().join("more/c.yaml")).unwrap();
    look(&prepared);
    assert_eq!(cell.get().len(), 3);
    assert_eq!(watched.stuck(), [("consumers", 0)].into());
    assert!(look(&prepared).is_empty());
}

#[test]
fn the_same_files_are_the_same_plan() {
    let folder = Folder::new("consumer_files: ['a.yaml']\n");
    folder.write("a.yaml", "alice: {}\n");
    let (one, two) = (folder.prepare(), folder.prepare());
    assert!(one.ready.as_ref().unwrap().plans == two.ready.unwrap().plans);
    folder.write("a.yaml", "alina: {}\n");
    assert!(one.ready.unwrap().plans != folder.prepare().ready.unwrap().plans);
}
