//! What an endpoint is set to, and how quinn is told.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aws_lc_rs::{hkdf, hmac};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    BloomTokenLog, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};

use crate::steering::{INSTANCE_LENGTH, Instance, WorkerIds};

/// Limits and habits of an endpoint. All memory that a client can make Tollgate hold is bounded by them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Request streams that a client may have open at once on a connection.
    pub max_streams: u32,
    /// Bytes of one request body that may be on their way before they are taken, which is what a slow endpoint
    /// makes Tollgate hold of each stream.
    pub stream_window: u32,
    /// The same for a whole connection.
    pub connection_window: u32,
    /// Bytes sent on a connection that may be unacknowledged, which is what a slow client makes Tollgate hold.
    pub send_window: u64,
    /// The largest head or trailers, in bytes as RFC 9114 section 4.2.2 counts them.
    pub max_head: u32,
    /// How long a connection may carry nothing before it ends.
    pub idle_timeout: Duration,
    /// How long a handshake may take, with the opening of the control streams.
    pub handshake_timeout: Duration,
    /// The most connections, those in their handshake included.
    pub max_connections: usize,
    /// From this many handshakes under way on, a client must first prove its address (Retry, RFC 9000 section
    /// 8.1.2), and from twice as many on new connections are refused.
    pub retry_above: usize,
    /// Requests that a client may send in its first flight (0-RTT), which an attacker can replay.
    pub early_data: bool,
    /// Streams that may fail or be cancelled beyond those that were served, before the connection ends as an attack.
    pub max_cancelled: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_streams: 256,
            stream_window: 256 << 10,
            connection_window: 2 << 20,
            send_window: 2 << 20,
            max_head: 64 << 10,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 16_384,
            retry_above: 256,
            early_data: false,
            max_cancelled: 256,
        }
    }
}

/// What the workers of a process share: the keys of connection ids and of the tokens by which clients prove
/// their address, and the memory of those that were used. Cheap to clone.
#[derive(Clone)]
pub struct Secret {
    key: [u8; 32],
    /// Stands in all connection ids of this process, and in those of no other that has the key.
    instance: Instance,
    tokens: Arc<BloomTokenLog>,
    ids: Arc<AtomicU64>,
}

/// What a secret is made from, for the process that comes next.
#[derive(Clone)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// Bytes of memory for the tokens that clients have used, and how many are expected in their lifetime.
const TOKEN_LOG: (usize, u64) = (1 << 20, 1 << 20);

impl Secret {
    /// A secret from the randomness that `tls` has, which is the machine's.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(tls: &rustls::ServerConfig) -> io::Result<Self> {
        let mut key = SecretKey([0; 32]);
        fill(tls, &mut key.0)?;
        Self::of(tls, key)
    }

    /// A secret of the key that the process before this one had: packets of connections that ended with it are
    /// answered so that their clients connect again at once.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn of(tls: &rustls::ServerConfig, SecretKey(key): SecretKey) -> io::Result<Self> {
        let mut instance = [0; INSTANCE_LENGTH];
        fill(tls, &mut instance)?;
        let tokens = Arc::new(BloomTokenLog::new_expected_items(TOKEN_LOG.0, TOKEN_LOG.1));
        Ok(Self { key, instance, tokens, ids: Arc::default() })
    }

    /// What it is made from, for the process that comes next.
    pub fn key(&self) -> SecretKey {
        SecretKey(self.key)
    }

    /// What stands in all connection ids of this process.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// The key of connection ids, and how many were made with it so far.
    pub(crate) fn id_key(&self) -> (hmac::Key, Arc<AtomicU64>) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, b"connection ids").as_ref());
        (key, self.ids.clone())
    }

    /// The key of stateless resets (RFC 9000 section 10.3), which differs from worker to worker: a packet that
    /// reaches the wrong one must not end the connection that it belongs to.
    fn reset_key(&self, worker: usize) -> hmac::Key {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let mut text = b"stateless reset of worker ".to_vec();
        text.extend_from_slice(&(worker as u64).to_be_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, &text).as_ref())
    }

    fn token_key(&self) -> hkdf::Prk {
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"address validation tokens").extract(&self.key)
    }
}

fn fill(tls: &rustls::ServerConfig, bytes: &mut [u8]) -> io::Result<()> {
    let source = tls.crypto_provider().secure_random;
    source.fill(bytes).map_err(|_| io::Error::other("the system gives no randomness"))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

pub(crate) fn endpoint_config(secret: &Secret, worker: usize, workers: usize) -> io::Result<EndpointConfig> {
    let mut config = EndpointConfig::new(Arc::new(secret.reset_key(worker)));
    let ids = WorkerIds::new(secret, worker, workers)?;
    config.cid_generator(move || Box::new(ids.clone()));
    Ok(config)
}

/// Packets of connections that are not admitted yet: how many connections, and bytes of all.
const UNADMITTED: (usize, u64) = (1024, 4 << 20);

/// Streams besides requests that a client may open: control and two of QPACK, and some that mean nothing.
const SIDE_STREAMS: u32 = 8;

/// What quinn is to know of `settings`, with the certificates and choices of `tls`, whose ALPN and early data are
/// set here.
pub(crate) fn server_config(
    tls: &rustls::ServerConfig,
    settings: &Settings,
    secret: &Secret,
) -> io::Result<ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![crate::ALPN.to_vec()];
    // QUIC knows no other amounts (RFC 9001 section 4.6.1).
    tls.max_early_data_size = if settings.early_data { u32::MAX } else { 0 };
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("HTTP/3 needs TLS 1.3 with TLS_AES_128_GCM_SHA256: {error}"),
        )
    })?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut validation = ValidationTokenConfig::default();
    validation.log(secret.tokens.clone());
    config
        .transport_config(Arc::new(transport_config(settings)?))
        .token_key(Arc::new(secret.token_key()))
        .validation_token_config(validation)
        .migration(true)
        .max_incoming(UNADMITTED.0)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(UNADMITTED.1);
    Ok(config)
}

fn transport_config(settings: &Settings) -> io::Result<TransportConfig> {
    let idle = IdleTimeout::try_from(settings.idle_timeout)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the idle timeout is too long for QUIC"))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(settings.max_streams))
        .max_concurrent_uni_streams(VarInt::from_u32(SIDE_STREAMS))
        .stream_receive_window(VarInt::from_u32(settings.stream_window))
        .receive_window(VarInt::from_u32(settings.connection_window))
        .send_window(settings.send_window)
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(None);
    Ok(transport)
}
