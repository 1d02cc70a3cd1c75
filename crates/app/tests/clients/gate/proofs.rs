//! Tokens, signatures and hashes of passwords that other implementations made.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tollgate_testkit::{Origin, Response, Tollgate};

use super::{series, telling};
use crate::foreign::{Foreign, program, succeed};
use crate::python::python;
use crate::{PRELUDE, PROGRAM, launch, wait_until};

/// Makes keys and tokens; says which tokens there are.
fn tokens(directory: &Path) -> Option<BTreeMap<String, String>> {
    let said = succeed(python("tokens.py")?.arg(directory));
    Some(serde_json::from_str(&said).unwrap())
}

fn show(tollgate: &Tollgate, path: &str, token: &str) -> Response {
    tollgate.request(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"))
}

#[test]
fn tokens_of_two_other_implementations_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let Some(tokens) = tokens(directory.path()) else { return };
    let keys = std::fs::read_to_string(directory.path().join("jwks.json")).unwrap();
    let (jwks, origin) = (Origin::saying(&keys), telling());
    let known: Vec<_> = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
        .iter()
        .map(|name| {
            format!(
                "{{ file: \"{}/{name}.pem\", algorithm: {name}, id: {name} }}",
                directory.path().display()
            )
        })
        .collect();
    let known = known.join(", ");
    let document = "listen: \"127.0.0.1:0\"\n\
        consumers: { alice: { groups: [staff], credentials: [{ subject: \"user-7\" }] } }\n\
        auth:\n  \
        files: { jwt: { issuer: \"https://iss.example\", audience: [api], keys: [{known}, { secret: \"an old secret of thirty-two bytes\", algorithm: HS256, id: HS256 }], \
        claims_to_headers: { X-Plan: plan.name, X-Scope: scope } } }\n  \
        published: { jwt: { issuer: \"https://iss.example\", audience: [api], jwks: \"http://{jwks}/keys\", forward: false } }\n\
        routes:\n  \
        - { path: /published, to: \"http://{origin}\", auth: { any: [published], identity_headers: { consumer: X-Consumer } }, access: { allow: [{ group: staff }] } }\n  \
        - { path: /, to: \"http://{origin}\", auth: { any: [files], identity_headers: { consumer: X-Consumer } }, access: { allow: [{ scope: \"orders:read\" }] } }\n";
    let values: &[(&str, &dyn std::fmt::Display)] =
        &[("known", &known), ("jwks", &jwks.address()), ("origin", &origin.address())];
    let tollgate = launch(1, document, values);
    let mut wrong = BTreeMap::<&str, f64>::new();
    let mut seen = 0;
    for (name, token) in &tokens {
        // "good ALGORITHM MAKER" or "bad REASON what".
        let mut words = name.split(' ');
        match (words.next(), words.next()) {
            (Some("good"), algorithm) => {
                seen += 1;
                let answer = show(&tollgate, "/orders", token);
                assert_eq!(answer.status, 200, "{name}: {answer:?}");
                for line in ["x-consumer=alice", "x-plan=gold", "x-scope=orders:read profile"] {
                    assert!(answer.text().lines().any(|known| known == line), "{name}: {}", answer.text());
                }
                if algorithm != Some("HS256") {
                    let answer = show(&tollgate, "/published", token);
                    assert!(
                        answer.status == 200 && !answer.text().contains("authorization"),
                        "{name}: {answer:?}"
                    );
                }
            }
            (_, reason) => {
                let reason = reason.unwrap();
                let answer = show(&tollgate, "/orders", token);
                // Callers learn that it is not right, and not what is wrong with it.
                assert_eq!(
                    (answer.status, answer.reason().as_deref()),
                    (401, Some("unauthenticated")),
                    "{name}: {answer:?}"
                );
                assert_eq!(
                    answer.get("www-authenticate"),
                    Some("Bearer realm=\"tollgate\", error=\"invalid_token\""),
                    "{name}"
                );
                *wrong.entry(reason).or_default() += 1.0;
                tollgate.await_metric(&series(reason, "client"), wrong[reason]);
            }
        }
    }
    assert!(seen >= 13 && wrong.len() >= 7, "{seen} {wrong:?}");
    // The keys were asked for once, whatever came.
    assert!(jwks.requests().len() <= 2, "{:?}", jwks.requests().len());
}

