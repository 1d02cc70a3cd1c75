//! The shape that requests must have: methods, types and sizes. What a head may be at all is the listener's
//! business; this narrows it for a route.

mod media;

use tollgate_decision::Reason;
use tollgate_message::{BodyLength, Known};
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Verdict};

use crate::Unusable;
use crate::unusable::is_token;
use media::MediaRange;

/// What requests may be. `None` and an empty list mean: as the listener allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The methods, case and all. HEAD may be sent wherever GET may.
    pub methods: Vec<String>,
    /// The media types of bodies, without parameters: `application/json`, `image/*`, `application/*+json`.
    pub content_types: Vec<String>,
    /// The most bytes of a body.
    pub body_size: Option<u64>,
    /// The most fields of a head. A field of several lines counts as often.
    pub fields: Option<usize>,
    /// The most bytes of the path, after it was normalised.
    pub path_size: Option<usize>,
    /// The most bytes of the query.
    pub query_size: Option<usize>,
    /// The most parameters of the query: parts with `&` between them.
    pub query_parameters: Option<usize>,
}

/// The policy.
#[derive(Debug)]
pub struct RequestLimits {
    settings: Settings,
    /// The value of `Allow`.
    allow: String,
    content_types: Box<[MediaRange]>,
    /// The value of `Accept` that says which types there may be.
    accept: String,
}

impl RequestLimits {
    /// The policy of these settings.
    pub fn new(settings: Settings) -> Result<Self, Unusable> {
        let mut settings = settings;
        if let Some(index) = settings.methods.iter().position(|method| !is_token(method.as_bytes())) {
            let problem = format!("`{}` is not a method", settings.methods[index]);
            return Err(Unusable::new("methods", index, problem));
        }
        let has = |name: &str| settings.methods.iter().any(|method| method == name);
        if has("GET") && !has("HEAD") {
            settings.methods.push("HEAD".to_owned());
        }
        let content_types = settings.content_types.iter().enumerate().map(|(index, text)| {
            let wrong =
                "is not a media type: write it like `application/json`, `image/*` or `application/*+json`";
            let range = MediaRange::new(text);
            range.ok_or_else(|| Unusable::new("content_types", index, format!("`{text}` {wrong}")))
        });
        let content_types = content_types.collect::<Result<_, _>>()?;
        let (allow, accept) = (settings.methods.join(", "), settings.content_types.join(", "));
        Ok(Self { settings, allow, content_types, accept })
    }

    /// The most bytes of a body. Bodies of unknown length have to be counted as they come, by whoever carries
    /// them: what they declare is all that the policy itself sees.
    pub fn body_size(&self) -> Option<u64> {
        self.settings.body_size
    }

    fn method_allowed(&self, asked: &Asked<'_>) -> bool {
        let methods = &self.settings.methods;
        methods.is_empty() || methods.iter().any(|method| method.as_bytes() == asked.method_bytes)
    }

    /// What is wrong with the type of the request's body.
    fn objection_to_type(&self, asked: &Asked<'_>) -> Option<&'static str> {
        if self.content_types.is_empty() || asked.body == BodyLength::None {
            return None;
        }
        let mut types = asked.fields.all(Known::ContentType);
        let Some(media_type) = types.next() else { return Some("the body has no Content-Type") };
        if types.next().is_some() {
            // The origin might take the other one.
            return Some("several Content-Type fields");
        }
        let allowed = self.content_types.iter().any(|range| range.holds(media_type));
        (!allowed).then_some("the Content-Type is not one of those allowed")
    }

    fn objection_to_size(&self, asked: &Asked<'_>) -> Option<(Reason, &'static str)> {
        let over = |size: usize, limit: Option<usize>| limit.is_some_and(|limit| size > limit);
        let Settings { body_size, fields, path_size, query_size, query_parameters, .. } = &self.settings;
        if over(asked.fields.len(), *fields) {
            return Some((Reason::TooManyFields, "more fields than the route allows"));
        }
        if over(asked.path.len(), *path_size) {
            return Some((Reason::TargetTooLong, "a longer path than the route allows"));
        }
        let query = asked.query.unwrap_or_default();
        if over(query.len(), *query_size) {
            return Some((Reason::TargetTooLong, "a longer query than the route allows"));
        }
        if query_parameters.is_some() && over(parameters(query), *query_parameters) {
            return Some((Reason::TargetTooLong, "more query parameters than the route allows"));
        }
        match (asked.body, body_size) {
            (BodyLength::Known(length), Some(limit)) if length > *limit => {
                Some((Reason::BodyTooLarge, "a longer body than the route allows"))
            }
            _ => None,
        }
    }
}

impl Policy for RequestLimits {
    fn name(&self) -> &str {
        "request_limits"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        let refuse = |reason, note: &'static str| Verdict::Refuse(Refused::because(reason, note));
        if !self.method_allowed(asked) {
            // RFC 9110 section 15.5.6 requires it.
            gate.response.set("Allow", &self.allow);
            let note = "the method is not one of those allowed";
            return refuse(Reason::MethodNotAllowed, note);
        }
        if let Some((reason, objection)) = self.objection_to_size(asked) {
            return refuse(reason, objection);
        }
        if let Some(objection) = self.objection_to_type(asked) {
            // RFC 9110 section 15.5.16.
            gate.response.set("Accept", &self.accept);
            return refuse(Reason::ContentTypeNotAllowed, objection);
        }
        Verdict::CONTINUE
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

/// How many parameters a query has. Empty parts count: they cost whoever splits the query as much.
fn parameters(query: &[u8]) -> usize {
    if query.is_empty() { 0 } else { 1 + query.iter().filter(|byte| **byte == b'&').count() }
}

#[cfg(test)]
mod tests;
