//! What a keeper is told to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_tls::Roots;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What certificates to get, from whom, and where to keep them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the directory's operators reach us.
    pub email: Option<String>,
    /// The address of the directory; must be `https`.
    pub directory: String,
    /// Whom to believe that the directory is the directory.
    pub roots: Roots,
    /// The folder for account and certificates. It is made where it is missing.
    pub storage: PathBuf,
    /// How to show that a name is ours.
    pub challenge: ChallengeKind,
    /// The certificates, each by its names. The same first name twice is one certificate: the first counts.
    pub certificates: Vec<Names>,
    /// How long the directory may take for one answer.
    pub timeout: Duration,
}

/// How a directory finds out that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeKind {
    /// It fetches a file on port 80 (RFC 8555 section 8.3).
    #[default]
    Http01,
    /// It makes a TLS handshake on port 443 (RFC 8737).
    TlsAlpn01,
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

/// The names of one certificate: at least one, in lower case, without doubles. The first one also names
/// its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Names for one certificate.
    ///
    /// # Errors
    /// No name, or one that no directory could confirm by the challenges that are known here.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, BadNames> {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            let name = name.as_ref().to_ascii_lowercase();
            check(&name).map_err(|why| BadNames { name: name.clone(), why })?;
            if !all.contains(&name) {
                all.push(name);
            }
        }
        if all.is_empty() { Err(BadNames { name: String::new(), why: "no name" }) } else { Ok(Self(all)) }
    }

    /// The first name.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// All names.
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// Why a certificate for these names cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNames {
    /// The name at fault.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificate can be ordered for `{}`: {}", self.name, self.why)
    }
}

impl std::error::Error for BadNames {}

/// RFC 1123 section 2.1, and what challenges can show. Names also become names of files: nothing but
/// letters, digits, hyphens, underscores and dots between them gets through.
fn check(name: &str) -> Result<(), &'static str> {
    if name.starts_with("*.") {
        return Err("a wildcard needs dns-01, which is not spoken here; name each host");
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err("an address is not a host name");
    }
    if name.is_empty() || name.len() > 253 {
        return Err("a host name has 1 to 253 characters");
    }
    if !name.is_ascii() {
        return Err("write it as punycode (xn--…)");
    }
    for label in name.split('.') {
        let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        let edges = label.starts_with('-') || label.ends_with('-');
        if label.is_empty() || label.len() > 63 || edges || !label.bytes().all(good) {
            return Err("not a host name");
        }
    }
    if name.contains('.') { Ok(()) } else { Err("a public host name has a dot") }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_lowered_and_kept_once() {
        let names = Names::new(["Shop.example.com", "www.example.com", "shop.EXAMPLE.com"]).unwrap();
        assert_eq!(names.all(), ["shop.example.com", "www.example.com"]);
        assert_eq!(names.first(), "shop.example.com");
    }

    #[test]
    fn names_that_nobody_can_confirm_or_that_leave_the_folder_are_refused() {
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            "*.a.com",
            "127.0.0.1",
            "::1",
            "localhost",
            "../x.com",
            "a/b.com",
            "a..com",
            ".a.com",
            "a.com.",
            "-a.com",
            "a-.com",
            "bücher.de",
            "a b.com",
            "a.com\0",
            &long,
        ] {
            assert!(Names::new([bad]).is_err(), "{bad:?}");
        }
        assert!(Names::new(Vec::<String>::new()).is_err());
    }
}
