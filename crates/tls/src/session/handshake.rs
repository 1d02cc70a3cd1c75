//! The handshake: driven over the wire until traffic may flow, or why it cannot.

use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use rustls::server::UnbufferedServerConnection;

use super::engine::{Engine, Sink, Task};
use super::{Inner, RECORD, Session, Stage};
use crate::failure::{self, HandshakeFailure};
use crate::hello::{self, Hello};
use crate::wire::{Wire, with_received, with_sent};

impl Session {
    /// Brings the handshake forward; ready when bytes may be sent and received. Called again after that, it
    /// is ready at once.
    ///
    /// The last bytes of the own side may still wait in the session then: they leave with the first bytes
    /// that are sent, or before the session waits for something to receive. The tickets of TLS 1.3 alone wait
    /// until something is sent or [`Session::poll_flush`] is called, so that they cost no send of their own.
    ///
    /// # Errors
    /// Why there will be no connection. What rustls wants to tell the peer about it has been sent, as far as
    /// the wire took it.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut impl Wire,
    ) -> Poll<Result<(), HandshakeFailure>> {
        let inner = &mut *self.0;
        loop {
            if inner.is_established() {
                return Poll::Ready(inner.check_protocol());
            }
            if let Err(error) = ready!(inner.poll_drain(cx, wire)) {
                return Poll::Ready(Err(inner.lost(error.to_string())));
            }
            match ready!(inner.poll_append(cx, wire)) {
                Ok(0) => return Poll::Ready(Err(inner.went())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(inner.lost(error.to_string()))),
            }
            if let Err(failure) = inner.advance() {
                // The alert leaves if the wire takes it; there is nobody to wait for.
                let _ = inner.poll_drain(cx, wire);
                inner.stage = Stage::Failed;
                inner.incoming = Vec::new();
                return Poll::Ready(Err(failure));
            }
        }
    }
}

impl Inner {
    fn is_established(&self) -> bool {
        matches!(&self.stage, Stage::Running(engine, _) if !engine.common().is_handshaking())
    }

    fn is_client(&self) -> bool {
        matches!(&self.stage, Stage::Running(engine, _) if matches!(**engine, Engine::Client(_)))
    }

    /// Whether the protocol that was agreed upon is the one that is spoken.
    fn check_protocol(&self) -> Result<(), HandshakeFailure> {
        let (Stage::Running(engine, _), Some(wanted)) = (&self.stage, &self.must_speak) else {
            return Ok(());
        };
        match engine.common().alpn_protocol() {
            Some(agreed) if agreed == &**wanted => Ok(()),
            _ => Err(failure::protocol_not_agreed()),
        }
    }

    /// Receives what comes and puts it behind what is not complete.
    fn poll_append(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<std::io::Result<usize>> {
        with_received(RECORD, |space| {
            let received = ready!(wire.poll_recv(cx, &mut space[..RECORD]))?;
            self.incoming.extend_from_slice(&space[..received]);
            self.began |= received > 0;
            Poll::Ready(Ok(received))
        })
    }

    /// Looks at what came in.
    fn advance(&mut self) -> Result<(), HandshakeFailure> {
        if let Stage::Hello(acceptor) = &self.stage {
            let acceptor = acceptor.clone();
            let hello = hello::peek(&self.incoming);
            let config = match &hello {
                Hello::Partial => return Ok(()),
                Hello::NotTls => return Err(failure::not_tls()),
                Hello::Complete { server_name, alpn, prefers_chacha } => {
                    self.server_name.clone_from(server_name);
                    acceptor.config_for(server_name.as_deref(), alpn, *prefers_chacha)
                }
                // The alert that this deserves is rustls' to choose.
                Hello::Malformed => acceptor.config_for(None, &hello::Alpn::default(), false),
            };
            let connection = UnbufferedServerConnection::new(config).map_err(|error| failure::own(&error))?;
            self.stage = Stage::Running(Box::new(Engine::Server(connection)), Some(acceptor));
        }
        self.run()
    }

    /// Lets rustls look at what came in and keeps what must go out.
    pub(super) fn run(&mut self) -> Result<(), HandshakeFailure> {
        let Stage::Running(engine, acceptor) = &mut self.stage else {
            return Err(failure::failed_before());
        };
        let mut sink = Sink { buf: &mut [], filled: 0, rest: &mut self.plain };
        let result = with_sent(|out| {
            let (used, stop) = engine.run(&mut self.incoming, &mut sink, Task::Nothing, out);
            self.outgoing.extend_from_slice(out.filled());
            self.incoming.drain(..used);
            stop
        });
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        let is_server = matches!(**engine, Engine::Server(_));
        if let Err(error) = result {
            let name = self.server_name.as_deref();
            let covered = acceptor.as_ref().is_none_or(|acceptor| acceptor.serves(name));
            return Err(if is_server {
                failure::of_client(&error, covered)
            } else {
                failure::of_endpoint(&error)
            });
        }
        if self.incoming.len() > super::INCOMPLETE {
            return Err(if is_server { failure::too_long() } else { failure::too_long_upstream() });
        }
        if !engine.common().is_handshaking() {
            *acceptor = None;
            // All that a server has left to send in TLS 1.3 are tickets.
            let version = engine.common().protocol_version();
            self.held = is_server && version == Some(ProtocolVersion::TLSv1_3) && !self.outgoing.is_empty();
        }
        Ok(())
    }

    /// The peer closed its side.
    fn went(&mut self) -> HandshakeFailure {
        let failure = match self.is_client() {
            true => failure::endpoint_went(),
            false => failure::client_went(self.began),
        };
        self.stage = Stage::Failed;
        failure
    }

    /// The wire failed.
    fn lost(&mut self, text: String) -> HandshakeFailure {
        let failure = match self.is_client() {
            true => failure::endpoint_lost(text),
            false => failure::client_lost(text),
        };
        self.stage = Stage::Failed;
        failure
    }
}
