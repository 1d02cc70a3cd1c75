//! What the policy is made from.

use tollgate_http1::edits::Edits;

use super::{ALLOW_ORIGIN, Allowed, Cors};
use crate::Unusable;
use crate::origin::OriginSet;
use crate::unusable::is_token;

/// What an origin could say of CORS itself, and does not get to.
pub(super) const OWN_FIELDS: [&str; 7] = [
    ALLOW_ORIGIN,
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Private-Network",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
];

/// Who may read responses, and what they may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose pages: `https://app.example`, `https://*.example.com` (all names below it), `*` (everybody), `null`
    /// (pages without an origin, never meant by a `*` that goes with credentials).
    pub origins: Vec<String>,
    /// Which methods a preflight may ask for; `*` for all. None means GET, HEAD and POST, which browsers send
    /// whatever is said here (they are safelisted by the fetch standard).
    pub methods: Vec<String>,
    /// Which fields requests may have; `*` for all. Without `credentials`, browsers do not take it to mean
    /// `Authorization`, which then has to be listed beside it.
    pub headers: Vec<String>,
    /// Which fields of responses scripts may read besides the usual ones; `*` for all, without `credentials` only.
    pub expose: Vec<String>,
    /// Whether requests may have cookies and other credentials of the browser.
    pub credentials: bool,
    /// How long browsers may keep the answer to a preflight, in seconds.
    pub max_age_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            methods: Vec::new(),
            headers: Vec::new(),
            expose: Vec::new(),
            credentials: false,
            max_age_s: 5,
        }
    }
}

impl Cors {
    /// The policy of these settings.
    ///
    /// With `*` among the origins and no credentials, every response says `*`, also to requests that
    /// do not say where they come from and to those from `null`: such responses are the same for everybody,
    /// and caches may keep one for all ("CORS protocol and HTTP caches" in the fetch standard).
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let origins = OriginSet::new("origins", &settings.origins)?;
        let is_open = origins.is_any() && !settings.credentials;
        let (methods, listed_methods) = allowed("methods", &settings.methods, settings.credentials)?;
        let (headers, listed_headers) = allowed("headers", &settings.headers, settings.credentials)?;
        let (_, exposed) = allowed("expose", &settings.expose, false)?;
        if let Some(index) = settings.expose.iter().position(|name| name == "*" && settings.credentials) {
            let problem = "`*` means nothing to browsers that send credentials: list the fields";
            return Err(Unusable::new("expose", index, problem));
        }
        let mut matched = Edits::default();
        if settings.credentials {
            matched.add("Access-Control-Allow-Credentials", "true");
        }
        if !exposed.is_empty() {
            matched.add("Access-Control-Expose-Headers", &exposed);
        }
        let mut preflight_matched = matched.clone();
        if is_open {
            matched.add(ALLOW_ORIGIN, "*");
        }
        if methods == Allowed::Listed {
            let methods = if listed_methods.is_empty() { "GET, HEAD, POST" } else { &listed_methods };
            preflight_matched.add("Access-Control-Allow-Methods", methods);
        }
        if headers == Allowed::Listed && !listed_headers.is_empty() {
            preflight_matched.add("Access-Control-Allow-Headers", &listed_headers);
        }
        preflight_matched.add("Access-Control-Max-Age", &settings.max_age_s.to_string());
        let mut always = Edits::default();
        OWN_FIELDS.iter().for_each(|name| always.remove(name));
        if !is_open {
            // Beside what the origin says: lines of one field add up (RFC 9110 section 5.3).
            always.add("Vary", "Origin");
        }
        let mut preflight = Edits::default();
        preflight.add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        Ok(Self { origins, is_open, methods, headers, always, matched, preflight, preflight_matched })
    }
}

/// How a list is told, and its text.
fn allowed(
    setting: &'static str,
    names: &[String],
    with_credentials: bool,
) -> Result<(Allowed, String), Unusable> {
    if let Some(index) = names.iter().position(|name| !is_token(name.as_bytes())) {
        let problem = format!("`{}` is not a name that can stand there", names[index]);
        return Err(Unusable::new(setting, index, problem));
    }
    let asked = with_credentials && names.iter().any(|name| name == "*");
    Ok((if asked { Allowed::Asked } else { Allowed::Listed }, names.join(", ")))
}
