//! What the TLS handshake told of a client's connection.

use std::sync::Arc;

use tollgate_http1::encode;
use tollgate_tls::Acceptor;

use tollgate_http1::edits::Edits;

/// What is known of a connection that is encrypted; its streams share it.
#[derive(Debug)]
pub struct Secured {
    /// How the listener accepted it.
    pub acceptor: Arc<Acceptor>,
    /// The name that the client asked for (RFC 6066 section 3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The client's certificate (DER), verified.
    pub certificate: Option<Box<[u8]>>,
    /// The client's certificate as `Client-Cert` tells it (RFC 9440).
    pub client_cert: Option<Box<str>>,
    /// The value of `Strict-Transport-Security` for its responses.
    pub hsts: Option<Arc<str>>,
    /// The value of `Alt-Svc` (RFC 7838) for its responses.
    pub alt_svc: Option<Box<str>>,
}

impl Secured {
    /// Appends what responses on it tell of the listener, unless a route's changes say it otherwise.
    pub fn write(&self, out: &mut Vec<u8>, edits: &Edits) {
        let lines =
            [("strict-transport-security", self.hsts.as_deref()), ("alt-svc", self.alt_svc.as_deref())];
        for (name, value) in lines {
            if let Some(value) = value.filter(|_| !edits.replaces(name)) {
                encode::line(out, name.as_bytes(), value.as_bytes());
            }
        }
    }

    /// Whether a request for `host` belongs on the connection: it would have been opened with the same
    /// certificate (RFC 9110 section 15.5.20).
    pub fn serves(&self, host: &[u8]) -> bool {
        let name = self.server_name.as_deref();
        if name.is_some_and(|name| name.as_bytes() == host) {
            return true;
        }
        std::str::from_utf8(host).is_ok_and(|host| self.acceptor.same_certificate(name, host))
    }
}
