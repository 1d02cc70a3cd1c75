//! Waiting in the middle of an exchange, with an eye on the client: nothing is kept for one that has gone.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tollgate_decision::Reason;

use super::client::Client;
use super::forward::watch_client;
use crate::exchange::Exchange;
use crate::worker::Worker;

/// A limit beyond a year is none; tokio's timer does not reach that far.
const LONGEST_MS: u64 = 31_536_000_000;

/// When a client counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// When it has reset its connection, or cancelled its stream. One that has closed its side may still read.
    Resets,
    /// Also when it has closed its side. Nothing tells one that still reads from one that has closed its connection, and
    /// where requests wait for long those that have given up must not be served before the others.
    Closes,
}

/// Waits for a future where there is no client to look at, at most until `until_ms` by the worker's clock: what it gives, or
/// `None` where the time is over.
pub async fn until<T>(worker: &Worker, until_ms: u64, future: impl Future<Output = T>) -> Option<T> {
    let left_ms = until_ms.saturating_sub(worker.clock.now_ms()).min(LONGEST_MS);
    tokio::time::timeout(Duration::from_millis(left_ms), future).await.ok()
}

/// Waits for a future, at most until `until_ms` by the worker's clock (rounded up to a tick of its wheel): what it gives,
/// or `None` where the time is over.
///
/// # Errors
///
/// The client has gone, or the worker's grace for exchanges is over.
pub async fn wait<T>(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    (until_ms, leaving): (u64, Leaving),
    future: impl Future<Output = T>,
) -> Result<Option<T>, Reason> {
    let mut future = pin!(future);
    // Something is waited for: the client is looked at also where the reactor does not know it yet.
    exchange.times.nearest_ms = until_ms.min(u64::MAX - 1);
    poll_fn(|cx| {
        worker.clock.refresh();
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(Some(output)));
        }
        client.link.flush(cx);
        if let Err(gone) = watch_client(cx, client, exchange, &mut worker.buffers.borrow_mut()) {
            return Poll::Ready(Err(gone.reason));
        }
        if leaving == Leaving::Closes && client.half_closed {
            return Poll::Ready(Err(Reason::ClientClosed));
        }
        let now = worker.clock.now_ms();
        let grace_ends = worker.grace_ends(false);
        if grace_ends <= now {
            worker.note_cut();
            return Poll::Ready(Err(Reason::Draining));
        }
        if until_ms <= now {
            return Poll::Ready(Ok(None));
        }
        let mut wheel = worker.wheel.borrow_mut();
        wheel.set(client.timer, until_ms.min(grace_ends));
        wheel.register(client.timer, cx.waker());
        Poll::Pending
    })
    .await
}
