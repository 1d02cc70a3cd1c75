//! Names of upstreams where they are used: by routes and by listeners.

use std::collections::HashSet;

use super::Partial;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Action, Destination, Document, FallbackTo, Route};
use crate::source::{Located, Origin};
use crate::suggest::nearest;

/// The upstreams that there are, and those that are used.
pub(super) struct References<'d> {
    known: HashSet<&'d str>,
    used: HashSet<&'d str>,
    judge: bool,
}

impl<'d> References<'d> {
    pub(super) fn new(document: &'d Document, partial: Partial) -> Self {
        let known = document.upstreams.iter().map(|(name, _)| name.as_str());
        let known = known.chain(document.upstreams.broken.iter().map(String::as_str)).collect();
        Self { known, used: HashSet::new(), judge: partial.references }
    }

    /// The names that are used, if all upstreams are known.
    pub(super) fn used(self) -> Option<HashSet<&'d str>> {
        self.judge.then_some(self.used)
    }

    pub(super) fn action(&mut self, action: &'d Action, found: &mut Diagnostics) {
        match action {
            Action::To(to) => match &to.upstream.value {
                Destination::Upstream(name) => self.upstream(name.as_str(), to.upstream.origin, found),
                Destination::Inline(_) if !to.labels.is_empty() => {
                    let message = "an address in a route has no labels to choose by";
                    let finding = Diagnostic::error(to.labels.origin, message);
                    found.push(finding.mend("make an upstream of it, with labels at its endpoints"));
                }
                Destination::Inline(_) => {}
            },
            Action::Split(split) => {
                for (name, share) in split.iter() {
                    let name = share.upstream(name);
                    self.upstream(name.as_str(), name.origin, found);
                }
                if split.broken.is_empty() && split.iter().all(|(_, share)| share.weight.get() == 0) {
                    let message = "the weights of this split add up to 0, so nothing can be chosen";
                    let finding = Diagnostic::error(split.origin, message);
                    found.push(finding.mend("give at least one upstream a weight of 1 or more"));
                }
            }
            Action::Redirect(_) | Action::Respond(_) => {}
        }
    }

    pub(super) fn destination(&mut self, to: &'d Located<Destination>, found: &mut Diagnostics) {
        if let Destination::Upstream(name) = &to.value {
            self.upstream(name.as_str(), to.origin, found);
        }
    }

    /// The upstream that a route falls back to. It gets the same bytes, so it has to speak the same kind of protocol.
    pub(super) fn fallback(&mut self, document: &'d Document, route: &'d Route, found: &mut Diagnostics) {
        let Some(fallback) = &route.forwarding.fallback else { return };
        let speaks = |name: &str| document.upstreams.get(name).map(|upstream| upstream.is_http2());
        let destinations: Vec<Option<bool>> = match &route.action {
            Action::To(to) => match &to.upstream.value {
                Destination::Upstream(name) => vec![speaks(name.as_str())],
                Destination::Inline(_) => vec![Some(false)],
            },
            Action::Split(split) => {
                split.iter().map(|(name, share)| speaks(share.upstream(name).as_str())).collect()
            }
            Action::Redirect(_) | Action::Respond(_) => {
                let message =
                    "`fallback` is for requests that are sent to an upstream, and this route sends to none";
                found.push(Diagnostic::error(fallback.origin, message).mend("remove `fallback`"));
                return;
            }
        };
        let FallbackTo::To(name) = &fallback.instead else { return };
        self.upstream(name.as_str(), name.origin, found);
        let Some(spoken) = speaks(name.as_str()) else { return };
        if destinations.into_iter().flatten().any(|other| other != spoken) {
            let message =
                format!("`{}` does not speak the same protocol as what it stands in for", name.as_str());
            let finding = Diagnostic::error(name.origin, message);
            found.push(finding.mend("give both the same `protocol`: HTTP/1.1, or HTTP/2"));
        }
    }

    /// A name that a route uses.
    fn upstream(&mut self, name: &'d str, origin: Origin, found: &mut Diagnostics) {
        self.named(name, origin, "http://", found);
    }

    /// A name that a listener for TCP or UDP uses.
    pub(super) fn stream(&mut self, name: &'d str, origin: Origin, found: &mut Diagnostics) {
        self.named(name, origin, "", found);
    }

    fn named(&mut self, name: &'d str, origin: Origin, scheme: &str, found: &mut Diagnostics) {
        if self.known.contains(name) {
            self.used.insert(name);
        } else if self.judge && found.is_full() {
            found.push(Diagnostic::error(origin, String::new()));
        } else if self.judge {
            let mend = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it to `upstreams`, or write an address: `{scheme}{name}:8080`"),
            };
            found.push(Diagnostic::error(origin, format!("there is no upstream `{name}`")).mend(mend));
        }
    }
}
