//! The retry budget: retries neither multiply the load nor fail because many are needed at once.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};

use tollgate_testkit::{Gate, Origin};

use crate::{get, launch, wait_until};

const CROWD: usize = 40;

/// Sends a GET from each client of a crowd at once, and returns the statuses of the responses.
fn crowd(tollgate: &tollgate_testkit::Tollgate) -> Vec<u16> {
    let mut clients: Vec<_> = (0..CROWD).map(|_| tollgate.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{number}")));
    }
    clients.iter_mut().map(|client| client.response().status).collect()
}

#[test]
fn retries_of_a_crowd_go_through_the_budget_one_after_the_other() {
    #[derive(Default)]
    struct Seen {
        once: HashSet<String>,
        retrying: usize,
        most_retrying: usize,
    }
    let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
    let (for_origin, gate) = (seen.clone(), Gate::new());
    let for_script = gate.clone();
    // Loses the crowd's first attempts, and holds what comes after that.
    let origin = Origin::start(move |connection| {
        let Some(request) = connection.request() else { return };
        {
            let mut seen = for_origin.0.lock().unwrap();
            if seen.once.insert(request.target().to_owned()) {
                return;
            }
            seen.retrying += 1;
            seen.most_retrying = seen.most_retrying.max(seen.retrying);
        }
        for_origin.1.notify_all();
        for_script.wait();
        for_origin.0.lock().unwrap().retrying -= 1;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    });
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{origin}\"]\n    ejection: none\n    \
         retry: { budget: 10%, budget_min: 3, backoff: 50ms, max_backoff: 50ms }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    let statuses = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(&tollgate));
        wait_until("the budget is used up", || seen.0.lock().unwrap().retrying >= 3);
        wait_until("all lost their first attempt", || seen.0.lock().unwrap().once.len() == CROWD);
        gate.open();
        crowd.join().unwrap()
    });
    assert_eq!(statuses, [200; CROWD]);
    // A tenth of the crowd, if all of it is at the origin; the minimum, if it waits.
    let most = seen.0.lock().unwrap().most_retrying;
    assert!((3..=CROWD / 10).contains(&most), "{most} retries at once");
    assert_eq!(tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}"), CROWD as f64);
    assert_eq!(tollgate.metric("tollgate_upstream_retries_refused_total{upstream=\"u\"}"), 0.0);
}

/// How many attempts reach three endpoints that all fail.
fn attempts_for_a_crowd(retry: &str) -> usize {
    let origins: [_; 3] = std::array::from_fn(|_| {
        Origin::start(|connection| {
            connection.request();
        })
    });
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\"]\n    retry: {retry}\n\
         routes: [{ path: /, to: u }]\n",
        &[
            ("a", &origins[0].address()),
            ("b", &origins[1].address()),
            ("c", &origins[2].address()),
            ("retry", &retry),
        ],
    );
    let statuses = crowd(&tollgate);
    assert_eq!(statuses, [502; CROWD]);
    let attempts = origins.iter().map(|origin| origin.requests().len()).sum();
    let retries = tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}");
    assert_eq!(attempts, CROWD + retries as usize, "attempts that nobody counted");
    attempts
}

#[test]
fn endpoints_that_all_fail_get_no_more_than_the_attempts_allowed() {
    let attempts = attempts_for_a_crowd("{ attempts: 3, backoff: 1ms, max_backoff: 1ms }");
    assert!(attempts <= 3 * CROWD, "{attempts}");
}

#[test]
fn endpoints_that_all_fail_get_no_retries_without_a_budget() {
    let retry = "{ attempts: 3, budget: 0%, budget_min: 0, backoff: 1ms, max_backoff: 1ms }";
    assert_eq!(attempts_for_a_crowd(retry), CROWD);
}
