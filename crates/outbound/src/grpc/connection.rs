//! The shared connection: made when it is needed, and again when it is of no use any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::exchange::{Broken, exchange};
use super::{CallError, Settings};
use crate::connect::Dialer;
use crate::error::Error;
use crate::url::Url;

/// After so many calls in a row that had no answer in time, another connection is made: this one may lead nowhere.
const UNANSWERED_MAX: u32 = 3;

/// Bytes that may be on their way to us on the connection.
const WINDOW: u32 = 1024 * 1024;

/// Where calls go, with the connection that they share.
#[derive(Debug)]
pub(super) struct Shared {
    url: Url,
    pub(super) settings: Settings,
    dialer: Dialer,
    runtime: Handle,
    /// Locked while a connection is made, so that one is made for all who wait.
    connection: Mutex<Option<Arc<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    driver: AbortHandle,
    unanswered: AtomicU32,
}

impl Connection {
    fn is_useful(&self) -> bool {
        !self.driver.is_finished() && self.unanswered.load(Ordering::Relaxed) < UNANSWERED_MAX
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Shared {
    pub(super) fn new(url: Url, settings: Settings, dialer: Dialer, runtime: Handle) -> Self {
        Self { url, settings, dialer, runtime, connection: Mutex::new(None) }
    }

    pub(super) async fn call(&self, method: &'static str, message: Bytes) -> Result<Bytes, CallError> {
        let (mut used, after) = (None, self.settings.timeout);
        let calling = tokio::time::timeout(after, self.attempts(method, message, &mut used));
        let answered = calling.await;
        if let Some(used) = used {
            match answered {
                Err(_) => used.unanswered.fetch_add(1, Ordering::Relaxed),
                Ok(_) => used.unanswered.swap(0, Ordering::Relaxed),
            };
        }
        answered.unwrap_or(Err(Error::Timeout { what: "complete answer", after }.into()))
    }

    async fn attempts(
        &self,
        method: &'static str,
        message: Bytes,
        used: &mut Option<Arc<Connection>>,
    ) -> Result<Bytes, CallError> {
        let (connection, is_fresh) = self.connection().await?;
        *used = Some(connection.clone());
        match self.attempt(&connection, method, message.clone()).await {
            // The service takes fewer at once than it said.
            Err(broken) if broken.is_refused => {}
            Err(broken) if broken.is_unsent || (broken.is_unanswered && !is_fresh) => {
                self.forget(&connection).await;
            }
            done => return done.map_err(|broken| broken.error),
        }
        let (connection, _) = self.connection().await?;
        *used = Some(connection.clone());
        self.attempt(&connection, method, message).await.map_err(|broken| broken.error)
    }

    async fn attempt(
        &self,
        connection: &Connection,
        method: &'static str,
        message: Bytes,
    ) -> Result<Bytes, Broken> {
        exchange(connection.sender.clone(), &self.url, method, message, &self.settings).await
    }

    /// The connection, and whether it was made just now.
    async fn connection(&self) -> Result<(Arc<Connection>, bool), Error> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| connection.is_useful()) {
            return Ok((connection.clone(), false));
        }
        *kept = None;
        let stream = self.dialer.dial(&self.url).await?;
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            // Until the service has said how many it allows.
            .initial_max_send_streams(1)
            .max_header_list_size(self.settings.head_max)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake::<_, Bytes>(stream);
        let late = |_| Error::Timeout { what: "HTTP/2 handshake", after: self.settings.connect_timeout };
        let shaken = tokio::time::timeout(self.settings.connect_timeout, handshake).await.map_err(late)?;
        let (sender, driver) = shaken.map_err(|error| Error::broken(&error))?;
        // How it ends shows where it is used.
        let driver = self.runtime.spawn(async move { drop(driver.await) }).abort_handle();
        let connection = Arc::new(Connection { sender, driver, unanswered: AtomicU32::new(0) });
        *kept = Some(connection.clone());
        Ok((connection, true))
    }

    /// Makes sure that this connection is not used for further calls. Those that it carries go on.
    async fn forget(&self, useless: &Arc<Connection>) {
        let mut kept = self.connection.lock().await;
        if kept.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, useless)) {
            *kept = None;
        }
    }
}
