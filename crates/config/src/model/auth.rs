//! Methods of authentication: how callers show who they are.

mod called;
mod jwt;
mod oauth;
mod oidc;
mod shown;

pub use called::{ExtAuthzAuth, ForwardAuth, IfUnreachable};
pub use jwt::{JwsAlgorithm, JwtAuth, JwtKey, KeyMaterial, TokenPlace};
pub use oauth::{AnswerCache, IntrospectionAuth};
pub use oidc::{OidcAuth, SameSite, SessionCookie};
pub use shown::{ApiKeyAuth, BasicAuth, CertificateAuth, NonceRule, SignatureAuth};

use crate::section::choice;

choice! {
    /// A method of authentication. Routes name it under `auth`.
    pub enum AuthMethod {
        /// API keys of consumers.
        ApiKey("api_key"): Box<ApiKeyAuth>;
        /// User and password by HTTP Basic (RFC 7617).
        Basic("basic"): Box<BasicAuth>;
        /// Signed tokens (JWT, RFC 7519).
        Jwt("jwt"): Box<JwtAuth>;
        /// Tokens that an authorization server is asked about (RFC 7662).
        Introspection("introspection"): Box<IntrospectionAuth>;
        /// Login of browsers at an OpenID provider.
        Oidc("oidc"): Box<OidcAuth>;
        /// Signed requests (HTTP Message Signatures, RFC 9421).
        Signature("signature"): Box<SignatureAuth>;
        /// The client certificate that the listener verified.
        Certificate("certificate"): CertificateAuth;
        /// An HTTP service of your own decides about each request.
        Forward("forward"): Box<ForwardAuth>;
        /// A service that speaks Envoy's `ext_authz` (gRPC) decides about each request.
        ExtAuthz("ext_authz"): Box<ExtAuthzAuth>;
    }
}
