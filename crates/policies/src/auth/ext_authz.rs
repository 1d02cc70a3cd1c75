//! A service that speaks Envoy's `ext_authz` (gRPC, `envoy.service.auth.v3.Authorization/Check`) decides.
//!
//! It is told what Envoy tells: addresses, and the request's head in full (`attributes`). What it changes about a
//! request that passes, and what a client gets that is denied, is taken over as Envoy does, but for fields that are
//! not a service's to set: `Host`, pseudo fields, framing and connection.

mod attributes;
mod changes;

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_outbound::ext_authz::messages::{DeniedHttpResponse, HeaderValueOption, Verdict};
use tollgate_outbound::ext_authz::{CheckResponse, check};
use tollgate_outbound::grpc::{CallError, GrpcClient};
use tollgate_policy::{Answer, Asked, Gate, Resolution, Wait};

use super::{Finding, IfUnreachable, Method, called};
use crate::Unusable;

/// How a service is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the document calls the method.
    pub name: String,
    /// Where it is, in words for the operator: host and port.
    pub place: String,
    /// Fields that only the service sets: what clients send under these names is removed. Others it can set too, as
    /// with Envoy; a service that sets one for some requests only removes it from the rest itself
    /// (`headers_to_remove`), or has it here.
    pub response_headers: Vec<String>,
    /// The field, of those that it sets, that names the caller: the subject, and by it the consumer.
    pub consumer_header: Option<String>,
    /// What the service is told beyond the request (`context_extensions`).
    pub context: Vec<(String, String)>,
    /// What happens when it cannot be asked.
    pub if_unreachable: IfUnreachable,
}

/// The method.
#[derive(Debug)]
pub struct ExtAuthz {
    name: Arc<str>,
    client: GrpcClient,
    settings: Settings,
}

/// What came of asking.
type Asking = Result<CheckResponse, CallError>;

impl ExtAuthz {
    /// The method of these settings, which asks by this client; the time that it may take is the client's.
    ///
    /// # Errors
    /// A name that cannot be one of a field that a service sets.
    pub fn new(settings: Settings, client: GrpcClient) -> Result<Self, Unusable> {
        called::check_names("response_headers", &settings.response_headers)?;
        called::check_names("consumer_header", settings.consumer_header.as_slice())?;
        Ok(Self { name: settings.name.as_str().into(), client, settings })
    }

    fn answered(&self, asked: &Asked<'_>, gate: &mut Gate, answer: Asking) -> Finding {
        let verdict = match answer {
            Ok(answer) => answer.verdict(),
            Err(error) => return self.unreachable(error.to_string()),
        };
        match verdict {
            Verdict::Pass(response) => {
                let name = self.settings.consumer_header.as_deref();
                let subject = name.and_then(|name| changes::last_value(&response.headers, name));
                let caller = called::caller(asked, &self.name, subject);
                changes::apply(asked, gate, &response);
                Finding::Known(caller)
            }
            Verdict::Deny { status, response } => Finding::Answer(Box::new(denied(status, response))),
            Verdict::Undecided(_) => self.unreachable("the service could not decide".to_owned()),
        }
    }

    fn unreachable(&self, note: String) -> Finding {
        called::unreachable(self.settings.if_unreachable, &self.name, note)
    }
}

fn denied(status: u16, response: DeniedHttpResponse) -> Answer {
    let mut answer = called::denial(status, response.body.into_bytes());
    for (name, value) in response.headers.iter().filter_map(field) {
        if name.eq_ignore_ascii_case("content-type") {
            answer.content_type = std::str::from_utf8(value).ok().map(str::to_owned);
        } else {
            answer.fields.add_with(name, |out| out.extend_from_slice(value));
        }
    }
    if !answer.body.is_empty() && answer.content_type.is_none() {
        answer.content_type = Some("text/plain".to_owned());
    }
    answer
}

/// A field that the service sets; `None` for one that it may not, that cannot be written, or that is to be left out.
fn field(option: &HeaderValueOption) -> Option<(&str, &[u8])> {
    let header = option.header.as_ref()?;
    let value = header.bytes().trim_ascii();
    let is_told = !value.is_empty() || option.keep_empty_value;
    let may = called::may_be_said(header.key.as_bytes()) && called::is_sound_value(value);
    (is_told && may).then_some((header.key.as_str(), value))
}

impl Method for ExtAuthz {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        match resolution.map(Resolution::downcast::<Asking>) {
            Some(Ok(answer)) => self.answered(asked, gate, *answer),
            _ => {
                let what = format!("the authorization service at {}", self.settings.place);
                let question = attributes::question(asked, &self.settings.context);
                Finding::Wait(Wait::new(what, check(&self.client, &question)))
            }
        }
    }

    /// The service's own answers have their challenges.
    fn challenge(&self, _: Reason) -> Option<String> {
        None
    }

    fn remove_forged(&self, edits: &mut Edits) {
        self.settings.response_headers.iter().for_each(|name| edits.remove(name));
    }
}

#[cfg(test)]
mod tests;
