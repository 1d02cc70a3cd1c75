//! The messages of Envoy's API that are used, with its field numbers. Fields that are not here are skipped when they
//! are received.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

/// `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CheckRequest {
    /// What is asked about.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// `envoy.service.auth.v3.AttributeContext`.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeContext {
    /// The client.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    /// The listener.
    #[prost(message, optional, tag = "2")]
    pub destination: Option<Peer>,
    /// The request.
    #[prost(message, optional, tag = "4")]
    pub request: Option<AttributeRequest>,
    /// What the route's settings say to the service beyond that.
    #[prost(map = "string, string", tag = "10")]
    pub context_extensions: HashMap<String, String>,
    /// What is known of the client's TLS.
    #[prost(message, optional, tag = "12")]
    pub tls_session: Option<TlsSession>,
}

/// `envoy.service.auth.v3.AttributeContext.Peer`.
#[derive(Clone, PartialEq, Message)]
pub struct Peer {
    /// Its address.
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
    /// Its name as a service.
    #[prost(string, tag = "2")]
    pub service: String,
    /// Its labels.
    #[prost(map = "string, string", tag = "3")]
    pub labels: HashMap<String, String>,
    /// Its identity that was verified, such as the name in its certificate.
    #[prost(string, tag = "4")]
    pub principal: String,
    /// Its certificate as PEM, percent-encoded.
    #[prost(string, tag = "5")]
    pub certificate: String,
}

/// `envoy.config.core.v3.Address`.
#[derive(Clone, PartialEq, Message)]
pub struct Address {
    /// Of a socket.
    #[prost(message, optional, tag = "1")]
    pub socket_address: Option<SocketAddress>,
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        let (port, address) = (u32::from(address.port()), address.ip().to_string());
        Self { socket_address: Some(SocketAddress { protocol: 0, address, port }) }
    }
}

/// `envoy.config.core.v3.SocketAddress`.
#[derive(Clone, PartialEq, Message)]
pub struct SocketAddress {
    /// 0 for TCP, 1 for UDP.
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    /// The IP address.
    #[prost(string, tag = "2")]
    pub address: String,
    /// The port (`port_value`).
    #[prost(uint32, tag = "3")]
    pub port: u32,
}

/// `envoy.service.auth.v3.AttributeContext.Request`.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeRequest {
    /// When its first byte came.
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    /// The request.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `envoy.service.auth.v3.AttributeContext.HttpRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct HttpRequest {
    /// The request's id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// The fields, their names in lower case, values of one name joined by commas. Other text than UTF-8 cannot be
    /// carried.
    #[prost(map = "string, string", tag = "3")]
    pub headers: HashMap<String, String>,
    /// The path with the query.
    #[prost(string, tag = "4")]
    pub path: String,
    /// The host, with the port where it was named.
    #[prost(string, tag = "5")]
    pub host: String,
    /// `http` or `https`.
    #[prost(string, tag = "6")]
    pub scheme: String,
    /// Always empty in Envoy: the query is in `path`.
    #[prost(string, tag = "7")]
    pub query: String,
    /// Bytes of the body; -1 where that is not known.
    #[prost(int64, tag = "9")]
    pub size: i64,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    #[prost(string, tag = "10")]
    pub protocol: String,
}

/// `envoy.service.auth.v3.AttributeContext.TLSSession`.
#[derive(Clone, PartialEq, Message)]
pub struct TlsSession {
    /// The name that the client asked for.
    #[prost(string, tag = "1")]
    pub sni: String,
}

/// `envoy.service.auth.v3.CheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct CheckResponse {
    /// OK lets the request pass. What is left out means OK, as everywhere in protobuf.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// What goes with it.
    #[prost(oneof = "HttpResponse", tags = "2, 3, 5")]
    pub http_response: Option<HttpResponse>,
}

/// The oneof `http_response` of `envoy.service.auth.v3.CheckResponse`.
#[derive(Clone, PartialEq, Oneof)]
pub enum HttpResponse {
    /// What the client gets instead.
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    /// What is changed about a request that passes.
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
    /// The service could not decide.
    #[prost(message, tag = "5")]
    Error(DeniedHttpResponse),
}

