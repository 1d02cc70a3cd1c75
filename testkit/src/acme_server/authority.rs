//! The keys and certificates of the authority, and how it issues others.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::problem::Problem;

/// A root, which signs the server's own certificate, and an intermediate one, which signs for clients.
#[derive(Debug)]
pub(super) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    root_pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let root = issuer_params("Tollgate test root");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let intermediate = issuer_params("Tollgate test intermediate");
        let key = KeyPair::generate().unwrap();
        let intermediate = CertifiedIssuer::signed_by(intermediate, key, &root).unwrap();
        let root_pem = root.pem();
        Self { root, intermediate, root_pem }
    }

    pub(super) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// What the server itself shows: a certificate for 127.0.0.1.
    pub(super) fn own(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.root).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![certificate.der().clone()], key.into())
    }

    /// Issues what a request (PKCS #10) asks for, if it asks for just these names: the chain as PEM.
    pub(super) fn issue(&self, request: &[u8], terms: &Terms<'_>) -> Result<String, Problem> {
        let bad = |why: String| Problem::new(hyper::StatusCode::BAD_REQUEST, "badCSR", why);
        let request = CertificateSigningRequestDer::from(request);
        let mut request =
            CertificateSigningRequestParams::from_der(&request).map_err(|error| bad(error.to_string()))?;
        let mut asked = Vec::new();
        for name in &request.params.subject_alt_names {
            let SanType::DnsName(name) = name else { return Err(bad(format!("{name:?} is not ordered"))) };
            asked.push(name.as_str().to_owned());
        }
        asked.sort();
        let mut ordered = terms.names.to_vec();
        ordered.sort();
        if asked != ordered {
            return Err(bad(format!("{asked:?} are asked for, {ordered:?} are ordered")));
        }
        let params = &mut request.params;
        params.not_before = date(terms.now);
        params.not_after = date(terms.now + terms.lifetime);
        params.serial_number = Some(SerialNumber::from(terms.serial));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = if terms.wrong_key {
            request.params.signed_by(&KeyPair::generate().unwrap(), &self.intermediate)
        } else {
            request.signed_by(&self.intermediate)
        };
        Ok(format!("{}{}", certificate.unwrap().pem(), self.intermediate.pem()))
    }
}

/// What the authority puts into a certificate.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) names: &'a [String],
    pub(super) now: Duration,
    pub(super) lifetime: Duration,
    pub(super) serial: u64,
    pub(super) wrong_key: bool,
}

/// A time since 1970 as a date; certificates have no parts of seconds.
pub(super) fn date(since_1970: Duration) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(since_1970.as_secs() as i64).unwrap()
}

fn issuer_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}
