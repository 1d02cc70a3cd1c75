//! quinn as h3 wants it.
//!
//! h3 gets the real unidirectional streams, on which it runs the control stream. Of a request stream it gets a
//! [`Pipe`], which is memory only: through it h3 encodes and decodes field sections, while frames and flow control
//! are this crate's. So nothing that h3 sends ever waits, and its `async` functions are done when first polled.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt};
use tollgate_decision::Reason;

use crate::frames::StreamWatch;
use crate::guard::Guard;

/// Bytes taken from quinn at once; what it has is in pieces of a packet each anyway.
pub(crate) const CHUNK: usize = 64 << 10;

/// A connection as h3 sees it.
pub(crate) struct Quic {
    connection: quinn::Connection,
    guard: Rc<Guard>,
    requests: Arrivals<(quinn::SendStream, quinn::RecvStream)>,
    side_streams: Arrivals<quinn::RecvStream>,
    opening: Option<Opening>,
}

type Opening = Pin<Box<dyn Future<Output = Result<quinn::SendStream, ConnectionError>>>>;

impl Quic {
    pub(crate) fn new(connection: quinn::Connection, guard: Rc<Guard>) -> Self {
        let (bidi, uni) = (connection.clone(), connection.clone());
        Self {
            requests: Arrivals::new(async move || bidi.accept_bi().await),
            side_streams: Arrivals::new(async move || uni.accept_uni().await),
            connection,
            guard,
            opening: None,
        }
    }
}

