//! What the tests share: a runtime in the background, and calls from outside it.

#![allow(dead_code, reason = "each test file uses its share")]

use std::future::Future;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tollgate_outbound::{HttpClient, Security, Settings, Url};
use tollgate_testkit::{Authority, PATIENCE};
use tollgate_tls::Roots;

/// A runtime on a thread of its own, for as long as this lives.
pub struct Background {
    pub handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    /// A client on it that trusts nobody but this authority.
    pub fn client(&self, settings: Settings, authority: &Authority) -> HttpClient {
        let security = Security::with_roots(Roots::from_file(&authority.roots()).unwrap());
        HttpClient::new(settings, security, self.handle.clone()).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Waits for a call on a runtime that comes and goes.
pub fn wait<T>(call: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let call = async { tokio::time::timeout(PATIENCE, call).await };
    runtime.block_on(call).unwrap_or_else(|_| panic!("nothing came of it in {PATIENCE:?}"))
}

pub fn url(text: impl AsRef<str>) -> Url {
    text.as_ref().parse().unwrap()
}
