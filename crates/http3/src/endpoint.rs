//! One worker's share of a UDP port.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use quinn::{Incoming, TokioRuntime};
use tollgate_decision::Reason;

use crate::connection::Connection;
use crate::ended::Ended;
use crate::relay::Relay;
use crate::settings::{Secret, Settings, endpoint_config, server_config};

/// Accepts the QUIC connections that the kernel steers to this worker.
///
/// Lives on the worker's thread: to be made inside its tokio runtime, on which quinn runs a task for the socket and
/// one for each connection.
pub struct Endpoint {
    quinn: quinn::Endpoint,
    settings: RefCell<Rc<Settings>>,
    secret: Secret,
    relay: Relay,
    admission: Rc<Admission>,
}

/// A socket's place among those that share a UDP port.
#[derive(Clone)]
pub struct Seat {
    /// What they share.
    pub secret: Secret,
    /// Which one it is, from 0.
    pub index: usize,
    /// How many there are.
    pub workers: usize,
    /// What it has to do with other processes.
    pub relay: Relay,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.index, self.workers)
    }
}

/// What has become of those who wanted to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are open, those in their handshake included.
    pub open: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// Clients that were told to prove their address first.
    pub retried: u64,
    /// Clients that were refused because of [`Settings::max_connections`] or twice [`Settings::retry_above`].
    pub refused: u64,
}

#[derive(Default)]
struct Admission {
    counts: Cell<Counts>,
}

impl Admission {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

/// A connection's place among those that are allowed.
pub(crate) struct Permit(Rc<Admission>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.count(|counts| counts.open -= 1);
    }
}

/// A handshake's place among those under way.
struct HandshakePermit(Rc<Admission>);

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.0.count(|counts| counts.handshakes -= 1);
    }
}

impl Endpoint {
    /// The endpoint of the worker `index` of `workers` on its socket of the group
    /// ([`bind_group`](crate::steering::bind_group)). The secret is the same for all workers.
    ///
    /// # Errors
    /// The socket cannot be used, `tls` has no TLS 1.3, or a setting is not possible.
    pub fn new(
        socket: UdpSocket,
        tls: &Arc<rustls::ServerConfig>,
        settings: Settings,
        secret: Secret,
        index: usize,
        workers: usize,
    ) -> io::Result<Self> {
        let relay = Relay::new(secret.instance(), Vec::new())?;
        Self::relaying(socket, tls, settings, Seat { secret, index, workers, relay })
    }

    /// The same on a socket that another process may have had before, or may get.
    ///
    /// # Errors
    /// As in [`Endpoint::new`].
    pub fn relaying(
        socket: UdpSocket,
        tls: &Arc<rustls::ServerConfig>,
        settings: Settings,
        seat: Seat,
    ) -> io::Result<Self> {
        let Seat { secret, index, workers, relay } = seat;
        let server = server_config(tls, &settings, &secret)?;
        let config = endpoint_config(&secret, index, workers)?;
        let (socket, runtime) = (relay.watch(socket)?, Arc::new(TokioRuntime));
        let quinn = quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)?;
        let settings = RefCell::new(Rc::new(settings));
        Ok(Self { quinn, settings, secret, relay, admission: Rc::default() })
    }

    /// Changes certificates and settings for connections to come; those that are open keep theirs.
    ///
    /// # Errors
    /// As in [`Endpoint::new`]; everything is as before then.
    pub fn set_config(&self, tls: &Arc<rustls::ServerConfig>, settings: Settings) -> io::Result<()> {
        let server = server_config(tls, &settings, &self.secret)?;
        self.quinn.set_server_config(Some(server));
        *self.settings.borrow_mut() = Rc::new(settings);
        Ok(())
    }

    /// The next client whose handshake is to be made; `None` when the endpoint is closed. May be dropped and called
    /// again at any time.
    pub async fn accept(&self) -> Option<Handshake> {
        loop {
            let incoming = self.quinn.accept().await?;
            if let Some(handshake) = self.admit(incoming) {
                return Some(handshake);
            }
        }
    }

    fn admit(&self, incoming: Incoming) -> Option<Handshake> {
        let settings = self.settings.borrow().clone();
        let counts = self.admission.counts.get();
        let full = counts.open >= settings.max_connections
            || counts.handshakes >= settings.retry_above.saturating_mul(2);
        if full {
            incoming.refuse();
            self.admission.count(|counts| counts.refused += 1);
            return None;
        }
        if counts.handshakes >= settings.retry_above && !incoming.remote_address_validated() {
            match incoming.retry() {
                Ok(()) => self.admission.count(|counts| counts.retried += 1),
                Err(error) => {
                    error.into_incoming().refuse();
                    self.admission.count(|counts| counts.refused += 1);
                }
            }
            return None;
        }
        self.admission.count(|counts| {
            counts.open += 1;
            counts.handshakes += 1;
        });
        let permit = Permit(self.admission.clone());
        let under_way = HandshakePermit(self.admission.clone());
        Some(Handshake { incoming, settings, permit, under_way })
    }

    /// What has become of those who wanted to connect.
    pub fn counts(&self) -> Counts {
        self.admission.counts.get()
    }

    /// Where the endpoint listens.
    ///
    /// # Errors
    /// The socket does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// Takes no new connections any more: who tries to connect is not answered, as if nobody listened. Open
    /// connections go on.
    pub fn stop_accepting(&self) {
        self.quinn.set_server_config(None);
    }

    /// Leaves the socket to the process that it was offered to ([`Relay::offer`]). Open connections go on: their packets
    /// come from there. To be called on the worker's runtime.
    pub fn leave_socket(&self) {
        self.relay.leave();
    }

    /// Waits until no connection is left, with what the last ones had to say sent.
    pub async fn wait_idle(&self) {
        self.quinn.wait_idle().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Whoever waits for a new connection hears that none will come; open ones go on.
        self.quinn.set_server_config(None);
    }
}

/// A client that was admitted.
pub struct Handshake {
    incoming: Incoming,
    settings: Rc<Settings>,
    permit: Permit,
    under_way: HandshakePermit,
}

impl Handshake {
    /// Where the client is, as far as it is known: its address may be forged until the handshake is done.
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Refuses the client.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Makes the handshake, at most as long as [`Settings::handshake_timeout`], and opens the control streams.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn finish(self) -> Result<Connection, Ended> {
        let Self { incoming, settings, permit, under_way } = self;
        let timeout = settings.handshake_timeout;
        let handshake = async {
            let connecting = incoming.accept().map_err(|error| Ended::in_handshake(&error))?;
            let quinn = connecting.await.map_err(|error| Ended::in_handshake(&error))?;
            Connection::open(quinn, &settings, permit).await
        };
        let outcome = tokio::time::timeout(timeout, handshake).await;
        drop(under_way);
        outcome.unwrap_or_else(|_| {
            Err(Ended::new(
                Reason::TlsHandshakeTimeout,
                format!("the handshake was not done after {timeout:?}"),
            ))
        })
    }
}
