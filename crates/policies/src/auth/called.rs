//! What services have in common that decide about requests.

use std::sync::Arc;

use tollgate_decision::Reason;
use tollgate_message::{Known, Version};
use tollgate_policy::{Answer, Asked, Caller, CredentialKind, Refused};

use super::Finding;
use crate::Unusable;
use crate::unusable::is_token;

/// What happens to requests when a service cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfUnreachable {
    /// They are refused.
    #[default]
    Deny,
    /// They pass, and nobody knows who they are.
    Allow,
}

/// What is found where a service cannot be asked, or could not decide.
pub(super) fn unreachable(rule: IfUnreachable, method: &Arc<str>, note: String) -> Finding {
    match rule {
        IfUnreachable::Deny => Finding::Refused(Refused::because(Reason::AuthorizationUnavailable, note)),
        IfUnreachable::Allow => Finding::Known(Caller { auth: method.clone(), ..Caller::default() }),
    }
}

/// The caller that a service speaks of: a consumer by its credential, where that is one's.
pub(super) fn caller(asked: &Asked<'_>, method: &Arc<str>, subject: Option<&str>) -> Caller {
    let subject = subject.filter(|subject| !subject.is_empty());
    let known = subject.and_then(|subject| asked.consumers.find(CredentialKind::Subject, subject.as_bytes()));
    Caller {
        consumer: known.map(|(consumer, _)| consumer.clone()),
        subject: subject.map(Arc::from),
        auth: method.clone(),
        ..Caller::default()
    }
}

/// An answer to the client in a service's words.
pub(super) fn denial(status: u16, body: Vec<u8>) -> Answer {
    let note = Some(format!("the service answered {status}").into());
    Answer { reason: Some(Reason::AuthorizationDenied), status, body, note, ..Answer::default() }
}

/// Whether a service may say something in this field: never about the connection, the framing or the host, by
/// which others read a message than the ones it was about.
pub(super) fn may_be_said(name: &[u8]) -> bool {
    let known = Known::from_name(name);
    let is_kept = known.is_hop_by_hop()
        || matches!(
            known,
            Known::Host
                | Known::ContentLength
                | Known::TransferEncoding
                | Known::Te
                | Known::Trailer
                | Known::Upgrade
                | Known::Expect
        );
    is_token(name) && !is_kept
}

/// Whether a value can stand in a field as it is (RFC 9110 section 5.5).
pub(super) fn is_sound_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// Whether a field tells a service something of the request that only Tollgate knows.
pub(super) fn is_ours_to_say(name: &[u8]) -> bool {
    matches!(Known::from_name(name), Known::XRequestId | Known::XRealIp | Known::Forwarded)
        || name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// Checks names of fields from settings that a service sets.
pub(super) fn check_names(setting: &'static str, names: &[String]) -> Result<(), Unusable> {
    match names.iter().position(|name| !may_be_said(name.as_bytes())) {
        None => Ok(()),
        Some(index) => {
            let problem = format!("`{}` is no field that a service can set", names[index]);
            Err(Unusable::new(setting, index, problem))
        }
    }
}

/// Path and query of the request, as its origin gets them.
pub(super) fn target(asked: &Asked<'_>) -> Vec<u8> {
    let mut target = asked.path.to_vec();
    if let Some(query) = asked.query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    target
}

/// The version as protocols are named.
pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
        Version::Http3 => "HTTP/3",
    }
}
