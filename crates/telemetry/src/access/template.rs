//! Lines of the document's own making: text with fields in braces, taken apart once.

use std::fmt;

use super::headers::{HeadSide, HeaderRef};
use super::plan::LogRules;
use super::text::{address, decimal, escaped, hexadecimal, millis};
use super::{Entry, clf};

/// What stands for a value that is not there.
const ABSENT: u8 = b'-';
const REQUEST_HEADER: &str = "request_header.";
const RESPONSE_HEADER: &str = "response_header.";

macro_rules! fields {
    ($($variant:ident: $($name:literal)|+;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Field { $($variant,)+ }

        impl Field {
            const NAMES: &[(&str, Field)] = &[$($(($name, Field::$variant),)+)+];
        }

        impl Template {
            /// The names of the fields. Headers are `request_header.NAME` and `response_header.NAME`.
            pub const FIELDS: &[&str] = &[$($($name,)+)+];
        }
    };
}

fields! {
    Time: "time";
    TimeClf: "time.clf";
    TimeUnix: "time.unix_ms";
    RequestId: "request_id";
    Client: "client.address" | "client";
    RequestLine: "request_line";
    Method: "http.request.method" | "method";
    Path: "url.path" | "path";
    Query: "url.query" | "query";
    Host: "server.address" | "host";
    Version: "network.protocol.version" | "version";
    Status: "http.response.status_code" | "status";
    Reason: "reason";
    End: "end";
    Consumer: "consumer";
    Route: "route";
    Upstream: "upstream";
    Endpoint: "endpoint";
    Attempts: "attempts";
    Retries: "retries";
    BytesSent: "bytes_sent";
    BytesReceived: "bytes_received";
    Queue: "t.queue";
    Connect: "t.connect";
    FirstByte: "t.ttfb";
    Total: "t.total";
    TraceId: "trace_id";
    SpanId: "span_id";
}

/// A line of the document's own making, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Field(Field),
    Header(HeaderRef),
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// There is no field of this name; see [`Template::FIELDS`].
    UnknownField(String),
    /// A brace opens a field and is not closed.
    Open,
    /// A brace closes no field.
    Closed,
    /// There is a line break in it, which would make two records of one.
    LineBreak,
    /// There is no field in it, so that all lines would be the same.
    NoField,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField(name) => write!(f, "the template's field `{{{name}}}` is not known"),
            Self::Open => {
                f.write_str("a `{` of the template has no `}`; a brace that is meant is written `{{`")
            }
            Self::Closed => {
                f.write_str("a `}` of the template has no `{`; a brace that is meant is written `}}`")
            }
            Self::LineBreak => f.write_str("the template has a line break; a record is one line"),
            Self::NoField => f.write_str("the template has no field; write one like `{status}`"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Takes a text apart. A field is a name in braces; `{{` and `}}` are braces.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.contains(['\n', '\r']) {
            return Err(TemplateError::LineBreak);
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                plain.push_str(&brace[..1]);
                rest = after;
                continue;
            }
            let inside = brace.strip_prefix('{').ok_or(TemplateError::Closed)?;
            let (name, after) = inside.split_once('}').ok_or(TemplateError::Open)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(part(name.trim())?);
            rest = after;
        }
        plain.push_str(rest);
        if parts.is_empty() {
            return Err(TemplateError::NoField);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { parts })
    }

    /// The headers in it.
    pub(super) fn headers(&mut self) -> impl Iterator<Item = &mut HeaderRef> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Header(header) => Some(header),
            Part::Text(_) | Part::Field(_) => None,
        })
    }

    /// Whether the query is in it.
    pub(super) fn has_query(&self) -> bool {
        let query = |part: &Part| matches!(part, Part::Field(Field::Query | Field::RequestLine));
        self.parts.iter().any(query)
    }

    /// Appends an entry's line. What a client sent is escaped as in the combined format.
    pub(super) fn write(&self, out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules) {
        for part in &self.parts {
            let before = out.len();
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field) => write_field(out, *field, entry, rules),
                Part::Header(header) => {
                    header.show(entry.request.captured, rules.query, |part| escaped(out, part));
                }
            }
            if out.len() == before {
                out.push(ABSENT);
            }
        }
        out.push(b'\n');
    }
}

