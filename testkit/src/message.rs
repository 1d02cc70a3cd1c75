//! Messages as tests look at them. Read without any of the program's code.

/// How a body was framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the connection was closed.
    UntilClose,
}

/// A start line and fields, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Takes complete head bytes apart. Bytes beyond ASCII become the characters of the same number.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text: String = bytes.iter().map(|b| char::from(*b)).collect();
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter(|l| !l.is_empty()).map(|l| {
            let (name, value) = l.split_once(':').unwrap_or((l, ""));
            (name.to_owned(), value.trim().to_owned())
        });
        Self { line, fields: fields.collect() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub(crate) fn framing(&self) -> Option<Framing> {
        if self.get("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked);
        }
        let length = self.get("content-length")?;
        Some(Framing::Length(length.parse().unwrap_or_else(|_| panic!("content-length {length:?}"))))
    }
}

macro_rules! fields_of_the_head {
    () => {
        /// The first value of a field.
        pub fn get(&self, name: &str) -> Option<&str> {
            self.head.get(name)
        }

        /// All values of a field, in order.
        pub fn all(&self, name: &str) -> Vec<&str> {
            self.head.all(name)
        }

        /// The names of all fields, spelled as they came, in order.
        pub fn names(&self) -> Vec<&str> {
            self.head.fields.iter().map(|(n, _)| n.as_str()).collect()
        }

        /// The body as text.
        pub fn text(&self) -> String {
            String::from_utf8_lossy(&self.body).into_owned()
        }
    };
}

/// A request as an origin got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) head: Head,
    /// The body, without its chunks' frames.
    pub body: Vec<u8>,
    /// How the body was framed.
    pub framing: Framing,
    /// The fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Request {
    fields_of_the_head!();

    /// The request line.
    pub fn line(&self) -> &str {
        &self.head.line
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.head.line.split(' ').next().unwrap_or_default()
    }

    /// The target.
    pub fn target(&self) -> &str {
        self.head.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// A response as a client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) head: Head,
    /// The status code.
    pub status: u16,
    /// The body, without its chunks' frames.
    pub body: Vec<u8>,
    /// How the body was framed.
    pub framing: Framing,
    /// The fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    fields_of_the_head!();

    pub(crate) fn of(head: Head) -> Self {
        let status = head.line.get(9..12).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {:?}", head.line));
        Self { head, status, body: Vec::new(), framing: Framing::None, trailers: Vec::new() }
    }

    /// The status line.
    pub fn line(&self) -> &str {
        &self.head.line
    }

    /// The reason code of an answer that the program made: what `Proxy-Status` says, once it is sure
    /// that the body says the same. `None` for a response from an origin.
    pub fn reason(&self) -> Option<String> {
        let status = self.get("proxy-status")?;
        let code = status.split("details=\"").nth(1)?.split('"').next()?.to_owned();
        assert!(status.starts_with("tollgate; error="), "Proxy-Status: {status}");
        if !self.body.is_empty() {
            assert_eq!(self.get("content-type"), Some("application/problem+json"));
            let body = self.text();
            assert!(body.contains(&format!("\"reason\":\"{code}\"")), "{code} is not in {body}");
            assert!(
                body.contains(&format!("\"status\":{}", self.status)),
                "{} is not in {body}",
                self.status
            );
        }
        Some(code)
    }
}
