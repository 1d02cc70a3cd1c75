//! The two directions of a stream, the same for clients and origins.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use super::{fields, pairs, wait};
use crate::message::Response;

/// A message that was not completed.
#[derive(Clone, Debug)]
pub struct Cut {
    /// What there is of a response; `None` if not even its head came, or it is a request.
    pub partial: Option<Box<Response>>,
    /// The code of the reset or GOAWAY; `None` where the connection just ended.
    pub code: Option<Reason>,
}

impl From<h2::Error> for Cut {
    fn from(error: h2::Error) -> Self {
        Self { partial: None, code: error.reason() }
    }
}

/// The direction that is sent in.
#[derive(Debug)]
pub struct Sending(pub(super) SendStream<Bytes>);

impl Sending {
    /// Sends body bytes, as the window allows; false if the stream ends before all were taken.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let mut bytes = Bytes::copy_from_slice(bytes.as_ref());
        while !bytes.is_empty() {
            self.0.reserve_capacity(bytes.len());
            let capacity = wait("a window", poll_fn(|cx| self.0.poll_capacity(cx)));
            let Some(Ok(capacity)) = capacity else { return false };
            let part = bytes.split_to(capacity.min(bytes.len()));
            if self.0.send_data(part, false).is_err() {
                return false;
            }
        }
        true
    }

    /// How much could be sent of `max` bytes at once; waits for nothing.
    pub fn room(&mut self, max: usize) -> usize {
        self.0.reserve_capacity(max);
        self.0.capacity()
    }

    /// Ends the message. That the stream has ended already is no failure of the test's.
    pub fn finish(&mut self) {
        let _ = self.0.send_data(Bytes::new(), true);
    }

    /// Ends the message with trailers.
    pub fn finish_with(&mut self, trailers: &[(&str, &str)]) {
        if trailers.is_empty() {
            return self.finish();
        }
        let _ = self.0.send_trailers(fields(trailers));
    }

    /// Resets the stream.
    pub fn reset(&mut self, code: Reason) {
        self.0.send_reset(code);
    }

    /// Waits until the other side resets the stream or the connection ends; the code, if it was a reset.
    pub fn wait_for_reset(&mut self) -> Option<Reason> {
        wait("a reset", poll_fn(|cx| self.0.poll_reset(cx))).ok()
    }
}

/// The direction that is received in.
#[derive(Debug)]
pub struct Receiving(pub(super) RecvStream);

impl Receiving {
    /// Receives some bytes, and opens the window for more; `None` at the end of the body.
    ///
    /// # Errors
    /// The message was cut.
    pub fn part(&mut self) -> Result<Option<Vec<u8>>, Cut> {
        match wait("a part of a body", self.0.data()) {
            None => Ok(None),
            Some(Ok(bytes)) => {
                let _ = self.0.flow_control().release_capacity(bytes.len());
                Ok(Some(bytes.to_vec()))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Receives so many bytes or more.
    ///
    /// # Errors
    /// The message ended or was cut before.
    pub fn at_least(&mut self, count: usize) -> Result<Vec<u8>, Cut> {
        let mut body = Vec::new();
        while body.len() < count {
            body.extend(self.part()?.ok_or(Cut { partial: None, code: None })?);
        }
        Ok(body)
    }

    /// The rest of the body and the trailers; into `body`, so that what came before a cut is there.
    ///
    /// # Errors
    /// The message was cut.
    pub fn rest(&mut self, body: &mut Vec<u8>) -> Result<Vec<(String, String)>, Cut> {
        while let Some(part) = self.part()? {
            body.extend(part);
        }
        let trailers = wait("trailers", self.0.trailers())?;
        Ok(trailers.as_ref().map(pairs).unwrap_or_default())
    }
}
