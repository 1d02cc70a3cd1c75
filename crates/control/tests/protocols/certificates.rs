use std::sync::Arc;

use tollgate_control::compile::Predecessor;
use tollgate_control::compile::acceptors::acme_id;
use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::Service;
use tollgate_tls::{Acceptor, Certificate};

use crate::{Place, self_signed};

fn acceptor(snapshot: &Snapshot, at: usize) -> Arc<Acceptor> {
    match &snapshot.listeners[at].service {
        Service::Http(http) => http.tls.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn listening(tls: &str) -> String {
    format!("listen: [{{ address: ':8443', tls: {tls} }}]\nroutes: [{{ to: '127.0.0.1:1' }}]\n")
}

const ONE: &str = "{ certificates: [{ cert: cert.pem, key: key.pem }] }";

#[test]
fn bad_files_are_findings_where_they_are_named() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    place.certificate("other.pem", "other-key.pem", "a.example");
    place.write("nothing.pem", "nothing\n");
    for (tls, column, part) in [
        (ONE.replace("cert.pem", "missing.pem"), "missing.pem", "T/missing.pem"),
        (ONE.replace("key.pem", "missing.pem"), "missing.pem", "T/missing.pem"),
        (ONE.replace("cert.pem", "nothing.pem"), "nothing.pem", "there is no certificate in it"),
        (ONE.replace("key.pem", "nothing.pem"), "nothing.pem", "there is no private key in it"),
        (ONE.replace("key.pem", "other-key.pem"), "other-key.pem", "does not belong to the certificate"),
        (ONE.replace("key.pem }", "key.pem, ocsp: missing.der }"), "missing.der", "T/missing.der"),
        (
            ONE.replace(" }] }", " }], client_certificates: { ca: nothing.pem } }"),
            "nothing.pem",
            "there is no certificate in it",
        ),
        (
            ONE.replace(" }] }", " }], client_certificates: { ca: missing.pem } }"),
            "missing.pem",
            "cannot read `T/missing.pem`",
        ),
    ] {
        let text = listening(&tls);
        let findings = place.wrong(&text);
        let line = text.lines().next().unwrap();
        let expected = format!("--> T/t.yaml:2:{}", line.find(column).unwrap() + 1);
        assert!(findings.contains(part) && findings.contains(&expected), "{expected} {part}:\n{findings}");
    }
}

#[test]
fn bad_files_of_upstreams_are_findings_where_they_are_named() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    place.certificate("other.pem", "other-key.pem", "a.example");
    place.write("nothing.pem", "nothing\n");
    for (tls, part) in [
        ("{ ca: nothing.pem }", "there is no certificate in it"),
        ("{ ca: missing.pem }", "cannot read `T/missing.pem`"),
        ("{ client_cert: cert.pem, client_key: other-key.pem }", "does not belong to the certificate"),
        ("{ client_cert: nothing.pem, client_key: key.pem }", "there is no certificate in it"),
    ] {
        let text = format!(
            "listen: ':80'\nupstreams: {{ a: {{ endpoints: ['10.0.0.1:1'], tls: {tls} }} }}\nroutes: [{{ to: a }}]\n"
        );
        let findings = place.wrong(&text);
        assert!(findings.contains(part) && findings.contains("T/t.yaml:3:"), "{part}:\n{findings}");
    }
}

#[test]
fn a_reload_goes_on_with_the_certificates_that_stay() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    let (first, plans) = place.right(&listening(ONE));
    let before = Predecessor::of(&first, &plans);
    let (second, second_plans) = place.right_after(&before, &listening(ONE));
    assert!(Arc::ptr_eq(&acceptor(&first, 0), &acceptor(&second, 0)));
    assert_eq!(plans, second_plans);
    // Another setting, the same certificates and the same keys of tickets.
    let modern = listening(&ONE.replace(" }] }", " }], profile: modern }"));
    let (third, third_plans) = place.right_after(&before, &modern);
    let (old, new) = (acceptor(&first, 0), acceptor(&third, 0));
    assert!(!Arc::ptr_eq(&old, &new) && Arc::ptr_eq(old.certificates(), new.certificates()));
    assert_ne!(plans, third_plans);
    let tickets = |acceptor: &Acceptor| acceptor.settings().tickets.clone().unwrap();
    assert!(Arc::ptr_eq(&tickets(&old), &tickets(&new)));
    let without = listening(&ONE.replace(" }] }", " }], session_tickets: false }"));
    assert!(acceptor(&place.right_after(&before, &without).0, 0).settings().tickets.is_none());

    // A file that changed is taken, and one that broke keeps the document from being used.
    let serial = || old.certificates().describe()[0].serial.clone();
    let was = serial();
    place.certificate("cert.pem", "key.pem", "a.example");
    place.right_after(&before, &listening(ONE));
    assert_ne!(serial(), was);
    let was = serial();
    place.write("cert.pem", "broken");
    let (findings, compiled) = place.compile_after(&before, &listening(ONE));
    assert!(compiled.snapshot.is_none() && findings.contains("T/cert.pem: "), "{findings}");
    assert_eq!(serial(), was);
}

#[test]
fn listeners_with_the_same_settings_share_what_they_need() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    let text = format!(
        "listen: [{{ address: ':1', tls: {ONE} }}, {{ address: ':2', tls: {ONE} }}, {{ address: ':3', tls: {ONE}, protocols: [h1] }}]\nroutes: [{{ to: '127.0.0.1:1' }}]\n"
    );
    let (snapshot, plans) = place.right(&text);
    assert!(Arc::ptr_eq(&acceptor(&snapshot, 0), &acceptor(&snapshot, 1)));
    assert!(!Arc::ptr_eq(&acceptor(&snapshot, 0), &acceptor(&snapshot, 2)));
    assert_eq!(plans.tls.sets().len(), 1);
    let tickets = |at| acceptor(&snapshot, at).settings().tickets.clone().unwrap();
    assert!(Arc::ptr_eq(&tickets(0), &tickets(2)));
}

#[test]
fn what_acme_gave_is_kept_when_names_are_added() {
    let place = Place::new();
    let text = |names: &str| listening(&format!("{{ acme: [{names}] }}"));
    let (first, plans) = place.right(&text("a.example, b.example"));
    for name in ["a.example", "b.example"] {
        let (cert, key) = self_signed(name);
        let certificate = Certificate::from_pem(acme_id(name), cert.as_bytes(), key.as_bytes()).unwrap();
        acceptor(&first, 0).certificates().put(certificate);
    }
    let before = Predecessor::of(&first, &plans);
    let (second, _) = place.right_after(&before, &text("c.example, b.example"));
    let ids: Vec<String> =
        acceptor(&second, 0).certificates().describe().into_iter().map(|known| known.id).collect();
    assert_eq!(ids, [acme_id("b.example")]);
    let (same, _) = place.right_after(&before, &text("a.example, b.example"));
    assert!(Arc::ptr_eq(acceptor(&same, 0).certificates(), acceptor(&first, 0).certificates()));
}

#[test]
fn a_certificate_that_has_expired_is_a_warning() {
    let place = Place::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    place.write("cert.pem", &params.self_signed(&key).unwrap().pem());
    place.write("key.pem", &key.serialize_pem());
    let (findings, compiled) = place.compile_after(&Predecessor::default(), &listening(ONE));
    assert!(compiled.snapshot.is_some() && findings.contains("has expired"), "{findings}");
    assert!(findings.starts_with("warning") && findings.contains("T/t.yaml:2:"), "{findings}");
}
