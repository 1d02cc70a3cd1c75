//! Who a client certificate names. Whether it may be believed was settled by the TLS handshake.
//!
//! A consumer's credential is one of three texts: `sha256:` and the hash of the certificate, `san:` and one of its
//! alternative names, `subject:` and its subject. [`Identity::credentials`] tells those that a certificate fits, in that
//! order, so that finding its consumer is a look-up for each and not a search through all.

use std::fmt::{self, Write};
use std::net::IpAddr;

use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Name};

use crate::api_key::sha256;
use crate::{Unusable, hex};

/// The most alternative names of a certificate that are looked at.
pub const MAX_NAMES: usize = 100;
/// The longest certificate, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// What a certificate can be known by, in one spelling for all that mean the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The SHA-256 of its DER.
    Fingerprint([u8; 32]),
    /// An alternative name: DNS name, URI, mail address or IP address.
    AlternativeName(String),
    /// Its subject (RFC 4514).
    Subject(String),
}

impl Credential {
    /// Reads a credential's text.
    ///
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let kinds = Unusable("a certificate is known by `sha256:…`, `san:…` or `subject:…`");
        let (kind, rest) = text.split_once(':').ok_or(kinds)?;
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(Unusable("nothing follows the colon"));
        }
        match kind {
            "sha256" => {
                // `openssl x509 -fingerprint` writes colons between the bytes.
                let digits = rest.replace(':', "");
                let hash =
                    hex::read(&digits).ok_or(Unusable("`sha256:` is followed by 64 hexadecimal digits"))?;
                Ok(Self::Fingerprint(hash))
            }
            "san" => Ok(Self::AlternativeName(one_spelling(rest))),
            "subject" => Ok(Self::Subject(without_spaces(rest))),
            _ => Err(kinds),
        }
    }
}

impl fmt::Display for Credential {
    /// The one text for all spellings of it: what tables of credentials have as key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(hash) => write!(f, "sha256:{}", hex::write(hash)),
            Self::AlternativeName(name) => write!(f, "san:{name}"),
            Self::Subject(subject) => write!(f, "subject:{subject}"),
        }
    }
}

/// What a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// Its subject, most specific part first (RFC 4514), as `openssl x509 -nameopt RFC2253` prints it.
    pub subject: String,
    /// Its alternative names (RFC 5280 section 4.2.1.6) of the kinds DNS, URI, mail and IP, in order, each in one
    /// spelling: DNS names and mail domains in lower case.
    pub names: Vec<String>,
}

impl Identity {
    /// Reads it from a certificate's DER.
    ///
    /// # Errors
    /// If that is not one certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Unusable> {
        if der.len() > LONGEST {
            return Err(Unusable("the certificate is longer than 64 KiB"));
        }
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| Unusable("the certificate cannot be read"))?;
        if !rest.is_empty() {
            return Err(Unusable("something follows the certificate"));
        }
        let subject = rfc_4514(certificate.subject());
        let mut names = Vec::new();
        for extension in certificate.extensions() {
            if let ParsedExtension::SubjectAlternativeName(all) = extension.parsed_extension() {
                names.extend(all.general_names.iter().filter_map(alternative_name).take(MAX_NAMES));
            }
        }
        Ok(Self { fingerprint: sha256(der), subject, names })
    }

    /// The credentials that it fits: the fingerprint, each alternative name, the subject unless it is empty.
    pub fn credentials(&self) -> impl Iterator<Item = Credential> {
        let names = self.names.iter().cloned().map(Credential::AlternativeName);
        let subject = (!self.subject.is_empty()).then(|| Credential::Subject(self.subject.clone()));
        std::iter::once(Credential::Fingerprint(self.fingerprint)).chain(names).chain(subject)
    }

    /// Whether it fits this one.
    pub fn fits(&self, credential: &Credential) -> bool {
        self.credentials().any(|own| own == *credential)
    }
}

/// `None` for other kinds, and for texts with control characters, which are there to be misread.
fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    let text = match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => *text,
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            return Some(address.to_string());
        }
        _ => return None,
    };
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| one_spelling(text))
}

/// Addresses as Rust writes them; of a mail address the domain, of a name without `:` and `/` all in lower case; URIs
/// as they are.
fn one_spelling(name: &str) -> String {
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_string();
    }
    if name.contains([':', '/']) {
        return name.to_owned();
    }
    match name.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => name.to_ascii_lowercase(),
    }
}

