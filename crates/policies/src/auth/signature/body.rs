//! The body of a signed request, compared with its digest.

use tollgate_credentials::signature::DigestCheck;
use tollgate_decision::Reason;
use tollgate_message::Fields;
use tollgate_policy::{BodyCheck, Refused};

/// A body that has to be the one of `Content-Digest`.
#[derive(Debug)]
pub(super) struct DigestedBody {
    check: DigestCheck,
    limit: usize,
}

impl DigestedBody {
    /// By the field of a request, which is read as a whole however many lines it has.
    pub(super) fn new(fields: Fields<'_>, limit: usize) -> Result<Self, Refused> {
        let lines = fields.iter().filter(|(name, _, _)| name.eq_ignore_ascii_case(b"content-digest"));
        let value = lines.map(|(_, value, _)| value).collect::<Vec<_>>().join(&b", "[..]);
        let check = DigestCheck::parse(&value)
            .map_err(|why| Refused::because(Reason::SignatureMalformed, why.to_string()))?;
        Ok(Self { check, limit })
    }

    /// Compares what has come.
    pub(super) fn compare(self) -> Result<(), Refused> {
        self.check.finish().map_err(|why| Refused::because(Reason::DigestWrong, why.to_string()))
    }
}

impl BodyCheck for DigestedBody {
    fn limit(&self) -> usize {
        self.limit
    }

    fn part(&mut self, bytes: &[u8]) {
        self.check.update(bytes);
    }

    fn end(self: Box<Self>) -> Result<(), Refused> {
        self.compare()
    }
}
