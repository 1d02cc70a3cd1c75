//! What h2 says of a failed stream, in the words that the forward loop knows.

use h2::Reason;
use tollgate_streams::StreamFailure;

/// The failure of a stream.
pub(crate) fn of_stream(error: &h2::Error) -> StreamFailure {
    match error.reason() {
        // Streams fail by a peer's GOAWAY only where it says that it has not seen them.
        Some(_) if error.is_go_away() && error.is_remote() => StreamFailure::Refused,
        Some(Reason::REFUSED_STREAM) if error.is_remote() => StreamFailure::Refused,
        Some(reason) if error.is_remote() => StreamFailure::Reset(u32::from(reason).into()),
        Some(Reason::FLOW_CONTROL_ERROR) if error.is_library() => {
            StreamFailure::Malformed("more was sent than the window allows")
        }
        Some(_) if error.is_library() && error.is_reset() => {
            StreamFailure::Malformed("the message breaks the rules of HTTP/2")
        }
        Some(reason) if error.is_library() && reason != Reason::NO_ERROR => {
            StreamFailure::Malformed("the connection's peer broke the protocol")
        }
        _ => StreamFailure::ConnectionLost,
    }
}
