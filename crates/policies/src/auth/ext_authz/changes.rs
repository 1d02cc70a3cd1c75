//! What the service changes about a request that passes.

use tollgate_http1::edits::Edits;
use tollgate_outbound::ext_authz::messages::{AppendAction, HeaderValueOption, OkHttpResponse};
use tollgate_policy::{Asked, Gate};

use super::field;
use crate::auth::{called, percent};

/// Applies all that the service says.
pub(super) fn apply(asked: &Asked<'_>, gate: &mut Gate, response: &OkHttpResponse) {
    for name in response.headers_to_remove.iter().filter(|name| called::may_be_said(name.as_bytes())) {
        gate.request.remove(name);
    }
    let has = |gate: &Gate, name: &str| {
        asked.fields.get_by_name(name.as_bytes()).is_some() && !gate.request.replaces(name)
    };
    let there: Vec<bool> = response
        .headers
        .iter()
        .map(|option| option.header.as_ref().is_some_and(|header| has(gate, &header.key)))
        .collect();
    write(&mut gate.request, &response.headers, |index| there.get(index).copied());
    // What the upstream will say is not known yet: a field that is added only where there is none is a default, and
    // one that replaces only what is there cannot be had.
    write(&mut gate.response, &response.response_headers_to_add, |_| None);
    if !response.query_parameters_to_set.is_empty() || !response.query_parameters_to_remove.is_empty() {
        gate.query = Some(query(asked.query.unwrap_or_default(), response));
    }
}

/// The last value that the service gives a field.
pub(super) fn last_value<'a>(options: &'a [HeaderValueOption], name: &str) -> Option<&'a str> {
    let mut named = options.iter().filter_map(field).filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.next_back().and_then(|(_, value)| std::str::from_utf8(value).ok())
}

/// Writes fields in their order; one that overwrites does so with those that the service named before, too. `has`
/// says whether the head has a field of the name at this index, `None` where that is not known.
fn write(edits: &mut Edits, options: &[HeaderValueOption], has: impl Fn(usize) -> Option<bool>) {
    let mut said: Vec<(&str, &[u8])> = Vec::with_capacity(options.len());
    for (index, option) in options.iter().enumerate() {
        let Some((name, value)) = field(option) else { continue };
        let is_said = said.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let replaces = match (option.action(), has(index)) {
            (AppendAction::AppendIfExistsOrAdd, _) => false,
            (AppendAction::OverwriteIfExistsOrAdd, _) => true,
            (AppendAction::AddIfAbsent, Some(true)) => continue,
            (AppendAction::AddIfAbsent, _) if is_said => continue,
            (AppendAction::AddIfAbsent, Some(false)) => false,
            (AppendAction::AddIfAbsent, None) => {
                if let Ok(value) = std::str::from_utf8(value) {
                    edits.set_default(name, value);
                }
                continue;
            }
            (AppendAction::OverwriteIfExists, Some(true)) => true,
            (AppendAction::OverwriteIfExists, _) if is_said => true,
            (AppendAction::OverwriteIfExists, _) => continue,
        };
        if replaces {
            said.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            edits.remove(name);
        }
        said.push((name, value));
    }
    for (name, value) in said {
        edits.add_with(name, |out| out.extend_from_slice(value));
    }
}

/// The query with the service's parameters: those that it does not name stay as they were spelled.
fn query(before: &[u8], response: &OkHttpResponse) -> Vec<u8> {
    let is_named = |name: &str| {
        response.query_parameters_to_remove.iter().any(|known| known == name)
            || response.query_parameters_to_set.iter().any(|set| set.key == name)
    };
    let kept = before.split(|byte| *byte == b'&').filter(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        !pair.is_empty() && !is_named(&percent::decode(name))
    });
    let mut query = kept.collect::<Vec<_>>().join(&b'&');
    for parameter in &response.query_parameters_to_set {
        let mut text = String::new();
        percent::encode(&mut text, &parameter.key);
        text.push('=');
        percent::encode(&mut text, &parameter.value);
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(text.as_bytes());
    }
    query
}
