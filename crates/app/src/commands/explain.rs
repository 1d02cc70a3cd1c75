//! `tollgate explain`: how a made-up request would be decided.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use tollgate_control::explain::{MadeUpRequest, Origin, explain};
use tollgate_control::prepare::Ready;
use tollgate_policy::{Caller, Claims};
use tollgate_proxy::Snapshot;
use tollgate_runtime::Clock;

use crate::documents;
use crate::exit;

/// The request.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The method, such as GET
    method: String,
    // The comment is the help text, where a link would only be noise.
    #[allow(rustdoc::bare_urls)]
    /// The URL, such as http://shop.example.com/products?id=7, or a path
    url: String,
    /// A header field; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The number that random choices are made from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
    /// Who sends it: a consumer's name. Without, the proof in its headers is looked at
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// What the sender's proof claims, as a JSON object
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Explains.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut request = made_up(arguments)?;
    let path = documents::find(arguments.config.as_deref())?;
    let prepared = documents::look_at(&path);
    if prepared.diagnostics.has_errors() {
        documents::report(&prepared);
    }
    let Some(Ready { snapshot, .. }) = prepared.ready else { return Ok(exit::INVALID_DOCUMENT.into()) };
    let clock = Clock::new();
    request.from.wall = clock.wall();
    request.from.caller = caller(arguments, &snapshot)?;
    let explanation = explain(&snapshot, &request, clock.now_ms());
    if arguments.json {
        return super::print(&format!("{:#}\n", explanation.to_json()));
    }
    super::print(&format!("{} {}\n{explanation}", request.method, arguments.url))
}

/// The request that a client would send for this URL.
fn made_up(arguments: &Arguments) -> Result<MadeUpRequest> {
    let mut fields = Vec::new();
    for header in &arguments.headers {
        let Some((name, value)) = header.split_once(':') else {
            bail!("`{header}` is not a header: write NAME: VALUE")
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let has_host = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let without_scheme = ["http://", "https://"].iter().find_map(|scheme| arguments.url.strip_prefix(scheme));
    let (host, target) = match without_scheme {
        Some(rest) => match rest.find(['/', '?']) {
            Some(at) if rest[at..].starts_with('?') => (&rest[..at], format!("/{}", &rest[at..])),
            Some(at) => (&rest[..at], rest[at..].to_owned()),
            None => (rest, "/".to_owned()),
        },
        None => ("localhost", arguments.url.clone()),
    };
    if !has_host {
        fields.insert(0, ("Host".to_owned(), host.to_owned()));
    }
    let from =
        Origin { address: arguments.from, tls: arguments.url.starts_with("https://"), ..Origin::default() };
    Ok(MadeUpRequest { method: arguments.method.clone(), target, fields, seed: arguments.seed, from })
}

/// Who sends the request, if that is said.
fn caller(arguments: &Arguments, snapshot: &Snapshot) -> Result<Option<Caller>> {
    let consumer = match &arguments.consumer {
        Some(name) => match snapshot.consumers.get().by_name(name) {
            Some(consumer) => Some(consumer.clone()),
            None => bail!("there is no consumer `{name}`"),
        },
        None => None,
    };
    let claims = match arguments.claims.as_deref().map(serde_json::from_str::<Claims>) {
        Some(Ok(claims)) => Some(Arc::new(claims)),
        Some(Err(error)) => bail!("the claims are not a JSON object: {error}"),
        None => None,
    };
    let given = consumer.is_some() || claims.is_some();
    Ok(given.then(|| Caller { consumer, claims, auth: "assumed".into(), ..Caller::default() }))
}