/// `google.rpc.Status`, without its details.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// A `google.rpc.Code`; 0 is OK.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For developers.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `envoy.service.auth.v3.DeniedHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct DeniedHttpResponse {
    /// The status; 403 where it is left out.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Fields.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// The body.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct HttpStatus {
    /// The status; an enumeration in the API, whose values are the statuses.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `envoy.service.auth.v3.OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct OkHttpResponse {
    /// Fields for the request.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Fields that the upstream does not get. Not `Host`, nor those that begin with a colon.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
    /// Fields for the response.
    #[prost(message, repeated, tag = "6")]
    pub response_headers_to_add: Vec<HeaderValueOption>,
    /// Parameters of the query to set.
    #[prost(message, repeated, tag = "7")]
    pub query_parameters_to_set: Vec<QueryParameter>,
    /// Parameters of the query to take out.
    #[prost(string, repeated, tag = "8")]
    pub query_parameters_to_remove: Vec<String>,
}

/// `envoy.config.core.v3.QueryParameter`.
#[derive(Clone, PartialEq, Message)]
pub struct QueryParameter {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `envoy.config.core.v3.HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValueOption {
    /// The field.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// What older services say instead of `append_action`; see [`Self::action`].
    #[prost(message, optional, tag = "2")]
    pub append: Option<BoolValue>,
    /// What to do where there are such fields; see [`Self::action`].
    #[prost(enumeration = "AppendAction", tag = "3")]
    pub append_action: i32,
    /// Whether a field without value is set, instead of being left out.
    #[prost(bool, tag = "4")]
    pub keep_empty_value: bool,
}

/// `envoy.config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
    /// The value where it is no UTF-8.
    #[prost(bytes = "vec", tag = "3")]
    pub raw_value: Vec<u8>,
}

/// `google.protobuf.BoolValue`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BoolValue {
    /// The value.
    #[prost(bool, tag = "1")]
    pub value: bool,
}

/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum AppendAction {
    /// Beside those that are there.
    AppendIfExistsOrAdd = 0,
    /// Only where there is none.
    AddIfAbsent = 1,
    /// Instead of those that are there.
    OverwriteIfExistsOrAdd = 2,
    /// Only instead of those that are there.
    OverwriteIfExists = 3,
}

impl HeaderValue {
    /// The value, in whichever of its two fields it is.
    pub fn bytes(&self) -> &[u8] {
        if self.raw_value.is_empty() { self.value.as_bytes() } else { &self.raw_value }
    }
}

impl HeaderValueOption {
    /// What to do with the field, as Envoy does: the older `append` counts where it is there, and an action that is
    /// not known replaces.
    pub fn action(&self) -> AppendAction {
        match self.append {
            Some(BoolValue { value: true }) => AppendAction::AppendIfExistsOrAdd,
            Some(BoolValue { value: false }) => AppendAction::OverwriteIfExistsOrAdd,
            None => {
                AppendAction::try_from(self.append_action).unwrap_or(AppendAction::OverwriteIfExistsOrAdd)
            }
        }
    }
}

/// What a service's answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The request passes, changed like this.
    Pass(OkHttpResponse),
    /// It does not. The status is one that a response can have: 403 where the service named none.
    Deny {
        /// The status.
        status: u16,
        /// What else the client gets.
        response: DeniedHttpResponse,
    },
    /// The service could not decide: treated like one that is out of reach.
    Undecided(DeniedHttpResponse),
}

