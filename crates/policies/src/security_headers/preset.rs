//! What the presets say.

/// Fields that go well together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// No fields.
    None,
    /// What breaks no page that is not framed by others.
    #[default]
    Basic,
    /// What an application or an API can say that loads nothing from elsewhere, and is loaded from nowhere else.
    Strict,
}

const BASIC: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
];

const STRICT: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
    ("Content-Security-Policy", "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
         microphone=(), midi=(), payment=(), usb=()",
    ),
];

/// What tells strangers which software an origin runs, and with it which holes to try.
pub(super) const SOFTWARE: &[&str] =
    &["Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Runtime", "X-Generator"];

impl Preset {
    /// The fields, each with its value.
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::None => &[],
            Self::Basic => BASIC,
            Self::Strict => STRICT,
        }
    }
}