impl quic::Connection<Bytes> for Quic {
    type RecvStream = SideStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SideStream, ConnectionErrorIncoming>> {
        let stream = ready!(self.side_streams.poll(cx)).map_err(|error| connection_error(&error))?;
        Poll::Ready(Ok(SideStream { stream, watch: StreamWatch::default(), guard: self.guard.clone() }))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pipe, ConnectionErrorIncoming>> {
        let (send, recv) = ready!(self.requests.poll(cx)).map_err(|error| connection_error(&error))?;
        Poll::Ready(Ok(Pipe { id: stream_id(send.id()), streams: Some((send, recv)), shared: Rc::default() }))
    }

    fn opener(&self) -> Opener {
        Opener(self.connection.clone())
    }
}

impl quic::OpenStreams<Bytes> for Quic {
    type BidiStream = Pipe;
    type SendStream = ControlSend;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Pipe, StreamErrorIncoming>> {
        Poll::Ready(Err(never_opened()))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<ControlSend, StreamErrorIncoming>> {
        let opening = self.opening.get_or_insert_with(|| {
            let connection = self.connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        Poll::Ready(match opened {
            Ok(stream) => Ok(ControlSend { stream, left: BytesMut::new() }),
            Err(error) => Err(StreamErrorIncoming::ConnectionErrorIncoming {
                connection_error: connection_error(&error),
            }),
        })
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        let detail = String::from_utf8_lossy(reason);
        if code == Code::H3_NO_ERROR {
            self.connection.close(varint(code.value()), b"");
        } else {
            self.guard.fail(Reason::ProtocolViolation, code, detail);
        }
    }
}

/// What h3 opens further streams with: servers open none.
pub(crate) struct Opener(quinn::Connection);

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = Pipe;
    type SendStream = ControlSend;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Pipe, StreamErrorIncoming>> {
        Poll::Ready(Err(never_opened()))
    }

    fn poll_open_send(&mut self, _: &mut Context<'_>) -> Poll<Result<ControlSend, StreamErrorIncoming>> {
        Poll::Ready(Err(never_opened()))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.0.close(varint(code.value()), reason);
    }
}

fn never_opened() -> StreamErrorIncoming {
    StreamErrorIncoming::Unknown("a server opens no such stream".into())
}

/// Streams that the client opens, without an allocation for each.
struct Arrivals<T> {
    /// Puts one after the other into the slot, whenever it is empty; ends only with the connection.
    source: Pin<Box<dyn Future<Output = ConnectionError>>>,
    slot: Rc<Cell<Option<T>>>,
    ended: Option<ConnectionError>,
}

impl<T: 'static> Arrivals<T> {
    fn new(accept: impl AsyncFn() -> Result<T, ConnectionError> + 'static) -> Self {
        let slot = Rc::new(Cell::new(None));
        let full = slot.clone();
        let source = Box::pin(async move {
            loop {
                match accept().await {
                    Ok(stream) => full.set(Some(stream)),
                    Err(error) => return error,
                }
                poll_fn(|_| {
                    let stream = full.take();
                    let waits = stream.is_some();
                    full.set(stream);
                    if waits { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
            }
        });
        Self { source, slot, ended: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ConnectionError>> {
        if let Some(error) = &self.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if let Poll::Ready(error) = self.source.as_mut().poll(cx) {
            self.ended = Some(error.clone());
            return Poll::Ready(Err(error));
        }
        self.slot.take().map_or(Poll::Pending, |stream| Poll::Ready(Ok(stream)))
    }
}

/// A unidirectional stream of the client.
pub(crate) struct SideStream {
    stream: quinn::RecvStream,
    watch: StreamWatch,
    guard: Rc<Guard>,
}

impl quic::RecvStream for SideStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let chunk = ready!(poll_chunk(&mut self.stream, cx)).map_err(stream_error)?;
        if let Some(chunk) = &chunk {
            match self.watch.look(chunk) {
                Ok(frames) => self.guard.empty_frames(frames),
                Err(bad) => self.guard.bad_frames(bad),
            }
            if self.guard.ended().is_some() {
                let connection_error = connection_error(&ConnectionError::LocallyClosed);
                return Poll::Ready(Err(StreamErrorIncoming::ConnectionErrorIncoming { connection_error }));
            }
        }
        Poll::Ready(Ok(chunk))
    }

    fn stop_sending(&mut self, error_code: u64) {
        let _ = self.stream.stop(varint(error_code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

/// A stream of Tollgate's own: control or QPACK. A few dozen bytes ever go over it, so that they are kept here
/// where the client's window is smaller.
pub(crate) struct ControlSend {
    stream: quinn::SendStream,
    left: BytesMut,
}

impl quic::SendStream<Bytes> for ControlSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while !self.left.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.left));
            match written {
                Ok(written) => self.left.advance(written),
                Err(error) => return Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error)))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        append(&mut self.left, data);
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.stream.finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, reset_code: u64) {
        let _ = self.stream.reset(varint(reset_code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

/// What h3 knows of a request stream.
pub(crate) struct Pipe {
    id: StreamId,
    streams: Option<(quinn::SendStream, quinn::RecvStream)>,
    shared: Rc<PipeState>,
}

/// What goes through a [`Pipe`].
#[derive(Default)]
pub(crate) struct PipeState {
    /// What h3 is to read next.
    pub(crate) inbound: Cell<Bytes>,
    /// What h3 has written.
    pub(crate) outbound: RefCell<BytesMut>,
}

impl Pipe {
    /// The streams behind it, once.
    pub(crate) fn take(&mut self) -> Option<(quinn::SendStream, quinn::RecvStream)> {
        self.streams.take()
    }

    pub(crate) fn state(&self) -> Rc<PipeState> {
        self.shared.clone()
    }
}

impl quic::RecvStream for Pipe {
    type Buf = Bytes;

    fn poll_data(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let bytes = self.shared.inbound.take();
        Poll::Ready(Ok((!bytes.is_empty()).then_some(bytes)))
    }

    fn stop_sending(&mut self, error_code: u64) {
        if let Some((_, recv)) = &mut self.streams {
            let _ = recv.stop(varint(error_code));
        }
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl quic::SendStream<Bytes> for Pipe {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        append(&mut self.shared.outbound.borrow_mut(), data);
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, reset_code: u64) {
        if let Some((send, _)) = &mut self.streams {
            let _ = send.reset(varint(reset_code));
        }
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

fn append(out: &mut BytesMut, data: impl Into<WriteBuf<Bytes>>) {
    let mut data = data.into();
    while data.has_remaining() {
        let part = data.chunk().len();
        out.extend_from_slice(data.chunk());
        data.advance(part);
    }
}

/// The stream's next bytes in order, or `None` at its end.
pub(crate) fn poll_chunk(
    stream: &mut quinn::RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, ReadError>> {
    // The future holds nothing but the stream, so that it can be made anew each time.
    pin!(stream.read_chunk(CHUNK, true)).poll(cx).map_ok(|chunk| chunk.map(|chunk| chunk.bytes))
}

fn stream_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(&error) }
        }
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn connection_error(error: &ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error.clone())),
    }
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    // Both are integers below 2^62.
    StreamId::try_from(u64::from(VarInt::from(id)))
        .unwrap_or_else(|_| StreamId::from(h3::proto::varint::VarInt::from(0_u32)))
}

/// A code as quinn takes it. All that are used are below 2^62.
pub(crate) fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

/// The outcome of a future of h3 over a [`Pipe`], which never waits.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}
