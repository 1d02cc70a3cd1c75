//! A client's connection.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason as Code, RecvStream};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tollgate_decision::Reason;
use tollgate_runtime::random::Random;
use tollgate_streams::text::{BadHead, RequestShape, Tunnel, request_to_text};

use crate::guard::{Ended, Guard, Now, Offence};
use crate::incoming::Incoming;
use crate::server_stream::ServerStream;
use crate::settings::ServerSettings;
use crate::wire::Wire;

/// h2's own bounds, which back the guards.
const RESET_STREAMS_KEPT: usize = 32;
const PENDING_RESET_STREAMS: usize = 20;
const STREAM_ERRORS_MAX: usize = 1024;

/// A connection from a client. One task drives it with [`Server::poll_accept`]; the streams may be served by
/// tasks of their own on the same thread, which wake it when they have something to send.
pub struct Server<T> {
    connection: Connection<Wire<T>, Bytes>,
    wire: Wire<T>,
    guard: Rc<Guard>,
    settings: ServerSettings,
    random: Random,
    /// How many heads were passed to h2 that came back as requests, or were noticed not to.
    heads_seen: u64,
    draining: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Server<T> {
    /// Waits for the client's preface and sends the settings. `already_read` are the connection's first
    /// bytes, where some were read before; `now` tells the time to the guards.
    ///
    /// # Errors
    /// The client closed the connection, or it does not speak HTTP/2.
    pub async fn handshake(
        io: T,
        settings: ServerSettings,
        already_read: Bytes,
        now: Now,
    ) -> Result<Self, Ended> {
        let guard = Rc::new(Guard::new(settings.guards.clone(), now));
        let wire = Wire::new(io, already_read, Some(Rc::clone(&guard)));
        let connection = match builder(&settings).handshake(wire.clone()).await {
            Ok(connection) => connection,
            Err(error) => return Err(ended_by(&error, &wire)),
        };
        wire.gather();
        let random = Random::from_machine();
        Ok(Self { connection, wire, guard, settings, random, heads_seen: 0, draining: false })
    }

    /// Drives the connection: reads frames, sends what the streams have given, and yields each new request.
    /// None when the connection has ended in an orderly way. After an error or the end it is not to be
    /// called again; [`Server::poll_linger`] is.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ServerStream, Ended>>> {
        self.guard.set_driver(cx.waker());
        loop {
            if let Some(ended) = self.guard.verdict() {
                return Poll::Ready(Some(Err(self.end(cx, ended))));
            }
            let accepted = self.connection.poll_accept(cx);
            if let Some(ended) = self.guard.verdict() {
                return Poll::Ready(Some(Err(self.end(cx, ended))));
            }
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.heads_seen += 1;
                    if let Some(stream) = self.accept(cx, request, respond) {
                        return Poll::Ready(Some(Ok(stream)));
                    }
                }
                // Many a client resets a connection that it no longer needs.
                Poll::Ready(Some(Err(error))) if error.is_io() && self.guard.open_streams() == 0 => {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    let ended = ended_by(&error, &self.wire);
                    let _ = self.wire.poll_send_gathered(cx);
                    return Poll::Ready(Some(Err(ended)));
                }
                Poll::Ready(None) if self.guard.open_streams() > 0 => {
                    return Poll::Ready(Some(Err(closed("the client closed the connection"))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    if self.rest(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Begins a polite stop: the client is told to open no more streams (GOAWAY), those that are open are
    /// served, then [`Server::poll_accept`] yields None.
    pub fn graceful_shutdown(&mut self) {
        self.draining = true;
        self.connection.graceful_shutdown();
    }

    /// Ends the connection at once; streams that are open fail. To be driven until it has ended.
    pub fn abrupt_shutdown(&mut self) {
        self.draining = true;
        self.connection.abrupt_shutdown(Code::NO_ERROR);
    }

    /// How many streams are being served.
    pub fn open_streams(&self) -> usize {
        self.guard.open_streams()
    }

    /// Whether output waits because the client does not take it. A connection where that lasts is stalled,
    /// whatever its streams do.
    pub fn has_output(&self) -> bool {
        self.wire.has_output()
    }

    /// After the end: sends what is left and throws away what still comes, so that the client can read the
    /// last frames. Ready when the client has closed or sends without end; give it a second.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_linger(cx)
    }

    /// What is to be done when h2 has nothing to do; false when it has again.
    fn rest(&mut self, cx: &mut Context<'_>) -> bool {
        let refused = self.wire.take_refused();
        if !refused {
            self.charge_rejected();
        }
        if self.guard.verdict().is_some() || self.wire.let_heads_pass() {
            return false;
        }
        // An error here is found by the next read, too; the streams' bytes cannot be sent anyway.
        let sent = self.wire.poll_send_gathered(cx);
        // Frames that found no room are not tried again by themselves.
        !(refused && sent.is_ready())
    }

    /// Charges the heads that h2 has answered itself: it refused them, or they were malformed.
    fn charge_rejected(&mut self) {
        let heads = self.wire.heads();
        while self.heads_seen < heads {
            self.heads_seen += 1;
            if !self.draining {
                self.guard.charge(Offence::RejectedStream);
            }
        }
    }

    /// Ends the connection for a guard.
    fn end(&mut self, cx: &mut Context<'_>, ended: Ended) -> Ended {
        self.connection.abrupt_shutdown(Code::ENHANCE_YOUR_CALM);
        // A client that takes nothing gets no farewell either: nobody waits for it.
        let _ = self.connection.poll_closed(cx);
        let _ = self.wire.poll_send_gathered(cx);
        ended
    }

    /// Makes a stream of a request; none where it is over already or is answered here.
    fn accept(
        &mut self,
        cx: &mut Context<'_>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Option<ServerStream> {
        let (parts, mut body) = request.into_parts();
        if respond.poll_reset(cx).is_ready() {
            if let Poll::Ready(Some(Err(error))) = body.poll_data(cx)
                && error.is_library()
            {
                self.guard.charge(Offence::ProvokedReset);
            }
            return None;
        }
        let has_body = !body.is_end_stream();
        let tunnel = parts.extensions.get::<Protocol>().map(|protocol| Tunnel {
            protocol: protocol.as_str(),
            key: (u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64()))
                .to_be_bytes(),
        });
        let is_tunnel = tunnel.is_some();
        let shape = RequestShape {
            has_body,
            tunnel,
            // Whoever reads the text knows whether it is served.
            allow_connect: true,
            max_size: self.settings.max_head_size,
            max_fields: self.settings.max_fields,
        };
        let mut text = Vec::with_capacity(256);
        match request_to_text(&parts, &shape, &mut text) {
            Ok(()) => {
                let incoming = Incoming::new(text, !has_body, self.settings.max_trailers_size);
                Some(ServerStream::new(incoming, body, respond, is_tunnel, Rc::clone(&self.guard)))
            }
            Err(bad) => {
                self.refuse(&mut respond, bad);
                None
            }
        }
    }

    /// Answers a request that cannot be said in text.
    fn refuse(&mut self, respond: &mut SendResponse<Bytes>, bad: BadHead) {
        let status = match bad {
            BadHead::TooLarge | BadHead::TooManyFields => {
                self.guard.charge(Offence::OversizedHead);
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            BadHead::UnknownProtocol => StatusCode::NOT_IMPLEMENTED,
            _ => {
                self.guard.charge(Offence::ProvokedReset);
                respond.send_reset(Code::PROTOCOL_ERROR);
                return;
            }
        };
        let mut response = Response::new(());
        *response.status_mut() = status;
        // Fails only where the stream is gone, and then nobody waits for the answer.
        let _ = respond.send_response(response, true);
    }
}

fn builder(settings: &ServerSettings) -> Builder {
    let mut builder = Builder::new();
    // Each field counts 32 bytes more than it has (RFC 9113 section 6.5.2).
    let list_size = settings.max_head_size + 32 * settings.max_fields;
    builder
        .max_concurrent_streams(settings.max_concurrent_streams)
        .initial_window_size(settings.initial_stream_window)
        .initial_connection_window_size(settings.initial_connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_header_list_size(u32::try_from(list_size).unwrap_or(u32::MAX))
        .max_send_buffer_size(settings.max_send_buffer)
        .max_concurrent_reset_streams(RESET_STREAMS_KEPT)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS)
        .max_local_error_reset_streams(Some(STREAM_ERRORS_MAX));
    if settings.extended_connect {
        builder.enable_connect_protocol();
    }
    builder
}

fn closed(detail: &'static str) -> Ended {
    Ended { reason: Reason::ClientClosed, detail: detail.into() }
}

/// Why h2 ended the connection. The error itself does not tell floods apart, the GOAWAY that h2 has just
/// written does.
fn ended_by<T: AsyncRead + AsyncWrite + Unpin>(error: &h2::Error, wire: &Wire<T>) -> Ended {
    let detail = error.to_string();
    let reason = match error.reason() {
        Some(_) if error.is_remote() => Reason::ClientClosed,
        Some(Code::ENHANCE_YOUR_CALM) if wire.wrote_last("too_many_resets") => Reason::RapidReset,
        Some(Code::ENHANCE_YOUR_CALM) if wire.wrote_last("too_many_internal_resets") => Reason::ProvokedReset,
        Some(Code::ENHANCE_YOUR_CALM)
            if wire.wrote_last("too_many_continuations") || wire.wrote_last("header_list_way_too_large") =>
        {
            Reason::HeadFlood
        }
        Some(Code::ENHANCE_YOUR_CALM) => Reason::FrameFlood,
        // h2 says so only where a header block that is over the limit goes on and on.
        Some(Code::COMPRESSION_ERROR) => Reason::HeadFlood,
        Some(_) => Reason::ProtocolViolation,
        None => Reason::ClientClosed,
    };
    Ended { reason, detail: detail.into() }
}
