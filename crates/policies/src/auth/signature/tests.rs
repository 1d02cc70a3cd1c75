use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_credentials::signature::Algorithm;
use tollgate_policy::{Consumer, Consumers, Mode, Moment};

use super::*;
use crate::sample::Sample;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const BODY: &[u8] = b"amount=5";

/// A request as a test makes it: what it is, what its signature says of it, and by which key.
struct Made {
    line: &'static str,
    /// Fields that are sent; those that are covered, too.
    fields: Vec<(String, String)>,
    covered: Vec<&'static str>,
    parameters: String,
    secret: &'static [u8],
}

impl Made {
    fn new(covered: &[&'static str]) -> Self {
        let length = ("content-length".to_owned(), BODY.len().to_string());
        Self {
            line: "POST /pay?to=bob",
            fields: vec![
                ("content-digest".to_owned(), digest_of(BODY)),
                length,
                ("x-to".to_owned(), "bob".to_owned()),
            ],
            covered: covered.to_vec(),
            parameters: format!(";created={NOW};keyid=\"k1\";nonce=\"n1\""),
            secret: SECRET,
        }
    }

    fn with(mut self, parameters: impl Into<String>) -> Self {
        self.parameters = parameters.into();
        self
    }

    fn value(&self, id: &str) -> String {
        match id {
            "@method" => self.line.split(' ').next().unwrap().to_owned(),
            "@target-uri" => format!("https://a.example{}", self.line.split(' ').nth(1).unwrap()),
            name => self.fields.iter().find(|(known, _)| known == name).unwrap().1.clone(),
        }
    }

    /// The lines of the signature, for the request as it is now.
    fn signature(&self) -> String {
        let list: Vec<_> = self.covered.iter().map(|id| format!("\"{id}\"")).collect();
        let parameters = format!("({}){}", list.join(" "), self.parameters);
        let lines: String = self.covered.iter().map(|id| format!("\"{id}\": {}\n", self.value(id))).collect();
        let base = format!("{lines}\"@signature-params\": {parameters}");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.secret), base.as_bytes());
        format!("Signature-Input: sig1={parameters}\r\nSignature: sig1=:{}:\r\n", STANDARD.encode(signature))
    }

    fn sent(&self, signature: &str) -> Sample {
        let fields: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Sample::new(self.line, &format!("{fields}{signature}"))
    }

    fn sample(&self) -> Sample {
        self.sent(&self.signature())
    }
}

fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)))
}

const ALL: [&str; 4] = ["@method", "@target-uri", "content-digest", "x-to"];

fn method(settings: &Settings) -> Signature {
    Signature::new(settings, Arc::new(ReplayGuard::new(100))).unwrap()
}

fn usual() -> Settings {
    Settings::new("signed", &["@method", "@target-uri", "content-digest"])
}

fn consumers() -> Consumers {
    let mut consumers = Consumers::default();
    for name in ["alice", "mallory"] {
        consumers.add(Consumer { name: name.into(), ..Consumer::default() });
    }
    let mut give = |consumer: &str, id: &[u8], text: String| {
        consumers.give(consumer, CredentialKind::SigningKey, id, Some(text.into())).unwrap();
    };
    give("alice", b"k1", key::write(Algorithm::HmacSha256, SECRET));
    give("mallory", b"k2", key::write(Algorithm::HmacSha256, &[7; 32]));
    give("alice", b"broken", "rsa-pss-sha512:nothing".to_owned());
    consumers
}

fn ask_at(method: &Signature, sample: &Sample, now: u64, mode: Mode<'_>) -> (Finding, Gate) {
    let (consumers, mut gate) = (consumers(), Gate::default());
    let moment = Moment { wall_us: now * 1_000_000, ..Moment::default() };
    let asked = Asked { consumers: &consumers, moment, mode, ..sample.asked() };
    (method.identify(&asked, &mut gate, None), gate)
}

fn ask(method: &Signature, sample: &Sample) -> (Finding, Gate) {
    ask_at(method, sample, NOW, Mode::Serve)
}

fn known(finding: &Finding) -> &Caller {
    match finding {
        Finding::Known(caller) => caller,
        other => panic!("{other:?}"),
    }
}

