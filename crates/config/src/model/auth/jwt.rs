//! Signed tokens.

use crate::section::{choice, section, words};
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, CookieName, Duration, FieldValue, FilePath, HeaderName, HttpUrl};
use crate::units::{KeySecret, QueryName};

section! {
    /// Signed tokens (JWS, RFC 7515, with the claims of RFC 7519). A key is good for one algorithm only, and `none` never.
    pub struct JwtAuth {
        /// Who must have issued them, the claim `iss`. Without `jwks` and `keys`, the keys are found by
        /// `/.well-known/openid-configuration` below it.
        issuer: Option<Located<String>> = optional;
        /// Whom they must be for, the claim `aud`: one of these. Any if left out.
        audience: Many<Located<String>> = default(Many::none());
        /// The URL of the issuer's keys (RFC 7517), fetched, kept and fetched anew.
        jwks: Option<Located<HttpUrl>> = optional;
        /// Keys that are known beforehand.
        keys: Many<Located<JwtKey>> = default(Many::none());
        /// The algorithms that are right; of keys from the issuer, all but the `HS*` ones if left out.
        algorithms: Many<Located<JwsAlgorithm>> = default(Many::none());
        /// How far the issuer's clock may be off.
        clock_skew: Duration = default(Duration::seconds(60));
        /// Claims that must be there.
        required_claims: Many<Located<ClaimPath>> = default(Many::none());
        /// The claim that names the consumer, by its credential `subject`.
        consumer: ClaimPath = default(ClaimPath::sub());
        /// Where the token is.
        from: TokenPlace = section;
        /// Request headers for the upstream, and the claims they come from. What clients send under these names is
        /// removed.
        claims_to_headers: Table<HeaderName, ClaimPath> = default(Table::none());
        /// Whether the upstream gets the token too.
        forward: bool = default(true);
        /// Verified tokens that are remembered, so that they are not verified again.
        cache: Whole<0, 10_000_000> = default(Whole::of::<10_000>());
        /// The authorities that may have issued the certificate of the issuer's server, PEM; those of the system if
        /// left out.
        ca: Option<Located<FilePath>> = optional;
    }
}

section! {
    /// Where a token is. Of the places that are set, the first one that holds something counts, in this order.
    pub struct TokenPlace {
        /// A request header; with `Authorization`, behind `Bearer` (RFC 6750). `Authorization` if no place is set.
        header: Option<Located<HeaderName>> = optional;
        /// A query parameter. URLs get into logs and histories, so a header is better.
        query: Option<Located<QueryName>> = optional;
        /// A cookie.
        cookie: Option<Located<CookieName>> = optional;
    }
}

section! {
    /// A key that is known beforehand.
    pub struct JwtKey {
        /// The key.
        material: KeyMaterial = choice;
        /// The one algorithm that it is for.
        algorithm: Located<JwsAlgorithm> = required;
        /// What tokens call it, the parameter `kid`. If left out, it is tried for tokens without one.
        id: Option<Located<FieldValue>> = optional;
    }
}

choice! {
    /// What verifies a token.
    pub enum KeyMaterial {
        /// A public key, a PEM file.
        File("file"): Located<FilePath>;
        /// A shared secret, for the `HS*` algorithms: a text, `base64:…` or `hex:…`, or `{ file: … }`.
        Secret("secret"): Located<KeySecret>;
    }
}

words! {
    /// An algorithm of signed tokens (RFC 7518 section 3.1, RFC 8037).
    pub enum JwsAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256";
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384";
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512";
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256";
        /// RSASSA-PSS with SHA-384.
        Ps384 = "PS384";
        /// RSASSA-PSS with SHA-512.
        Ps512 = "PS512";
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256";
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384";
        /// Ed25519.
        EdDsa = "EdDSA" | "Ed25519";
        /// HMAC with SHA-256, a shared secret.
        Hs256 = "HS256";
        /// HMAC with SHA-384, a shared secret.
        Hs384 = "HS384";
        /// HMAC with SHA-512, a shared secret.
        Hs512 = "HS512";
    }
    later ["ES512", "ES256K"]
}

impl JwsAlgorithm {
    /// Whether signer and verifier share one secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}
