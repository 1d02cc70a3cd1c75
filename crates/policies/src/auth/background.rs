//! For tests of methods that ask others: a runtime in the background, and waiting for what a method waits for.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tollgate_outbound::{HttpClient, Security, Settings};
use tollgate_policy::{Asked, Gate};
use tollgate_testkit::PATIENCE;

use super::{Finding, Method};

/// A runtime on a thread of its own, for as long as this lives.
pub(crate) struct Background {
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn client(&self) -> HttpClient {
        let settings = Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..Settings::default() };
        HttpClient::new(settings, Security::system(), self.handle.clone()).unwrap()
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

/// Waits for a future on a runtime that comes and goes.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let future = async { tokio::time::timeout(PATIENCE, future).await };
    runtime.block_on(future).unwrap_or_else(|_| panic!("nothing came of it in {PATIENCE:?}"))
}

/// Asks a method until it need not wait any more.
pub(crate) fn ask(method: &impl Method, asked: &Asked<'_>, gate: &mut Gate) -> Finding {
    let mut finding = method.identify(asked, gate, None);
    while let Finding::Wait(waits) = finding {
        let resolution = wait(waits.future);
        finding = method.identify(asked, gate, Some(resolution));
    }
    finding
}