fn reason((finding, gate): (Finding, Gate)) -> Reason {
    assert!(gate.body.is_none());
    match finding {
        Finding::Refused(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_request_is_its_keys_consumers() {
    let (finding, gate) = ask(&method(&usual()), &Made::new(&ALL).sample());
    let caller = known(&finding);
    assert_eq!((caller.name(), caller.subject.as_deref(), &*caller.auth), ("alice", Some("k1"), "signed"));
    let mut body = gate.body.unwrap();
    assert_eq!(body.limit(), 1024 * 1024);
    BODY.chunks(3).for_each(|part| body.part(part));
    assert_eq!(body.end(), Ok(()));
}

#[test]
fn without_a_signature_it_is_absent() {
    let sample = Made::new(&ALL).sent("");
    assert!(matches!(ask(&method(&usual()), &sample).0, Finding::Absent));
    let half = Made::new(&ALL).sent("Signature: sig1=:AA==:\r\n");
    assert_eq!(reason(ask(&method(&usual()), &half)), Reason::Unauthenticated);
}

#[test]
fn an_altered_body_is_refused_before_the_origin_gets_it() {
    for altered in [&b"amount=6"[..], b"amount=", b"amount=55", b""] {
        let (finding, gate) = ask(&method(&usual()), &Made::new(&ALL).sample());
        known(&finding);
        let mut body = gate.body.unwrap();
        body.part(altered);
        assert_eq!(body.end().unwrap_err().reason, Reason::DigestWrong);
    }
    // Without any body there is nothing to wait for.
    let mut bare = Made::new(&ALL);
    bare.fields.retain(|(name, _)| name != "content-length");
    assert_eq!(reason(ask(&method(&usual()), &bare.sample())), Reason::DigestWrong);
}

#[test]
fn a_digest_that_compares_nothing_is_malformed() {
    for digest in ["md5=:aGk=:", "sha-256=:aGk=:", "x"] {
        let mut made = Made::new(&ALL);
        made.fields[0].1 = digest.to_owned();
        assert_eq!(reason(ask(&method(&usual()), &made.sample())), Reason::SignatureMalformed, "{digest}");
    }
}

#[test]
fn an_altered_covered_part_breaks_the_signature() {
    let made = Made::new(&ALL);
    let signature = made.signature();
    let mut altered = Made::new(&ALL);
    altered.fields[2].1 = "mallory".to_owned();
    assert_eq!(reason(ask(&method(&usual()), &altered.sent(&signature))), Reason::SignatureWrong);
    let mut doubled = Made::new(&ALL);
    doubled.fields.push(("X-To".to_owned(), "mallory".to_owned()));
    assert_eq!(reason(ask(&method(&usual()), &doubled.sent(&signature))), Reason::SignatureWrong);
    for line in [
        "PUT /pay?to=bob",
        "POST /pay?to=mallory",
        "POST /pay?to=bob&to=mallory",
        "POST /pay",
        "POST //pay?to=bob",
    ] {
        let altered = Made { line, ..Made::new(&ALL) };
        assert_eq!(
            reason(ask(&method(&usual()), &altered.sent(&signature))),
            Reason::SignatureWrong,
            "{line}"
        );
    }
    let mut gone = Made::new(&ALL);
    gone.fields.pop();
    assert_eq!(reason(ask(&method(&usual()), &gone.sent(&signature))), Reason::SignatureIncomplete);
}

#[test]
fn a_part_that_must_be_covered_cannot_be_swapped_uncovered() {
    for left_out in ["@method", "@target-uri", "content-digest"] {
        let covered: Vec<_> = ALL.into_iter().filter(|id| *id != left_out).collect();
        let sample = Made::new(&covered).sample();
        assert_eq!(reason(ask(&method(&usual()), &sample)), Reason::SignatureIncomplete, "{left_out}");
    }
    // One that need not be may be another: the origin must not believe it.
    let made = Made::new(&ALL[..3]);
    let signature = made.signature();
    let mut swapped = Made::new(&ALL[..3]);
    swapped.fields[2].1 = "mallory".to_owned();
    known(&ask(&method(&usual()), &swapped.sent(&signature)).0);
    let strict = Settings::new("signed", &["@method", "@target-uri", "content-digest", "x-to"]);
    assert_eq!(reason(ask(&method(&strict), &swapped.sent(&signature))), Reason::SignatureIncomplete);
}

#[test]
fn a_signature_is_neither_too_old_nor_from_the_future() {
    let (method, sample) = (method(&usual()), Made::new(&ALL).sample());
    for (now, is_good) in [(NOW - 31, false), (NOW - 30, true), (NOW + 329, true), (NOW + 330, false)] {
        let explained = ask_at(&method, &sample, now, Mode::Explain(None));
        match is_good {
            true => drop(known(&explained.0).clone()),
            false => assert_eq!(reason(explained), Reason::SignatureExpired, "{now}"),
        }
    }
    let expired = Made::new(&ALL).with(format!(";created={};expires={};keyid=\"k1\"", NOW - 100, NOW - 50));
    assert_eq!(reason(ask(&method, &expired.sample())), Reason::SignatureExpired);
    let ageless = Made::new(&ALL).with(";keyid=\"k1\"");
    assert_eq!(reason(ask(&method, &ageless.sample())), Reason::SignatureIncomplete);
}

#[test]
fn a_replayed_signature_is_refused() {
    let method = method(&usual());
    let sample = Made::new(&ALL).sample();
    known(&ask(&method, &sample).0);
    assert_eq!(reason(ask(&method, &sample)), Reason::SignatureReplayed);
    // The same nonce in another request, well signed.
    let other = Made { line: "POST /pay?to=carol", ..Made::new(&ALL) };
    assert_eq!(reason(ask(&method, &other.sample())), Reason::SignatureReplayed);
    let fresh = Made::new(&ALL).with(format!(";created={NOW};keyid=\"k1\";nonce=\"n2\""));
    known(&ask(&method, &fresh.sample()).0);
}

#[test]
fn a_replay_survives_a_reload_and_a_failed_request_uses_no_nonce() {
    let guard = Arc::new(ReplayGuard::new(100));
    let make = || Signature::new(&usual(), guard.clone()).unwrap();
    let (made, method) = (Made::new(&ALL), make());
    let mut wrong = Made::new(&ALL);
    wrong.secret = &[9; 32];
    assert_eq!(reason(ask(&method, &wrong.sample())), Reason::SignatureWrong);
    assert!(guard.is_empty());
    known(&ask(&method, &made.sample()).0);
    assert_eq!(reason(ask(&make(), &made.sample())), Reason::SignatureReplayed);
}

#[test]
fn explaining_uses_no_nonce() {
    let (method, sample) = (method(&usual()), Made::new(&ALL).sample());
    for _ in 0..3 {
        known(&ask_at(&method, &sample, NOW, Mode::Explain(None)).0);
    }
    known(&ask(&method, &sample).0);
}

#[test]
fn nonces_are_required_taken_once_or_ignored() {
    let bare = Made::new(&ALL).with(format!(";created={NOW};keyid=\"k1\""));
    let with = |nonces: Nonces| method(&Settings { nonces, ..usual() });
    assert_eq!(reason(ask(&with(Nonces::Required), &bare.sample())), Reason::SignatureIncomplete);
    let once = with(Nonces::Once);
    for _ in 0..2 {
        known(&ask(&once, &bare.sample()).0);
    }
    let ignored = with(Nonces::Ignored);
    for _ in 0..2 {
        known(&ask(&ignored, &Made::new(&ALL).sample()).0);
    }
}

#[test]
fn a_full_guard_refuses_rather_than_forgets() {
    let method = Signature::new(&usual(), Arc::new(ReplayGuard::new(1))).unwrap();
    known(&ask(&method, &Made::new(&ALL).sample()).0);
    let next = Made::new(&ALL).with(format!(";created={NOW};keyid=\"k1\";nonce=\"n2\""));
    assert_eq!(reason(ask(&method, &next.sample())), Reason::SignatureReplayed);
}

#[test]
fn a_key_is_its_consumers_and_its_algorithms_only() {
    let by = |parameters: &str| {
        let made = Made::new(&ALL).with(format!(";created={NOW};nonce=\"n\"{parameters}"));
        reason(ask(&method(&usual()), &made.sample()))
    };
    assert_eq!(by(";keyid=\"nobody\""), Reason::CredentialUnknown);
    assert_eq!(by(";keyid=\"broken\""), Reason::CredentialUnknown);
    assert_eq!(by(";keyid=\"k2\""), Reason::SignatureWrong);
    assert_eq!(by(";keyid=\"k1\";alg=\"rsa-pss-sha512\""), Reason::SignatureWrong);
    assert_eq!(by(""), Reason::SignatureMalformed);
    let made = Made::new(&ALL).with(format!(";created={NOW};keyid=\"k1\";alg=\"hmac-sha256\""));
    known(&ask(&method(&usual()), &made.sample()).0);
}

#[test]
fn fields_that_are_no_signature_are_malformed() {
    let sample = |signature: &str| Made::new(&ALL).sent(signature);
    for signature in [
        "Signature-Input: sig1=(\r\nSignature: sig1=:AA==:\r\n",
        "Signature-Input: sig1=1\r\nSignature: sig1=:AA==:\r\n",
        "Signature-Input: sig1=();created=1\r\nSignature: sig2=:AA==:\r\n",
        "Signature-Input: sig1=(), sig2=()\r\nSignature: sig1=:AA==:, sig2=:AA==:\r\n",
        "Signature-Input: sig1=(\"@method\" \"@method\")\r\nSignature: sig1=:AA==:\r\n",
        "Signature-Input: sig1=(\"@method\";req)\r\nSignature: sig1=:AA==:\r\n",
    ] {
        assert_eq!(
            reason(ask(&method(&usual()), &sample(signature))),
            Reason::SignatureMalformed,
            "{signature}"
        );
    }
    let long = format!("Signature-Input: sig1=()\r\nSignature: sig1=:{}:\r\n", "A".repeat(10_000));
    assert_eq!(reason(ask(&method(&usual()), &sample(&long))), Reason::SignatureMalformed);
    assert_eq!(
        Signature::new(&Settings::new("s", &["@method", "@status"]), Arc::new(ReplayGuard::new(1)))
            .unwrap_err()
            .index,
        1
    );
}
