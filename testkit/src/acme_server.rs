//! A certificate authority that speaks ACME (RFC 8555) over TLS on loopback. It believes nothing: it
//! checks signatures, nonces and addresses of requests, and fetches challenges over the network.

mod authority;
mod jws;
mod mischief;
mod orders;
mod problem;
mod resources;
mod serving;
mod state;
#[cfg(test)]
mod tests;
mod validation;

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

pub use mischief::Mischief;
pub use state::Counts;

use authority::Authority;
use state::{Addresses, State};

use crate::PATIENCE;

/// An ACME server on a port of its own, for as long as this lives.
#[derive(Debug)]
pub struct AcmeServer {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's connections share with the test.
#[derive(Debug)]
struct Shared {
    /// `https://127.0.0.1:PORT`.
    base: String,
    authority: Authority,
    state: Mutex<State>,
    changed: Condvar,
    resolved: Notify,
}

impl Shared {
    /// The addresses of a name. One that is expected is waited for.
    async fn find(&self, name: &str) -> Option<Addresses> {
        loop {
            let resolved = self.resolved.notified();
            {
                let state = self.state.lock().unwrap();
                if let Some(addresses) = state.names.get(name) {
                    return Some(*addresses);
                }
                if !state.expected.contains(name) {
                    return None;
                }
            }
            resolved.await;
        }
    }

    fn state(&self) -> Changing<'_> {
        Changing { state: self.state.lock().unwrap(), changed: &self.changed }
    }
}

/// The state, perhaps to be changed; who waits for a change looks at it afterwards.
struct Changing<'a> {
    state: MutexGuard<'a, State>,
    changed: &'a Condvar,
}

impl Deref for Changing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.changed.notify_all();
    }
}

impl AcmeServer {
    /// Starts one whose certificates live for 90 days.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            base,
            authority: Authority::new(),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            resolved: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let for_thread = shared.clone();
        let thread = std::thread::spawn(move || serving::run(listener, for_thread, stopped));
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The address of the directory: what a document says as `directory`.
    pub fn directory(&self) -> String {
        format!("{}/directory", self.shared.base)
    }

    /// The root (PEM) that signed both the server's own certificate and the issuing intermediate one.
    pub fn root_pem(&self) -> &str {
        self.shared.authority.root_pem()
    }

    /// Where a name is found when its challenges are fetched: the addresses for http-01 and tls-alpn-01.
    /// Names that were not given are not found.
    pub fn resolve(&self, name: &str, http: Option<SocketAddr>, tls: Option<SocketAddr>) {
        for address in [http, tls].into_iter().flatten() {
            assert!(address.ip().is_loopback(), "{address} is not a loopback address");
        }
        self.shared.state().names.insert(name.to_owned(), Addresses { http, tls });
        self.shared.resolved.notify_waiters();
    }

    /// Challenges of this name wait until it is known where it is found: for programs that begin to order before
    /// their addresses can be asked for.
    pub fn expect(&self, name: &str) {
        self.shared.state().expected.insert(name.to_owned());
    }

    /// How long certificates live that are issued from now on. Certificates count in whole seconds.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.shared.state().lifetime = lifetime;
    }

    /// The time since 1970 that the server believes it is; for tests that step time.
    pub fn set_now(&self, now: Duration) {
        self.shared.state().now = Some(now);
    }

    /// Offers renewal information (RFC 9773) with this window, as times since 1970, for every certificate;
    /// `None` takes the offer back.
    pub fn suggest(&self, window: Option<(Duration, Duration)>) {
        self.shared.state().window = window;
    }

    /// Knows none of its accounts any more.
    pub fn forget_accounts(&self) {
        let mut state = self.shared.state();
        state.forgotten = state.accounts.len();
    }

    /// Does this at the next `times` occasions.
    pub fn misbehave(&self, mischief: Mischief, times: usize) {
        self.shared.state().mischief.extend(std::iter::repeat_n(mischief, times));
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.shared.state().mischief.clear();
    }

    /// What happened up to now.
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().unwrap().counts.clone()
    }

    /// Waits until what happened satisfies `until`, and returns it.
    pub fn wait(&self, what: &str, until: impl Fn(&Counts) -> bool) -> Counts {
        let state = self.shared.state.lock().unwrap();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !until(&state.counts)).unwrap();
        let counts = state.counts.clone();
        drop(state);
        assert!(until(&counts), "the ACME server did not see {what} in {PATIENCE:?}: {counts:?}");
        counts
    }
}

impl Drop for AcmeServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the ACME server panicked");
        }
    }
}
