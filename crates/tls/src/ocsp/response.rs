//! The parts of an OCSP response (RFC 6960 section 4.2).

use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

use crate::certificates::Problem;

/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// More than this many certificates or single responses in a response are not looked at.
const MOST: usize = 16;

/// A response that says something.
#[derive(Debug)]
pub(super) struct Basic<'a> {
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// The content of the signature's AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) certificates: Vec<&'a [u8]>,
    pub(super) responses: Vec<Single<'a>>,
}

/// What is said about one certificate.
#[derive(Debug)]
pub(super) struct Single<'a> {
    pub(super) issuer_name_hash: &'a [u8],
    pub(super) issuer_key_hash: &'a [u8],
    pub(super) serial: &'a [u8],
    /// 0 good, 1 revoked, 2 unknown.
    pub(super) status: u32,
    pub(super) this_update: i64,
    pub(super) next_update: Option<i64>,
}

/// One element of DER.
#[derive(Debug)]
pub(super) struct Element<'a> {
    class: Class,
    tag: Tag,
    content: &'a [u8],
    /// With its header.
    raw: &'a [u8],
}

/// How a certificate is signed.
pub(super) struct Signed<'a> {
    pub(super) algorithm: &'a [u8],
}

fn malformed() -> Problem {
    Problem::new("the response is malformed")
}

/// Reads a response.
pub(super) fn parse(bytes: &[u8]) -> Result<Basic<'_>, Problem> {
    let mut response = Elements(Elements(bytes).tagged(Tag::Sequence)?.content);
    let status = response.tagged(Tag::Enumerated)?.content;
    if status != [0] {
        let name = match status {
            [1] => "malformed request",
            [2] => "internal error",
            [3] => "try later",
            [5] => "signature required",
            [6] => "unauthorized",
            _ => "an unknown status",
        };
        return Err(Problem::new(format!("the responder answers: {name}")));
    }
    let mut response = Elements(response.context(0)?.content);
    let mut bytes = Elements(response.tagged(Tag::Sequence)?.content);
    if bytes.tagged(Tag::Oid)?.content != BASIC {
        return Err(Problem::new("the response is of a kind that is not known"));
    }
    let mut basic = Elements(bytes.tagged(Tag::OctetString)?.content);
    let mut basic = Elements(basic.tagged(Tag::Sequence)?.content);
    let signed = basic.tagged(Tag::Sequence)?;
    let algorithm = basic.tagged(Tag::Sequence)?.content;
    let signature = bits(basic.tagged(Tag::BitString)?.content)?;
    let mut certificates = Vec::new();
    if let Some(list) = basic.optional_context(0)? {
        let mut list = Elements(Elements(list.content).tagged(Tag::Sequence)?.content);
        while !list.0.is_empty() && certificates.len() < MOST {
            certificates.push(list.tagged(Tag::Sequence)?.raw);
        }
    }
    let responses = singles(signed.content)?;
    Ok(Basic { signed: signed.raw, algorithm, signature, certificates, responses })
}

/// The responses in ResponseData.
fn singles(data: &[u8]) -> Result<Vec<Single<'_>>, Problem> {
    let mut data = Elements(data);
    data.optional_context(0)?;
    // The responder's name or key; who signed is found by trying.
    let responder = data.next()?;
    if responder.class != Class::ContextSpecific {
        return Err(malformed());
    }
    data.tagged(Tag::GeneralizedTime)?;
    let mut list = Elements(data.tagged(Tag::Sequence)?.content);
    let mut responses = Vec::new();
    while !list.0.is_empty() && responses.len() < MOST {
        responses.push(single(list.tagged(Tag::Sequence)?.content)?);
    }
    Ok(responses)
}

fn single(content: &[u8]) -> Result<Single<'_>, Problem> {
    let mut fields = Elements(content);
    let mut id = Elements(fields.tagged(Tag::Sequence)?.content);
    id.tagged(Tag::Sequence)?;
    let issuer_name_hash = id.tagged(Tag::OctetString)?.content;
    let issuer_key_hash = id.tagged(Tag::OctetString)?.content;
    let serial = id.tagged(Tag::Integer)?.content;
    let status = fields.next()?;
    if status.class != Class::ContextSpecific {
        return Err(malformed());
    }
    let this_update = time(&fields.tagged(Tag::GeneralizedTime)?)?;
    let next_update = match fields.optional_context(0)? {
        Some(next) => Some(time(&Elements(next.content).tagged(Tag::GeneralizedTime)?)?),
        None => None,
    };
    Ok(Single { issuer_name_hash, issuer_key_hash, serial, status: status.tag.0, this_update, next_update })
}

/// The content of the algorithm and the key in a SubjectPublicKeyInfo.
pub(super) fn public_key(info: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let mut info = Elements(Elements(info).tagged(Tag::Sequence)?.content);
    let algorithm = info.tagged(Tag::Sequence)?.content;
    Ok((algorithm, bits(info.tagged(Tag::BitString)?.content)?))
}

fn time(element: &Element<'_>) -> Result<i64, Problem> {
    ASN1Time::from_der(element.raw).map(|(_, time)| time.timestamp()).map_err(|_| malformed())
}

/// The bytes of a bit string, which must be whole bytes.
fn bits(content: &[u8]) -> Result<&[u8], Problem> {
    match content {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(malformed()),
    }
}

impl<'a> Element<'a> {
    /// How this certificate is signed.
    pub(super) fn of_certificate(certificate: &X509Certificate<'a>) -> Result<Signed<'a>, Problem> {
        let mut fields = Elements(Elements(certificate.as_raw()).tagged(Tag::Sequence)?.content);
        fields.tagged(Tag::Sequence)?;
        Ok(Signed { algorithm: fields.tagged(Tag::Sequence)?.content })
    }
}

/// Elements one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Element<'a>, Problem> {
        let (rest, any) = Any::from_der(self.0).map_err(|_| malformed())?;
        let raw = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Ok(Element { class: any.class(), tag: any.tag(), content: any.data, raw })
    }

    fn tagged(&mut self, tag: Tag) -> Result<Element<'a>, Problem> {
        let element = self.next()?;
        if (element.class, element.tag) == (Class::Universal, tag) { Ok(element) } else { Err(malformed()) }
    }

    fn context(&mut self, number: u32) -> Result<Element<'a>, Problem> {
        self.optional_context(number)?.ok_or_else(malformed)
    }

    fn optional_context(&mut self, number: u32) -> Result<Option<Element<'a>>, Problem> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut ahead = Elements(self.0);
        let element = ahead.next()?;
        if (element.class, element.tag) != (Class::ContextSpecific, Tag(number)) {
            return Ok(None);
        }
        self.0 = ahead.0;
        Ok(Some(element))
    }
}
