//! Components: what a signature covers (RFC 9421 section 2).

use super::rejection::Rejection;
use super::structured::{self, Bare, Item};

/// The most components that a signature covers.
pub const MAX_COMPONENTS: usize = 50;

/// What of a request a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub(super) part: Part,
    /// The identifier as it stands in the signature base.
    id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    /// One parameter of the query; its name in the encoding of section 2.2.8.
    QueryParam(String),
    /// A field, by its name in lower case.
    Field(String),
}

impl Component {
    /// Reads a component as it is configured: its bare name (`@method`, `content-digest`) or its whole identifier
    /// (`"@query-param";name="id"`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let item = if text.starts_with('"') {
            structured::item(text.as_bytes()).map_err(Rejection::Malformed)?
        } else {
            Item { bare: Bare::String(text.to_ascii_lowercase()), parameters: Vec::new() }
        };
        Self::of(&item)
    }

    /// The identifier, as it stands in the signature base.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn of(item: &Item) -> Result<Self, Rejection> {
        let Bare::String(name) = &item.bare else {
            return Err(Rejection::Malformed("a component is not a string"));
        };
        let part = match name.as_str() {
            "@query-param" => match item.parameters.as_slice() {
                [(parameter, Bare::String(value))] if parameter == "name" => Part::QueryParam(value.clone()),
                _ => return Err(Rejection::Malformed("`@query-param` has `name` and nothing else")),
            },
            _ => {
                if let Some((parameter, _)) = item.parameters.first() {
                    return Err(Rejection::Unsupported(refused(parameter)));
                }
                part(name)?
            }
        };
        let mut id = String::new();
        structured::write_item(&mut id, item);
        Ok(Self { part, id })
    }
}

fn part(name: &str) -> Result<Part, Rejection> {
    Ok(match name {
        "@method" => Part::Method,
        "@target-uri" => Part::TargetUri,
        "@authority" => Part::Authority,
        "@scheme" => Part::Scheme,
        "@request-target" => Part::RequestTarget,
        "@path" => Part::Path,
        "@query" => Part::Query,
        "@status" => return Err(Rejection::Unsupported("`@status` is of responses")),
        "@signature-params" => return Err(Rejection::Malformed("`@signature-params` covers itself")),
        name if name.starts_with('@') => {
            return Err(Rejection::Unsupported("a derived component that is not known"));
        }
        name => {
            let is_name = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
            };
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(Rejection::Malformed("a component is no field name in lower case"));
            }
            Part::Field(name.to_owned())
        }
    })
}

/// Why a parameter of a component is refused.
fn refused(parameter: &str) -> &'static str {
    match parameter {
        "sf" => "`sf`, the strict spelling of a structured field: sign the field as it is sent",
        "bs" => "`bs`, the field as bytes: sign the field as it is sent",
        "key" => "`key`, one member of a dictionary: sign the whole field",
        "tr" => "`tr`, a trailer: requests are verified before their trailers come",
        "req" => "`req` is of responses",
        _ => "a parameter that is not known",
    }
}
