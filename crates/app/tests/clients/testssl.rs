//! testssl.sh: what it finds about TLS listeners of each profile.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::{Authority, Wanted, refusing};

use crate::foreign::{Foreign, program};
use crate::{NAME, launch};

/// It tries hundreds of handshakes, and starts some processes for each.
const LIMIT: Duration = Duration::from_secs(240);

/// What it looks at: protocols, categories of ciphers, forward secrecy, the server's defaults and its preferences,
/// and all vulnerabilities that it knows.
const LOOKS: &[&str] = &["-p", "-s", "-f", "-P", "-S", "-U"];

/// Findings about the machine and not about the listener.
const OF_THE_MACHINE: &[&str] = &["engine_problem"];

/// What it finds that is above LOW.
fn findings(profile: &str, min_version: &str) -> Option<Vec<String>> {
    let testssl = program("testssl", "testssl.sh")?;
    let authority = Authority::new("Tests");
    // A certificate that names a responder, as those of public authorities did; nobody answers there.
    let (responder, _guard) = refusing();
    let wanted = Wanted::new(&[NAME, "127.0.0.1"]).responder(&format!("http://{responder}/"));
    let cert = authority.make("server", &wanted);
    let document = "listen: { address: \"127.0.0.1:0\", tls: { certificates: [{cert}], profile: {profile}, min_version: \"{version}\", ocsp: false } }\n\
                    routes: [{ path: /, respond: { status: 200, body: ok } }]\n";
    let tollgate =
        launch(1, document, &[("cert", &cert.yaml()), ("profile", &profile), ("version", &min_version)]);
    let directory = tempfile::tempdir().unwrap();
    let found = directory.path().join("found.json");
    let mut command = Command::new(testssl);
    command.args(["--quiet", "--warnings", "batch", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1"]);
    command.arg("--add-ca").arg(authority.roots()).arg("--jsonfile").arg(&found).args(LOOKS);
    command.arg(format!("{NAME}:{}", tollgate.address().port()));
    // Its exit code counts findings of all kinds.
    let (_, said) = Foreign::start(&mut command).end(LIMIT);
    let text = std::fs::read_to_string(&found).unwrap_or_else(|error| panic!("{error}: {said}"));
    let found: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(found.len() > 60, "it looked at little: {said}");
    let bad = found.iter().filter(|finding| {
        !matches!(finding["severity"].as_str(), Some("OK" | "INFO" | "LOW"))
            && !OF_THE_MACHINE.contains(&finding["id"].as_str().unwrap_or_default())
    });
    Some(bad.map(ToString::to_string).collect())
}

#[test]
fn the_intermediate_profile_is_sound() {
    assert_eq!(findings("intermediate", "1.2").unwrap_or_default(), [""; 0]);
}

#[test]
fn the_modern_profile_is_sound() {
    assert_eq!(findings("modern", "1.3").unwrap_or_default(), [""; 0]);
}