fn part(name: &str) -> Result<Part, TemplateError> {
    let header = |side, name: &str| Ok(Part::Header(HeaderRef::new(side, name)));
    if let Some((_, field)) = Field::NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(Part::Field(*field));
    }
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&b))
    };
    if let Some(name) = name.strip_prefix(REQUEST_HEADER).filter(is_name) {
        return header(HeadSide::Request, name);
    }
    if let Some(name) = name.strip_prefix(RESPONSE_HEADER).filter(is_name) {
        return header(HeadSide::Response, name);
    }
    Err(TemplateError::UnknownField(name.to_owned()))
}

fn write_field(out: &mut Vec<u8>, field: Field, entry: &Entry<'_>, rules: &LogRules) {
    let request = &entry.request;
    match field {
        Field::Time => entry.time.write_rfc3339(out),
        Field::TimeClf => entry.time.write_clf(out),
        Field::TimeUnix => decimal(out, entry.time.unix_ms()),
        Field::RequestId => escaped(out, entry.request_id),
        Field::Client => address(out, entry.client),
        Field::RequestLine => clf::request_line(out, entry, rules.query),
        Field::Method => escaped(out, request.method),
        Field::Path => escaped(out, request.path),
        Field::Query => {
            if let Some(query) = request.captured.query() {
                rules.query.show(query, |part| escaped(out, part));
            }
        }
        Field::Host => escaped(out, request.host),
        Field::Version => out.extend_from_slice(request.version.as_bytes()),
        Field::Status => clf::status(out, entry.status),
        Field::Reason => out.extend_from_slice(entry.reason.code().as_bytes()),
        Field::End => out.extend_from_slice(entry.reason.side().label().as_bytes()),
        Field::Consumer => escaped(out, entry.request.consumer.as_bytes()),
        Field::Route => escaped(out, entry.route.as_bytes()),
        Field::Upstream => escaped(out, entry.upstream.as_bytes()),
        Field::Endpoint => escaped(out, entry.endpoint.as_bytes()),
        Field::Attempts => decimal(out, u64::from(entry.attempts)),
        Field::Retries => decimal(out, u64::from(entry.attempts.saturating_sub(1))),
        Field::BytesSent => decimal(out, entry.bytes.sent),
        Field::BytesReceived => decimal(out, entry.bytes.received),
        Field::Queue => millis(out, entry.timings.queue_us),
        Field::Connect => millis(out, entry.timings.connect_us),
        Field::FirstByte => millis(out, entry.timings.first_byte_us),
        Field::Total => millis(out, entry.timings.total_us),
        Field::TraceId => entry.trace.iter().for_each(|ids| hexadecimal(out, &ids.trace)),
        Field::SpanId => entry.trace.iter().for_each(|ids| hexadecimal(out, &ids.span)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, TemplateError};

    #[test]
    fn wrong_templates_say_what_is_wrong() {
        for (text, error) in [
            ("{statsu}", TemplateError::UnknownField("statsu".into())),
            ("{}", TemplateError::UnknownField(String::new())),
            ("{request_header.}", TemplateError::UnknownField("request_header.".into())),
            ("{request_header.a b}", TemplateError::UnknownField("request_header.a b".into())),
            ("{status", TemplateError::Open),
            ("status}", TemplateError::Closed),
            ("{status}\n", TemplateError::LineBreak),
            ("status", TemplateError::NoField),
            ("{{status}}", TemplateError::NoField),
            ("", TemplateError::NoField),
        ] {
            assert_eq!(Template::compile(text), Err(error), "{text}");
        }
    }

    #[test]
    fn every_field_can_be_written() {
        for field in Template::FIELDS {
            assert!(Template::compile(&format!("{{{field}}}")).is_ok(), "{field}");
        }
    }
}
