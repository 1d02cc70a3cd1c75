//! The reason catalogue: one row for each answer that Tollgate makes and each way an exchange can end.

/// Who is at fault when an exchange fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nobody: the exchange went as the document says.
    Nobody,
    /// The client sent something wrong, too much, too slowly, or went away.
    Client,
    /// The upstream failed, was too slow, or sent something wrong.
    Upstream,
    /// Tollgate itself: its limits, its document, its state.
    Proxy,
}

impl Side {
    /// The word for logs and labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $side:ident, $error:literal;)+) => {
        /// Why Tollgate answered, or how an exchange ended. The code is stable: logs, metrics,
        /// problem documents and users' scripts hold it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// All reasons in catalogue order.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)+ }
            }

            /// The status of the answer that Tollgate makes for this reason; 0 where none is made.
            pub fn status(self) -> u16 {
                match self { $(Reason::$variant => $status,)+ }
            }

            /// Who is at fault.
            pub fn side(self) -> Side {
                match self { $(Reason::$variant => Side::$side,)+ }
            }

            /// The error type of the `Proxy-Status` field (RFC 9209 section 2.3); empty where it has none.
            pub fn proxy_status_error(self) -> &'static str {
                match self { $(Reason::$variant => $error,)+ }
            }

            /// One sentence for people: what happened. Safe to show to a stranger.
            pub fn explanation(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The upstream's response was forwarded whole.
    Forwarded = "forwarded", 0, Nobody, "";
    /// The connection was upgraded and carried another protocol until one side closed it.
    Upgraded = "upgraded", 0, Nobody, "";
    /// The route answers with a redirect.
    Redirect = "redirect", 302, Nobody, "";
    /// The route answers with a fixed response.
    FixedResponse = "fixed_response", 200, Nobody, "";

    /// The request line is not "method target version".
    BadRequestLine = "bad_request_line", 400, Client, "http_request_error";
    /// The method holds a character that no method may have.
    BadMethod = "bad_method", 400, Client, "http_request_error";
    /// The request target is not a valid one for its method.
    BadTarget = "bad_target", 400, Client, "http_request_error";
    /// The HTTP version is not one that is spoken here.
    BadVersion = "bad_version", 505, Client, "http_request_error";
    /// A field name is empty or holds a character that no field name may have, such as a space before the colon.
    BadFieldName = "bad_field_name", 400, Client, "http_request_error";
    /// A field value holds a control character.
    BadFieldValue = "bad_field_value", 400, Client, "http_request_error";
    /// A field value continues on the next line, which HTTP/1.1 no longer allows.
    ObsoleteFold = "obsolete_fold", 400, Client, "http_request_error";
    /// A line ends without a carriage return and line feed, or holds one of them alone.
    BareLineEnd = "bare_line_end", 400, Client, "http_request_error";
    /// The request names no host.
    MissingHost = "missing_host", 400, Client, "http_request_error";
    /// The request names its host more than once.
    DuplicateHost = "duplicate_host", 400, Client, "http_request_error";
    /// The host is not a valid name or address with an optional port, or differs from the one in the target.
    BadHost = "bad_host", 400, Client, "http_request_error";
    /// Content-Length is not a decimal number.
    BadContentLength = "bad_content_length", 400, Client, "http_request_error";
    /// The request has more than one Content-Length.
    DuplicateContentLength = "duplicate_content_length", 400, Client, "http_request_error";
    /// The request has both Content-Length and Transfer-Encoding.
    LengthWithTransferEncoding = "length_with_transfer_encoding", 400, Client, "http_request_error";
    /// Transfer-Encoding is not exactly "chunked", or stands in an HTTP/1.0 request.
    BadTransferEncoding = "bad_transfer_encoding", 400, Client, "http_request_error";
    /// A transfer coding is not implemented here.
    UnknownTransferCoding = "unknown_transfer_coding", 501, Client, "http_request_error";
    /// A chunk of the request body has no valid size or does not end where it should.
    BadChunk = "bad_chunk", 400, Client, "http_request_error";
    /// A trailer field of the request is malformed.
    BadTrailer = "bad_trailer", 400, Client, "http_request_error";
    /// The path holds an encoded slash, backslash or NUL, a malformed percent sign, or leaves the root.
    BadPath = "bad_path", 400, Client, "http_request_error";
    /// The method is not served here.
    MethodNotServed = "method_not_served", 501, Client, "http_request_denied";
    /// The expectation in Expect is not one that can be met.
    BadExpectation = "bad_expectation", 417, Client, "http_request_error";

    /// The request head is larger than allowed.
    HeadTooLarge = "head_too_large", 431, Client, "http_request_error";
    /// The request has more fields than allowed.
    TooManyFields = "too_many_fields", 431, Client, "http_request_error";
    /// The request target is longer than allowed.
    TargetTooLong = "target_too_long", 414, Client, "http_request_error";
    /// The request body is larger than allowed.
    BodyTooLarge = "body_too_large", 413, Client, "http_request_error";
    /// The request head did not arrive in time.
    HeadTimeout = "head_timeout", 408, Client, "http_request_error";
    /// The request body stopped arriving.
    BodyTimeout = "body_timeout", 408, Client, "http_request_error";
    /// The client closed or reset its connection before the exchange was over.
    ClientClosed = "client_closed", 0, Client, "";
    /// The client did not take the response in time.
    ClientStalled = "client_stalled", 0, Client, "";
    /// The listener has as many connections as it may have.
    ListenerFull = "listener_full", 503, Proxy, "connection_limit_reached";
    /// The client's address has as many connections as it may have.
    ClientAddressFull = "client_address_full", 429, Client, "connection_limit_reached";

    /// No route matches the request.
    NoRoute = "no_route", 404, Client, "destination_not_found";
    /// The route has no destination with any weight.
    NoDestination = "no_destination", 500, Proxy, "proxy_configuration_error";
    /// The upstream has no endpoint that may be used now.
    NoEndpoint = "no_endpoint", 503, Upstream, "destination_unavailable";
    /// The upstream has as many requests as it may have, and none can wait.
    UpstreamFull = "upstream_full", 503, Proxy, "connection_limit_reached";
    /// As many requests wait for the upstream as may.
    QueueFull = "queue_full", 503, Proxy, "connection_limit_reached";
    /// The request waited for the upstream as long as it may, or would have to wait longer.
    QueueTimeout = "queue_timeout", 503, Proxy, "connection_limit_reached";
    /// Requests have been waiting for the upstream for too long, and this is one of those refused until that ends.
    QueueShed = "queue_shed", 503, Proxy, "connection_limit_reached";
    /// The upstream failed too often, and is spared for a while.
    CircuitOpen = "circuit_open", 503, Upstream, "destination_unavailable";
    /// The endpoint refused the connection or could not be reached.
    ConnectFailed = "connect_failed", 502, Upstream, "connection_refused";
    /// The endpoint did not accept a connection in time.
    ConnectTimeout = "connect_timeout", 504, Upstream, "connection_timeout";
    /// The endpoint closed or reset the connection before it answered.
    UpstreamClosed = "upstream_closed", 502, Upstream, "connection_terminated";
    /// The endpoint did not begin its answer in time.
    FirstByteTimeout = "first_byte_timeout", 504, Upstream, "http_response_timeout";
    /// The attempt took longer than the route allows for one.
    TryTimeout = "try_timeout", 504, Upstream, "http_response_timeout";
    /// The endpoint stopped sending or taking bytes in the middle of the exchange.
    UpstreamStalled = "upstream_stalled", 504, Upstream, "connection_read_timeout";
    /// The exchange took longer than the route allows.
    TotalTimeout = "total_timeout", 504, Upstream, "http_response_timeout";
    /// The endpoint's response is not valid HTTP.
    BadResponse = "bad_response", 502, Upstream, "http_protocol_error";
    /// The endpoint's response head is larger than allowed.
    ResponseHeadTooLarge = "response_head_too_large", 502, Upstream, "http_response_header_section_size";
    /// The endpoint's response ended before it was complete.
    ResponseIncomplete = "response_incomplete", 502, Upstream, "http_response_incomplete";
    /// The endpoint switched protocols without being asked to.
    BadUpgrade = "bad_upgrade", 502, Upstream, "http_upgrade_failed";
    /// The endpoint answered with a status that the route does not pass on.
    UnwantedStatus = "unwanted_status", 502, Upstream, "destination_unavailable";
    /// Tollgate is draining and takes no new requests.
    Draining = "draining", 503, Proxy, "destination_unavailable";

    // TLS, streams, connections.

    /// The client and Tollgate could not agree on a TLS connection.
    TlsHandshakeFailed = "tls_handshake_failed", 0, Client, "";
    /// The TLS handshake did not end in time.
    TlsHandshakeTimeout = "tls_handshake_timeout", 0, Client, "";
    /// The client began with something that is not TLS.
    NotTls = "not_tls", 0, Client, "";
    /// There is no certificate for the name that the client asked for.
    NoCertificate = "no_certificate", 0, Client, "";
    /// The client offered no application protocol that the listener speaks.
    AlpnMismatch = "alpn_mismatch", 0, Client, "";
    /// The client showed no certificate where one is required.
    ClientCertificateMissing = "client_certificate_missing", 0, Client, "";
    /// The client's certificate was not accepted.
    ClientCertificateRefused = "client_certificate_refused", 0, Client, "";
    /// The request's host is served with another certificate or TLS setting than its connection was opened with.
    Misdirected = "misdirected", 421, Client, "http_request_denied";
    /// The listener sends plain requests to https.
    HttpsRedirect = "https_redirect", 308, Nobody, "";
    /// An authority asked whether a name is ours, and got the answer that it wants for a certificate.
    AcmeChallenge = "acme_challenge", 200, Nobody, "";
    /// The endpoint and Tollgate could not agree on a TLS connection.
    UpstreamTlsFailed = "upstream_tls_failed", 502, Upstream, "tls_protocol_error";
    /// The endpoint's certificate was not accepted.
    UpstreamCertificateRefused = "upstream_certificate_refused", 502, Upstream, "tls_certificate_error";
    /// The endpoint does not speak the upstream's protocol.
    UpstreamAlpnMismatch = "upstream_alpn_mismatch", 502, Upstream, "tls_protocol_error";

    /// The client cancelled the request's stream.
    ClientReset = "client_reset", 0, Client, "";
    /// The endpoint cancelled the request's stream.
    UpstreamReset = "upstream_reset", 502, Upstream, "connection_terminated";
    /// The endpoint refused the request's stream before it looked at it.
    UpstreamRefusedStream = "upstream_refused_stream", 502, Upstream, "connection_limit_reached";
    /// The client broke the rules of HTTP/2 or HTTP/3, which ended its connection.
    ProtocolViolation = "protocol_violation", 0, Client, "";
    /// The client opened and cancelled streams too quickly, which ended its connection.
    RapidReset = "rapid_reset", 0, Client, "";
    /// The client made too many streams fail, which ended its connection.
    ProvokedReset = "provoked_reset", 0, Client, "";
    /// The client sent too many frames that carry nothing, which ended its connection.
    FrameFlood = "frame_flood", 0, Client, "";
    /// The client sent a head of too many or too large parts, which ended its connection.
    HeadFlood = "head_flood", 0, Client, "";
    /// The request is a gRPC call whose deadline has passed.
    DeadlineExceeded = "deadline_exceeded", 504, Upstream, "http_response_timeout";

    /// The connection or flow was carried to its end.
    ConnectionEnded = "connection_ended", 0, Nobody, "";
    /// The connection or flow carried nothing for longer than it may.
    ConnectionIdle = "connection_idle", 0, Nobody, "";
    /// There is no upstream for the name that the client asked for.
    UnknownServerName = "unknown_server_name", 0, Client, "";
    /// The connection did not begin with a valid PROXY header, which its listener requires.
    BadProxyHeader = "bad_proxy_header", 0, Client, "";
    /// The connection did not send what it must begin with in time.
    PreludeTimeout = "prelude_timeout", 0, Client, "";
    /// The listener has as many flows as it may have.
    FlowTableFull = "flow_table_full", 0, Proxy, "";
    /// The client's address has as many flows as it may have.
    ClientFlowsFull = "client_flows_full", 0, Client, "";

    // The gate: who may pass, how much, in what shape.

    /// The request must prove who sends it.
    Unauthenticated = "unauthenticated", 401, Client, "http_request_denied";
    /// A credential is there, but not in the form that it must have.
    CredentialMalformed = "credential_malformed", 401, Client, "http_request_denied";
    /// The credential is not one of a known consumer.
    CredentialUnknown = "credential_unknown", 401, Client, "http_request_denied";
    /// The user is not known, or the password is wrong.
    PasswordWrong = "password_wrong", 401, Client, "http_request_denied";
    /// The token is not a token that can be read.
    TokenMalformed = "token_malformed", 401, Client, "http_request_denied";
    /// The token is signed with an algorithm that is not allowed, or that its key is not for.
    TokenAlgorithm = "token_algorithm", 401, Client, "http_request_denied";
    /// The token names a key that is not known.
    TokenKeyUnknown = "token_key_unknown", 401, Client, "http_request_denied";
    /// The token's signature is wrong.
    TokenSignature = "token_signature", 401, Client, "http_request_denied";
    /// The token has expired.
    TokenExpired = "token_expired", 401, Client, "http_request_denied";
    /// The token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid", 401, Client, "http_request_denied";
    /// The token is by another issuer.
    TokenIssuer = "token_issuer", 401, Client, "http_request_denied";
    /// The token is for another audience.
    TokenAudience = "token_audience", 401, Client, "http_request_denied";
    /// The token lacks a claim that it must have.
    TokenClaims = "token_claims", 401, Client, "http_request_denied";
    /// The token's issuer says that it is not active.
    TokenInactive = "token_inactive", 401, Client, "http_request_denied";
    /// The signature fields of the request cannot be read.
    SignatureMalformed = "signature_malformed", 401, Client, "http_request_denied";
    /// The request's signature does not cover what it must.
    SignatureIncomplete = "signature_incomplete", 401, Client, "http_request_denied";
    /// The request's signature is wrong.
    SignatureWrong = "signature_wrong", 401, Client, "http_request_denied";
    /// The request's signature is too old, or from the future.
    SignatureExpired = "signature_expired", 401, Client, "http_request_denied";
    /// The request's signature was used before.
    SignatureReplayed = "signature_replayed", 401, Client, "http_request_denied";
    /// The request's body is not the one that its digest is of.
    DigestWrong = "digest_wrong", 400, Client, "http_request_denied";
    /// The connection has no verified client certificate.
    CertificateAbsent = "certificate_absent", 401, Client, "http_request_denied";
    /// The client certificate is not one of a known consumer.
    CertificateUnknown = "certificate_unknown", 401, Client, "http_request_denied";
    /// The request proves to come from two different consumers.
    IdentityConflict = "identity_conflict", 401, Client, "http_request_denied";
    /// Whom the credential names is not a known consumer.
    ConsumerUnknown = "consumer_unknown", 403, Client, "http_request_denied";
    /// Who could tell whether the credential is good cannot be asked now.
    IdentityUnavailable = "identity_unavailable", 503, Proxy, "destination_unavailable";
    /// Too many passwords are being checked at once.
    IdentityBusy = "identity_busy", 503, Proxy, "destination_unavailable";
    /// The service that decides about requests refused this one.
    AuthorizationDenied = "authorization_denied", 403, Client, "http_request_denied";
    /// The service that decides about requests cannot be asked now.
    AuthorizationUnavailable = "authorization_unavailable", 503, Proxy, "destination_unavailable";
    /// A browser is sent to log in.
    LoginRequired = "login_required", 302, Nobody, "";
    /// A login that began elsewhere, too long ago or not at all cannot be finished.
    LoginFailed = "login_failed", 400, Client, "http_request_denied";
    /// A browser has logged in, and goes back to where it wanted to go.
    LoggedIn = "logged_in", 302, Nobody, "";
    /// A browser has logged out.
    LoggedOut = "logged_out", 302, Nobody, "";
    /// A rule denies the request.
    DeniedByRule = "denied_by_rule", 403, Client, "http_request_denied";
    /// No rule allows the request.
    NotAllowed = "not_allowed", 403, Client, "http_request_denied";
    /// A rule about the request could not be evaluated, so it counts as one that denies.
    RuleFailed = "rule_failed", 403, Client, "http_request_denied";
    /// The client's address may not send this.
    AddressDenied = "address_denied", 403, Client, "http_request_denied";
    /// The request was caused by a page of another site.
    CrossSite = "cross_site", 403, Client, "http_request_denied";
    /// A browser asked whether a page of another origin may send a request, and got the answer.
    CorsPreflight = "cors_preflight", 204, Nobody, "";
    /// The method is not allowed here.
    MethodNotAllowed = "method_not_allowed", 405, Client, "http_request_denied";
    /// The content type of the request's body is not allowed here.
    ContentTypeNotAllowed = "content_type_not_allowed", 415, Client, "http_request_denied";
    /// More requests came than the rate limit lets pass.
    RateLimited = "rate_limited", 429, Client, "http_request_denied";
    /// More requests are under way than there may be at once.
    ConcurrencyLimited = "concurrency_limited", 429, Client, "http_request_denied";
    /// The quota of the period is used up.
    QuotaExceeded = "quota_exceeded", 429, Client, "http_request_denied";
    /// Where the limit is counted cannot be asked now.
    LimitUnavailable = "limit_unavailable", 503, Proxy, "destination_unavailable";
}

impl Reason {
    /// The reason of this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// What a stranger is told instead: why exactly a proof of identity or a rule failed is for the operator
    /// only, since it tells an attacker what to try next.
    pub fn shown(self) -> Self {
        match self.status() {
            401 => Self::Unauthenticated,
            403 => Self::NotAllowed,
            _ => match self {
                Self::IdentityBusy | Self::AuthorizationUnavailable => Self::IdentityUnavailable,
                shown => shown,
            },
        }
    }

    /// Whether the exchange failed: somebody is at fault.
    pub fn is_failure(self) -> bool {
        self.side() != Side::Nobody
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(seen.insert(code), "{code} stands twice");
            assert_eq!(Reason::from_code(code), Some(*reason));
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()),
                "{code}"
            );
            assert!(reason.explanation().ends_with('.'), "{code}: {}", reason.explanation());
        }
    }

    #[test]
    fn an_answered_failure_has_an_error_status_and_a_proxy_status_error() {
        for reason in Reason::ALL.iter().filter(|r| r.is_failure() && r.status() != 0) {
            assert!((400..600).contains(&reason.status()), "{reason:?}");
            assert!(!reason.proxy_status_error().is_empty(), "{reason:?}");
        }
    }
}
