//! What the service is told of a request.

use std::collections::HashMap;
use std::net::SocketAddr;

use tollgate_credentials::certificate::{Credential, Identity};
use tollgate_message::BodyLength;
use tollgate_outbound::ext_authz::CheckRequest;
use tollgate_outbound::ext_authz::messages::{
    AttributeContext, AttributeRequest, HttpRequest, Peer, Timestamp, TlsSession,
};
use tollgate_policy::Asked;

use crate::auth::called;

/// What the service is asked about a request. How much that can be is bounded by what the listener takes as a head.
pub(super) fn question(asked: &Asked<'_>, context: &[(String, String)]) -> CheckRequest {
    let micros = asked.moment.wall_us;
    let time = Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or_default(),
        nanos: (micros % 1_000_000) as i32 * 1000,
    };
    let connection = &asked.connection;
    let source = Peer {
        // The port is not known of a client that a trusted proxy names.
        address: Some(SocketAddr::new(connection.client, 0).into()),
        principal: principal(asked).unwrap_or_default(),
        ..Peer::default()
    };
    let attributes = AttributeContext {
        source: Some(source),
        destination: Some(Peer { service: connection.listener.to_owned(), ..Peer::default() }),
        request: Some(AttributeRequest { time: Some(time), http: Some(http(asked)) }),
        context_extensions: context.iter().cloned().collect(),
        tls_session: connection.server_name.map(|name| TlsSession { sni: name.to_owned() }),
    };
    CheckRequest { attributes: Some(attributes) }
}

fn http(asked: &Asked<'_>) -> HttpRequest {
    HttpRequest {
        id: text(asked.request_id),
        method: text(asked.method_bytes),
        headers: headers(asked),
        path: text(&called::target(asked)),
        host: text(asked.authority),
        scheme: asked.scheme().to_owned(),
        query: String::new(),
        size: match asked.body {
            BodyLength::None => 0,
            BodyLength::Known(length) => i64::try_from(length).unwrap_or(i64::MAX),
            _ => -1,
        },
        protocol: called::protocol(asked.connection.version).to_owned(),
    }
}

/// The fields, with those that Envoy makes of the request line. What clients say of what only Tollgate knows is
/// left out.
fn headers(asked: &Asked<'_>) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    for (name, value, _) in asked.fields.iter() {
        if called::is_ours_to_say(name) || !called::may_be_said(name) {
            continue;
        }
        let value = text(value);
        let known = headers.entry(text(&name.to_ascii_lowercase())).and_modify(|known: &mut String| {
            known.push(',');
            known.push_str(&value);
        });
        known.or_insert(value);
    }
    for (name, value) in [
        (":method", text(asked.method_bytes)),
        (":path", text(&called::target(asked))),
        (":authority", text(asked.authority)),
        (":scheme", asked.scheme().to_owned()),
        ("x-forwarded-for", asked.connection.client.to_string()),
        ("x-forwarded-proto", asked.scheme().to_owned()),
        ("x-request-id", text(asked.request_id)),
    ] {
        headers.insert(name.to_owned(), value);
    }
    headers
}

/// Whom the client's certificate names first: an alternative name, or its subject.
fn principal(asked: &Asked<'_>) -> Option<String> {
    let identity = Identity::from_der(asked.connection.certificate?.der).ok()?;
    identity.credentials().find_map(|credential| match credential {
        Credential::Fingerprint(_) => None,
        Credential::AlternativeName(name) | Credential::Subject(name) => Some(name),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
