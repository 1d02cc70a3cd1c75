//! Whether a certificate is revoked, as its authority says it (RFC 6960): asking, and judging the answer, which
//! can then be stapled. Sending the question is the caller's.

mod response;

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use x509_parser::asn1_rs::{Any, Class, FromDer, Header, Length, Tag, ToDer};
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::certificates::Problem;
use response::{Element, Single};

/// No response is longer.
const RESPONSE_MAX: usize = 64 * 1024;

/// How far the clocks may be apart, in seconds.
const SKEW: i64 = 300;

/// How long a response is used that does not say when there will be a newer one, in seconds.
const UNLIMITED: i64 = 24 * 3600;

/// The object identifier of SHA-1, 1.3.14.3.2.26. All responders know it; it protects nothing here.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// A response that may be stapled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// The response as DER.
    pub der: Vec<u8>,
    /// When it was made, in seconds since 1970.
    pub this_update: i64,
    /// Until when it may be used, in seconds since 1970.
    pub next_update: i64,
}

/// Where a certificate's responder is, an `http` URL; none where the certificate names none.
pub fn responder(leaf: &[u8]) -> Option<String> {
    /// id-ad-ocsp.
    const OCSP: &str = "1.3.6.1.5.5.7.48.1";
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let access = leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    })?;
    let mut locations =
        access.accessdescs.iter().filter(|access| access.access_method.to_id_string() == OCSP);
    locations.find_map(|access| match access.access_location {
        GeneralName::URI(uri) if uri.starts_with("http://") => Some(uri.to_owned()),
        _ => None,
    })
}

/// The question whether a certificate is revoked, as DER (RFC 6960 section 4.1), to be sent as
/// `application/ocsp-request`.
///
/// # Errors
/// One of the certificates is malformed.
pub fn request(leaf: &[u8], issuer: &[u8]) -> Result<Vec<u8>, Problem> {
    let (leaf, issuer) = (parse(leaf)?, parse(issuer)?);
    let name = digest(&SHA1_FOR_LEGACY_USE_ONLY, issuer.subject().as_raw());
    let key = digest(&SHA1_FOR_LEGACY_USE_ONLY, &issuer.public_key().subject_public_key.data);
    let algorithm = [element(Tag::Oid, SHA1_OID)?, element(Tag::Null, &[])?].concat();
    let id = [
        element(Tag::Sequence, &algorithm)?,
        element(Tag::OctetString, name.as_ref())?,
        element(Tag::OctetString, key.as_ref())?,
        element(Tag::Integer, leaf.raw_serial())?,
    ];
    let mut request = id.concat();
    // CertID, Request, requestList, TBSRequest, OCSPRequest.
    for _ in 0..5 {
        request = element(Tag::Sequence, &request)?;
    }
    Ok(request)
}

/// Judges a response: it must be signed by the issuer, or by someone whom the issuer has made its responder,
/// be about this certificate and say that it is good, and not be too old. `now` is since 1970.
///
/// # Errors
/// Why it must not be stapled.
pub fn accept(response: &[u8], leaf: &[u8], issuer: &[u8], now: Duration) -> Result<Staple, Problem> {
    if response.len() > RESPONSE_MAX {
        return Err(Problem::new("the response is longer than 64 KiB"));
    }
    let (leaf, issuer) = (parse(leaf)?, parse(issuer)?);
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let basic = response::parse(response)?;
    if !is_signed(&basic, &issuer, now) {
        return Err(Problem::new("the response is not signed by the issuer or its responder"));
    }
    let is_about = |single: &&Single<'_>| {
        let algorithm = match single.issuer_name_hash.len() {
            20 => &SHA1_FOR_LEGACY_USE_ONLY,
            _ => &SHA256,
        };
        single.serial == leaf.raw_serial()
            && single.issuer_name_hash == digest(algorithm, issuer.subject().as_raw()).as_ref()
            && single.issuer_key_hash
                == digest(algorithm, &issuer.public_key().subject_public_key.data).as_ref()
    };
    let Some(single) = basic.responses.iter().find(is_about) else {
        return Err(Problem::new("the response is about another certificate"));
    };
    match single.status {
        0 => {}
        1 => return Err(Problem::new("the certificate is revoked")),
        _ => return Err(Problem::new("the responder does not know the certificate")),
    }
    let next_update = single.next_update.unwrap_or(single.this_update.saturating_add(UNLIMITED));
    if single.this_update > now.saturating_add(SKEW) {
        return Err(Problem::new("the response is from the future"));
    }
    if next_update <= now {
        return Err(Problem::new("the response is too old"));
    }
    Ok(Staple { der: response.to_vec(), this_update: single.this_update, next_update })
}

fn parse(certificate: &[u8]) -> Result<X509Certificate<'_>, Problem> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| Problem::new(format!("malformed certificate: {error}")))
}

/// Whether the issuer signed the response, or a certificate in it that the issuer made for that purpose.
fn is_signed(basic: &response::Basic<'_>, issuer: &X509Certificate<'_>, now: i64) -> bool {
    let signed_by = |signer: &X509Certificate<'_>| {
        verify(signer.public_key().raw, basic.algorithm, basic.signed, basic.signature)
    };
    if signed_by(issuer) {
        return true;
    }
    basic.certificates.iter().filter_map(|raw| X509Certificate::from_der(raw).ok()).any(|(_, delegate)| {
        let may_respond =
            delegate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
        let is_valid = ASN1Time::from_timestamp(now).is_ok_and(|now| delegate.validity().is_valid_at(now));
        let Ok(signed) = Element::of_certificate(&delegate) else {
            return false;
        };
        may_respond
            && is_valid
            && delegate.issuer().as_raw() == issuer.subject().as_raw()
            && verify(
                issuer.public_key().raw,
                signed.algorithm,
                delegate.tbs_certificate.as_ref(),
                &delegate.signature_value.data,
            )
            && signed_by(&delegate)
    })
}

/// Checks a signature. `public_key` is a SubjectPublicKeyInfo and `algorithm` the content of an
/// AlgorithmIdentifier, both as DER.
fn verify(public_key: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok((key_algorithm, key)) = response::public_key(public_key) else {
        return false;
    };
    let known = default_provider().signature_verification_algorithms.all;
    known
        .iter()
        .filter(|known| known.public_key_alg_id().as_ref() == key_algorithm)
        .filter(|known| known.signature_alg_id().as_ref() == algorithm)
        .any(|known| known.verify_signature(key, message, signature).is_ok())
}

/// One element of DER.
fn element(tag: Tag, content: &[u8]) -> Result<Vec<u8>, Problem> {
    let header = Header::new(Class::Universal, tag == Tag::Sequence, tag, Length::Definite(content.len()));
    let element = Any::new(header, content).to_der_vec();
    element.map_err(|error| Problem::new(format!("cannot be written as DER: {error}")))
}
