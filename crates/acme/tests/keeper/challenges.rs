//! Both kinds of challenge, from nothing to a certificate.

use super::bench::{Bench, DAY, SHOP, files};
use tollgate_acme::{ChallengeKind, Names};
use tollgate_testkit::Mischief;
use tollgate_tls::Certificate;

#[test]
fn http01_gets_a_certificate() {
    let bench = Bench::new();
    let keeper = bench.start(bench.settings(&[SHOP]));
    let installed = keeper.installed();
    assert_eq!((installed.name.as_str(), installed.until), (SHOP, bench.now() + DAY * 90));
    let certificate = Certificate::from_pem("x", installed.pem.as_bytes(), installed.pem.as_bytes()).unwrap();
    assert_eq!(certificate.names(), [SHOP]);
    assert_eq!(certificate.chain().count(), 2);
    assert_eq!(keeper.obtained(), SHOP);
    let status = keeper.wait(SHOP, |status| !status.is_ordering && status.valid_until.is_some());
    assert_eq!((status.failures, status.last_error), (0, None));
    let after = status.next_order - bench.now();
    assert!(after >= DAY * 60 && after < DAY * 62, "{after:?}");
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.validations, counts.certificates), (1, 1, 1, 1));
    assert_eq!(counts.contacts, ["mailto:ops@example.com"]);
    assert_eq!(counts.problems, [""; 0]);
    assert!(counts.connections <= 1, "{counts:?}");
    assert!(!bench.challenges.any());
    assert_eq!(files(&bench.folder()), ["account.json", "lock", "shop.example.com.pem"]);
    assert_eq!(std::fs::read_to_string(bench.certificate_file(SHOP)).unwrap(), installed.pem);
}

#[test]
fn tls_alpn01_gets_a_certificate() {
    let bench = Bench::new();
    bench.server.resolve(SHOP, None, Some(bench.tls));
    let mut settings = bench.settings(&[SHOP]);
    settings.challenge = ChallengeKind::TlsAlpn01;
    let keeper = bench.start(settings);
    assert_eq!(keeper.installed().name, SHOP);
    let counts = bench.server.counts();
    assert_eq!((counts.validations, counts.certificates), (1, 1));
    assert!(!bench.certificates.remove_challenge(SHOP), "the challenge's certificate is gone");
}

#[test]
fn several_names_on_one_certificate_each_show_that_they_are_ours() {
    for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let bench = Bench::new();
        bench.server.resolve("www.example.com", Some(bench.http), Some(bench.tls));
        let mut settings = bench.settings(&[]);
        settings.challenge = kind;
        settings.certificates = vec![Names::new([SHOP, "www.example.com"]).unwrap()];
        let keeper = bench.start(settings);
        let pem = keeper.installed().pem;
        let certificate = Certificate::from_pem("x", pem.as_bytes(), pem.as_bytes()).unwrap();
        assert_eq!(certificate.names(), [SHOP, "www.example.com"], "{kind}");
        let counts = bench.server.counts();
        assert_eq!((counts.orders, counts.validations, counts.certificates), (1, 2, 1), "{kind}");
    }
}

#[test]
fn many_certificates_are_ordered_one_after_the_other() {
    let bench = Bench::new();
    let names: Vec<String> = (0..6).map(|number| format!("n{number}.example.com")).collect();
    for name in &names {
        bench.server.resolve(name, Some(bench.http), None);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let keeper = bench.start(bench.settings(&names));
    let installed: Vec<_> = names.iter().map(|_| keeper.installed().name).collect();
    assert_eq!(installed, names);
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.open_orders_max), (1, 6, 1));
}

#[test]
fn slow_orders_and_refused_nonces_are_lived_with() {
    let bench = Bench::new();
    bench.server.misbehave(Mischief::BadNonce, 2);
    bench.server.misbehave(Mischief::Slow { looks: 3 }, 1);
    let keeper = bench.start(bench.settings(&[SHOP]));
    assert_eq!(keeper.installed().name, SHOP);
    assert_eq!(bench.server.counts().problems, ["badNonce"; 2]);
    assert_eq!(bench.server.counts().orders, 1);
}
