//! A connection to an endpoint.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tollgate_streams::StreamFailure;

use crate::client_stream::ClientStream;
use crate::settings::ClientSettings;
use crate::wire::Wire;

/// h2's own bounds for what an endpoint does wrong.
const RESET_STREAMS_KEPT: usize = 64;
const STREAM_ERRORS_MAX: usize = 1024;

/// A handle of a connection to an endpoint. All clones mean the same connection, which closes once they and
/// their streams are dropped.
#[derive(Clone)]
pub struct Connection(Rc<Shared>);

/// What a connection's handles, streams and driver share.
pub(crate) struct Shared {
    requests: RefCell<SendRequest<Bytes>>,
    open_streams: Rc<Cell<usize>>,
    /// Set by the driver, which does not hold the requests, or the connection would never be let go.
    closed: Rc<Cell<bool>>,
    settled: Rc<Settled>,
    scheme: Scheme,
    settings: ClientSettings,
}

/// Whether the endpoint has told its settings, and who waits for that.
#[derive(Default)]
struct Settled {
    done: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Settled {
    fn settle(&self) {
        self.done.set(true);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

/// Begins a connection over `io`: the handle, and the future that drives it, which is to be polled for as
/// long as the connection lasts and yields when it has ended.
///
/// # Errors
/// The connection broke before the preface was sent. Whether the endpoint speaks HTTP/2 shows later.
pub async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    settings: ClientSettings,
) -> io::Result<(Connection, impl Future<Output = io::Result<()>>)> {
    let wire = Wire::new(io, Bytes::new(), None);
    wire.gather();
    let handshake = builder(&settings).handshake(wire.clone()).await;
    let (requests, mut connection) = handshake.map_err(into_io)?;
    let closed = Rc::new(Cell::new(false));
    let settled = Rc::new(Settled::default());
    let shared = Shared {
        requests: RefCell::new(requests),
        open_streams: Rc::default(),
        closed: Rc::clone(&closed),
        settled: Rc::clone(&settled),
        scheme: if settings.https { Scheme::HTTPS } else { Scheme::HTTP },
        settings,
    };
    let driver = async move {
        let ended = poll_fn(|cx| {
            let ended = drive(cx, &mut connection, &wire);
            // None may be opened until the endpoint has said how many.
            if !settled.done.get() && connection.max_concurrent_send_streams() > 0 {
                settled.settle();
            }
            ended
        })
        .await;
        closed.set(true);
        settled.settle();
        ended
    };
    Ok((Connection(Rc::new(shared)), driver))
}

/// Lets h2 work, then sends all that it and the streams have produced.
fn drive<T: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    connection: &mut h2::client::Connection<Wire<T>, Bytes>,
    wire: &Wire<T>,
) -> Poll<io::Result<()>> {
    loop {
        let ended = Pin::new(&mut *connection).poll(cx).map_err(into_io);
        // An error here is found by h2's next read or write, too.
        let sent = wire.poll_send_gathered(cx);
        // Frames that found no room are not tried again by themselves.
        let again = wire.take_refused() && sent.is_ready();
        if ended.is_ready() || !again {
            return ended;
        }
    }
}

fn builder(settings: &ClientSettings) -> Builder {
    let mut builder = Builder::new();
    let list_size = settings.max_head_size + 32 * tollgate_streams::text::MAX_FIELDS;
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(settings.initial_stream_window)
        .initial_connection_window_size(settings.initial_connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_header_list_size(u32::try_from(list_size).unwrap_or(u32::MAX))
        .max_send_buffer_size(settings.max_send_buffer)
        .max_concurrent_reset_streams(RESET_STREAMS_KEPT)
        .max_local_error_reset_streams(Some(STREAM_ERRORS_MAX));
    builder
}

fn into_io(error: h2::Error) -> io::Error {
    let text = error.to_string();
    error.into_io().unwrap_or_else(|| io::Error::other(text))
}

impl Connection {
    /// Waits until the endpoint has told its settings, so that [`Connection::capacity`] is known; or has closed
    /// the connection. A stream that is opened before might be one too many, and refused.
    pub async fn settled(&self) {
        poll_fn(|cx| self.0.settled.poll(cx)).await;
    }

    /// Whether streams may still be opened: the connection is there and the endpoint has not said that it
    /// takes no more (GOAWAY).
    pub fn is_usable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.0.closed.get()
            && !matches!(self.0.requests.borrow_mut().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// How many streams are in use.
    pub fn open_streams(&self) -> usize {
        self.0.open_streams.get()
    }

    /// How many streams may be in use at once: as many as the endpoint and the settings allow.
    pub fn capacity(&self) -> usize {
        self.0.settings.max_streams.min(self.0.requests.borrow().current_max_send_streams())
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`StreamFailure::Refused`] where the connection takes no more, or not as many at once.
    pub fn open(&self) -> Result<ClientStream, StreamFailure> {
        if self.open_streams() >= self.capacity() || !self.is_usable() {
            return Err(StreamFailure::Refused);
        }
        Ok(ClientStream::new(Rc::clone(&self.0)))
    }
}

impl Shared {
    /// A sender of one request. h2 lets each sender queue a request that waits for the endpoint's limit.
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.requests.borrow().clone()
    }

    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(crate) fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    pub(crate) fn stream_opened(&self) {
        self.open_streams.set(self.open_streams.get() + 1);
    }

    pub(crate) fn stream_closed(&self) {
        self.open_streams.set(self.open_streams.get() - 1);
    }
}
