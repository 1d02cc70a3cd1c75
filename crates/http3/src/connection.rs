//! A connection and its requests.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h3::error::Code;
use h3::quic::{SendStream as _, StreamId};
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use tokio::time::Sleep;
use tollgate_decision::Reason;

use crate::adapter::{Quic, at_once, varint};
use crate::ended::Ended;
use crate::endpoint::Permit;
use crate::guard::{Acknowledgement, Guard};
use crate::head::{Coder, H3};
use crate::receive::Receiver;
use crate::send::Sender;
use crate::settings::Settings;
use crate::stream::ServerStream;

/// What the handshake told. The version of TLS is always 1.3.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The application protocol that was agreed, always [`ALPN`](crate::ALPN).
    pub alpn: Vec<u8>,
    /// The client's certificates, its own first; empty where it showed none.
    pub client_certificates: Vec<CertificateDer<'static>>,
}

/// A connection of a client. Dropping it closes it, with all its streams.
pub struct Connection {
    h3: H3,
    quinn: quinn::Connection,
    guard: Rc<Guard>,
    facts: Facts,
    max_head: usize,
    /// The number of the first stream that was not accepted so far.
    next_stream: u64,
    /// The number of the last GOAWAY.
    told: Option<StreamId>,
    drain: Drain,
    _permit: Permit,
}

/// How far a drain has come.
enum Drain {
    No,
    /// The client is told to open no more streams; those that are on their way are still taken.
    Told(Pin<Box<Sleep>>),
    /// No stream from this number on is taken. Waits for the open ones, then for their acknowledgement.
    Last(u64, Option<Acknowledgement>),
}

/// The greatest number of a request stream.
const MAX_STREAM: u64 = (1 << 62) - STREAM_STEP;

/// Between the numbers of two request streams (RFC 9000 section 2.1).
const STREAM_STEP: u64 = 4;

/// The least and the most time between the two steps of a drain, which is about a round trip.
const DRAIN_STEP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

impl Connection {
    pub(crate) async fn open(
        quinn: quinn::Connection,
        settings: &Settings,
        permit: Permit,
    ) -> Result<Self, Ended> {
        let guard = Guard::new(quinn.clone(), settings.max_cancelled);
        let h3 = h3::server::builder()
            .max_field_section_size(u64::from(settings.max_head))
            .send_grease(false)
            .build(Quic::new(quinn.clone(), guard.clone()))
            .await
            .map_err(|error| match quinn.close_reason() {
                Some(reason) => guard.explain(&reason),
                None => Ended::new(Reason::ProtocolViolation, error.to_string()),
            })?;
        let facts = facts(&quinn);
        let max_head = settings.max_head as usize;
        Ok(Self {
            h3,
            quinn,
            guard,
            facts,
            max_head,
            next_stream: 0,
            told: None,
            drain: Drain::No,
            _permit: permit,
        })
    }

