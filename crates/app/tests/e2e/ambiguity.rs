//! Requests that two servers could read in two ways, or that are no HTTP: each gets an error with its
//! reason, the connection ends, what follows is not served, and no origin hears of it.

use tollgate_testkit::{Client, Origin, Response, Tollgate};

use crate::forwarding;

/// Status, reason, and what is answered so.
type Rows = &'static [(u16, &'static str, &'static [&'static str])];

const START_LINES: Rows = &[
    (
        400,
        "bad_request_line",
        &[
            "GET\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
            "GET / HTTP/11\r\nHost: a\r\n\r\n",
            "GET / HTTP/1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.\r\nHost: a\r\n\r\n",
            "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.01\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.a\r\nHost: a\r\n\r\n",
            "GET / HTTPS/1.1\r\nHost: a\r\n\r\n",
            "GET / ICAP/1.0\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GE T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_method",
        &[
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{e4}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET: / HTTP/1.1\r\nHost: a\r\n\r\n",
            "G/T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_target",
        &[
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\"a\" HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://user:secret@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        505,
        "bad_version",
        &[
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        ],
    ),
];

const FIELDS: Rows = &[
    (
        400,
        "bad_field_name",
        &[
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: a\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX(: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\u{e4}: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\"X\": a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX[0]: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX@y: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\u{b}: chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_field_value",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{8}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1b}[31m\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{b}\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{c}chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{b}5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\0\r\n\r\nhello",
        ],
    ),
    (
        400,
        "obsolete_fold",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        400,
        "bare_line_end",
        &[
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\rTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\nZ: 3\r\n\r\n",
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        ],
    ),
];

const HOSTS: Rows = &[
    (
        400,
        "missing_host",
        &["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n"],
    ),
    (
        400,
        "duplicate_host",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_host",
        &[
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \r\n\r\n",
            "GET / HTTP/1.1\r\nHost: .\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user:secret@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: .a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \u{e4}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n",
            "GET http://a..b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
        ],
    ),
];

const LENGTHS: Rows = &[
    (
        400,
        "bad_content_length",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5;\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5e0\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5a\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"5\"\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{ff15}\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: +5\r\n\r\nhello",
        ],
    ),
    (
        400,
        "duplicate_content_length",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\ncontent-length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        ],
    ),
    (
        400,
        "length_with_transfer_encoding",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_transfer_encoding",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun ked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{a0}\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        501,
        "unknown_transfer_coding",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: deflate,gzip,chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
];

const PATHS: Rows = &[
    (
        400,
        "bad_path",
        &[
            "GET /% HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%+1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%7f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%2e%2e/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /.%2e/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/..%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/..;/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/..;x=y/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/.;/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%252e%252e/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%252fb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%c0%2f HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        501,
        "method_not_served",
        &["CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"],
    ),
    (
        417,
        "bad_expectation",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: \r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, more\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: more\r\n\r\n",
        ],
    ),
];

/// Bodies of `Transfer-Encoding: chunked` with what is wrong in them.
const CHUNKS: Rows = &[
    (
        400,
        "bad_chunk",
        &[
            "\r\n0\r\n\r\n",
            "g\r\n",
            "-1\r\na\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "\t5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5\rX\nhello\r\n0\r\n\r\n",
            "5\r\rhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5;\0\r\nhello\r\n0\r\n\r\n",
            "5;\"a\r\nb\"\r\nhello\r\n0\r\n\r\n",
            "5;\u{7f}\r\nhello\r\n0\r\n\r\n",
            ";a\r\nhello\r\n0\r\n\r\n",
            "5,5\r\nhello\r\n0\r\n\r\n",
            "5_0\r\nhello\r\n0\r\n\r\n",
            "5.\r\nhello\r\n0\r\n\r\n",
            "5h\r\nhello\r\n0\r\n\r\n",
            "10000000000000000\r\nhello",
            "ffffffffffffffff\r\nhello",
            "fffffffffffffffffffffff\r\nhello",
            "0000000000000000000005\r\nhello\r\n0\r\n\r\n",
            "0\n\r\n",
            "0\r\n\rX",
            "2\r\nab\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        400,
        "bad_trailer",
        &[
            "0\r\n\n",
            "0\r\nA b: c\r\n\r\n",
            "0\r\n A: b\r\n\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\nA: \0\r\n\r\n",
            "0\r\nA: b\r\n c\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\rc\r\n\r\n",
        ],
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Whole,
    WithAnotherRequest,
    Bytewise,
}

fn count(rows: Rows) -> usize {
    rows.iter().map(|(_, _, texts)| texts.len()).sum()
}

#[test]
fn the_table_is_as_long_as_it_should_be() {
    let all = [START_LINES, FIELDS, HOSTS, LENGTHS, PATHS, CHUNKS];
    assert!(all.iter().map(|rows| count(rows)).sum::<usize>() >= 250);
}

/// Texts hold characters up to U+00FF for bytes, but for those above.
fn bytes(text: &str) -> Vec<u8> {
    let narrow: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    narrow.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn refused(tollgate: &Tollgate, request: &[u8], delivery: Delivery) -> Result<(Client, Response), String> {
    let mut client = tollgate.connect();
    match delivery {
        Delivery::Whole => client.send(request),
        Delivery::WithAnotherRequest => {
            client.send([request, b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        }
        Delivery::Bytewise => client.send_bytewise(request),
    }
    let response = client.try_response().map_err(|broken| format!("{broken:?}"))?;
    Ok((client, response))
}

/// All that is wrong with the answers to a table, so that one run shows everything.
fn faults(
    tollgate: &Tollgate,
    rows: Rows,
    delivery: Delivery,
    wrap: impl Fn(&str) -> Vec<u8>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (status, reason, texts) in rows {
        for text in *texts {
            let request = wrap(text);
            let (mut client, response) = match refused(tollgate, &request, delivery) {
                Ok(answer) => answer,
                Err(broken) => {
                    faults.push(format!("{text:?}: {broken}"));
                    continue;
                }
            };
            let got = (response.status, response.reason());
            if got != (*status, Some((*reason).to_owned())) {
                faults.push(format!("{text:?}: {got:?} instead of {status} {reason}"));
            }
            if response.get("connection") != Some("close") {
                faults.push(format!("{text:?}: the answer does not say that the connection ends"));
            }
            if !client.ending().bytes().is_empty() {
                faults.push(format!("{text:?}: another response followed"));
            }
        }
    }
    faults
}

fn assert_refused(rows: Rows, delivery: Delivery) {
    let origin = Origin::saying("must not be asked");
    let tollgate = forwarding(&origin);
    let faults = faults(&tollgate, rows, delivery, bytes);
    assert!(faults.is_empty(), "{delivery:?}:\n{}", faults.join("\n"));
    assert_eq!(origin.connections(), 0, "{:?}", origin.received());
}

/// The head of a chunked request is fine, so an origin may get it, but never a whole request.
fn assert_chunks_refused(delivery: Delivery) {
    let origin = Origin::saying("must not be asked");
    let tollgate = forwarding(&origin);
    let wrap = |text: &str| {
        let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        request.extend(bytes(text));
        request
    };
    let faults = faults(&tollgate, CHUNKS, delivery, wrap);
    assert!(faults.is_empty(), "{delivery:?}:\n{}", faults.join("\n"));
    if delivery != Delivery::Bytewise {
        assert_eq!(origin.connections(), 0, "{:?}", origin.received());
    }
    assert_eq!(origin.requests(), []);
}

macro_rules! tables {
    ($($name:ident = $rows:ident;)+) => {
        $(mod $name {
            use super::{Delivery, $rows, assert_refused};

            #[test]
            fn in_one_piece() {
                assert_refused($rows, Delivery::Whole);
            }

            #[test]
            fn with_another_request_behind() {
                assert_refused($rows, Delivery::WithAnotherRequest);
            }

            #[test]
            fn byte_by_byte() {
                assert_refused($rows, Delivery::Bytewise);
            }
        })+
    };
}

tables! {
    start_lines = START_LINES;
    fields = FIELDS;
    hosts = HOSTS;
    lengths = LENGTHS;
    paths = PATHS;
}

#[test]
fn chunks_in_one_piece() {
    assert_chunks_refused(Delivery::Whole);
}

#[test]
fn chunks_with_another_request_behind() {
    assert_chunks_refused(Delivery::WithAnotherRequest);
}

#[test]
fn chunks_byte_by_byte() {
    assert_chunks_refused(Delivery::Bytewise);
}

#[test]
fn unusual_but_clear_requests_are_forwarded() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    for (request, body) in [
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost:a\r\nX:y\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost:\t a \t\r\nX: \t y\t \r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \u{e4}\u{ff}\r\n\r\n", ""),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~0: x\r\n\r\n", ""),
        ("GET /a;b=c/d?e=/../%00&f=%2f#".trim_end_matches('#'), ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello", "hello"),
        ("DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n005\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhelloworld\r\n00\r\n\r\n",
            "helloworld",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a=\"b;\\\"\"\r\nhello\r\n0;x\r\n\r\n",
            "hello",
        ),
        ("GET / HTTP/1.1\r\nHost: A.Example.:8080\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n\r\n", ""),
    ] {
        let whole = if request.contains("HTTP/1.1") {
            request.to_owned()
        } else {
            format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")
        };
        for bytewise in [false, true] {
            let mut client = tollgate.connect();
            if bytewise {
                client.send_bytewise(bytes(&whole))
            } else {
                client.send(bytes(&whole))
            }
            let response = client.response();
            assert_eq!((response.status, response.text().as_str()), (200, body), "{whole:?} {response:?}");
        }
    }
}

#[test]
fn an_answer_to_a_malformed_request_leaks_nothing_of_it() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    let response = tollgate.request("GET /secret-path HTTP/1.1\r\nHost: a\r\nX-Secret: v\0alue\r\n\r\n");
    let whole = format!("{} {}", response.names().join(" "), response.text());
    assert_eq!(response.reason().as_deref(), Some("bad_field_value"));
    assert!(!whole.contains("secret") && !whole.contains(&origin.address().port().to_string()), "{whole}");
}
