use tollgate_config::Challenge;
use tollgate_control::compile::Predecessor;

use crate::Place;

const ROUTES: &str = "routes: [{ to: '127.0.0.1:1' }]\n";

#[test]
fn names_are_collected_once_and_the_challenge_is_one_that_can_be_answered() {
    let place = Place::new();
    place.certificate("ca.pem", "ca-key.pem", "acme.example");
    let listen =
        "listen:\n  - https://a.example\n  - { address: ':8443', tls: { acme: [b.example, A.example] } }\n";
    let (_, plans) = place.right(&format!("{listen}{ROUTES}"));
    let plan = plans.acme.unwrap();
    assert_eq!(plan.names, ["a.example", "b.example"]);
    assert_eq!(plan.challenge, Challenge::TlsAlpn01);
    assert_eq!(plan.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((plan.email, plan.storage.to_str()), (None, Some("/var/lib/tollgate/acme")));
    let sets: Vec<_> = plans.tls.sets().iter().map(|set| set.plan.acme.clone()).collect();
    assert_eq!(sets, [vec!["a.example".to_owned()], vec!["b.example".to_owned(), "a.example".to_owned()]]);

    let settings =
        "acme: { email: 'ops@a.example', directory: 'https://127.0.0.1:1/d', ca: ca.pem, storage: kept }\n";
    let (_, plans) = place.right(&format!("{settings}{listen}  - ':80'\n{ROUTES}"));
    let plan = plans.acme.unwrap();
    assert_eq!(plan.challenge, Challenge::Http01);
    assert_eq!(plan.storage, place.path().join("kept"), "relative to the document");
    assert_eq!(
        (plan.email.as_deref(), plan.directory.as_str()),
        (Some("ops@a.example"), "https://127.0.0.1:1/d")
    );

    let (_, plans) = place.right(&format!("listen: ':80'\n{ROUTES}"));
    assert!(plans.acme.is_none());
}

#[test]
fn a_plan_is_the_same_as_long_as_it_says_the_same() {
    let place = Place::new();
    place.certificate("ca.pem", "ca-key.pem", "acme.example");
    let text = format!("acme: {{ ca: ca.pem }}\nlisten: https://a.example\n{ROUTES}");
    let (first, plans) = place.right(&text);
    let before = Predecessor::of(&first, &plans);
    assert_eq!(place.right_after(&before, &text).1, plans);
    assert_ne!(place.right_after(&before, &text.replace("a.example", "b.example")).1, plans);
    place.certificate("ca.pem", "ca-key.pem", "acme.example");
    assert_ne!(place.right_after(&before, &text).1, plans);
    place.write("ca.pem", "");
    assert!(place.wrong(&text).contains("there is no certificate in it"));
}