    /// The next request's stream, or why the connection ended. Must be called on until it ends, since it also
    /// moves what belongs to the connection; it may be dropped and called again at any time. A drained
    /// connection ends with [`Reason::ConnectionEnded`].
    ///
    /// # Errors
    /// The connection has ended; there is always a reason.
    pub async fn accept(&mut self) -> Result<ServerStream, Ended> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`Connection::accept`] for those who poll.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<ServerStream, Ended>> {
        loop {
            if self.poll_drain(cx).is_ready() {
                self.quinn.close(varint(Code::H3_NO_ERROR.value()), b"drained");
                let detail = "all requests were served before the connection was closed";
                return Poll::Ready(Err(Ended::new(Reason::ConnectionEnded, detail)));
            }
            let accepted = ready!(self.h3.poll_accept_request_stream(cx));
            let mut pipe = match accepted {
                Ok(Some(pipe)) => pipe,
                // The client has announced that it opens no more, and all are served.
                Ok(None) if matches!(self.drain, Drain::Last(..)) => return Poll::Pending,
                Ok(None) => {
                    self.take_no_more();
                    continue;
                }
                Err(error) => return Poll::Ready(Err(self.explain(&error))),
            };
            let id = pipe.send_id().into_inner();
            self.next_stream = self.next_stream.max(id + STREAM_STEP);
            let Some((mut send, mut recv)) = pipe.take() else { continue };
            let coder = Coder::new(&self.h3, pipe, self.max_head);
            if let Drain::Last(limit, _) = self.drain
                && id >= limit
            {
                // Not looked at, so that the client may try it elsewhere (RFC 9114 section 4.1.1).
                let code = varint(Code::H3_REQUEST_REJECTED.value());
                let _ = (send.reset(code), recv.stop(code));
                continue;
            }
            let receiver = Receiver::new(recv, self.max_head as u64);
            return Poll::Ready(Ok(ServerStream::new(
                self.guard.clone(),
                coder,
                receiver,
                Sender::new(send),
            )));
        }
    }

    /// Begins to end the connection in peace: the client is told to open no more streams (GOAWAY, RFC 9114
    /// section 5.2), those that are open or on their way are served, then [`Connection::accept`] ends. May be
    /// called again without harm.
    pub fn start_drain(&mut self) {
        if matches!(self.drain, Drain::No) {
            // A number beyond all streams: what the client has sent before it hears of it is still taken.
            self.tell_last(MAX_STREAM);
            let step = (self.quinn.rtt() * 2).clamp(DRAIN_STEP.0, DRAIN_STEP.1);
            self.drain = Drain::Told(Box::pin(tokio::time::sleep(step)));
        }
    }

    /// Whether [`Connection::start_drain`] was called, or the client asked for it.
    pub fn is_draining(&self) -> bool {
        !matches!(self.drain, Drain::No)
    }

    /// Closes the connection at once, with all its streams.
    pub fn close(&self) {
        self.quinn.close(varint(Code::H3_NO_ERROR.value()), b"");
    }

    /// How many request streams are open.
    pub fn open_streams(&self) -> usize {
        self.guard.open()
    }

    /// Where the client is now. It changes when the client migrates.
    pub fn remote_address(&self) -> SocketAddr {
        self.quinn.remote_address()
    }

    /// What the handshake told.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Ready when all is served and acknowledged.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Drain::Told(step) = &mut self.drain {
            ready!(step.as_mut().poll(cx));
            self.take_no_more();
        }
        let Drain::Last(_, waiting) = &mut self.drain else { return Poll::Pending };
        self.guard.wake_on_close(cx);
        if self.guard.open() > 0 {
            return Poll::Pending;
        }
        self.guard.poll_acknowledged(waiting, cx)
    }

    /// The last step of a drain: what was not taken so far never is, and the client is told so.
    fn take_no_more(&mut self) {
        if !matches!(self.drain, Drain::Last(..)) {
            self.tell_last(self.next_stream);
            self.drain = Drain::Last(self.next_stream, None);
        }
    }

    /// Sends a GOAWAY: streams from this number on are not taken.
    fn tell_last(&mut self, stream: u64) {
        if let Ok(stream) = StreamId::try_from(stream) {
            // What fails or waits here is a connection that is lost, or a client that reads no control stream.
            let _ = at_once(self.h3.inner.shutdown(&mut self.told, stream));
        }
    }

    fn explain(&self, error: &h3::error::ConnectionError) -> Ended {
        match (self.guard.ended(), self.quinn.close_reason()) {
            (Some(ended), _) => ended,
            (None, Some(reason)) => Ended::after_handshake(&reason),
            (None, None) => Ended::new(Reason::ProtocolViolation, error.to_string()),
        }
    }
}

fn facts(quinn: &quinn::Connection) -> Facts {
    let handshake = quinn.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let certificates =
        quinn.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    let (server_name, alpn) = handshake.map_or((None, None), |data| (data.server_name, data.protocol));
    Facts {
        server_name,
        alpn: alpn.unwrap_or_default(),
        client_certificates: certificates.map(|chain| *chain).unwrap_or_default(),
    }
}
