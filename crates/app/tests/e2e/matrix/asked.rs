//! One request at an origin, whatever protocol it speaks.

use tollgate_testkit::http2::{Code, Served};
use tollgate_testkit::{Connection, Framing, Request};

/// One request at an origin, to be answered once.
pub trait Asked {
    /// Its head; the body too once it has been read.
    fn request(&self) -> &Request;

    /// Reads the rest of the body and the trailers. Whether they came whole.
    fn read(&mut self) -> bool;

    /// Reads some bytes of the body; empty at the end, which has no trailers. `None` where it is cut.
    fn part(&mut self) -> Option<Vec<u8>>;

    /// Sends an interim response.
    fn interim(&mut self, status: u16, fields: &[(&str, &str)]);

    /// Begins a response; with a length, that many bytes must follow.
    fn begin(&mut self, status: u16, fields: &[(&str, &str)], length: Option<usize>);

    /// Sends body bytes; false where nobody takes them.
    fn data(&mut self, bytes: &[u8]) -> bool;

    /// Ends a response. Only one without a length may have trailers.
    fn end(&mut self, trailers: &[(&str, &str)]);

    /// Sends a whole response without trailers.
    fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]);

    /// Cuts the exchange short.
    fn cut(&mut self);

    /// Ends the connection without a word.
    fn abort(&mut self);

    /// Waits until the other side has given the exchange up.
    fn wait_for_cancel(&mut self);
}

/// Over HTTP/1.1.
pub struct OverHttp1<'c> {
    connection: &'c mut Connection,
    request: Request,
    /// What is left to read.
    left: Framing,
    chunked: bool,
    broken: bool,
}

impl<'c> OverHttp1<'c> {
    pub fn new(connection: &'c mut Connection, request: Request) -> Self {
        let left = request.framing;
        Self { connection, request, left, chunked: false, broken: false }
    }

    /// Whether another request may follow on the connection.
    pub fn persists(&self) -> bool {
        !self.broken && matches!(self.left, Framing::None | Framing::Length(0))
    }

    fn head(&mut self, status: u16, fields: &[(&str, &str)], last: &str) {
        let mut head = format!("HTTP/1.1 {status} Reason\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.connection.send(head + last + "\r\n");
    }
}

impl Asked for OverHttp1<'_> {
    fn request(&self) -> &Request {
        &self.request
    }

    fn read(&mut self) -> bool {
        let read = self.connection.body_of(&mut self.request).is_some();
        self.left = Framing::None;
        self.broken |= !read;
        read
    }

    fn part(&mut self) -> Option<Vec<u8>> {
        let part = self.connection.part_of(&mut self.left);
        self.broken |= part.is_none();
        part
    }

    fn interim(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.head(status, fields, "");
    }

    fn begin(&mut self, status: u16, fields: &[(&str, &str)], length: Option<usize>) {
        self.chunked = length.is_none();
        match length {
            Some(length) => self.head(status, fields, &format!("Content-Length: {length}\r\n")),
            None => self.head(status, fields, "Transfer-Encoding: chunked\r\n"),
        }
    }

    fn data(&mut self, bytes: &[u8]) -> bool {
        let bytes = match self.chunked {
            true => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            false => bytes.to_vec(),
        };
        self.connection.try_send(bytes).is_ok()
    }

    fn end(&mut self, trailers: &[(&str, &str)]) {
        if self.chunked {
            let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            self.connection.send(format!("0\r\n{lines}\r\n"));
        }
    }

    fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let none = matches!(status, 204 | 304);
        let length = if none { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.head(status, fields, &length);
        // Bytes behind a response that has no body would be the start of the next one.
        if !none && self.request.method() != "HEAD" {
            self.connection.send(body);
        }
    }

    fn cut(&mut self) {
        self.broken = true;
        self.connection.reset();
    }

    fn abort(&mut self) {
        self.broken = true;
    }

    fn wait_for_cancel(&mut self) {
        self.broken = true;
        self.connection.rest();
    }
}

/// Over HTTP/2.
pub struct OverHttp2 {
    served: Served,
}

impl OverHttp2 {
    pub fn new(served: Served) -> Self {
        Self { served }
    }
}

impl Asked for OverHttp2 {
    fn request(&self) -> &Request {
        &self.served.request
    }

    fn read(&mut self) -> bool {
        self.served.body().is_ok()
    }

    fn part(&mut self) -> Option<Vec<u8>> {
        self.served.receiving.part().ok().map(Option::unwrap_or_default)
    }

    fn interim(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.served.interim(status, fields);
    }

    fn begin(&mut self, status: u16, fields: &[(&str, &str)], length: Option<usize>) {
        let length = length.map(|length| length.to_string());
        let mut fields = fields.to_vec();
        fields.extend(length.as_deref().map(|length| ("content-length", length)));
        self.served.begin(status, &fields);
    }

    fn data(&mut self, bytes: &[u8]) -> bool {
        self.served.sending().is_some_and(|sending| sending.send(bytes))
    }

    fn end(&mut self, trailers: &[(&str, &str)]) {
        if let Some(sending) = self.served.sending() {
            sending.finish_with(trailers);
        }
    }

    fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        if !matches!(status, 204 | 304) {
            fields.push(("content-length", &length));
        }
        let body = if self.served.request.method() == "HEAD" { b"" } else { body };
        self.served.answer(status, &fields, body, &[]);
    }

    fn cut(&mut self) {
        self.served.reset(Code::INTERNAL_ERROR);
    }

    fn abort(&mut self) {
        self.served.abort();
    }

    fn wait_for_cancel(&mut self) {
        self.served.wait_for_reset();
    }
}
