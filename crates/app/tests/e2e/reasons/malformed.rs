//! Requests that are refused for what they are.

use tollgate_decision::Reason;

use super::{FORWARD, Provoke, Row, There};

/// Each refusal, with the part of the request that is wrong.
pub(super) const ROWS: &[Row] = &[
    Row::refused(
        Reason::BadRequestLine,
        "GET  /cart HTTP/1.1\r\nHost: a\r\n\r\n",
        &["request line", "`GET  /cart HTTP/1.1`"],
    ),
    Row::refused(
        Reason::BadMethod,
        "G(T /cart HTTP/1.1\r\nHost: a\r\n\r\n",
        &["method", "`G(T /cart HTTP/1.1`"],
    ),
    Row::refused(
        Reason::BadTarget,
        "GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n",
        &["target", "`GET /a<b HTTP/1.1`"],
    ),
    Row::refused(Reason::BadVersion, "GET /cart HTTP/3.0\r\nHost: a\r\n\r\n", &["version", "HTTP/3.0"]),
    Row::refused(
        Reason::BadFieldName,
        "GET / HTTP/1.1\r\nX-Fine: 1\r\nX Bad: 2\r\nHost: a\r\n\r\n",
        &["field name", "line 3", "`X Bad: 2`"],
    ),
    Row::refused(
        Reason::BadFieldValue,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Fine: 1\r\nX-Bad: a\0b\r\n\r\n",
        &["control character", "line 4", "`X-Bad: a\\x00b`"],
    ),
    Row::refused(
        Reason::ObsoleteFold,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Long: 1\r\n more\r\n\r\n",
        &["continues on the next line", "line 4", "`more`"],
    ),
    Row::refused(
        Reason::BareLineEnd,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Unix: 1\nX: 2\r\n\r\n",
        &["carriage return", "line 3", "`X-Unix: 1`"],
    ),
    Row::refused(Reason::MissingHost, "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", &["names no host"]),
    Row::refused(
        Reason::DuplicateHost,
        "GET / HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\n\r\n",
        &["more than once", "`Host: one.example`, `Host: two.example`"],
    ),
    Row::refused(Reason::BadHost, "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", &["`Host: a:99999`"]),
    Row::refused(
        Reason::BadContentLength,
        "POST / HTTP/1.1\r\nContent-Length: 5e0\r\nHost: a\r\n\r\nhello",
        &["not a decimal number", "`Content-Length: 5e0`"],
    ),
    Row::refused(
        Reason::DuplicateContentLength,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        &["more than one", "`Content-Length: 5`, `Content-Length: 6`"],
    ),
    Row::refused(
        Reason::LengthWithTransferEncoding,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &["both", "`Content-Length: 5`, `Transfer-Encoding: chunked`"],
    ),
    Row::refused(
        Reason::BadTransferEncoding,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        &["exactly", "`Transfer-Encoding: chunked, gzip`"],
    ),
    Row::refused(
        Reason::UnknownTransferCoding,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &["not implemented", "`Transfer-Encoding: gzip, chunked`"],
    ),
    Row::refused(
        Reason::BadChunk,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        &["A chunk of the request body has no valid size", "early in the request's body"],
    ),
    Row::refused(
        Reason::BadTrailer,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA b: c\r\n\r\n",
        &["A trailer field", "early in the request's body"],
    ),
    Row::refused(
        Reason::BadPath,
        "GET /files/%2e%2e/%2e%2e/secret?key=s3cret HTTP/1.1\r\nHost: a\r\n\r\n",
        &["above its root", "`GET /files/%2e%2e/%2e%2e/secret?key=[hidden] HTTP/1.1`"],
    ),
    Row::refused(
        Reason::MethodNotServed,
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        &["not a forward proxy", "`CONNECT a.example:443 HTTP/1.1`"],
    ),
    Row::refused(
        Reason::BadExpectation,
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n",
        &["expectation", "`Expect: a-miracle`"],
    ),
    limited(
        Reason::HeadTooLarge,
        "limits: { head_size: 1KiB, target_size: 512B }\nroutes: [{ path: /, respond: 204 }]\n",
        || format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1100)),
        &["larger than allowed", "limits.head_size is 1KiB"],
    ),
    limited(
        Reason::TooManyFields,
        "limits: { fields: 10 }\nroutes: [{ path: /, respond: 204 }]\n",
        || format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10)),
        &["more fields than allowed", "limits.fields is 10"],
    ),
    limited(
        Reason::TargetTooLong,
        "limits: { target_size: 100B }\nroutes: [{ path: /, respond: 204 }]\n",
        || format!("GET /long/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200)),
        &["longer than allowed", "`GET /long/xxx", "limits.target_size is 100B"],
    ),
    Row {
        told: &["route       small"],
        ..limited(
            Reason::BodyTooLarge,
            "routes: [{ name: small, path: /, respond: 204, body: { max_size: 4B } }]\n",
            || "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            &["larger than allowed", "of the route small is 4B"],
        )
    },
];

const fn limited(
    reason: Reason,
    document: &'static str,
    request: fn() -> String,
    cause: &'static [&'static str],
) -> Row {
    Row {
        document,
        provoke: Provoke::Making(request),
        there: There::Nobody,
        ..Row::refused(reason, FORWARD, cause)
    }
}
