//! The whole document.

use serde_json::Value as Json;

use super::{
    AccessLog, Acme, Admin, ClientTimeouts, Defaults, Dns, Forwarded, Gate, Limits, Listener, Paths,
    Recorder, Route,
};
use super::{Shutdown, Tracing, Upstream};
use crate::diagnostic::Diagnostic;
use crate::section::section;
use crate::setting::{Decoder, Many, Setting, Switch, Whole};
use crate::shape::Shape;
use crate::source::Located;
use crate::table::Table;
use crate::tree::Node;
use crate::units::{Cidr, Name};

/// The version of the document's syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// The only one so far.
    One,
}

impl Setting for Version {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let scalar = decoder.scalar(node, "`1`, the version of the syntax")?;
        if scalar.text.as_str() == "1" {
            return Some(Self::One);
        }
        let finding = Diagnostic::error(node.origin, "this version of the syntax is not known");
        decoder.report(finding.mend("write `version: 1`"));
        None
    }
    fn shape() -> Shape {
        Shape::Integer { minimum: 1, maximum: 1 }
    }
    fn encode(&self) -> Json {
        1.into()
    }
}

section! {
    /// The document: what Tollgate listens on, where requests go, and what is done to them on the
    /// way.
    pub struct Document {
        /// The version of this syntax. Always 1.
        version: Version = required;
        /// More files, relative to this one; `*` and `?` match within a file name. Sections of the same
        /// name are merged key by key, and `routes` are appended in the order of the file names.
        include: Many<Located<String>> = default(Many::none());
        /// The zone that this Tollgate runs in, for upstreams with `prefer_zone`: `${ZONE}`.
        zone: Option<Located<Name>> = optional;
        /// Threads that run connections; one per core if left out.
        workers: Option<Whole<1, 1024>> = optional;
        /// Where to accept connections: an address, a list of them, or the long form.
        listen: Many<Located<Listener>> = default(Many::none());
        /// How certificates are got for the names that listeners have under `acme` or after `https://`.
        acme: Option<Located<Acme>> = optional;
        /// The admin API with metrics and health. If left out, a unix socket at the default place;
        /// `none` for no API at all.
        admin: Option<Located<Switch<Admin>>> = optional;
        /// Where a record of each exchange goes: `none`, a log, or a list of logs.
        access_log: Switch<Many<Located<AccessLog>>> = default(Switch::On(Many(vec![AccessLog::standard()])));
        /// Where traces go. Nothing is traced if left out; `traceparent` then passes through as it is.
        tracing: Option<Tracing> = optional;
        /// What is kept of ended exchanges, so that `why` can tell about them. `none` keeps nothing.
        recorder: Switch<Recorder> = default(Switch::On(Recorder::standard()));
        /// Addresses of proxies in front whose forwarding headers are believed.
        trusted_proxies: Many<Located<Cidr>> = default(Many::none());
        /// Which headers tell the upstream who the client is.
        forwarded: Forwarded = default(Forwarded::XForwarded);
        /// How a stop goes.
        shutdown: Shutdown = section;
        /// What a client may send at most.
        limits: Limits = section;
        /// How long Tollgate waits for a client.
        timeouts: ClientTimeouts = section;
        /// How paths are normalised before they are matched.
        paths: Paths = section;
        /// Named groups of endpoints. A list of endpoints is enough where the defaults fit.
        upstreams: Table<Name, Located<Upstream>> = default(Table::none());
        /// Whom to ask for the names of endpoints.
        dns: Dns = section;
        /// Who callers are, how they show it, and what they share.
        gate: Gate = flatten;
        /// Settings for all upstreams and routes that do not set them.
        defaults: Defaults = section;
        /// From which requests to which destination. The most specific route wins: exact path,
        /// longest prefix, method, number of header conditions, number of query conditions; then
        /// the first in the document.
        routes: Vec<Located<Route>> = default(Vec::new());
    }
}
