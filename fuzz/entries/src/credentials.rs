//! Proofs of identity: nobody gets in by bytes that nobody signed, and nothing panics on the way.

use std::sync::OnceLock;

use tollgate_credentials::jwt::{Algorithm, Algorithms, Key, Keys, Rules, TokenCache, verify};
use tollgate_credentials::password::Htpasswd;
use tollgate_credentials::sealed::Sealer;
use tollgate_credentials::signature;
use tollgate_message::{Field, FieldList, Fields, Known, Span};

const NOW: u64 = 1_618_884_473;
/// The public key of RFC 8037 appendix A.2, whose private half the seeds were not signed with but for one.
const JWKS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// A token, or a key set if it begins as one.
pub(crate) fn token(data: &[u8]) {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let all = || Algorithm::ALL.into_iter().collect::<Algorithms>();
    if data.starts_with(b"{") {
        if let Ok((keys, skipped)) = Keys::from_jwks(data, all(), true) {
            assert!(keys.iter().all(|key| key.algorithms().iter().next().is_some()), "a key for nothing");
            assert!(skipped.len() + keys.len() <= tollgate_credentials::jwt::MAX_KEYS);
        }
        return;
    }
    let keys = KEYS.get_or_init(|| {
        let (mut keys, skipped) = Keys::from_jwks(JWKS, all(), false).expect("the key set is one");
        assert!(skipped.is_empty());
        let secret = Key::from_secret(None, b"a secret of nobody who sends this", Algorithm::HS256);
        keys.extend(Keys::new(vec![secret.expect("the secret is long enough")]));
        keys
    });
    let rules = Rules { algorithms: all(), ..Rules::default() };
    if verify(data, keys, &rules, NOW).is_ok() {
        panic!("a token that nobody signed was taken");
    }
    assert!(TokenCache::new(64, &[7; 80]).get(data, 0, NOW).is_none());
}

/// `Signature-Input` on the first line, `Signature` on the second, `Content-Digest` on the third.
pub(crate) fn signature_fields(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (input, signed, digest) = (next(), next(), next());
    let mut head = Vec::new();
    let mut list = FieldList::default();
    for (name, value) in [
        (&b"signature-input"[..], input),
        (b"signature", signed),
        (b"content-digest", digest),
        (b"date", b"x"),
    ] {
        let start = head.len();
        head.extend_from_slice(name);
        let middle = head.len();
        head.extend_from_slice(value);
        let (name_span, value) = (Span::new(start, middle), Span::new(middle, head.len()));
        list.push(Field { name: name_span, value, known: Known::from_name(name) });
    }
    let request = signature::Request {
        method: b"POST",
        scheme: "https",
        authority: b"example.com",
        target: b"/foo?param=Value&Pet=dog",
        path: b"/foo",
        query: Some(b"param=Value&Pet=dog"),
        has_body: true,
        fields: Fields::new(&head, &list),
    };
    static KEY: OnceLock<signature::Key> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        signature::Key::from_secret(b"a secret of nobody who sends this").expect("the secret is long enough")
    });
    let rules = signature::Rules {
        covered: Vec::new(),
        max_age: 300,
        clock_skew: 30,
        nonce_required: false,
        label: None,
        tag: None,
    };
    assert!(signature::verify(&request, |_| Some(key), &rules, NOW).is_err(), "nobody signed it");
    if let Ok(mut check) = signature::DigestCheck::parse(digest) {
        check.update(data);
        assert!(check.finish().is_err(), "a text with its own digest in it");
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(component) = signature::Component::parse(text)
    {
        assert_eq!(signature::Component::parse(component.id()), Ok(component), "its identifier is it again");
    }
}

/// A sealed cookie; and what is sealed is opened again.
pub(crate) fn cookie(data: &[u8]) {
    let sealer = Sealer::new("fuzz", &[[7; 32]]).expect("the secret is long enough");
    assert!(sealer.open("name", data, NOW).is_err(), "nobody sealed it");
    if let Ok(sealed) = sealer.seal("name", data, NOW + 1, |nonce| nonce.fill(9)) {
        assert_eq!(sealer.open("name", sealed.as_bytes(), NOW).as_deref(), Ok(data));
        assert!(sealer.open("other", sealed.as_bytes(), NOW).is_err());
    }
}

/// An htpasswd file: what is read has its users, and the rest its errors with lines that are there.
pub(crate) fn htpasswd(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').count();
    match Htpasswd::parse(data) {
        Ok(file) => {
            assert!(file.len() <= lines);
            assert!(file.iter().all(|(user, _)| file.get(user).is_some() && !user.contains(':')));
        }
        Err(errors) => {
            assert!(!errors.is_empty() && errors.len() <= 20);
            assert!(errors.iter().all(|error| error.line <= lines));
        }
    }
}
