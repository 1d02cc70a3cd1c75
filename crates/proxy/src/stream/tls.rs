//! Where TLS begins on connections that are carried.

use std::sync::Arc;

use tollgate_tls::Acceptor;

use super::tcp::Caller;
use crate::http::{Refusal, handshake};

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
pub async fn terminate(caller: &mut Caller, acceptor: &Arc<Acceptor>) -> Result<Agreed, Refusal> {
    let worker = caller.worker().clone();
    caller.socket.secure(acceptor.accept(), std::mem::take(&mut caller.received));
    let shaken = handshake::within(&worker, &mut caller.socket, caller.timer).await;
    handshake::count(&caller.listener, &caller.socket, &shaken);
    shaken?;
    let Some(session) = caller.socket.session() else { return Ok(Agreed::default()) };
    Ok(Agreed { server_name: session.server_name().map(Into::into), alpn: session.alpn().map(Into::into) })
}
