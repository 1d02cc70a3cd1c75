//! Field names that Tollgate itself looks at, recognised once when a head is parsed.

macro_rules! known {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A field name that some part of Tollgate reads, writes or removes; any other is [`Known::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the variants are the fields' own names")]
        pub enum Known { $($variant,)+ Other }

        impl Known {
            /// All names but [`Known::Other`], in declaration order.
            pub const ALL: &'static [Known] = &[$(Known::$variant,)+];

            /// The name in lower case; empty for [`Known::Other`].
            pub fn name(self) -> &'static str {
                match self { $(Known::$variant => $name,)+ Known::Other => "" }
            }
        }
    };
}

known! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Expect = "expect",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
    Via = "via",
    UserAgent = "user-agent",
    Accept = "accept",
    Cookie = "cookie",
    Referer = "referer",
    Authorization = "authorization",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticate = "proxy-authenticate",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    Date = "date",
    Server = "server",
    Location = "location",
    Http2Settings = "http2-settings",
    MaxForwards = "max-forwards",
    SetCookie = "set-cookie",
    RetryAfter = "retry-after",
    ProxyStatus = "proxy-status",
    Range = "range",
    ContentRange = "content-range",
    Origin = "origin",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    GrpcTimeout = "grpc-timeout",
    ClientCert = "client-cert",
    ClientCertChain = "client-cert-chain",
    StrictTransportSecurity = "strict-transport-security",
}

impl Known {
    /// The known name of these bytes, compared without case (RFC 9110 section 5.1).
    pub fn from_name(name: &[u8]) -> Self {
        // The length and the first letter leave at most a few candidates.
        let candidates: &[Known] = match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') => &[Self::Te],
            (3, b'v') => &[Self::Via],
            (4, b'h') => &[Self::Host],
            (4, b'd') => &[Self::Date],
            (5, b'r') => &[Self::Range],
            (6, b'e') => &[Self::Expect],
            (6, b'a') => &[Self::Accept],
            (6, b'c') => &[Self::Cookie],
            (6, b's') => &[Self::Server],
            (6, b'o') => &[Self::Origin],
            (7, b't') => &[Self::Trailer],
            (7, b'u') => &[Self::Upgrade],
            (7, b'r') => &[Self::Referer],
            (8, b'l') => &[Self::Location],
            (9, b'f') => &[Self::Forwarded],
            (9, b'x') => &[Self::XRealIp],
            (10, b'c') => &[Self::Connection],
            (10, b'k') => &[Self::KeepAlive],
            (10, b'u') => &[Self::UserAgent],
            (10, b's') => &[Self::SetCookie],
            (10, b't') => &[Self::Tracestate],
            (11, b'r') => &[Self::RetryAfter],
            (11, b't') => &[Self::Traceparent],
            (11, b'c') => &[Self::ClientCert],
            (12, b'x') => &[Self::XRequestId],
            (12, b'c') => &[Self::ContentType],
            (12, b'm') => &[Self::MaxForwards],
            (12, b'p') => &[Self::ProxyStatus],
            (12, b'g') => &[Self::GrpcTimeout],
            (13, b'a') => &[Self::Authorization],
            (13, b'c') => &[Self::ContentRange],
            (14, b'c') => &[Self::ContentLength],
            (14, b'h') => &[Self::Http2Settings],
            (15, b'x') => &[Self::XForwardedFor],
            (16, b'x') => &[Self::XForwardedHost, Self::XForwardedPort],
            (16, b'p') => &[Self::ProxyConnection],
            (16, b'c') => &[Self::ContentEncoding],
            (17, b't') => &[Self::TransferEncoding],
            (17, b'c') => &[Self::ClientCertChain],
            (17, b'x') => &[Self::XForwardedProto],
            (18, b'p') => &[Self::ProxyAuthenticate],
            (19, b'p') => &[Self::ProxyAuthorization],
            (25, b's') => &[Self::StrictTransportSecurity],
            _ => &[],
        };
        for known in candidates {
            if known.name().as_bytes().eq_ignore_ascii_case(name) {
                return *known;
            }
        }
        Self::Other
    }

    /// Fields that belong to one connection and are never forwarded (RFC 9110 section 7.6.1), whether
    /// `Connection` names them or not. `Upgrade` and `Te` have rules of their own and are not here.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Http2Settings
                | Self::ProxyAuthenticate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for known in Known::ALL {
            assert_eq!(Known::from_name(known.name().as_bytes()), *known);
            assert_eq!(Known::from_name(known.name().to_uppercase().as_bytes()), *known);
        }
        for name in ["", "x", "hosts", "content-lengths", "content_length", "x-forwarded-hose"] {
            assert_eq!(Known::from_name(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn all_known_names_fit_the_presence_mask() {
        assert!(Known::ALL.len() < 64);
    }
}
