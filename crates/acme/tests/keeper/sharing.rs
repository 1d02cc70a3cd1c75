//! Processes that share a storage.

use super::bench::{Bench, SHOP};

#[test]
fn two_that_share_a_storage_make_one_order_and_both_have_the_certificate() {
    let bench = Bench::new();
    let (one, two) = (bench.start(bench.settings(&[SHOP])), bench.start(bench.settings(&[SHOP])));
    bench.server.wait("a certificate", |counts| counts.certificates == 1);
    // Whoever found the storage locked looks again a little later.
    let mut both = Vec::new();
    for keeper in [&one, &two] {
        keeper.wait(SHOP, |status| {
            if status.next_order > bench.now() && status.valid_until.is_none() {
                bench.set_now(status.next_order);
                keeper.ring();
            }
            status.valid_until.is_some()
        });
        both.push(keeper.installed().pem);
    }
    assert_eq!(both[0], both[1]);
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.open_orders_max), (1, 1, 1));
}

#[test]
fn a_storage_that_is_in_use_is_waited_for() {
    let bench = Bench::new();
    let settings = bench.settings(&[SHOP]);
    let storage = tollgate_acme::storage::Storage::open(&settings.storage, &settings.directory).unwrap();
    let lock = storage.lock().unwrap().unwrap();
    let keeper = bench.start(settings);
    let status = keeper.wait(SHOP, |status| status.next_order > bench.now());
    assert_eq!((status.failures, bench.server.counts().requests), (0, 0));
    drop(lock);
    bench.set_now(status.next_order);
    keeper.ring();
    assert_eq!(keeper.installed().name, SHOP);
}
