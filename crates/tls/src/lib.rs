//! TLS on both sides: accepting and connecting, certificates and where they come from.

/// What a listener needs to accept TLS connections.
#[derive(Debug)]
pub struct Acceptor;

/// What an upstream needs to open TLS connections.
#[derive(Debug)]
pub struct Connector;

impl Acceptor {
    /// Whether a connection that asked for `name` would get the same certificate if it had asked for `host`.
    pub fn same_certificate(&self, name: Option<&str>, host: &str) -> bool {
        name == Some(host)
    }
}
