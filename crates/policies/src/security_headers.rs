//! Response fields that tell browsers to be careful, as one preset.
//!
//! The presets follow OWASP's Secure Headers Project, as far as a gateway can say something about pages
//! that it does not know. What the origin says itself stands, unless the settings overrule it: a page that was
//! written for its own `Content-Security-Policy` breaks under another one.
//!
//! Framing is only ever spoken of in `X-Frame-Options`. Browsers let `frame-ancestors` of a
//! `Content-Security-Policy` overrule it, so that one added here could loosen an origin's `DENY`; as it is,
//! whatever an origin says about framing, in either field, is what counts.

//!
//! It comes with the first stage, so that answers which refuse a request say it as well.

mod preset;

use tollgate_http1::edits::Edits;
use tollgate_policy::{Asked, Gate, Policy, Resolution, Stage, Verdict};

use crate::Unusable;
use crate::unusable::{is_field_value, is_token};
pub use preset::Preset;

const STRICT_TRANSPORT_SECURITY: &str = "Strict-Transport-Security";

/// What responses say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fields to begin with.
    pub preset: Preset,
    /// Fields that are said otherwise than by the preset, or besides it; with `None` the preset's is left out.
    pub fields: Vec<(String, Option<String>)>,
    /// Whether what is said here replaces what the origin says.
    pub overwrite: bool,
    /// Fields that are removed.
    pub remove: Vec<String>,
    /// Whether what tells of the origin's software is removed: `Server`, `X-Powered-By` and their kin.
    pub hide_software: bool,
    /// `Strict-Transport-Security` on responses over TLS (RFC 6797), in the place of the listener's and the
    /// origin's.
    pub hsts: Option<Hsts>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            fields: Vec::new(),
            overwrite: false,
            remove: Vec::new(),
            hide_software: true,
            hsts: None,
        }
    }
}

/// For how long a browser uses only TLS for a host (RFC 6797 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// How long it remembers, in seconds; 0 makes it forget.
    pub max_age_s: u64,
    /// Whether that is said of all names below the host too.
    pub include_subdomains: bool,
    /// Whether browsers may be shipped knowing it.
    pub preload: bool,
}

/// The policy.
#[derive(Debug)]
pub struct SecurityHeaders {
    always: Edits,
    /// Besides, where the connection is encrypted.
    over_tls: Edits,
}

impl SecurityHeaders {
    /// The policy of these settings.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        check(&settings.fields)?;
        let mut always = Edits::default();
        settings.remove.iter().for_each(|name| always.remove(name));
        if settings.hide_software {
            preset::SOFTWARE.iter().for_each(|name| always.remove(name));
        }
        let changed = |name: &str| settings.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let preset = settings.preset.fields().iter().copied().filter(|(name, _)| !changed(name));
        let own = settings.fields.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        for (name, value) in preset.chain(own) {
            if settings.overwrite {
                always.set(name, value);
            } else {
                always.set_default(name, value);
            }
        }
        let mut over_tls = Edits::default();
        if let Some(hsts) = settings.hsts {
            let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
            let preload = if hsts.preload { "; preload" } else { "" };
            let value = format!("max-age={}{subdomains}{preload}", hsts.max_age_s);
            over_tls.set(STRICT_TRANSPORT_SECURITY, &value);
        }
        Ok(Self { always, over_tls })
    }
}

impl Policy for SecurityHeaders {
    fn name(&self) -> &str {
        "security_headers"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn decide(&self, asked: &Asked<'_>, gate: &mut Gate, _: Option<Resolution>) -> Verdict {
        gate.response.extend(&self.always);
        if asked.connection.tls {
            // Over a plain connection it must not be said (RFC 6797 section 7.2).
            gate.response.extend(&self.over_tls);
        }
        Verdict::CONTINUE
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

fn check(fields: &[(String, Option<String>)]) -> Result<(), Unusable> {
    for (index, (name, value)) in fields.iter().enumerate() {
        let wrong = |problem: String| Err(Unusable::new("fields", index, problem));
        if !is_token(name.as_bytes()) {
            return wrong(format!("`{name}` is not the name of a field"));
        }
        if name.eq_ignore_ascii_case(STRICT_TRANSPORT_SECURITY) {
            return wrong("say it with `hsts`, which knows that it belongs on TLS only".to_owned());
        }
        if let Some(value) = value.as_ref().filter(|value| !is_field_value(value)) {
            return wrong(format!("`{value}` cannot be the value of a field"));
        }
        if fields[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return wrong(format!("`{name}` is there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
