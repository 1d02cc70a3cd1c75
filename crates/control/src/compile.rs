//! Compiling: a checked document becomes a snapshot, or findings that point into its text.

pub mod acceptors;
pub mod acme;
mod balance;
mod consumers;
mod destinations;
mod files;
mod grpc;
mod health;
mod listeners;
mod logs;
pub mod mirrors;
mod overload;
pub mod policies;
pub mod predecessor;
mod rescue;
mod routes;
pub mod sources;
pub mod sticky;
pub mod tls;
mod tracing;
mod upstreams;

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_config::{Diagnostic, Diagnostics, Document, EncodedSlash, Forwarded, Origin};
use tollgate_http1::HeadLimits;
use tollgate_proxy::snapshot::{ClientTimeouts, ForwardedFields, HttpSettings, Keys, Snapshot, Transport};
use tollgate_routing::normalise::{Encoded, PathRules};
use tollgate_routing::{Finding, RouteSpec, RouteTable};
use tollgate_tls::Roots;
use tollgate_upstream::{HealthEvents, Upstream};

use crate::beside::Watched;
use crate::resolve::Resolve;

use self::acceptors::ListenerTls;
use self::policies::{Carried, Shared};
use self::predecessor::Plan;
use self::sources::{FirstFound, FirstLooks};

pub use consumers::Excerpts;
pub use predecessor::{Plans, Predecessor};

/// What became of a document.
pub struct Compiled {
    /// The snapshot, if nothing is wrong.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What the snapshot's upstreams were made from, for the next document.
    pub plans: Plans,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// Of files beside the document, what findings point to: to be joined with the document's sources.
    pub excerpts: Excerpts,
}

/// Compiles the first document of a process. `events` hears of the upstreams' health.
pub fn compile(document: &Document, resolver: &dyn Resolve, events: &HealthEvents) -> Compiled {
    compile_after(&Predecessor::default(), document, resolver, events)
}

/// Compiles a document that may follow another while the process runs: upstreams that stay as they are
/// are the same ones, and endpoints that stay in a changed upstream keep what is known of them.
pub fn compile_after(
    before: &Predecessor,
    document: &Document,
    resolver: &dyn Resolve,
    events: &HealthEvents,
) -> Compiled {
    let mut compiler = Compiler {
        document,
        resolver,
        events,
        before,
        diagnostics: Diagnostics::default(),
        upstreams: Vec::new(),
        spoken: Vec::new(),
        plans: HashMap::new(),
        tls: before.tls().successor(),
        system_roots: None,
        shared: Shared::default(),
        carried: before.carried().successor(),
        names: Vec::new(),
        beside: Beside::default(),
        by_name: HashMap::new(),
    };
    compiler.upstreams();
    compiler.redis_stores();
    let (specs, routes) = compiler.routes();
    let table = compiler.table(&specs);
    if let Some(table) = &table {
        report_findings(document, table, &mut compiler.diagnostics);
    }
    let listeners = compiler.listeners();
    let acme = compiler.acme();
    let logs = compiler.logs(&specs);
    let consumers = compiler.consumers();
    let (transports, keys) = compiler.spoken.into_iter().unzip();
    let snapshot = table.filter(|_| !compiler.diagnostics.has_errors()).map(|table| {
        Arc::new(Snapshot {
            number: before.number + 1,
            listeners,
            table: Arc::new(table),
            routes,
            transports,
            keys,
            upstreams: compiler.upstreams,
            subsets: compiler.shared.subsets.take(),
            http: http_settings(document),
            logs: Arc::new(logs),
            consumers,
            tracing: tracing::tracing(document, before),
            challenges: acme.as_ref().map(|plan| plan.challenges.clone()),
        })
    });
    compiler.diagnostics.sort();
    let plans = Plans {
        upstreams: compiler.plans,
        tls: compiler.tls,
        acme,
        watched: compiler.beside.watched,
        carried: compiler.carried,
        dns: sources::dns_settings(&document.dns),
        first_found: compiler.beside.first_found,
    };
    Compiled { snapshot, plans, diagnostics: compiler.diagnostics, excerpts: compiler.beside.excerpts }
}

/// Of what is beside the document: what is made from files and watched, what findings point to, and what sources of
/// endpoints begin with.
#[derive(Default)]
struct Beside {
    watched: Watched,
    excerpts: Excerpts,
    first_looks: FirstLooks,
    first_found: FirstFound,
}

