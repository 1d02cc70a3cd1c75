//! What callers show of their own: API keys, passwords, signatures, certificates.

use crate::section::{section, words};
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::units::{ComponentName, CookieName, Duration, FieldValue, FilePath, HeaderName, QueryName};

section! {
    /// API keys of consumers. Where several of the places hold a key, they must hold the same.
    pub struct ApiKeyAuth {
        /// A request header that holds the key; with `Authorization`, behind `Bearer`.
        header: Option<Located<HeaderName>> = optional;
        /// A query parameter that holds it. URLs get into logs and histories, so a header is better.
        query: Option<Located<QueryName>> = optional;
        /// A cookie that holds it.
        cookie: Option<Located<CookieName>> = optional;
        /// Whether the upstream gets the key too.
        forward: bool = default(false);
    }
}

section! {
    /// User and password by HTTP Basic (RFC 7617).
    pub struct BasicAuth {
        /// What browsers show when they ask for them.
        realm: Located<FieldValue> = default(Located::nowhere(FieldValue::of("tollgate")));
        /// A file of users beside those of consumers, as `htpasswd -B` writes it. Watched.
        htpasswd: Option<Located<FilePath>> = optional;
        /// Whether the upstream gets them too.
        forward: bool = default(false);
    }
}

section! {
    /// Signed requests (HTTP Message Signatures, RFC 9421), by keys of consumers.
    pub struct SignatureAuth {
        /// What a signature must cover at least. With `content-digest` (RFC 9530), the body is compared too.
        covered: Many<Located<ComponentName>> = default(Many(ComponentName::usual()));
        /// How old a signature may be.
        max_age: Duration<1> = default(Duration::seconds(300));
        /// How far the clocks of callers may be off.
        clock_skew: Duration = default(Duration::seconds(30));
        /// Whether a signature must have a nonce, which is taken once only.
        nonce: NonceRule = default(NonceRule::Optional);
        /// Nonces that are remembered while they are young enough; beyond that, signatures with a nonce are refused.
        max_nonces: Whole<1, 100_000_000> = default(Whole::of::<100_000>());
        /// Which signature counts, by its label. If left out, a request may have one only.
        label: Option<Located<HeaderName>> = optional;
    }
}

words! {
    /// Whether a signature must have a nonce.
    pub enum NonceRule {
        /// It must.
        Required = "required";
        /// It may; one that is there is taken once only.
        Optional = "optional";
        /// It may; nothing is made of it.
        Ignored = "ignored";
    }
}

section! {
    /// The client certificate that the listener verified (`tls: { client_certificates: … }`).
    pub struct CertificateAuth {
        /// Whether a certificate that no consumer has is right, too.
        allow_unknown: bool = default(false);
    }
}
