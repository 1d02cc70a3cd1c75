//! An endpoint that is slower than the others, seen from the origins.

use std::time::Duration;

use tollgate_testkit::{Origin, Tollgate};

use crate::{get, launch};

const CLIENTS: usize = 8;
const REQUESTS: usize = 100;

/// Answers after a while.
fn taking(time: Duration) -> Origin {
    Origin::start(move |connection| {
        while connection.request().is_some() {
            std::thread::sleep(time);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
    })
}

fn send(tollgate: &Tollgate) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = tollgate.connect();
                (0..REQUESTS).for_each(|_| assert_eq!(client.request(get("/")).text(), "hi"));
            });
        }
    });
}

/// How many requests each of five endpoints got, of which the first is ten times as slow as the others.
fn counts(balance: &str) -> [usize; 5] {
    let origins: [_; 5] = std::array::from_fn(|n| taking(Duration::from_millis(if n == 0 { 40 } else { 4 })));
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|n: usize| origins[n].address());
    let tollgate = launch(
        "workers: 1\nupstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\", \"{d}\", \"{e}\"]\n    \
         balance: {balance}\nroutes: [{ path: /, to: u }]\n",
        &[("a", &a), ("b", &b), ("c", &c), ("d", &d), ("e", &e), ("balance", &balance)],
    );
    send(&tollgate);
    std::array::from_fn(|n| origins[n].requests().len())
}

#[test]
fn peak_ewma_spares_requests_an_endpoint_that_is_ten_times_as_slow() {
    let (turns, latency) = (counts("round_robin"), counts("peak_ewma"));
    assert_eq!(turns, [CLIENTS * REQUESTS / 5; 5]);
    assert_eq!(latency.iter().sum::<usize>(), CLIENTS * REQUESTS);
    assert!(latency[0] * 3 < turns[0], "in turn {turns:?}, by latency {latency:?}");
    // All others go on to be used.
    assert!(latency[1..].iter().all(|count| *count > turns[0] / 4), "{latency:?}");
}
