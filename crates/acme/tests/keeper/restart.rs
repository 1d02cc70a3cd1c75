//! What is kept on disk, and what happens when it is not what was kept.

use std::os::unix::fs::PermissionsExt;

use super::bench::{Bench, DAY, SHOP, files};
use tollgate_acme::{Event, Names};

/// Gets a certificate and ends.
fn first_run(bench: &Bench) -> String {
    let keeper = bench.start(bench.settings(&[SHOP]));
    let pem = keeper.installed().pem;
    keeper.obtained();
    pem
}

fn is_set_aside(event: &Event) -> bool {
    matches!(event, Event::SetAside { .. })
}

#[test]
fn a_restart_keeps_account_and_certificate() {
    let bench = Bench::new();
    let pem = first_run(&bench);
    let before = bench.server.counts();
    let keeper = bench.start(bench.settings(&[SHOP]));
    let again = keeper.installed();
    assert_eq!((again.pem, again.name.as_str()), (pem, SHOP));
    // The account is used again when there is something to do.
    bench.set_now(bench.now() + DAY * 62);
    keeper.ring();
    drop(keeper.installed());
    let after = bench.server.counts();
    assert_eq!((before.accounts, before.orders), (1, 1));
    assert_eq!((after.accounts, after.orders), (1, 2));
    for name in ["account.json", "certificates/shop.example.com.pem"] {
        let mode = std::fs::metadata(bench.folder().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// One that is asked to stop ends what it does; the next begins with that.
#[test]
fn one_keeper_follows_another_in_the_middle_of_an_order() {
    let bench = Bench::new();
    bench.server.expect("www.example.com");
    let mut keeper = bench.start(bench.settings(&["www.example.com", SHOP]));
    keeper.wait("www.example.com", |status| status.is_ordering);
    let bell = std::thread::spawn(move || {
        let told = keeper.stop();
        (told, keeper.installed().name)
    });
    bench.server.wait("an order", |counts| counts.orders == 1);
    bench.server.resolve("www.example.com", Some(bench.http), None);
    let (told, installed) = bell.join().unwrap();
    assert_eq!(installed, "www.example.com");
    assert!(matches!(&told[..], [Event::Ordering { .. }, Event::Obtained { .. }]), "{told:?}");
    let keeper = bench.start(bench.settings(&["www.example.com", SHOP]));
    assert_eq!([keeper.installed().name, keeper.installed().name], ["www.example.com", SHOP]);
    assert_eq!(bench.server.counts().orders, 2);
    // One that waits stops at once.
    let mut keeper = keeper;
    keeper.obtained();
    assert_eq!(keeper.stop(), []);
}

#[test]
fn a_broken_certificate_is_set_aside_and_replaced() {
    for garbage in ["", "garbage", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"] {
        let bench = Bench::new();
        let pem = first_run(&bench);
        let file = bench.certificate_file(SHOP);
        std::fs::write(&file, garbage).unwrap();
        let keeper = bench.start(bench.settings(&[SHOP]));
        let event = keeper.event("it was set aside", is_set_aside);
        assert!(event.is_trouble() && event.to_string().contains("shop.example.com.pem"), "{event}");
        assert_ne!(keeper.installed().pem, pem);
        assert_eq!(bench.server.counts().accounts, 1);
        assert!(files(&bench.folder()).contains(&"shop.example.com.pem.broken".to_owned()));
    }
}

#[test]
fn half_a_file_and_the_key_of_another_are_not_taken() {
    let bench = Bench::new();
    let pem = first_run(&bench);
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let chain = &pem[pem.find("-----BEGIN CERTIFICATE").unwrap()..];
    for broken in [pem[..pem.len() / 4].to_owned(), chain.to_owned(), format!("{key}{chain}")] {
        let orders = bench.server.counts().orders;
        std::fs::write(bench.certificate_file(SHOP), broken).unwrap();
        let keeper = bench.start(bench.settings(&[SHOP]));
        keeper.event("it was set aside", is_set_aside);
        assert_ne!(keeper.installed().pem, pem);
        assert_eq!(bench.server.counts().orders, orders + 1);
    }
}

#[test]
fn a_broken_account_is_set_aside_and_a_new_one_made() {
    let bench = Bench::new();
    drop(first_run(&bench));
    std::fs::write(bench.folder().join("account.json"), r#"{"email":null}"#).unwrap();
    std::fs::write(bench.folder().join("tries.json"), "[]").unwrap();
    bench.set_now(bench.now() + DAY * 62);
    let keeper = bench.start(bench.settings(&[SHOP]));
    let (first, second) = (keeper.installed(), keeper.installed());
    assert!(first.until < second.until);
    let set_aside: Vec<_> = keeper.told().into_iter().filter(is_set_aside).collect();
    assert_eq!(set_aside.len(), 2, "{set_aside:?}");
    assert_eq!(bench.server.counts().accounts, 2);
}

#[test]
fn an_account_that_the_directory_forgot_is_made_anew() {
    let bench = Bench::new();
    drop(first_run(&bench));
    bench.server.forget_accounts();
    bench.set_now(bench.now() + DAY * 62);
    let keeper = bench.start(bench.settings(&[SHOP]));
    drop(keeper.installed());
    let (message, next) = keeper.failure();
    assert!(message.contains("accountDoesNotExist"), "{message}");
    bench.set_now(next);
    keeper.ring();
    assert_eq!(keeper.installed().until, bench.now() + DAY * 90);
    assert_eq!(bench.server.counts().accounts, 2);
}

#[test]
fn another_email_is_told_to_the_directory() {
    let bench = Bench::new();
    drop(first_run(&bench));
    bench.set_now(bench.now() + DAY * 62);
    let mut settings = bench.settings(&[SHOP]);
    settings.email = Some("other@example.com".into());
    let keeper = bench.start(settings);
    drop((keeper.installed(), keeper.installed()));
    let counts = bench.server.counts();
    assert_eq!(
        (counts.accounts, counts.contacts.as_slice()),
        (1, &["mailto:other@example.com".to_owned()][..])
    );
}

#[test]
fn a_certificate_that_lacks_a_name_serves_until_the_new_one_is_there() {
    let bench = Bench::new();
    let pem = first_run(&bench);
    bench.server.resolve("www.example.com", Some(bench.http), None);
    let mut settings = bench.settings(&[]);
    settings.certificates = vec![Names::new([SHOP, "www.example.com"]).unwrap()];
    let keeper = bench.start(settings);
    assert_eq!(keeper.installed().pem, pem);
    let second = keeper.installed();
    assert_ne!(second.pem, pem);
    assert_eq!(bench.server.counts().orders, 2);
}

#[test]
fn a_storage_that_cannot_be_written_is_told_before_the_directory_is_asked() {
    let bench = Bench::new();
    drop(first_run(&bench));
    let requests = bench.server.counts().requests;
    // A folder in the place of the file: also root cannot write it.
    std::fs::create_dir(bench.folder().join("certificates/shop.example.com.tries.json")).unwrap();
    std::fs::remove_file(bench.certificate_file(SHOP)).unwrap();
    let keeper = bench.start(bench.settings(&[SHOP]));
    let (message, next) = keeper.failure();
    assert!(message.contains("storage"), "{message}");
    assert!(next > bench.now());
    assert_eq!(bench.server.counts().requests, requests);
}
