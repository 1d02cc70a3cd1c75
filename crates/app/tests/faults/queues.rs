//! A caller who asks for much more than the others behind an upstream of bounded capacity, seen from the origins.

use std::sync::{Arc, Condvar, Mutex};

use tollgate_testkit::{Origin, PATIENCE, Tollgate};

use crate::{launch, wait_until};

const NOISY: usize = 50;
const QUIET: usize = 2;
/// How many requests the origins serve at once.
const PLACES: usize = 4;
const SERVED: usize = 240;

/// Serves requests in the order in which they came, each when the test says so.
#[derive(Debug, Default)]
struct Service {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who came, in order.
    came: Vec<String>,
    /// How many of them may be answered.
    allowed: usize,
    closed: bool,
}

impl Service {
    fn serve(&self, caller: String) {
        let mut state = self.state.lock().unwrap();
        state.came.push(caller);
        let turn = state.came.len();
        let waits = |state: &mut State| state.allowed < turn && !state.closed;
        let (state, _) = self.changed.wait_timeout_while(state, 3 * PATIENCE, waits).unwrap();
        assert!(state.allowed >= turn || state.closed, "number {turn} was never served");
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

/// Asks until told that it is over; all answers must be the origins'.
fn ask_on(tollgate: &Tollgate, caller: &str, service: &Service) {
    let mut client = tollgate.connect();
    while !service.state.lock().unwrap().closed {
        let response =
            client.request(format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-Caller: {caller}\r\n\r\n"));
        assert_eq!(response.status, 200, "{caller}: {:?}", response.reason());
    }
}

/// How many requests of the quiet caller are among the first that are served, once everybody waits.
fn served_of_quiet(by: &str) -> usize {
    let service = Arc::new(Service::default());
    let origins: [_; 2] = std::array::from_fn(|_| {
        let service = service.clone();
        Origin::answering(move |request| {
            service.serve(request.get("x-caller").unwrap().to_owned());
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
        })
    });
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\"]\n    concurrency: { upstream: {places} }\n    \
         queue: { length: 1000, timeout: 60s, by: {by} }\n\
         routes: [{ path: /, to: u, timeouts: { first_byte: 60s, total: none } }]\n",
        &[("a", &origins[0].address()), ("b", &origins[1].address()), ("places", &PLACES), ("by", &by)],
    );
    let waiting = || tollgate.metric("tollgate_upstream_queue_length{upstream=\"u\",priority=\"normal\"}");
    std::thread::scope(|scope| {
        for number in 0..NOISY + QUIET {
            let (tollgate, service) = (&tollgate, &service);
            // The quiet one's come last.
            let caller = if number < NOISY { "noisy" } else { "quiet" };
            scope.spawn(move || ask_on(tollgate, caller, service));
        }
        let all_wait = || wait_until("all wait", || waiting() == (NOISY + QUIET - PLACES) as f64);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            all_wait();
            assert_eq!(service.state.lock().unwrap().came.len(), PLACES, "not as many as there are places");
            for served in 1..=SERVED {
                service.change(|state| state.allowed = served);
                // Whoever was answered asks again before the next one is.
                wait_until("the next one comes", || {
                    service.state.lock().unwrap().came.len() == PLACES + served
                });
                all_wait();
            }
        }));
        service.change(|state| state.closed = true);
        if let Err(panic) = run {
            std::panic::resume_unwind(panic);
        }
    });
    let state = service.state.lock().unwrap();
    let served = &state.came[PLACES..PLACES + SERVED];
    served.iter().filter(|caller| *caller == "quiet").count()
}

#[test]
fn a_noisy_caller_takes_no_turn_of_a_quiet_one() {
    let turns = served_of_quiet("{ header: X-Caller }");
    let line = served_of_quiet("route");
    // With turns the quiet one is next but one at the latest whenever it waits, so each of its two connections is served
    // once in six answers: those to the four that have places before it, to one of the noisy one, and its own. In one
    // line it waits for all others. Where the measuring begins may cost either one answer for each connection.
    assert!(turns + QUIET >= SERVED * QUIET / (PLACES + 2), "{turns} of {SERVED} in turns");
    assert!(line <= SERVED * QUIET / (NOISY + QUIET) + QUIET, "{line} of {SERVED} in one line");
}
