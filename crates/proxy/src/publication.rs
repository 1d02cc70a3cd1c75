//! Putting another snapshot into force while connections and exchanges go on.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;
use tollgate_telemetry::Shard;
use tollgate_telemetry::access::LogHandle;
use tollgate_upstream::EndpointId;

use crate::listen::{ListenSocket, serve_all};
use crate::listening::Listening;
use crate::snapshot::Snapshot;
use crate::worker::{Published, Worker};

/// A snapshot for one worker, with what it needs to go on from the one before.
#[derive(Debug)]
pub struct Publication {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The worker's counters for it, successors of those it has.
    pub shard: Arc<Shard>,
    /// The access logs of it.
    pub log: LogHandle,
    /// For each listener of the snapshot before: its index in this one; `None` where it goes.
    pub listeners: Vec<Option<u32>>,
    /// The sockets of the listeners that are new.
    pub sockets: Vec<ListenSocket>,
    /// Endpoints that no upstream has any more: their idle connections are closed.
    pub gone: Arc<[EndpointId]>,
    /// Told when the snapshot is in force and the sockets of listeners that it lacks are closed.
    pub done: oneshot::Sender<()>,
}

/// Puts a publication into force. Exchanges under way end on the snapshot they began with; nothing is
/// closed but idle connections to endpoints that are gone, and the sockets of listeners that are.
pub fn publish(worker: &Rc<Worker>, publication: Publication) {
    let Publication { snapshot, shard, log, listeners, sockets, gone, done } = publication;
    worker.clock.refresh();
    let before = std::mem::take(&mut *worker.listening.borrow_mut());
    let mut listening: Vec<Option<Rc<Listening>>> = vec![None; snapshot.listeners.len()];
    let mut closed = Vec::new();
    for (listener, index) in before.into_iter().zip(listeners) {
        match index.and_then(|i| listening.get_mut(i as usize).zip(snapshot.listeners.get(i as usize))) {
            Some((place, settings)) => {
                listener.adopt(settings.clone());
                *place = Some(listener);
            }
            None => {
                listener.close(worker.clock.now_ms(), worker.published());
                closed.push(listener);
            }
        }
    }
    let new = sockets.into_iter().map(|socket| (listen(worker, &snapshot, &shard, &socket), socket));
    for (listener, socket) in new.collect::<Vec<_>>() {
        if let Some(place) = listening.get_mut(socket.listener as usize) {
            *place = Some(listener.clone());
        }
        serve_all(&listener, socket);
    }
    *worker.listening.borrow_mut() = listening.into_iter().flatten().collect();
    // Exchanges may hold the snapshot for long, but its spans wait for none of them.
    worker.flush_spans();
    *worker.published.borrow_mut() = Rc::new(Published::new(snapshot, shard));
    worker.log.borrow_mut().replace(log);
    worker.links.forget(&gone);
    // Whoever accepts may find other certificates.
    worker.changed.notify_waiters();
    if closed.is_empty() {
        // Control may have given up waiting.
        let _ = done.send(());
        return;
    }
    worker.wake_all();
    tokio::task::spawn_local(tell_closed(worker.clone(), closed, done));
}

/// Tells control once the sockets of listeners are closed: only then are connections refused, and is their
/// address free for the next snapshot.
async fn tell_closed(worker: Rc<Worker>, closed: Vec<Rc<Listening>>, done: oneshot::Sender<()>) {
    for listener in closed {
        loop {
            let changed = worker.changed.notified();
            if listener.accepts.get() == 0 {
                break;
            }
            changed.await;
        }
    }
    let _ = done.send(());
}

/// What serves a socket's listener on this worker.
pub fn listen(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    shard: &Shard,
    socket: &ListenSocket,
) -> Rc<Listening> {
    let index = socket.listener as usize;
    Listening::new(
        worker.clone(),
        snapshot.listeners[index].clone(),
        socket.limits.clone(),
        shard.listeners[index].clone(),
    )
}
