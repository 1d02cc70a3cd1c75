//! What is kept over restarts and reloads.

use super::bench::{Bench, SHOP, WWW, status};

#[test]
fn a_restart_orders_nothing_and_serves_at_once() {
    let bench = Bench::new();
    let document = bench.document("http-01", &[SHOP]);
    let mut tollgate = bench.start_with(&document, &[SHOP]);
    let first = bench.visitor(&tollgate, SHOP).visit().unwrap();
    tollgate.terminate();
    assert!(tollgate.wait().success());
    let before = bench.server.counts();
    let tollgate = bench.start(&document);
    // The first client that comes is served with it.
    assert_eq!(bench.visitor(&tollgate, SHOP).visit().unwrap(), first);
    let [status] = &status(&tollgate)[..] else { panic!("one certificate") };
    assert!(status["expires"].is_string() && status["failures"] == 0, "{status}");
    let after = bench.server.counts();
    assert_eq!((after.accounts, after.orders), (before.accounts, before.orders));
    // What cannot be used is put aside, told, and replaced.
    drop(tollgate);
    std::fs::write(bench.certificate_file(SHOP), "garbage").unwrap();
    let tollgate = bench.start_with(&document, &[SHOP]);
    tollgate.stderr_line("shop.example.com.pem cannot be used and was set aside");
    assert_ne!(bench.visitor(&tollgate, SHOP).visit().unwrap(), first);
    assert_eq!(bench.server.counts().accounts, 1);
}

#[test]
fn another_name_is_got_by_a_reload_that_touches_nothing_else() {
    let bench = Bench::new();
    let tollgate = bench.start_with(&bench.document("http-01", &[SHOP]), &[SHOP]);
    let shop = bench.visitor(&tollgate, SHOP);
    let mut staying = shop.connect().unwrap();
    staying.request().unwrap();
    bench.resolve(&tollgate, &[WWW]);
    let told = tollgate.reload(&bench.document("http-01", &[SHOP, WWW]));
    assert!(told.contains("document 2 is in force"), "{told}");
    assert_eq!(shop.visit().unwrap(), staying.certificate(), "no moment without a certificate");
    bench.obtained(&tollgate, WWW);
    bench.visitor(&tollgate, WWW).visit().unwrap();
    assert_eq!(bench.server.counts().orders, 2);
    let names: Vec<_> = status(&tollgate).iter().map(|known| known["names"][0].clone()).collect();
    assert_eq!(names, [SHOP, WWW]);
    // One name goes, and comes back from the disk.
    tollgate.reload(&bench.document("http-01", &[SHOP]));
    assert_eq!(status(&tollgate).len(), 1);
    tollgate.reload(&bench.document("http-01", &[WWW, SHOP]));
    bench.visitor(&tollgate, WWW).visit().unwrap();
    assert_eq!(bench.server.counts().orders, 2);
    // Another listener that wants the same has it at once, though the plan is the same.
    let two = bench.document("http-01", &[WWW, SHOP]).replace(
        "routes:",
        "  - { address: \"127.0.0.2:0\", tls: { acme: [shop.example.com], profile: modern } }\nroutes:",
    );
    tollgate.reload(&two);
    assert_eq!(bench.server.counts().orders, 2);
    staying.request().unwrap();
    // None is wanted any more.
    let plain = bench.document("http-01", &[SHOP]);
    let plain: String = plain.lines().filter(|l| !l.contains("acme")).map(|l| format!("{l}\n")).collect();
    let told = tollgate.reload(&plain);
    assert!(told.contains("in force"), "{told}");
    assert!(status(&tollgate).is_empty());
}

/// An order that is under way is not broken off, which would count as a failure.
#[test]
fn a_reload_in_the_middle_of_an_order_lets_it_end() {
    let bench = Bench::new();
    let tollgate = bench.start(&bench.document("http-01", &[SHOP]));
    tollgate.stderr_line("ACME: ordering a certificate for shop.example.com");
    bench.server.wait("an order", |counts| counts.orders == 1);
    let told = tollgate.reload(&bench.document("http-01", &[SHOP, WWW]));
    assert!(told.contains("document 2 is in force"), "{told}");
    bench.resolve(&tollgate, &[SHOP, WWW]);
    bench.obtained(&tollgate, SHOP);
    bench.obtained(&tollgate, WWW);
    bench.visitor(&tollgate, SHOP).visit().unwrap();
    bench.visitor(&tollgate, WWW).visit().unwrap();
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.certificates), (1, 2, 2));
    assert!(!tollgate.stderr().contains("next try"), "{}", tollgate.stderr());
}
