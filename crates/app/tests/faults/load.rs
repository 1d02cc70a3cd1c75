//! Clients that send requests one after the other, and know of each what became of it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_testkit::{Broken, Client, Response};

use crate::wait_until;

/// What became of all requests.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// How many requests of each client were answered as they should be: by an origin, each with the body that belongs to it.
    answered: Vec<AtomicUsize>,
    /// The ids of POSTs that were answered by an origin.
    pub executed: Mutex<Vec<String>>,
    /// Requests that failed though they need not have, and why.
    pub failures: Mutex<Vec<String>>,
}

impl Outcomes {
    /// How many requests were answered as they should be.
    pub fn answered(&self) -> usize {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Waits until so many more requests are answered, and of each client so many that one of them was
    /// sent after this was called. So no request of theirs sees what was before and what comes after.
    pub fn wait_for_more(&self, count: usize) {
        let each: Vec<usize> = self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all = each.iter().sum::<usize>() + count;
        wait_until("requests go on", || {
            self.assert_no_failures();
            let mut clients = self.answered.iter().zip(&each);
            self.answered() >= all && clients.all(|(now, before)| now.load(Ordering::Relaxed) >= before + 2)
        });
    }

    /// Asserts that nothing failed.
    pub fn assert_no_failures(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} requests failed: {failures:#?}", failures.len());
    }

    fn fail(&self, id: &str, why: String) {
        self.failures.lock().unwrap().push(format!("{id}: {why}"));
    }
}

/// What clients send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many clients.
    pub clients: usize,
    /// Of so many requests one is a POST; 0 for none.
    pub post_every: usize,
    /// The size of response number n.
    pub size: fn(usize) -> usize,
}

impl Load {
    /// Runs the clients until `stop` is true; `meanwhile` runs beside them, and is told of the outcomes
    /// so far. It may set `stop`, which is set when it returns.
    pub fn run(self, address: SocketAddr, meanwhile: impl FnOnce(&Outcomes)) -> Outcomes {
        let outcomes = Outcomes {
            answered: (0..self.clients).map(|_| AtomicUsize::new(0)).collect(),
            ..Outcomes::default()
        };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..self.clients {
                let (outcomes, stop) = (&outcomes, &stop);
                scope.spawn(move || self.client(client, address, outcomes, stop));
            }
            // Also stops if `meanwhile` fails, or its panic would wait for the clients for ever.
            let _stop = StopOnDrop(&stop);
            meanwhile(&outcomes);
        });
        outcomes
    }

    fn client(self, client: usize, address: SocketAddr, outcomes: &Outcomes, stop: &AtomicBool) {
        let mut connection = Client::connect(address);
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let post = self.post_every != 0 && number % self.post_every == client % self.post_every;
            let request = Planned::new(client, number, post, (self.size)(number));
            let result = match connection.try_send(&request.bytes) {
                Ok(()) => connection.try_response(),
                Err(_) => Err(Broken { partial: None, reset: true }),
            };
            let closes = match &result {
                Ok(response) => response.get("connection") == Some("close"),
                Err(_) => true,
            };
            request.judge(result, outcomes, client);
            if closes {
                connection = Client::connect(address);
            }
        }
    }
}

/// Sets a flag when dropped, also by a panic.
pub struct StopOnDrop<'s>(pub &'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request and what must be answered to it.
struct Planned {
    id: String,
    post: bool,
    size: usize,
    bytes: String,
}

impl Planned {
    fn new(client: usize, number: usize, post: bool, size: usize) -> Self {
        let id = format!("{client}.{number};");
        let (method, length) = if post { ("POST", "Content-Length: 4\r\n") } else { ("GET", "") };
        let framing = if number.is_multiple_of(2) { "&chunked" } else { "" };
        let body = if post { "body" } else { "" };
        let bytes = format!(
            "{method} /?id={id}&size={size}{framing} HTTP/1.1\r\nHost: a.example\r\n{length}\r\n{body}"
        );
        Self { id, post, size, bytes }
    }

    fn judge(self, result: Result<Response, Broken>, outcomes: &Outcomes, client: usize) {
        let response = match result {
            Ok(response) => response,
            Err(broken) => return outcomes.fail(&self.id, format!("no whole response: {broken:?}")),
        };
        if response.status == 200 {
            let expected = self.id.bytes().cycle().take(self.size);
            if !expected.eq(response.body.iter().copied()) {
                return outcomes.fail(&self.id, format!("another's body: {:?}", response.text()));
            }
            outcomes.answered[client].fetch_add(1, Ordering::Relaxed);
            if self.post {
                outcomes.executed.lock().unwrap().push(self.id);
            }
        } else if self.post && response.reason().as_deref() == Some("upstream_closed") {
            // It may have been executed or not, so nobody but its sender can know what to do.
            outcomes.answered[client].fetch_add(1, Ordering::Relaxed);
        } else {
            outcomes.fail(&self.id, format!("{} {:?}", response.status, response.reason()));
        }
    }
}
