//! Clients that send requests one after the other, and know of each what became of it.

mod connection;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_testkit::{Origin, Response};

use crate::wait_until;
use connection::Connection;
pub use connection::Version;

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

    /// Asserts that no POST was executed more than once, and each that was answered by an origin exactly once; `file`
    /// is what the origins have written. Returns how many were answered.
    pub fn assert_posts_executed_once(&self, file: &Path) -> usize {
        let text = std::fs::read_to_string(file).unwrap();
        let mut times: HashMap<&str, usize> = HashMap::new();
        for id in text.lines().filter_map(|line| line.strip_prefix("POST ")) {
            *times.entry(id).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "executed more than once: {twice:?}");
        let answered = self.executed.lock().unwrap();
        assert!(answered.iter().all(|id| times.get(id.as_str()) == Some(&1)), "answered, but not executed");
        answered.len()
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
    /// Runs the clients over HTTP/1.1 until `meanwhile` returns, which runs beside them, and is told of the outcomes
    /// so far.
    pub fn run(self, address: SocketAddr, meanwhile: impl FnOnce(&Outcomes)) -> Outcomes {
        self.run_over(Version::One, address, meanwhile)
    }

    /// The same over a version of HTTP, each client on a connection of its own.
    pub fn run_over(
        self,
        version: Version,
        address: SocketAddr,
        meanwhile: impl FnOnce(&Outcomes),
    ) -> Outcomes {
        let outcomes = Outcomes {
            answered: (0..self.clients).map(|_| AtomicUsize::new(0)).collect(),
            ..Outcomes::default()
        };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..self.clients {
                let (outcomes, stop) = (&outcomes, &stop);
                let open = move || Connection::open(address, version);
                scope.spawn(move || self.client(client, open, outcomes, stop));
            }
            // Also stops if `meanwhile` fails, or its panic would wait for the clients for ever.
            let _stop = StopOnDrop(&stop);
            meanwhile(&outcomes);
        });
        outcomes
    }

    fn client(self, client: usize, open: impl Fn() -> Connection, outcomes: &Outcomes, stop: &AtomicBool) {
        let mut connection = open();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let post = self.post_every != 0 && number % self.post_every == client % self.post_every;
            let request = Planned::new(client, number, post, (self.size)(number));
            let (result, goes_on) = connection.exchange(&request);
            request.judge(result, outcomes, client);
            if !goes_on {
                connection = open();
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

/// An origin in this process that answers with the id that was asked for, as long as it was asked to be.
pub fn answering() -> Origin {
    answering_at(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// The same at an address.
pub fn answering_at(address: SocketAddr) -> Origin {
    Origin::start_at(address, |connection| {
        while let Some(request) = connection.request() {
            let query = request.target().split_once('?').map_or("", |(_, query)| query).to_owned();
            let value = |key: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
            };
            let size = value("size").and_then(|size| size.parse().ok()).unwrap_or(0);
            let body: Vec<u8> = value("id").unwrap_or_default().bytes().cycle().take(size).collect();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            connection.send([head.as_bytes(), &body].concat());
        }
    })
}

/// A request and what must be answered to it.
struct Planned {
    id: String,
    post: bool,
    size: usize,
    path: String,
}

impl Planned {
    fn new(client: usize, number: usize, post: bool, size: usize) -> Self {
        let id = format!("{client}.{number};");
        let framing = if number.is_multiple_of(2) { "&chunked" } else { "" };
        let path = format!("/?id={id}&size={size}{framing}");
        Self { id, post, size, path }
    }

    fn method(&self) -> &'static str {
        if self.post { "POST" } else { "GET" }
    }

    fn body(&self) -> &'static str {
        if self.post { "body" } else { "" }
    }

    fn judge(self, result: Result<Response, String>, outcomes: &Outcomes, client: usize) {
        let response = match result {
            Ok(response) => response,
            Err(broken) => return outcomes.fail(&self.id, format!("no whole response: {broken}")),
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
