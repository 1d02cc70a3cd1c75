//! Heads and trailers between field sections and text. h3 does QPACK and the checks of RFC 9114 section 4.1.2.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use h3::error::StreamError;
use h3::frame::FrameStream;
use h3::proto::frame::Frame;
use h3::server::{RequestResolver, RequestStream};
use h3::stream::BufRecvStream;
use http::Request;
use tollgate_streams::text::{
    self, MAX_FIELDS, RequestShape, lines_to_trailers, request_to_text, text_to_response, trailers_to_lines,
};

use crate::adapter::{Pipe, PipeState, Quic, at_once};
use crate::frames::headers_frame;

pub(crate) type H3 = h3::server::Connection<Quic, Bytes>;

/// The coder of one stream's field sections.
pub(crate) struct Coder {
    state: State,
    pipe: Rc<PipeState>,
    max_head: usize,
}

enum State {
    /// Before the request's head.
    New(Box<RequestResolver<Quic, Bytes>>),
    Request(Box<RequestStream<Pipe, Bytes>>),
    Broken,
}

/// Why a field section cannot be taken.
#[derive(Debug)]
pub(crate) enum BadSection {
    /// It is longer than allowed.
    TooLarge,
    /// It breaks a rule of the message.
    Malformed(String),
    /// It cannot be decompressed: the connection has failed.
    Fatal(String),
}

impl Coder {
    /// The coder of a stream just accepted, whose quinn streams are taken out of `pipe`.
    pub(crate) fn new(connection: &H3, pipe: Pipe, max_head: usize) -> Self {
        let shared = pipe.state();
        let resolver = connection.create_resolver(FrameStream::new(BufRecvStream::new(pipe)));
        Self { state: State::New(Box::new(resolver)), pipe: shared, max_head }
    }

    /// The request of a field section.
    pub(crate) fn decode_request(&mut self, section: Bytes) -> Result<Request<()>, BadSection> {
        let State::New(resolver) = std::mem::replace(&mut self.state, State::Broken) else {
            return Err(BadSection::Malformed("a second head".into()));
        };
        let resolved = resolver.accept_with_frame(Ok(Some(Frame::Headers(section)))).map_err(bad_section)?;
        let (request, stream) =
            at_once(resolved.resolve()).ok_or(BadSection::Fatal(String::new()))?.map_err(bad_section)?;
        self.state = State::Request(Box::new(stream));
        Ok(request)
    }

    /// The text of a request's head.
    pub(crate) fn request_text(
        &self,
        request: Request<()>,
        has_body: bool,
    ) -> Result<Vec<u8>, text::BadHead> {
        let (parts, ()) = request.into_parts();
        let shape = RequestShape {
            has_body,
            // h3 knows no `:protocol` that a WebSocket could be tunnelled with.
            tunnel: None,
            allow_connect: false,
            max_size: self.max_head,
            max_fields: MAX_FIELDS,
        };
        let mut text = Vec::with_capacity(512);
        request_to_text(&parts, &shape, &mut text)?;
        Ok(text)
    }

    /// The lines of trailers.
    pub(crate) fn decode_trailers(&mut self, section: &[u8]) -> Result<Vec<u8>, BadSection> {
        let State::Request(stream) = &mut self.state else {
            return Err(BadSection::Malformed("trailers without a head".into()));
        };
        self.pipe.inbound.set(headers_frame(section));
        let fields = at_once(stream.recv_trailers())
            .ok_or(BadSection::Fatal(String::new()))?
            .map_err(bad_section)?
            .unwrap_or_default();
        let mut lines = Vec::new();
        trailers_to_lines(&fields, self.max_head, &mut lines)
            .map_err(|bad| BadSection::Malformed(bad.description().into()))?;
        Ok(lines)
    }

    /// Appends the frame of a response's head to `out`; tells the length of its text and its status.
    pub(crate) fn encode_response(
        &mut self,
        text: &[u8],
        out: &mut BytesMut,
    ) -> Result<(usize, u16), String> {
        let (response, length) = text_to_response(text, false).map_err(|bad| bad.description().to_owned())?;
        let status = response.status().as_u16();
        let State::Request(stream) = &mut self.state else {
            return Err("a response without a request".into());
        };
        written(at_once(stream.send_response(response)))?;
        self.drain(out);
        Ok((length, status))
    }

    /// Appends the frame of trailers to `out`.
    pub(crate) fn encode_trailers(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), String> {
        let fields = lines_to_trailers(lines).map_err(|bad| bad.description().to_owned())?;
        if fields.is_empty() {
            return Ok(());
        }
        let State::Request(stream) = &mut self.state else { return Err("trailers without a request".into()) };
        written(at_once(stream.send_trailers(fields)))?;
        self.drain(out);
        Ok(())
    }

    /// Takes what h3 has written of its own.
    fn drain(&mut self, out: &mut BytesMut) {
        let mut written = self.pipe.outbound.borrow_mut();
        if out.is_empty() {
            *out = std::mem::take(&mut written);
        } else {
            out.extend_from_slice(&written);
            written.clear();
        }
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        // h3 forgets a stream only when a request of it is dropped, so a stream without one gets an empty one.
        if let State::New(resolver) = std::mem::replace(&mut self.state, State::Broken) {
            const NO_FIELDS: &[u8] = &[0, 0];
            let _ = resolver.accept_with_frame(Ok(Some(Frame::Headers(Bytes::from_static(NO_FIELDS)))));
        }
    }
}

fn bad_section(error: StreamError) -> BadSection {
    match error {
        StreamError::HeaderTooBig { .. } => BadSection::TooLarge,
        StreamError::ConnectionError(error) => BadSection::Fatal(error.to_string()),
        error => BadSection::Malformed(error.to_string()),
    }
}

fn written(outcome: Option<Result<(), StreamError>>) -> Result<(), String> {
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("h3 waited on memory".into()),
    }
}
