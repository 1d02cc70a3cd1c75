//! Where TLS begins on connections that are carried.

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_tls::Acceptor;

use super::tcp::Caller;
use crate::exchange::Exchange;
use crate::socket::Socket;

/// What a client and this side have agreed on.
#[derive(Debug, Default)]
pub struct Agreed {
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
}

/// Ends the client's TLS here: from now on the caller's socket gives and takes what is inside. The handshake begins
/// with what the caller has received already.
pub async fn terminate(_caller: &mut Caller, _acceptor: &Arc<Acceptor>) -> Result<Agreed, Reason> {
    // Never carried as it is: the upstream would get what it cannot read.
    Err(Reason::TlsHandshakeFailed)
}

/// Begins TLS towards the endpoint, where its upstream wants it.
pub async fn secure(exchange: &Exchange, socket: Socket) -> Result<Socket, Reason> {
    let transports = exchange.published.as_ref().map(|published| &published.snapshot.transports);
    let transport = transports.zip(exchange.record.upstream).and_then(|(all, at)| all.get(at as usize));
    match transport.and_then(|transport| transport.tls.as_ref()) {
        // Never in the clear instead.
        Some(_) => Err(Reason::UpstreamTlsFailed),
        None => Ok(socket),
    }
}
