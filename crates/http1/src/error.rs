//! What can be wrong with a message, each violation by its name.

use tollgate_decision::Reason;

/// A violation of HTTP/1.1, or of a limit, found while reading a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The start line is not three parts with one space between them.
    StartLine,
    /// The method holds a character that is not a token character.
    Method,
    /// The request target holds a character it may not have, or has the wrong form for its method.
    Target,
    /// The version is well formed but neither 1.0 nor 1.1.
    Version,
    /// A field name is empty or holds a character that is not a token character.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// A field line begins with white space.
    ObsoleteFold,
    /// A line does not end in CR LF, or a CR or LF stands alone.
    LineEnd,
    /// The head is larger than allowed.
    HeadTooLarge,
    /// There are more fields than allowed.
    TooManyFields,
    /// The request target is longer than allowed.
    TargetTooLong,
    /// An HTTP/1.1 request without `Host`.
    MissingHost,
    /// More than one `Host`.
    DuplicateHost,
    /// `Content-Length` is not a decimal number below 2^63.
    ContentLength,
    /// More than one `Content-Length`.
    DuplicateContentLength,
    /// `Content-Length` and `Transfer-Encoding` in one message.
    LengthWithTransferEncoding,
    /// `Transfer-Encoding` does not end in `chunked`, repeats it, or stands in an HTTP/1.0 message.
    TransferEncoding,
    /// `Transfer-Encoding` names a coding besides `chunked`.
    UnknownTransferCoding,
    /// A chunk size is missing, not hexadecimal, too large, or badly ended; or data does not end in CR LF.
    Chunk,
    /// A trailer field is malformed, or the trailers are larger than allowed.
    Trailer,
    /// The status code is not three digits from 100 on.
    Status,
}

impl Malformed {
    /// The reason for the answer when a client sent this.
    pub fn as_request_reason(self) -> Reason {
        match self {
            Self::StartLine | Self::Status => Reason::BadRequestLine,
            Self::Method => Reason::BadMethod,
            Self::Target => Reason::BadTarget,
            Self::Version => Reason::BadVersion,
            Self::FieldName => Reason::BadFieldName,
            Self::FieldValue => Reason::BadFieldValue,
            Self::ObsoleteFold => Reason::ObsoleteFold,
            Self::LineEnd => Reason::BareLineEnd,
            Self::HeadTooLarge => Reason::HeadTooLarge,
            Self::TooManyFields => Reason::TooManyFields,
            Self::TargetTooLong => Reason::TargetTooLong,
            Self::MissingHost => Reason::MissingHost,
            Self::DuplicateHost => Reason::DuplicateHost,
            Self::ContentLength => Reason::BadContentLength,
            Self::DuplicateContentLength => Reason::DuplicateContentLength,
            Self::LengthWithTransferEncoding => Reason::LengthWithTransferEncoding,
            Self::TransferEncoding => Reason::BadTransferEncoding,
            Self::UnknownTransferCoding => Reason::UnknownTransferCoding,
            Self::Chunk => Reason::BadChunk,
            Self::Trailer => Reason::BadTrailer,
        }
    }

    /// What is wrong with an endpoint's response, in a sentence for operators.
    pub fn in_response(self) -> &'static str {
        match self {
            Self::StartLine => "the response's status line is not \"version status reason\"",
            Self::Method | Self::Target | Self::MissingHost | Self::DuplicateHost | Self::TargetTooLong => {
                "the response is not valid HTTP"
            }
            Self::Version => "the response's HTTP version is not one that is spoken here",
            Self::Status => "the response's status is not three digits from 100 on",
            Self::FieldName => {
                "a field name of the response is empty or holds a character that no field name may have"
            }
            Self::FieldValue => "a field value of the response holds a control character",
            Self::ObsoleteFold => "a field value of the response continues on the next line",
            Self::LineEnd => "a line of the response's head does not end in CR LF",
            Self::HeadTooLarge => "the response's head is larger than allowed",
            Self::TooManyFields => "the response has more fields than allowed",
            Self::ContentLength => "the response's Content-Length is not a decimal number",
            Self::DuplicateContentLength => "the response has different values of Content-Length",
            Self::LengthWithTransferEncoding => "the response has both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => {
                "the response's Transfer-Encoding is not exactly \"chunked\", or stands in an HTTP/1.0 response"
            }
            Self::UnknownTransferCoding => "the response has a transfer coding besides \"chunked\"",
            Self::Chunk => "a chunk of the response has no valid size or does not end where it should",
            Self::Trailer => "a trailer field of the response is malformed",
        }
    }

    /// The reason for the answer when an endpoint sent this.
    pub fn as_response_reason(self) -> Reason {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => Reason::ResponseHeadTooLarge,
            _ => Reason::BadResponse,
        }
    }
}
