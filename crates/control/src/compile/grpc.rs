//! gRPC calls as what routes match: a path, a method and a content type.

use tollgate_config::{GrpcMatch, NameMatch};
use tollgate_routing::{FieldPredicate, PathMatch, ValueTest};

/// What the content type of gRPC is (PROTOCOL-HTTP2 of gRPC): `application/grpc`, with a message format behind `+` and
/// parameters behind `;`. Not `application/grpc-web`, which is another protocol.
const CONTENT_TYPE: &str = r"(?i)application/grpc(?:[+;].*)?";

/// The content type that all calls have.
pub(super) fn content_type() -> FieldPredicate {
    FieldPredicate { name: "content-type".to_owned(), test: ValueTest::Regex(CONTENT_TYPE.to_owned()) }
}

/// The path of the calls, `/service/method`; `None` for all of them.
pub(super) fn path(grpc: &GrpcMatch) -> Option<PathMatch> {
    let [service, method] = [&grpc.service, &grpc.method].map(|name| name.as_ref().map(|name| &name.value));
    match (service, method) {
        (None, None) => None,
        (Some(NameMatch::Exact(service)), Some(NameMatch::Exact(method))) => {
            Some(PathMatch::Exact(format!("/{service}/{method}")))
        }
        (Some(NameMatch::Exact(service)), None) => Some(PathMatch::Prefix(format!("/{service}"))),
        (service, method) => {
            Some(PathMatch::Regex(format!("/{}/{}", expression(service), expression(method))))
        }
    }
}

/// An expression for one element of the path.
fn expression(name: Option<&NameMatch>) -> String {
    match name {
        None => "[^/]+".to_owned(),
        // Of what a name may hold, only the dot means something else.
        Some(NameMatch::Exact(name)) => name.as_str().replace('.', r"\."),
        Some(NameMatch::Regex(regex)) => format!("(?:{regex})"),
    }
}