impl CheckResponse {
    /// What the answer means, as Envoy understands it.
    pub fn verdict(self) -> Verdict {
        let code = self.status.map_or(0, |status| status.code);
        match (code, self.http_response) {
            (0, Some(HttpResponse::Ok(response))) => Verdict::Pass(response),
            (0, _) => Verdict::Pass(OkHttpResponse::default()),
            (_, Some(HttpResponse::Error(response))) => Verdict::Undecided(response),
            (_, Some(HttpResponse::Denied(response))) => {
                let status = response.status.and_then(|status| u16::try_from(status.code).ok());
                let status = status.filter(|status| (200..600).contains(status)).unwrap_or(403);
                Verdict::Deny { status, response }
            }
            (_, _) => Verdict::Deny { status: 403, response: DeniedHttpResponse::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// Written by hand from the field numbers of Envoy's files.
    #[test]
    fn requests_have_envoys_numbers() {
        let http = HttpRequest {
            id: "i".into(),
            method: "GET".into(),
            headers: [("a".to_owned(), "b".to_owned())].into(),
            path: "/p".into(),
            host: "h".into(),
            scheme: "s".into(),
            query: "q".into(),
            size: 7,
            protocol: "P".into(),
        };
        let encoded = http.encode_to_vec();
        let want: &[u8] = b"\x0a\x01i\x12\x03GET\x1a\x06\x0a\x01a\x12\x01b\x22\x02/p\x2a\x01h\x32\x01s\x3a\x01q\x48\x07\x52\x01P";
        assert_eq!(encoded, want);
        let address = Address::from("192.0.2.1:80".parse::<std::net::SocketAddr>().unwrap());
        let peer = Peer {
            address: Some(address),
            principal: "p".into(),
            certificate: "c".into(),
            ..Peer::default()
        };
        let encoded = peer.encode_to_vec();
        assert_eq!(encoded, b"\x0a\x0f\x0a\x0d\x12\x09192.0.2.1\x18\x50\x22\x01p\x2a\x01c");
        let time = Some(Timestamp { seconds: 1, nanos: 2 });
        let context = AttributeContext {
            source: Some(Peer::default()),
            destination: Some(Peer::default()),
            request: Some(AttributeRequest { time, http: Some(HttpRequest::default()) }),
            tls_session: Some(TlsSession { sni: "n".into() }),
            ..AttributeContext::default()
        };
        let request = CheckRequest { attributes: Some(context) }.encode_to_vec();
        assert_eq!(request, b"\x0a\x13\x0a\0\x12\0\x22\x08\x0a\x04\x08\x01\x10\x02\x12\0\x62\x03\x0a\x01n");
    }

    #[test]
    fn answers_are_understood_as_envoy_does() {
        let of = |bytes: &[u8]| CheckResponse::decode(bytes).unwrap().verdict();
        assert_eq!(of(b""), Verdict::Pass(OkHttpResponse::default()));
        // Status 7 alone.
        let denied = Verdict::Deny { status: 403, response: DeniedHttpResponse::default() };
        assert_eq!(of(b"\x0a\x02\x08\x07"), denied);
        // With status 401, a field and a body; the metadata (4) is skipped.
        let Verdict::Deny { status, response } = of(
            b"\x0a\x02\x08\x10\x12\x12\x0a\x03\x08\x91\x03\x12\x08\x0a\x06\x0a\x01k\x12\x01v\x1a\x01b\x22\0",
        ) else {
            panic!("it was not denied")
        };
        assert_eq!((status, response.body.as_str(), response.headers.len()), (401, "b", 1));
        // A status that no response can have.
        let denied = of(b"\x0a\x02\x08\x10\x12\x05\x0a\x03\x08\x8f\x4e");
        assert!(matches!(denied, Verdict::Deny { status: 403, .. }), "{denied:?}");
        // OK with fields to remove (5) and to add to the response (6).
        let Verdict::Pass(ok) = of(b"\x1a\x0d\x2a\x01r\x32\x08\x0a\x06\x0a\x01k\x12\x01v") else {
            panic!("it did not pass")
        };
        assert_eq!((ok.headers_to_remove, ok.response_headers_to_add.len()), (vec!["r".to_owned()], 1));
        assert!(matches!(of(b"\x0a\x02\x08\x0e\x2a\0"), Verdict::Undecided(_)));
        // Denied, but said to be OK: the status decides.
        assert!(matches!(of(b"\x12\0"), Verdict::Pass(_)));
    }

    #[test]
    fn actions_are_those_of_either_field() {
        let of = |append: Option<bool>, append_action| {
            let append = append.map(|value| BoolValue { value });
            HeaderValueOption { append, append_action, ..HeaderValueOption::default() }.action()
        };
        assert_eq!(of(None, 0), AppendAction::AppendIfExistsOrAdd);
        assert_eq!(of(None, 1), AppendAction::AddIfAbsent);
        assert_eq!(of(None, 3), AppendAction::OverwriteIfExists);
        assert_eq!(of(None, 99), AppendAction::OverwriteIfExistsOrAdd);
        assert_eq!(of(Some(true), 2), AppendAction::AppendIfExistsOrAdd);
        assert_eq!(of(Some(false), 0), AppendAction::OverwriteIfExistsOrAdd);
    }
}