/// People write `CN=alice, O=x`.
fn without_spaces(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    let (mut escaped, mut after_comma) = (false, false);
    for c in subject.chars() {
        if after_comma && c == ' ' {
            continue;
        }
        text.push(c);
        after_comma = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    text
}

/// RFC 4514 section 2: the parts in reverse, `+` between those of one part.
fn rfc_4514(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for (place, part) in parts.into_iter().rev().enumerate() {
        for (inner, attribute) in part.iter().enumerate() {
            if inner > 0 {
                text.push('+');
            } else if place > 0 {
                text.push(',');
            }
            let kind = attribute.attr_type().to_id_string();
            match (short_name(&kind), attribute.as_str()) {
                (Some(short), Ok(value)) => {
                    text.push_str(short);
                    text.push('=');
                    push_escaped(&mut text, value);
                }
                _ => {
                    // Its DER, tag and length included; there is no way for writing to memory to fail.
                    let der = attribute.attr_value().to_der_vec().unwrap_or_default();
                    let _ = write!(text, "{kind}=#{}", hex::write(&der));
                }
            }
        }
    }
    text
}

/// The table of RFC 4514 section 3, and two that everyone uses.
fn short_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "2.5.4.5" => "serialNumber",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4. Control characters are escaped too, so that the text is safe in a log.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if place == 0 => text.extend(['\\', c]),
            ' ' if place == 0 || place == last => text.extend(['\\', c]),
            c if c.is_control() => {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    use super::{Credential, Identity};
    use crate::hex;

    fn certificate(subject: &[(DnType, &str)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn credential(text: &str) -> Credential {
        Credential::parse(text).unwrap()
    }

    #[test]
    fn a_certificate_is_known_by_hash_names_and_subject() {
        let names = vec![
            SanType::DnsName("Alice.Example".try_into().unwrap()),
            SanType::URI("spiffe://mesh.example/ns/Shop".try_into().unwrap()),
            SanType::Rfc822Name("Alice@Mail.Example".try_into().unwrap()),
            SanType::IpAddress("2001:db8:0::1".parse().unwrap()),
        ];
        let subject = [(DnType::OrganizationName, "x, Inc."), (DnType::CommonName, "alice")];
        let der = certificate(&subject, names);
        let identity = Identity::from_der(&der).unwrap();
        assert_eq!(identity.subject, "CN=alice,O=x\\, Inc.");
        let fingerprint = hex::write(&identity.fingerprint);
        for text in [
            format!("sha256:{fingerprint}"),
            format!("sha256:{}", fingerprint.to_uppercase()),
            "san:alice.example".to_owned(),
            "san:ALICE.example".to_owned(),
            "san:spiffe://mesh.example/ns/Shop".to_owned(),
            "san:Alice@mail.example".to_owned(),
            "san:2001:db8::1".to_owned(),
            "subject:CN=alice,O=x\\, Inc.".to_owned(),
            "subject: CN=alice, O=x\\, Inc.".to_owned(),
        ] {
            assert!(identity.fits(&credential(&text)), "{text}");
            let told = credential(&text).to_string();
            assert_eq!(credential(&told).to_string(), told, "{text} has one spelling");
            assert!(identity.credentials().any(|own| own.to_string() == told), "{text}: {told}");
        }
        for text in [
            format!("sha256:{}", "0".repeat(64)),
            "san:example".to_owned(),
            "san:alice.example.".to_owned(),
            "san:*.example".to_owned(),
            "san:alice@mail.example".to_owned(),
            "san:spiffe://mesh.example/ns/shop".to_owned(),
            "san:CN=alice".to_owned(),
            "subject:CN=alice".to_owned(),
            "subject:CN=alice,O=x, Inc.".to_owned(),
            "subject:O=x\\, Inc.,CN=alice".to_owned(),
        ] {
            assert!(!identity.fits(&credential(&text)), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_pose_as_another_part_of_the_subject() {
        let der = certificate(
            &[(DnType::CommonName, "alice,O=x"), (DnType::OrganizationName, " y+\u{1}\\ ")],
            vec![],
        );
        let identity = Identity::from_der(&der).unwrap();
        assert_eq!(identity.subject, "O=\\ y\\+\\01\\\\\\ ,CN=alice\\,O=x");
        assert!(!identity.fits(&credential("subject:CN=alice,O=x")));
    }

    #[test]
    fn unknown_attributes_are_told_by_number_and_der() {
        let der =
            certificate(&[(DnType::CommonName, "a"), (DnType::CustomDnType(vec![1, 2, 3, 4]), "b")], vec![]);
        assert_eq!(Identity::from_der(&der).unwrap().subject, "1.2.3.4=#0c0162,CN=a");
    }

    #[test]
    fn an_empty_subject_is_no_credential() {
        let identity = Identity::from_der(&certificate(&[], vec![])).unwrap();
        assert_eq!(identity.credentials().count(), 1);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let der = certificate(&[(DnType::CommonName, "alice")], vec![]);
        assert!(Identity::from_der(b"").is_err() && Identity::from_der(&der[1..]).is_err());
        assert!(Identity::from_der(&[&der[..], b"x"].concat()).is_err());
        for cut in 0..der.len() {
            assert!(Identity::from_der(&der[..cut]).is_err(), "cut at {cut}");
        }
        for text in ["", "alice", "sha256:12", "san:", "subject: ", "cn:alice"] {
            assert!(Credential::parse(text).is_err(), "{text}");
        }
    }
}
