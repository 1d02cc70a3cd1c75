//! Client certificates. That they are to be believed was settled when the connection was opened.

use std::sync::{Arc, Mutex, PoisonError};

use tollgate_credentials::bounded::{BoundedMap, BuildAsIs};
use tollgate_credentials::certificate::Identity;
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Asked, Caller, CredentialKind, Gate, Resolution};

use super::{Finding, Method, bearer};

/// How many certificates are remembered, so that those of a kept connection are not read for each request. Each takes
/// about twice its size.
const REMEMBERED: usize = 4096;
const SHARDS: usize = 16;
/// What of a certificate it is found by: its last bytes, which are of its issuer's signature.
const TAIL: usize = 32;

/// What a document sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the document calls the method.
    pub name: Arc<str>,
    /// Whether a certificate that no consumer has is right, too.
    pub allow_unknown: bool,
}

/// Finds consumers by the certificate of the connection.
#[derive(Debug)]
pub struct Certificate {
    settings: Settings,
    read: Box<[Mutex<Shard>]>,
}

/// Certificates that were read, by their tails.
type Shard = BoundedMap<[u8; TAIL], Read, BuildAsIs>;

#[derive(Debug)]
struct Read {
    der: Box<[u8]>,
    names: Arc<Names>,
}

/// What a certificate can be known by.
#[derive(Debug)]
struct Names {
    /// Credentials that consumers may have, as texts.
    credentials: Vec<String>,
    /// Its first alternative name, or its subject.
    subject: Arc<str>,
}

impl Names {
    fn of(der: &[u8]) -> Result<Self, &'static str> {
        let identity = Identity::from_der(der).map_err(|why| why.0)?;
        let credentials = identity.credentials().map(|credential| credential.to_string()).collect();
        let subject = identity.names.into_iter().next().unwrap_or(identity.subject);
        Ok(Self { credentials, subject: subject.into() })
    }
}

impl Certificate {
    /// A method with these settings. Consumers have certificates as [`CredentialKind::Certificate`], the text of
    /// `tollgate_credentials::certificate::Credential` as value.
    pub fn new(settings: Settings) -> Self {
        let shard = |_| Mutex::new(BoundedMap::new(REMEMBERED / SHARDS));
        Self { settings, read: (0..SHARDS).map(shard).collect() }
    }

    /// The names of a certificate. Which one is remembered is found by bytes of a signature, and then all of it is
    /// compared: an issuer that made two of one tail would make both be read each time.
    fn names(&self, asked: &Asked<'_>, der: &[u8]) -> Result<Arc<Names>, &'static str> {
        let Some(tail) = der.last_chunk::<TAIL>() else { return Err("the certificate cannot be read") };
        let shard = &self.read[usize::from(tail[TAIL - 1]) % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = lock().get(tail).filter(|read| *read.der == *der) {
            return Ok(read.names.clone());
        }
        let names = Arc::new(Names::of(der)?);
        if asked.mode.serves() {
            lock().insert(*tail, Read { der: der.into(), names: names.clone() });
        }
        Ok(names)
    }
}

impl Method for Certificate {
    fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    fn identify(&self, asked: &Asked<'_>, _: &mut Gate, _: Option<Resolution>) -> Finding {
        let Some(certificate) = asked.connection.certificate else { return Finding::Absent };
        let names = match self.names(asked, certificate.der) {
            Ok(names) => names,
            Err(why) => return bearer::refused(Reason::CredentialMalformed, why),
        };
        let find = |text: &String| asked.consumers.find(CredentialKind::Certificate, text.as_bytes());
        let consumer = names.credentials.iter().find_map(find).map(|(consumer, _)| consumer.clone());
        if consumer.is_none() && !self.settings.allow_unknown {
            return bearer::refused(Reason::CertificateUnknown, format!("it is of {:?}", names.subject));
        }
        Finding::Known(Caller {
            consumer,
            subject: Some(names.subject.clone()),
            auth: self.settings.name.clone(),
            ..Caller::default()
        })
    }

    fn absence(&self) -> Reason {
        Reason::CertificateAbsent
    }

    /// There is no scheme for it: certificates are asked for when a connection is opened.
    fn challenge(&self, _: Reason) -> Option<String> {
        None
    }

    fn remove_forged(&self, _: &mut Edits) {}
}

#[cfg(test)]
mod tests;
