//! The first look at where endpoints come from, when a document is loaded.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::endpoints_of_file;
use tollgate_discovery::dns::{Client, DnsSource, Settings, Wanted};
use tollgate_discovery::file::{FileSource, Parse, WatchedFile};
use tollgate_discovery::{Found, Look, Source};

use crate::compile::sources::{SourcePlace, SourcePlan};

/// How long loading a document waits for the first looks at its sources, beyond the time that a question may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Finds the addresses of host names, and looks at sources for the first time. Tests and `check` bring their own, so
/// that nothing asks the network.
pub trait Resolve {
    /// All addresses of a name.
    ///
    /// # Errors
    ///
    /// If it has none, or that cannot be learned.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Looks at sources, each once. Without more, files are read, names are resolved, and services are empty.
    fn look(&self, sources: &[SourcePlan], _: &Settings) -> Vec<Look> {
        let look = |plan: &SourcePlan| match &plan.place {
            SourcePlace::File { path, lines } => file(path, *lines).look_now(),
            SourcePlace::Dns { wanted: Wanted::Host { host, port, weight }, .. } => {
                named(host, *port, *weight, self.resolve(host, *port))
            }
            SourcePlace::Dns { wanted: Wanted::Service(_), .. } => {
                Look::List { found: Vec::new(), fresh_ms: None, problem: None }
            }
        };
        sources.iter().map(look).collect()
    }
}

/// The system's resolver: the hosts file and DNS, as other programs see them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    /// All at once.
    fn look(&self, sources: &[SourcePlan], settings: &Settings) -> Vec<Look> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return vec![Look::Failed(format!("nothing can be asked: {error}")); sources.len()],
        };
        let client = Arc::new(Client::new(settings.clone()));
        let until = settings.timeout + PATIENCE;
        let looks = runtime.block_on(async {
            let looking: Vec<_> = sources
                .iter()
                .map(|plan| {
                    tokio::spawn(tokio::time::timeout(until, first_look(plan.clone(), client.clone())))
                })
                .collect();
            let mut looks = Vec::with_capacity(looking.len());
            for look in looking {
                looks.push(match look.await {
                    Ok(Ok(look)) => look,
                    Ok(Err(_)) => Look::Failed("it did not answer in time".to_owned()),
                    Err(_) => Look::Failed("it could not be asked".to_owned()),
                });
            }
            looks
        });
        // The system's resolver cannot be stopped; nobody waits for it.
        runtime.shutdown_background();
        looks
    }
}

async fn first_look(plan: SourcePlan, client: Arc<Client>) -> Look {
    match &plan.place {
        // As other programs of this machine see the name, which may be by other ways than DNS.
        SourcePlace::Dns { wanted: Wanted::Host { host, port, weight }, is_address: true, .. }
            if client.is_systems() =>
        {
            let (host, port, weight) = (host.clone(), *port, *weight);
            let asked = tokio::task::spawn_blocking(move || {
                let found = SystemResolver.resolve(&host, port);
                named(&host, port, weight, found)
            });
            asked.await.unwrap_or_else(|_| Look::Failed("it could not be asked".to_owned()))
        }
        _ => source(&plan, &client).look(None).await,
    }
}

fn named(host: &str, port: u16, weight: u32, found: io::Result<Vec<SocketAddr>>) -> Look {
    let name: Arc<str> = format!("{host}:{port}").into();
    match found {
        Ok(found) => {
            let endpoint = |address| Found { name: name.clone(), address, weight, priority: 0 };
            Look::List { found: found.into_iter().map(endpoint).collect(), fresh_ms: None, problem: None }
        }
        Err(error) => Look::Failed(format!("the name `{host}` cannot be resolved: {error}")),
    }
}

/// The source of a plan.
pub(crate) fn source(plan: &SourcePlan, client: &Arc<Client>) -> Arc<dyn Source> {
    match &plan.place {
        SourcePlace::File { path, lines } => Arc::new(WatchedFile::new(Arc::new(file(path, *lines)))),
        SourcePlace::Dns { wanted, family, .. } => {
            Arc::new(DnsSource::new(client.clone(), wanted.clone(), *family, plan.rules.max))
        }
    }
}

fn file(path: &Path, lines: bool) -> FileSource {
    let parse: Parse = Arc::new(move |bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let listed = endpoints_of_file(text, lines)?;
        let found = listed.into_iter().filter_map(|(address, weight)| {
            let name = address.authority().into();
            Some(Found { name, address: address.socket()?, weight, priority: 0 })
        });
        Ok(found.collect())
    });
    FileSource::new(path, parse)
}

/// Takes any name for an address that leads nowhere: for documents that are looked at and not run.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResolver;

impl Resolve for NoResolver {
    fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // An address for documentation, which nobody has (RFC 5737).
        Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))])
    }
}
