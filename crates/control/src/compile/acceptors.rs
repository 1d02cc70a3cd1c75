//! TLS of the listeners of a document.

use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{
    self as config, ClientCertificateMode, Diagnostic, Located, Origin, TlsProfile, TlsVersion,
};
use tollgate_runtime::Clock;
use tollgate_tls::{
    Acceptor, Certificate, CertificateFiles, Certificates, ClientCertificates, MinVersion, Problem, Profile,
    Roots, ServerSettings, TicketKeys, UnknownNames,
};

use super::Compiler;
use super::files::FileContent;

/// How long a key of tickets is used, with which clients come back without a whole handshake. RFC 8446 section 4.6.1 bounds what it is accepted for to seven days.
const TICKET_PERIOD: Duration = Duration::from_secs(12 * 3600);

/// How long a TLS handshake may take where the document says nothing, in milliseconds.
pub(super) const HANDSHAKE_MS: u64 = 10_000;

/// What the TLS of all listeners was made from, and what it became.
#[derive(Clone, Debug, Default)]
pub struct ListenerTls {
    acceptors: Vec<(AcceptorPlan, Arc<Acceptor>)>,
    sets: Vec<Arc<CertificateSet>>,
    /// One for the process, so that a client can come back whatever was reloaded meanwhile.
    tickets: Option<Arc<TicketKeys>>,
}

/// By the plans: the rest follows from them.
impl PartialEq for ListenerTls {
    fn eq(&self, other: &Self) -> bool {
        let plans = |tls: &'_ Self| tls.acceptors.iter().map(|(plan, _)| plan.clone()).collect::<Vec<_>>();
        plans(self) == plans(other)
    }
}

impl ListenerTls {
    /// The certificates of the listeners, each set once.
    pub fn sets(&self) -> &[Arc<CertificateSet>] {
        &self.sets
    }

    /// The secrets of tickets, for the next process; empty where there are none.
    pub fn save_tickets(&self) -> Vec<u8> {
        self.tickets.as_ref().map_or_else(Vec::new, |keys| keys.save())
    }

    /// With the secrets of the process before; with its own where those are none.
    pub(super) fn restoring_tickets(saved: &[u8]) -> Self {
        let tickets = TicketKeys::restore(Clock::new(), TICKET_PERIOD, saved).map(Arc::new);
        Self { tickets, ..Self::default() }
    }
}

/// The certificates of one or more listeners, with what has to be done for them while they are used: looking at the
/// files, getting those of ACME (under [`acme_id`]), fetching OCSP answers. Goes on through reloads.
#[derive(Debug)]
pub struct CertificateSet {
    /// Which they are.
    pub plan: SetPlan,
    /// The certificates.
    pub certificates: Arc<Certificates>,
}

/// What a set of certificates is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct SetPlan {
    /// Those from files, the default first.
    pub files: Vec<CertificateFiles>,
    /// The names of those from ACME.
    pub acme: Vec<String>,
    /// Whether OCSP answers are fetched and stapled.
    pub ocsp: bool,
}

/// What the certificate that ACME gives for a name is called in a set.
pub fn acme_id(name: &str) -> String {
    format!("acme:{name}")
}

/// What an acceptor is made from. The same plan makes the same acceptor.
#[derive(Clone, Debug, PartialEq)]
struct AcceptorPlan {
    set: SetPlan,
    min_version: MinVersion,
    profile: Profile,
    alpn: Vec<Vec<u8>>,
    clients: Option<(Located<FileContent>, ClientCertificateMode)>,
    unknown_names: UnknownNames,
    tickets: bool,
}

