//! A request, the keys and the rules: which key signed it, or why it is refused.

use aws_lc_rs::digest::{Context, SHA256};

use super::base::{Request, push_line};
use super::component::{Component, MAX_COMPONENTS, Part};
use super::key::Key;
use super::rejection::Rejection;
use super::structured::{Bare, Item, Member, Parameters, dictionary, write_list};

/// The longest `Signature-Input` and the longest `Signature` that are looked at, in bytes.
pub const LONGEST: usize = 8 * 1024;
/// The most signatures of a request.
pub const MAX_SIGNATURES: usize = 8;

const MAX_NONCE: usize = 256;
const MAX_KEY_ID: usize = 256;

/// What a signature has to be besides right.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What it has to cover; `content-digest` only of a request with a body.
    pub covered: Vec<Component>,
    /// The greatest age, in seconds since `created`.
    pub max_age: u64,
    /// How far clocks may differ, in seconds.
    pub clock_skew: u64,
    /// Whether there has to be a `nonce`.
    pub nonce_required: bool,
    /// The label of the signature that counts; `None`: the only one.
    pub label: Option<String>,
    /// The `tag` that it has to have; `None`: any or none.
    pub tag: Option<String>,
}

/// A request whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key.
    pub key_id: String,
    /// The label of the signature.
    pub label: String,
    /// What makes the request this one, for the [`ReplayGuard`](super::ReplayGuard): a hash of the key's id and the
    /// nonce, or, if there is none, of all that was signed. Never of the signature, of which ECDSA has two.
    pub replay: [u8; 32],
    /// The first second since 1970 at which it is refused as too old or expired.
    pub expires_at: u64,
    /// Whether it has a nonce, which then is what `replay` is made of.
    pub has_nonce: bool,
    /// Whether it covers `content-digest`: the body is to be compared with that field, see
    /// [`DigestCheck`](super::DigestCheck).
    pub covers_digest: bool,
}

/// Verifies a request at the time `now`, in seconds since 1970. `key` finds a key by its id.
///
/// # Errors
/// Why it is refused.
pub fn verify<'k>(
    request: &Request<'_>,
    key: impl FnOnce(&str) -> Option<&'k Key>,
    rules: &Rules,
    now: u64,
) -> Result<Verified, Rejection> {
    let (label, list, parameters, signature) = chosen(request, rules)?;
    let components = components(&list)?;
    let stated = Stated::of(&parameters)?;
    check_covered(request, &components, rules)?;
    let expires_at = check_times(&stated, rules, now)?;
    if rules.nonce_required && stated.nonce.is_none_or(str::is_empty) {
        return Err(Rejection::NoNonce);
    }
    if rules.tag.as_deref().is_some_and(|tag| stated.tag != Some(tag)) {
        return Err(Rejection::WrongTag);
    }
    let key_id = stated.key_id.ok_or(Rejection::NoKeyId)?;
    let key = key(key_id).ok_or(Rejection::UnknownKey)?;
    if stated.algorithm.is_some_and(|name| name != key.algorithm().name()) {
        return Err(Rejection::AlgorithmMismatch);
    }
    let base = base(request, &components, &list, &parameters)?;
    if !key.verifies(&base, &signature) {
        return Err(Rejection::BadSignature);
    }
    let replay = match stated.nonce {
        Some(nonce) => replay(key_id, b"nonce", nonce.as_bytes()),
        None => replay(key_id, b"base", &base),
    };
    let covers_digest = components.iter().any(is_digest);
    let has_nonce = stated.nonce.is_some();
    Ok(Verified { key_id: key_id.to_owned(), label, replay, expires_at, has_nonce, covers_digest })
}

type Chosen = (String, Vec<Item>, Parameters, Vec<u8>);

/// The signature that counts: its label, what it covers, its parameters and its bytes.
fn chosen(request: &Request<'_>, rules: &Rules) -> Result<Chosen, Rejection> {
    let inputs = field(request, b"signature-input")?;
    let mut signatures = field(request, b"signature")?;
    let place = match &rules.label {
        Some(label) => inputs.iter().position(|(name, _)| name == label).ok_or(Rejection::NoSuchLabel)?,
        None if inputs.len() > 1 => return Err(Rejection::ManySignatures),
        None => 0,
    };
    let (label, input) = inputs.into_iter().nth(place).ok_or(Rejection::Missing)?;
    let Member::List(list, parameters) = input else {
        return Err(Rejection::Malformed("a member of `Signature-Input` is not a list"));
    };
    let place = signatures.iter().position(|(name, _)| *name == label).ok_or(Rejection::NoSuchLabel)?;
    match signatures.swap_remove(place).1 {
        Member::Item(Item { bare: Bare::Bytes(signature), .. }) => Ok((label, list, parameters, signature)),
        _ => Err(Rejection::Malformed("a member of `Signature` is not bytes")),
    }
}

