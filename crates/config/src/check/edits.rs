//! Header names that a document may not set, and names that are edited twice.

use std::collections::HashMap;

use tollgate_message::Known;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{HeaderEdits, MessageEdits};
use crate::source::{Located, Origin};
use crate::units::HeaderName;

/// Which message a header is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Request,
    Response,
    /// An answer of Tollgate's own.
    Answer,
    Probe,
    /// What is sent to a collector, or to a service that decides.
    Export,
    /// What tells the upstream who the caller is.
    Identity,
}

pub(super) fn check(edits: &HeaderEdits, found: &mut Diagnostics) {
    message(&edits.request, Whose::Request, found);
    message(&edits.response, Whose::Response, found);
}

fn message(edits: &MessageEdits, whose: Whose, found: &mut Diagnostics) {
    let names = || {
        let set = edits.set.iter().map(|(name, _)| name);
        let add = edits.add.iter().map(|(name, _)| name);
        set.chain(add).chain(edits.remove.iter())
    };
    for name in names() {
        refuse_reserved(name, whose, found);
    }
    refuse_repeated(names(), found);
}

/// Framing, connection and routing fields are the proxy's own: changing them by hand desynchronises
/// messages (RFC 9112 section 11.2).
pub(super) fn refuse_reserved(name: &Located<HeaderName>, whose: Whose, found: &mut Diagnostics) {
    let known = Known::from_name(name.as_str().as_bytes());
    let framing = matches!(
        known,
        Known::ContentLength
            | Known::TransferEncoding
            | Known::Te
            | Known::Trailer
            | Known::Upgrade
            | Known::Expect
    );
    if framing || known.is_hop_by_hop() {
        let message = format!("`{}` belongs to the connection and cannot be changed", name.as_str());
        found.push(Diagnostic::error(name.origin, message).mend("remove it"));
    } else if known == Known::Host && whose != Whose::Response {
        let mend = match whose {
            Whose::Request => "write `rewrite: { host: … }`",
            Whose::Probe => "write `host: …` beside `headers`",
            Whose::Identity => "take another name",
            Whose::Response | Whose::Answer | Whose::Export => "remove it",
        };
        found.push(Diagnostic::error(name.origin, "`Host` cannot be set among the headers").mend(mend));
    }
}

/// Header names have no case, so two keys that differ in it are one.
pub(super) fn refuse_repeated<'a>(
    names: impl Iterator<Item = &'a Located<HeaderName>>,
    found: &mut Diagnostics,
) {
    let mut seen: HashMap<String, Origin> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.as_str().to_ascii_lowercase(), name.origin) {
            let message = format!("the header `{}` is named twice", name.as_str());
            let finding = Diagnostic::error(name.origin, message).note(first, "first named here");
            found.push(finding.mend("one change for each header; names have no case"));
        }
    }
}