#[test]
fn signatures_of_another_implementation_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut make) = python("signing.py") else { return };
    succeed(make.arg(directory.path()));
    let origin = telling();
    let document = "listen: \"127.0.0.1:0\"\n\
        consumers:\n  alice:\n    credentials:\n      \
        - { signature: { key_id: hmac, algorithm: hmac-sha256, secret: { file: \"{at}/hmac.key\" } } }\n      \
        - { signature: { key_id: ed25519, algorithm: ed25519, public_key: \"{at}/ed25519.pem\" } }\n      \
        - { signature: { key_id: ecdsa, algorithm: ecdsa-p256-sha256, public_key: \"{at}/ecdsa.pem\" } }\n      \
        - { signature: { key_id: pss, algorithm: rsa-pss-sha512, public_key: \"{at}/rsa.pem\" } }\n      \
        - { signature: { key_id: pkcs, algorithm: rsa-v1_5-sha256, public_key: \"{at}/rsa.pem\" } }\n\
        auth:\n  \
        signed: { signature: { covered: [\"@method\", \"@target-uri\", content-digest], nonce: optional } }\n  \
        once: { signature: { covered: [\"@method\", \"@path\"], nonce: required, label: own } }\n\
        routes:\n  \
        - { path: /once, to: \"http://{origin}\", auth: { any: [once], identity_headers: { consumer: X-Consumer, subject: X-Subject } } }\n  \
        - { path: /, to: \"http://{origin}\", auth: { any: [signed], identity_headers: { consumer: X-Consumer, subject: X-Subject } } }\n";
    let values: &[(&str, &dyn std::fmt::Display)] =
        &[("at", &directory.path().display()), ("origin", &origin.address())];
    let tollgate = launch(1, document, values);
    let mut send = python("signing.py").expect("it was there before");
    let said = succeed(send.arg(directory.path()).arg(tollgate.address().to_string()));
    assert!(said.ends_with("all is well\n"), "{said}");
    for (reason, count) in [
        ("unauthenticated", 1.0),
        ("signature_wrong", 3.0),
        ("signature_incomplete", 4.0),
        ("signature_expired", 3.0),
        ("signature_replayed", 2.0),
        ("credential_unknown", 1.0),
        ("digest_wrong", 1.0),
    ] {
        let side = "client";
        assert_eq!(super::ended(&tollgate, reason, side), count, "{reason}: {said}");
    }
}

/// A file of `htpasswd`, beside a consumer without a hash of its own.
#[test]
fn files_of_htpasswd_are_read_and_watched() {
    let Some(htpasswd) = program("htpasswd", "apache2-utils") else { return };
    let Some(curl) = program("curl", "curl") else { return };
    let (directory, origin) = (tempfile::tempdir().unwrap(), telling());
    let file = directory.path().join("users");
    let set = |arguments: &[&str], user: &str, password: &str| {
        // By standard input, since it takes what it is told there to the letter.
        let mut typed = tempfile::tempfile().unwrap();
        typed.write_all(password.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut typed).unwrap();
        let mut command = Command::new(&htpasswd);
        let status = command.args(arguments).arg("-i").arg(&file).arg(user).stdin(typed).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    set(&["-cB", "-C", "5"], "alice", "the password");
    set(&["-B", "-C", "5"], "bob", "pässword: ü%&");
    let document = "listen: \"127.0.0.1:0\"\n\
        auth: { office: { basic: { realm: \"the office\", htpasswd: \"{file}\" } } }\n\
        routes: [{ path: /, to: \"http://{origin}\", auth: { any: [office], identity_headers: { subject: X-Subject } } }]\n";
    let tollgate = launch(1, document, &[("file", &file.display()), ("origin", &origin.address())]);
    let url = format!("http://{}/", tollgate.address());
    let ask = |more: &[&str]| {
        succeed(
            Command::new(&curl).args(["-sS", "--noproxy", "*", "-w", " %{http_code}"]).args(more).arg(&url),
        )
    };
    for pair in ["alice:the password", "bob:pässword: ü%&"] {
        let told = ask(&["-u", pair]);
        let user = pair.split(':').next().unwrap();
        assert!(told.contains(&format!("x-subject={user}")) && told.ends_with(" 200"), "{told}");
        assert!(!told.contains("authorization"), "the origin got the password: {told}");
    }
    // Asked for first, then shown.
    assert!(ask(&["--anyauth", "-u", "alice:the password"]).ends_with(" 200"));
    for pair in ["alice:The password", "alice:", "eve:the password", "bob:pässword"] {
        let refused = ask(&["-u", pair, "-D", "-"]);
        let head = refused.to_ascii_lowercase();
        assert!(head.ends_with(" 401"), "{pair}: {refused}");
        assert!(
            head.contains("www-authenticate: basic realm=\"the office\", charset=\"utf-8\""),
            "{refused}"
        );
        // A stranger cannot tell whether there is such a user.
        assert!(head.contains("unauthenticated") && !head.contains("password_wrong"), "{refused}");
    }
    tollgate.await_metric(&series("password_wrong", "client"), 4.0);

    set(&["-B", "-C", "5"], "carol", "new here");
    wait_until("the new user is known", || ask(&["-u", "carol:new here"]).ends_with(" 200"));
    succeed(Command::new(&htpasswd).arg("-D").arg(&file).arg("alice"));
    wait_until("the old user is gone", || ask(&["-u", "alice:the password"]).ends_with(" 401"));
    // A kind that is too easily guessed is refused with what to do about it.
    set(&["-m"], "dave", "weak");
    let document = format!("{PRELUDE}{}", document.replace("{file}", &file.display().to_string()));
    let path = directory.path().join("tollgate.yaml");
    std::fs::write(&path, document.replace("{origin}", "127.0.0.1:9")).unwrap();
    let (status, said) =
        Foreign::start(Command::new(PROGRAM).arg("check").arg(&path)).end(tollgate_testkit::PATIENCE);
    assert!(!status.success() && said.contains("htpasswd -B") && !said.contains("apr1$"), "{said}");
    assert!(ask(&["-u", "carol:new here"]).ends_with(" 200"), "a broken file takes away what was there");
}
