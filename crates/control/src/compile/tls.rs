//! TLS towards the upstreams of a document.

use std::sync::Arc;

use tollgate_config::{self as config, Diagnostic, Located};
use tollgate_tls::{Certificate, ClientSettings, Connector, Problem, Roots};

use super::Compiler;
use super::files::FileContent;

/// For how many names of endpoints of an upstream tickets are kept, to come back with.
const RESUMED_NAMES: usize = 256;

/// What a connector is made from. The same plan makes the same connector; the places in the document do not count.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorPlan {
    /// The authorities, PEM; `None` for those of the system.
    pub roots: Option<Located<FileContent>>,
    /// The name to verify; `None` for the endpoint's host.
    pub name: Option<Located<String>>,
    /// Tollgate's own certificate chain and key, PEM.
    pub identity: Option<(Located<FileContent>, Located<FileContent>)>,
    /// Any certificate is accepted.
    pub insecure: bool,
    /// HTTP/2 is agreed on by ALPN. Without it nothing is offered, which is HTTP/1.1 or whatever the upstream is for.
    pub http2: bool,
}

impl Compiler<'_> {
    /// The plan of an upstream's TLS. `None` after a finding.
    pub(super) fn connector_plan(&mut self, tls: &config::UpstreamTls, http2: bool) -> Option<ConnectorPlan> {
        let roots = match &tls.ca {
            Some(path) => Some(self.file(path)?),
            None => None,
        };
        let identity = match (&tls.client_cert, &tls.client_key) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (self.file(cert), self.file(key));
                Some((cert?, key?))
            }
            _ => None,
        };
        let name = tls
            .name
            .as_ref()
            .map(|name| Located { value: name.value.as_str().to_owned(), origin: name.origin });
        let insecure = tls.insecure_accept_any_certificate.value;
        Some(ConnectorPlan { roots, name, identity, insecure, http2 })
    }

    /// The connector of a plan. `None` after a finding.
    pub(super) fn connector(&mut self, plan: &ConnectorPlan) -> Option<Arc<Connector>> {
        let found = |origin| move |problem: Problem| Diagnostic::error(origin, problem.what().to_owned());
        let made = (|| {
            let certificate = match &plan.identity {
                None => None,
                Some((cert, key)) => {
                    let made = Certificate::from_pem("client_cert", cert.bytes(), key.bytes());
                    Some(made.map_err(|problem| {
                        let key_is_wrong = problem.what().contains("key");
                        found(if key_is_wrong { key.origin } else { cert.origin })(problem)
                    })?)
                }
            };
            let roots = match &plan.roots {
                Some(pem) => Roots::from_pem(pem.bytes()).map_err(found(pem.origin))?,
                None => self.system_roots.get_or_insert_with(Roots::system).clone(),
            };
            Connector::new(ClientSettings {
                roots,
                name: plan.name.as_ref().map(|name| name.value.clone()),
                alpn: plan.http2.then(|| b"h2".to_vec()),
                must_agree: plan.http2,
                certificate,
                insecure_accept_any_certificate: plan.insecure,
                resumed_names: RESUMED_NAMES,
            })
            .map_err(found(plan.name.as_ref().map_or(config::Origin::start_of(0), |name| name.origin)))
        })();
        match made {
            Ok(connector) => Some(Arc::new(connector)),
            Err(finding) => {
                self.diagnostics.push(finding);
                None
            }
        }
    }
}