struct Compiler<'a> {
    document: &'a Document,
    resolver: &'a dyn Resolve,
    events: &'a HealthEvents,
    before: &'a Predecessor,
    diagnostics: Diagnostics,
    upstreams: Vec<Arc<Upstream>>,
    /// By the same index: how it is spoken to, and what of requests it goes by.
    spoken: Vec<(Arc<Transport>, Keys)>,
    plans: HashMap<String, Arc<Plan>>,
    tls: ListenerTls,
    /// Read at most once, and only if something needs them.
    system_roots: Option<Roots>,
    /// Policies and chains that routes share.
    shared: Shared,
    /// What policies count and remember.
    carried: Carried,
    /// Names of routes.
    names: Vec<String>,
    /// Of what is beside the document.
    beside: Beside,
    /// Indexes by name; an inline destination's name is its address.
    by_name: HashMap<String, u32>,
}

impl Compiler<'_> {
    fn table(&mut self, specs: &[RouteSpec]) -> Option<RouteTable> {
        match RouteTable::compile(specs) {
            Ok(table) => Some(table),
            Err(errors) => {
                for error in errors {
                    let origin = self.route_origin(error.route);
                    self.diagnostics.push(Diagnostic::error(origin, error.problem.to_string()));
                }
                None
            }
        }
    }

    fn route_origin(&self, route: usize) -> Origin {
        self.document.routes.get(route).map_or(Origin::start_of(0), |r| r.origin)
    }
}

fn http_settings(document: &Document) -> HttpSettings {
    let (limits, timeouts) = (&document.limits, &document.timeouts);
    let response_head_size = limits.response_head_size.bytes() as usize;
    HttpSettings {
        request_head: HeadLimits {
            head_size: limits.head_size.bytes() as usize,
            fields: limits.fields.get() as usize,
            target_size: limits.target_size.bytes() as usize,
        },
        response_head: HeadLimits { head_size: response_head_size, fields: 256, target_size: 0 },
        paths: PathRules {
            merge_slashes: document.paths.merge_slashes,
            encoded_separators: match document.paths.encoded_slash {
                EncodedSlash::Refuse => Encoded::Refuse,
                EncodedSlash::Keep => Encoded::Keep,
            },
            ..PathRules::default()
        },
        forwarded: ForwardedFields {
            x_forwarded: matches!(document.forwarded, Forwarded::XForwarded | Forwarded::Both),
            rfc7239: matches!(document.forwarded, Forwarded::Rfc7239 | Forwarded::Both),
        },
        client: ClientTimeouts {
            head_ms: timeouts.head.get().as_millis() as u64,
            body_ms: timeouts.body.get().as_millis() as u64,
            idle_ms: timeouts.idle.get().as_millis() as u64,
            write_ms: timeouts.write.get().as_millis() as u64,
        },
        requests_per_connection: limits.requests_per_connection.on().map(|w| w.get()),
    }
}

/// How many routes are named in a finding that could name very many.
const NAMED: usize = 3;

fn report_findings(document: &Document, table: &RouteTable, diagnostics: &mut Diagnostics) {
    let origin = |route: u32| document.routes.get(route as usize).map_or(Origin::start_of(0), |r| r.origin);
    let covering = |mut diagnostic: Diagnostic, by: &[u32]| {
        for route in by.iter().take(NAMED) {
            diagnostic =
                diagnostic.note(origin(*route), format!("`{}` takes its requests", table.name(*route)));
        }
        diagnostic
    };
    for finding in table.findings() {
        let diagnostic = match &finding {
            Finding::Unreachable { route, by } => {
                let message = format!("the route `{}` can never match", table.name(*route));
                covering(Diagnostic::warning(origin(*route), message), by)
                    .mend("remove it, or narrow the routes that cover it")
            }
            Finding::Shadowed { route, place, by } => {
                let message =
                    format!("the route `{}` can never match on {}", table.name(*route), place_text(place));
                covering(Diagnostic::warning(origin(*route), message), by)
            }
            Finding::Ambiguous { route, with, place } => {
                let message = format!(
                    "only their order decides between the routes `{}` and `{}` on {}",
                    table.name(*with),
                    table.name(*route),
                    place_text(place)
                );
                Diagnostic::warning(origin(*route), message)
                    .note(origin(*with), "this one comes first and wins")
                    .mend("give one of them a condition that the other does not have")
            }
        };
        diagnostics.push(diagnostic);
    }
}

fn place_text(place: &tollgate_routing::Place) -> String {
    let path = match &place.path {
        tollgate_routing::PathMatch::Exact(path) => format!("the path {path}"),
        tollgate_routing::PathMatch::Prefix(path) => format!("the prefix {path}"),
        tollgate_routing::PathMatch::Regex(pattern) => format!("the expression {pattern}"),
    };
    if place.host == "*" { path } else { format!("{path} of {}", place.host) }
}