impl Compiler<'_> {
    /// The acceptor of a listener: the one that runs, if it was made from the same. `None` after a finding.
    pub(super) fn acceptor(&mut self, listener: &Located<config::Listener>) -> Option<Arc<Acceptor>> {
        let tls = listener.tls.as_ref();
        let clients = match tls.and_then(|tls| tls.client_certificates.as_ref()) {
            Some(clients) => Some((self.file(&clients.ca)?, clients.mode)),
            None => None,
        };
        if let Some(early) = tls.map(|tls| &tls.early_data).filter(|early| early.value) {
            let message = "early data is not taken yet: requests wait for the end of the handshake";
            self.diagnostics.push(Diagnostic::warning(early.origin, message));
        }
        let set = self.certificates(listener)?;
        let plan = AcceptorPlan {
            set: set.plan.clone(),
            min_version: match tls.and_then(|tls| tls.min_version.as_ref()).map(|version| version.value) {
                Some(TlsVersion::V13) => MinVersion::Tls13,
                Some(TlsVersion::V12) | None => MinVersion::Tls12,
            },
            profile: match tls.map(|tls| tls.profile) {
                Some(TlsProfile::Modern) => Profile::Modern,
                Some(TlsProfile::Intermediate) | None => Profile::Intermediate,
            },
            alpn: alpn(listener),
            clients,
            unknown_names: match tls.map(|tls| tls.unknown_names) {
                Some(config::UnknownNames::Refuse) => UnknownNames::Refuse,
                Some(config::UnknownNames::Default) | None => UnknownNames::Default,
            },
            tickets: tls.is_none_or(|tls| tls.tickets),
        };
        let known = self.tls.acceptors.iter().find(|(other, _)| *other == plan);
        if let Some((_, acceptor)) = known {
            return Some(acceptor.clone());
        }
        let running = self.before.tls().acceptors.iter().find(|(other, _)| *other == plan);
        let acceptor = match running {
            Some((_, acceptor)) => acceptor.clone(),
            None => self.new_acceptor(&plan, &set, listener.origin)?,
        };
        self.tls.acceptors.push((plan, acceptor.clone()));
        Some(acceptor)
    }

    fn new_acceptor(
        &mut self,
        plan: &AcceptorPlan,
        set: &CertificateSet,
        origin: Origin,
    ) -> Option<Arc<Acceptor>> {
        let client_certificates = match &plan.clients {
            None => ClientCertificates::Off,
            Some((pem, mode)) => {
                let roots = Roots::from_pem(pem.bytes());
                let roots = roots.map_err(|problem| self.problem(pem.origin, &problem)).ok()?;
                match mode {
                    ClientCertificateMode::Required => ClientCertificates::Required(roots),
                    ClientCertificateMode::Optional => ClientCertificates::Optional(roots),
                }
            }
        };
        let settings = ServerSettings {
            min_version: plan.min_version,
            profile: plan.profile,
            alpn: plan.alpn.clone(),
            client_certificates,
            unknown_names: plan.unknown_names,
            tickets: if plan.tickets { Some(self.tickets(origin)?) } else { None },
        };
        let made = Acceptor::new(settings, set.certificates.clone());
        made.map(Arc::new).map_err(|problem| self.problem(origin, &problem)).ok()
    }

    /// The keys of tickets: those of the process, from the first listener that needs them on.
    fn tickets(&mut self, origin: Origin) -> Option<Arc<TicketKeys>> {
        if let Some(keys) = &self.tls.tickets {
            return Some(keys.clone());
        }
        let Ok(keys) = TicketKeys::new(Clock::new(), TICKET_PERIOD) else {
            let message = "the machine gives no random numbers for the keys of session tickets";
            self.diagnostics.push(Diagnostic::error(origin, message));
            return None;
        };
        self.tls.tickets.insert(Arc::new(keys)).clone().into()
    }

    /// The certificates of a listener: those that run, if they are the same. `None` after a finding.
    fn certificates(&mut self, listener: &config::Listener) -> Option<Arc<CertificateSet>> {
        let written = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificates);
        let plan = SetPlan {
            files: written.iter().map(|certificate| files(certificate)).collect(),
            acme: listener.acme_names().iter().map(|name| name.as_str().to_owned()).collect(),
            ocsp: listener.tls.as_ref().is_none_or(|tls| tls.ocsp),
        };
        if let Some(set) = self.tls.sets.iter().find(|set| set.plan == plan) {
            return Some(set.clone());
        }
        let running = self.before.tls().sets.iter().find(|set| set.plan == plan).cloned();
        let set = match running {
            Some(set) => {
                let problems = set.certificates.refresh().problems;
                for problem in &problems {
                    self.problem(place(written, problem), problem);
                }
                problems.is_empty().then_some(set)?
            }
            None => self.new_certificates(written, plan)?,
        };
        let now = Clock::new().wall();
        for certificate in set.certificates.all() {
            let written =
                written.iter().find(|w| w.cert.value.path().display().to_string() == certificate.id());
            for warning in written.iter().flat_map(|_| certificate.warnings(now)) {
                let origin = written.map_or(Origin::start_of(0), |written| written.cert.origin);
                self.diagnostics.push(Diagnostic::warning(origin, warning));
            }
        }
        self.tls.sets.push(set.clone());
        Some(set)
    }

    fn new_certificates(
        &mut self,
        written: &[Located<config::CertificateFiles>],
        plan: SetPlan,
    ) -> Option<Arc<CertificateSet>> {
        let mut certificates = Vec::with_capacity(written.len());
        for files in &plan.files {
            match Certificate::from_files(files) {
                Ok(certificate) => certificates.push(certificate),
                Err(problem) => self.problem(place(written, &problem), &problem),
            }
        }
        if certificates.len() < plan.files.len() {
            return None;
        }
        // What ACME gave already is not asked for again.
        for id in plan.acme.iter().map(|name| acme_id(name)) {
            let known = self.before.tls().sets.iter().flat_map(|set| set.certificates.all());
            certificates.extend(known.filter(|known| known.id() == id).map(|known| (*known).clone()).next());
        }
        Some(Arc::new(CertificateSet { plan, certificates: Arc::new(Certificates::new(certificates)) }))
    }

    fn problem(&mut self, origin: Origin, problem: &Problem) {
        self.diagnostics.push(Diagnostic::error(origin, problem.to_string()));
    }
}

