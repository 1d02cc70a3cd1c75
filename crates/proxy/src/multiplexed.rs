//! A worker's multiplexed connections to endpoints, which many exchanges share at once.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tollgate_http2::Connection;
use tollgate_streams::MessageStream;
use tollgate_upstream::EndpointId;

/// The connections of a worker. As many as its exchanges need at once, by the number of streams that one may
/// carry; those that carry none for as long as the upstream's pool says are closed.
#[derive(Default)]
pub struct Multiplexed {
    endpoints: HashMap<(EndpointId, u64), Endpoint>,
}

#[derive(Default)]
struct Endpoint {
    connections: Vec<Held>,
    /// One is being opened: whoever needs one waits for it instead of opening another.
    opening: Option<Rc<Notify>>,
}

struct Held {
    connection: Connection,
    used_ms: u64,
    idle_ms: u64,
}

/// What somebody who needs a connection does.
pub enum Turn {
    /// Opens one, and tells the others with this.
    Open(Rc<Notify>),
    /// Waits until somebody else has opened one, or could not.
    Wait(Rc<Notify>),
}

impl Multiplexed {
    /// Opens a stream on a connection that has room for one.
    pub fn stream(&mut self, key: (EndpointId, u64), now_ms: u64) -> Option<Box<dyn MessageStream>> {
        let connections = &mut self.endpoints.get_mut(&key)?.connections;
        connections.retain(|held| held.connection.is_usable());
        // The first with room: those behind it fall idle and go.
        let has_room = |held: &&mut Held| held.connection.open_streams() < held.connection.capacity();
        let held = connections.iter_mut().find(has_room)?;
        held.used_ms = now_ms;
        Some(Box::new(held.connection.open().ok()?))
    }

    /// Whose turn it is to open a connection.
    pub fn turn(&mut self, key: (EndpointId, u64)) -> Turn {
        let endpoint = self.endpoints.entry(key).or_default();
        match &endpoint.opening {
            Some(opening) => Turn::Wait(opening.clone()),
            None => Turn::Open(endpoint.opening.insert(Rc::default()).clone()),
        }
    }

    /// The one whose turn it was has opened a connection, or not: the others go on.
    pub fn opened(&mut self, key: (EndpointId, u64)) {
        if let Some(opening) = self.endpoints.get_mut(&key).and_then(|endpoint| endpoint.opening.take()) {
            opening.notify_waiters();
        }
    }

    /// Keeps a connection that was opened.
    pub fn keep(&mut self, key: (EndpointId, u64), connection: Connection, now_ms: u64, idle_ms: u64) {
        let endpoint = self.endpoints.entry(key).or_default();
        endpoint.connections.push(Held { connection, used_ms: now_ms, idle_ms });
    }

    /// Closes what has carried nothing for too long, and forgets what has ended.
    pub fn sweep(&mut self, now_ms: u64) {
        self.endpoints.retain(|_, endpoint| {
            endpoint.connections.retain_mut(|held| {
                if held.connection.open_streams() > 0 {
                    held.used_ms = now_ms;
                }
                held.connection.is_usable() && now_ms.saturating_sub(held.used_ms) < held.idle_ms
            });
            !endpoint.connections.is_empty() || endpoint.opening.is_some()
        });
    }

    /// Closes the connections to these endpoints that carry nothing. The others close when they carry nothing any
    /// more for as long as the upstream's pool says.
    pub fn forget(&mut self, gone: &[EndpointId]) {
        if gone.is_empty() {
            return;
        }
        for (_, endpoint) in self.endpoints.iter_mut().filter(|((id, _), _)| gone.contains(id)) {
            endpoint.connections.retain(|held| held.connection.open_streams() > 0);
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.endpoints.values().map(|endpoint| endpoint.connections.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
