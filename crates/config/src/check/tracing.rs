//! Headers for the collector of traces.

use tollgate_message::Known;

use super::edits::{Whose, refuse_repeated, refuse_reserved};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Document;

pub(super) fn check(document: &Document, found: &mut Diagnostics) {
    let Some(tracing) = &document.tracing else { return };
    let names = || tracing.headers.iter().map(|(name, _)| name);
    for name in names() {
        refuse_reserved(name, Whose::Export, found);
        if Known::from_name(name.as_str().as_bytes()) == Known::ContentType {
            let message = "`Content-Type` says that these are traces and cannot be changed";
            found.push(Diagnostic::error(name.origin, message).mend("remove it"));
        }
    }
    refuse_repeated(names(), found);
}
