//! What origins are told of a caller, in fields that no client can forge.

use serde_json::Value as Json;
use tollgate_http1::edits::Edits;
use tollgate_policy::Caller;

/// Claims that are handed on: the field's name, and the path of the claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedOn(Vec<(String, String)>);

impl HandedOn {
    /// These claims, each the field's name and the path of the claim.
    pub fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// Removes the fields.
    pub fn remove(&self, edits: &mut Edits) {
        self.0.iter().for_each(|(field, _)| edits.remove(field));
    }

    /// Adds a field for each claim that is there. `Err` names one whose value cannot stand in a field.
    pub fn write(&self, edits: &mut Edits, caller: &Caller) -> Result<(), &str> {
        for (field, path) in &self.0 {
            let Some(claim) = caller.claim(path) else { continue };
            let text = text_of(claim);
            if !is_sound(&text) {
                return Err(path);
            }
            edits.add(field, &text);
        }
        Ok(())
    }
}

/// The fields that tell origins who a caller is, each with its name; `None` for those that are not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFields {
    /// The consumer's name.
    pub consumer: Option<String>,
    /// The consumer's groups, with commas between them.
    pub groups: Option<String>,
    /// The subject that the proof names.
    pub subject: Option<String>,
    /// The method that proved it.
    pub auth: Option<String>,
}

impl IdentityFields {
    /// Removes the fields.
    pub fn remove(&self, edits: &mut Edits) {
        let names = [&self.consumer, &self.groups, &self.subject, &self.auth];
        names.into_iter().flatten().for_each(|name| edits.remove(name));
    }

    /// Adds them. What cannot stand in a field is left out: names come from the document or a verified token, and
    /// without one there is nothing that could be taken for another's.
    pub fn write(&self, edits: &mut Edits, caller: &Caller) {
        let mut add = |name: &Option<String>, value: &str| {
            if let Some(name) = name.as_ref().filter(|_| !value.is_empty() && is_sound(value)) {
                edits.add(name, value);
            }
        };
        add(&self.consumer, caller.name());
        if self.groups.is_some() {
            add(&self.groups, &caller.groups().join(","));
        }
        add(&self.subject, caller.subject.as_deref().unwrap_or_default());
        add(&self.auth, &caller.auth);
    }
}

/// A claim as text: lists with commas between their elements, objects as JSON.
fn text_of(claim: &Json) -> String {
    match claim {
        Json::String(text) => text.clone(),
        Json::Array(elements) => elements.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Whether a text can stand in a field as it is (RFC 9110 section 5.5).
fn is_sound(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte) || byte >= 0x80)
        && text.trim_ascii().len() == text.len()
}
