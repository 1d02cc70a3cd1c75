//! Renewals while the program serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::bench::{Bench, SHOP};

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Renews again and again while clients come, and one stays: none of their requests fails.
#[test]
fn renewals_disturb_no_request_and_need_no_reload() {
    let bench = Bench::new();
    let tollgate = bench.start_with(&bench.document("http-01", &[SHOP]), &[SHOP]);
    let visitor = bench.visitor(&tollgate, SHOP);
    let mut staying = visitor.connect().unwrap();
    let first = staying.certificate();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0_usize;
                    while !over.load(Ordering::Relaxed) {
                        visitor.visit()?;
                        seen += 1;
                    }
                    Ok::<_, String>(seen)
                })
            })
            .collect();
        // From now on the authority wants every certificate renewed at once. It was asked about the one that is there;
        // another document has it asked again.
        bench.server.suggest(Some((now() - Duration::from_secs(20), now() - Duration::from_secs(10))));
        let changed =
            bench.document("http-01", &[SHOP]).replace("acme: {", "acme: { email: ops@example.com,");
        tollgate.reload(&changed);
        bench.server.wait("ten certificates", |counts| counts.certificates >= 10);
        bench.server.suggest(None);
        over.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.join().unwrap().unwrap();
            assert!(seen > 0);
        }
    });
    staying.request().unwrap();
    assert_eq!(staying.certificate(), first);
    assert_ne!(visitor.visit().unwrap(), first);
    assert_eq!(tollgate.metric("tollgate_config_number"), 2.0);
    for failed in ["no_certificate", "tls_handshake_failed", "upstream_closed"] {
        let (_, text) = tollgate.admin("/metrics");
        let series = format!("tollgate_exchanges_total{{reason=\"{failed}\"");
        let counted = text
            .lines()
            .find(|line| line.starts_with(&series))
            .map_or("0", |line| line.rsplit(' ').next().unwrap_or_default());
        assert_eq!(counted, "0", "{failed}");
    }
    let counts = bench.server.counts();
    assert_eq!(counts.open_orders_max, 1);
    assert_eq!(counts.accounts, 1);
}

#[test]
fn a_certificate_that_lives_shortly_is_renewed_before_its_end() {
    let bench = Bench::new();
    // Two thirds of its life are over in three seconds, and its end is far enough for slow machines.
    bench.server.set_now(now() - Duration::from_secs(77));
    bench.server.set_lifetime(Duration::from_secs(120));
    let tollgate = bench.start_with(&bench.document("tls-alpn-01", &[SHOP]), &[SHOP]);
    let visitor = bench.visitor(&tollgate, SHOP);
    let first = visitor.visit().unwrap();
    bench.server.set_now(now());
    bench.server.set_lifetime(Duration::from_secs(86_400));
    let began = std::time::Instant::now();
    while visitor.visit().unwrap() == first {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE);
    }
    assert_eq!(bench.server.counts().orders, 2);
}
