//! What HTTP/2 and HTTP/3 have in common: one exchange's stream, as the data plane's forward loop sees it.
//!
//! The loop knows one spelling of a message: the text of its head as HTTP/1.1 writes it. A [`MessageStream`]
//! presents a stream of a multiplexed protocol in that spelling, on the client's side and on the endpoint's,
//! so that one loop serves all pairs of protocols. Only the framing of bodies differs: a stream has its own,
//! so body bytes pass as they are and the end is told beside them.

use std::io;
use std::task::{Context, Poll};

pub mod failure;
pub mod text;

pub use failure::StreamFailure;

/// One exchange's stream of a multiplexed connection.
///
/// Receiving yields the head's text first (a request line or status line, the fields, an empty line), then
/// body bytes, then the end. Sending takes the same. A head that is sent is always given whole, in the bytes of
/// one call, perhaps with body bytes behind it; interim responses (1xx) may come before the final one.
///
/// Dropping a stream whose exchange is not over cancels it, and the peer hears of it.
pub trait MessageStream {
    /// Receives into `buf`, which is never empty; 0 means that the message has ended in an orderly way.
    /// A message that was cut (reset, connection lost) is an error, never an end.
    ///
    /// Where a body follows a head that tells no `Content-Length`, a request's text has
    /// `Transfer-Encoding: chunked`, as the neutral way to say so; the bytes that follow are not chunked.
    /// A message whose body is not as long as its `Content-Length` is an error.
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// The trailer fields of a message that has ended, as lines (`name: value` CR LF), without an empty one
    /// at the end. Empty where there are none.
    fn take_trailers(&mut self) -> Vec<u8>;

    /// Sends bytes; may take fewer than given when the peer's window or the buffers are full.
    /// What is taken may be held back until [`MessageStream::flush`] or [`MessageStream::poll_finish`], so
    /// that head, body and end can leave as one.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Hands over what is held back. The loop calls it before it waits.
    fn flush(&mut self);

    /// Ends the message that is sent, with these trailer fields (lines as in
    /// [`MessageStream::take_trailers`]). Ready when all of it is handed over to the connection.
    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<io::Result<()>>;

    /// Ready when the peer has cancelled the exchange or the connection is gone. To be asked while nothing is
    /// received or sent.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Cuts the stream short, so that the peer cannot take what it got for the whole.
    fn reset(&mut self);
}
