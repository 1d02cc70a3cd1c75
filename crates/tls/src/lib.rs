//! TLS on both sides: accepting and connecting, certificates and where they come from.

/// What a listener needs to accept TLS connections.
#[derive(Debug)]
pub struct Acceptor;

/// What an upstream needs to open TLS connections.
#[derive(Debug)]
pub struct Connector;