impl ListenerTls {
    /// What the next document begins with.
    pub(super) fn successor(&self) -> Self {
        Self { tickets: self.tickets.clone(), ..Self::default() }
    }
}

/// How long a handshake on a listener may take, in milliseconds.
pub(super) fn handshake_ms(listener: &config::Listener) -> u64 {
    listener.tls.as_ref().map_or(HANDSHAKE_MS, |tls| tls.handshake_timeout.get().as_millis() as u64)
}

/// The protocols that are agreed on in the handshake, the best first. None for TCP. HTTP/1.0 has a name of its own, and
/// clients that offer nothing else would be turned away.
fn alpn(listener: &config::Listener) -> Vec<Vec<u8>> {
    let versions = listener.versions();
    let spoken = [(versions.h2, &b"h2"[..]), (versions.h1, b"http/1.1"), (versions.h1, b"http/1.0")];
    spoken.into_iter().filter(|(spoken, _)| *spoken).map(|(_, name)| name.to_vec()).collect()
}

fn files(written: &config::CertificateFiles) -> CertificateFiles {
    CertificateFiles {
        cert: written.cert.value.path().to_owned(),
        key: written.key.value.path().to_owned(),
        ocsp: written.ocsp.as_ref().map(|ocsp| ocsp.value.path().to_owned()),
    }
}

/// Where the document names the file that a problem is about.
fn place(written: &[Located<config::CertificateFiles>], problem: &Problem) -> Origin {
    let paths = written.iter().flat_map(|written| {
        [Some(&written.cert), Some(&written.key), written.ocsp.as_ref()].into_iter().flatten()
    });
    let named = paths.filter(|path| Some(path.value.path()) == problem.path()).map(|path| path.origin).next();
    named.or(written.first().map(|written| written.origin)).unwrap_or(Origin::start_of(0))
}