/// All lines of a field, read as one dictionary.
fn field(request: &Request<'_>, name: &[u8]) -> Result<Vec<(String, Member)>, Rejection> {
    let mut text = Vec::new();
    for (other, value, _) in request.fields.iter() {
        if other.eq_ignore_ascii_case(name) {
            if !text.is_empty() {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(value);
        }
        if text.len() > LONGEST {
            return Err(Rejection::TooLong);
        }
    }
    if text.is_empty() {
        return Err(Rejection::Missing);
    }
    let members = dictionary(&text).map_err(Rejection::Malformed)?;
    if members.len() > MAX_SIGNATURES { Err(Rejection::TooLong) } else { Ok(members) }
}

fn components(list: &[Item]) -> Result<Vec<Component>, Rejection> {
    if list.len() > MAX_COMPONENTS {
        return Err(Rejection::TooLong);
    }
    let mut components: Vec<Component> = Vec::with_capacity(list.len());
    for item in list {
        let component = Component::of(item)?;
        if components.contains(&component) {
            return Err(Rejection::DuplicateComponent);
        }
        components.push(component);
    }
    Ok(components)
}

fn check_covered(request: &Request<'_>, components: &[Component], rules: &Rules) -> Result<(), Rejection> {
    let is_open = |required: &&Component| {
        let is_needed = request.has_body || !is_digest(required);
        is_needed && !components.contains(required)
    };
    match rules.covered.iter().find(is_open) {
        Some(required) => Err(Rejection::NotCovered(required.id().to_owned())),
        None => Ok(()),
    }
}

fn is_digest(component: &Component) -> bool {
    matches!(&component.part, Part::Field(name) if name == "content-digest")
}

/// What the parameters of a signature say (section 2.3).
#[derive(Default)]
struct Stated<'a> {
    created: Option<u64>,
    expires: Option<u64>,
    key_id: Option<&'a str>,
    algorithm: Option<&'a str>,
    nonce: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Stated<'a> {
    fn of(parameters: &'a Parameters) -> Result<Self, Rejection> {
        let mut stated = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "created" => stated.created = Some(time(value)?),
                "expires" => stated.expires = Some(time(value)?),
                "keyid" => stated.key_id = Some(text(value, MAX_KEY_ID)?),
                "alg" => stated.algorithm = Some(text(value, MAX_KEY_ID)?),
                "nonce" => stated.nonce = Some(text(value, MAX_NONCE)?),
                "tag" => stated.tag = Some(text(value, MAX_KEY_ID)?),
                // Others are signed like these and have no meaning here.
                _ => {}
            }
        }
        Ok(stated)
    }
}

fn time(value: &Bare) -> Result<u64, Rejection> {
    let Bare::Integer(seconds) = value else {
        return Err(Rejection::Malformed("`created` or `expires` is not an integer"));
    };
    u64::try_from(*seconds).map_err(|_| Rejection::Malformed("`created` or `expires` is below 0"))
}

fn text(value: &Bare, longest: usize) -> Result<&str, Rejection> {
    match value {
        Bare::String(text) if text.len() <= longest => Ok(text),
        _ => {
            Err(Rejection::Malformed("`keyid`, `alg`, `nonce` or `tag` is not a string of at most 256 bytes"))
        }
    }
}

/// Tells the first second at which the signature is refused for its age.
fn check_times(stated: &Stated<'_>, rules: &Rules, now: u64) -> Result<u64, Rejection> {
    let created = stated.created.ok_or(Rejection::NoCreated)?;
    if created > now.saturating_add(rules.clock_skew) {
        return Err(Rejection::CreatedInFuture);
    }
    let too_old = created.saturating_add(rules.max_age).saturating_add(rules.clock_skew);
    if now >= too_old {
        return Err(Rejection::TooOld);
    }
    let expires = stated.expires.map_or(u64::MAX, |expires| expires.saturating_add(rules.clock_skew));
    if now >= expires || stated.expires.is_some_and(|expires| expires < created) {
        return Err(Rejection::Expired);
    }
    Ok(too_old.min(expires))
}

fn base(
    request: &Request<'_>,
    components: &[Component],
    list: &[Item],
    parameters: &Parameters,
) -> Result<Vec<u8>, Rejection> {
    let mut base = Vec::with_capacity(512);
    for component in components {
        push_line(&mut base, request, component)?;
    }
    let mut last = String::from("\"@signature-params\": ");
    write_list(&mut last, list, parameters);
    base.extend_from_slice(last.as_bytes());
    Ok(base)
}

fn replay(key_id: &str, kind: &[u8], what: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [key_id.as_bytes(), kind, what] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
