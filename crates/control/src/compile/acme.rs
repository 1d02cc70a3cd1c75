//! Certificates by ACME of a document.

use std::path::PathBuf;
use std::sync::Arc;

use tollgate_acme::Challenges;
use tollgate_config::{Acme, Challenge, Diagnostic, Document, Place};
use tollgate_tls::Roots;

use super::Compiler;
use super::files::FileContent;

/// What certificates are got by ACME, from whom, and where they are kept.
#[derive(Clone, Debug)]
pub struct AcmePlan {
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// The URL of the directory.
    pub directory: String,
    /// The authorities that may have issued the directory's own certificate.
    pub roots: Roots,
    /// The folder for the account and the certificates.
    pub storage: PathBuf,
    /// How names are proved.
    pub challenge: Challenge,
    /// The names, each once and each with a certificate of its own, in the order of the document. The sets of
    /// certificates that have them under `acme` are where they go.
    pub names: Vec<String>,
    /// What workers answer the authority with; one for the process.
    pub challenges: Arc<Challenges>,
    /// What the roots were made from; `None` for those of the system.
    pem: Option<FileContent>,
}

impl PartialEq for AcmePlan {
    fn eq(&self, other: &Self) -> bool {
        let key = |plan: &Self| {
            (
                plan.email.clone(),
                plan.directory.clone(),
                plan.storage.clone(),
                plan.challenge,
                plan.names.clone(),
                plan.pem.clone(),
            )
        };
        key(self) == key(other)
    }
}

impl Compiler<'_> {
    /// The document's plan; `None` where no listener wants a certificate by ACME, or after a finding.
    pub(super) fn acme(&mut self) -> Option<AcmePlan> {
        let document = self.document;
        let mut names: Vec<String> = Vec::new();
        for name in document.listen.iter().flat_map(|listener| listener.acme_names()) {
            if !names.iter().any(|known| known == name.as_str()) {
                names.push(name.as_str().to_owned());
            }
        }
        if names.is_empty() {
            return None;
        }
        let standard = Acme::standard();
        let acme = document.acme.as_ref().map_or(&standard, |acme| &acme.value);
        let pem = match &acme.ca {
            Some(path) => Some(self.file(path)?),
            None => None,
        };
        let roots = match &pem {
            None => self.system_roots.get_or_insert_with(Roots::system).clone(),
            Some(pem) => match Roots::from_pem(pem.bytes()) {
                Ok(roots) => roots,
                Err(problem) => {
                    self.diagnostics.push(Diagnostic::error(pem.origin, problem.what().to_owned()));
                    return None;
                }
            },
        };
        Some(AcmePlan {
            email: acme.email.as_ref().map(|email| email.as_str().to_owned()),
            directory: acme.directory.as_str().to_owned(),
            roots,
            storage: acme.storage.value.path().to_owned(),
            challenge: acme.challenge.as_ref().map_or_else(|| usual(document), |challenge| challenge.value),
            names,
            challenges: self.before.challenges().cloned().unwrap_or_default(),
            pem: pem.map(|pem| pem.value),
        })
    }
}

/// The challenge that the listeners can answer: authorities ask on the ports 80 and 443 (RFC 8555 section 8.3,
/// RFC 8737 section 3).
fn usual(document: &Document) -> Challenge {
    let plain_80 = document.listen.iter().any(|listener| {
        let http = matches!(listener.place, Place::Http(_));
        http && !listener.ends_tls() && listener.place.address().port() == 80
    });
    if plain_80 { Challenge::Http01 } else { Challenge::TlsAlpn01 }
}
