//! One call on a connection.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use super::{CallError, Settings};
use crate::error::Error;
use crate::message::AGENT;
use crate::url::Url;

/// Bytes of a service's words about a failure that are kept.
const MESSAGE_MAX: usize = 256;

/// `INTERNAL`, `UNIMPLEMENTED`, `UNAVAILABLE` and so on of `google.rpc.Code`.
const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;

/// Why an attempt brought no message.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: CallError,
    /// The service did not look at the call, but may look at another (RFC 9113 section 8.7).
    pub(super) is_refused: bool,
    /// The connection takes no call any more, and did not take this one (RFC 9113 section 6.8).
    pub(super) is_unsent: bool,
    /// The connection broke before anything was answered.
    pub(super) is_unanswered: bool,
}

impl Broken {
    fn last(error: impl Into<CallError>) -> Self {
        Self { error: error.into(), is_refused: false, is_unsent: false, is_unanswered: false }
    }

    fn before_the_answer(error: &h2::Error) -> Self {
        Self {
            is_refused: error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM),
            is_unsent: error.is_go_away() && error.is_remote(),
            is_unanswered: error.is_io() || error.is_go_away() || error.reason().is_none(),
            ..Self::last(Error::broken(error))
        }
    }
}

pub(super) async fn exchange(
    sender: SendRequest<Bytes>,
    url: &Url,
    method: &'static str,
    message: Bytes,
    settings: &Settings,
) -> Result<Bytes, Broken> {
    let request =
        head(url, method, settings.timeout).map_err(|error| Broken::last(Error::protocol(error)))?;
    // Waits while the service allows no further stream.
    let sender = sender.ready().await;
    let unsent = |error: &h2::Error| Broken { is_unsent: true, ..Broken::before_the_answer(error) };
    let (response, mut sending) =
        sender.and_then(|mut sender| sender.send_request(request, false)).map_err(|error| unsent(&error))?;
    // A service that answers before it has the whole question says why in its answer.
    let _ = sending.send_data(message, true);
    let (head, mut body) = response.await.map_err(|error| Broken::before_the_answer(&error))?.into_parts();
    look_at(head.status, &head.headers).map_err(Broken::last)?;
    let message = receive(&mut body, settings.message_max).await.map_err(Broken::last)?;
    let trailers = body.trailers().await.map_err(|error| Broken::last(Error::broken(&error)))?;
    // Where there are no trailers, the status must be in the head (a response without message).
    let trailers = trailers.unwrap_or(head.headers);
    status(&trailers).map_err(Broken::last)?;
    message.ok_or_else(|| Broken::last(Error::protocol("the service answered OK without a message")))
}

fn head(url: &Url, method: &'static str, after: Duration) -> Result<Request<()>, http::Error> {
    let uri = Uri::builder().scheme(url.scheme().as_str()).authority(url.authority()).path_and_query(method);
    Request::builder()
        .method(Method::POST)
        .uri(uri.build()?)
        .version(http::Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        // At most eight digits.
        .header("grpc-timeout", format!("{}m", after.as_millis().clamp(1, 99_999_999)))
        .body(())
}

/// Refuses what is no answer of gRPC, and answers that failed without a message.
fn look_at(code: StatusCode, headers: &HeaderMap) -> Result<(), CallError> {
    if code != StatusCode::OK {
        let message = format!("HTTP status {}", code.as_u16()).into();
        return Err(CallError::Status { code: code_of(code), message });
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/grpc") {
        return Err(Error::protocol("the answer's content type is not that of gRPC").into());
    }
    let encoding = headers.get("grpc-encoding").map_or(&b"identity"[..], |encoding| encoding.as_bytes());
    if encoding != b"identity" {
        return Err(Error::protocol("the answer is compressed, which was not asked for").into());
    }
    match headers.contains_key("grpc-status") {
        true => status(headers),
        false => Ok(()),
    }
}

/// "HTTP to gRPC status code mapping" of the protocol's documentation.
fn code_of(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => UNKNOWN,
    }
}

fn status(fields: &HeaderMap) -> Result<(), CallError> {
    let Some(code) = fields.get("grpc-status") else {
        return Err(Error::protocol("the answer ended without a status").into());
    };
    let code = code.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
    if code == 0 {
        return Ok(());
    }
    let message = fields.get("grpc-message").map(|message| percent_decoded(message.as_bytes()));
    Err(CallError::Status { code, message: message.unwrap_or_default() })
}

/// What a service says, as text without control characters, not too long.
fn percent_decoded(text: &[u8]) -> Box<str> {
    let mut decoded = Vec::with_capacity(text.len().min(MESSAGE_MAX));
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if escaped.is_some() { &rest[3..] } else { after };
        decoded.push(escaped.unwrap_or(*first));
        if decoded.len() >= MESSAGE_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&decoded).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The only message of an answer; none where there is none.
async fn receive(body: &mut RecvStream, limit: usize) -> Result<Option<Bytes>, CallError> {
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(|error| Error::broken(&error))?;
        if received.len() + part.len() > limit + 5 {
            return Err(Error::TooLarge { what: "message", limit }.into());
        }
        // The connection is shared: what is read makes room for others.
        let _ = body.flow_control().release_capacity(part.len());
        received.extend_from_slice(&part);
    }
    unframe(received.freeze()).map_err(|why| Error::protocol(why).into())
}

fn unframe(mut received: Bytes) -> Result<Option<Bytes>, &'static str> {
    if received.is_empty() {
        return Ok(None);
    }
    if received.len() < 5 {
        return Err("the answer's message is cut off");
    }
    if received.get_u8() != 0 {
        return Err("the answer's message is compressed, which was not asked for");
    }
    match (received.get_u32() as usize).cmp(&received.len()) {
        std::cmp::Ordering::Equal => Ok(Some(received)),
        std::cmp::Ordering::Greater => Err("the answer's message is cut off"),
        std::cmp::Ordering::Less => Err("the answer has more than one message"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{percent_decoded, unframe};

    #[test]
    fn one_message_is_taken_out_of_its_frame() {
        let unframe = |bytes: &'static [u8]| unframe(Bytes::from_static(bytes));
        assert_eq!(unframe(b""), Ok(None));
        assert_eq!(unframe(b"\0\0\0\0\0"), Ok(Some(Bytes::new())));
        assert_eq!(unframe(b"\0\0\0\0\x02ab"), Ok(Some(Bytes::from_static(b"ab"))));
        for bad in [&b"\0"[..], b"\x01\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x01ab", b"\0\xff\xff\xff\xffa"]
        {
            assert!(unframe(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_are_made_harmless() {
        assert_eq!(&*percent_decoded(b"a%20b%C3%BC%0d%0a%zz%"), "a b\u{fc}  %zz%");
        assert_eq!(&*percent_decoded(b"%ff"), "\u{fffd}");
        assert_eq!(percent_decoded(&[b'x'; 5000]).len(), 256);
    }
}
