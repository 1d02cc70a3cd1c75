//! Faults on purpose: a share of the requests waits before it is sent on, or gets an error instead.
//!
//! Both are decided by the exchange's seed, so that it can be told afterwards, and independently of each other: of
//! the requests that are delayed as many fail as of the others. A delay runs out before the failure, as it would with an
//! origin that is slow and then fails.

use std::borrow::Cow;
use std::time::Duration;

use tollgate_decision::{Reason, chance};
use tollgate_http1::edits::Edits;
use tollgate_http1::encode::reason_phrase;
use tollgate_message::{Known, Version};
use tollgate_policy::{Answer, Asked, Gate, Policy, Resolution, Stage, Verdict, Wait};

/// The questions that are asked of an exchange's seed; see [`chance`].
const DELAYED: u64 = 0x6661_756c_7400;
const JITTER: u64 = DELAYED + 1;
const ABORTED: u64 = DELAYED + 2;

/// What is done to requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The wait.
    pub delay: Option<Delay>,
    /// The answer instead of an origin's.
    pub abort: Option<Abort>,
    /// Only for requests with a field of this name, and of this value where there is one.
    pub when: Option<(String, Option<String>)>,
}

/// A wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// How long at least, in milliseconds.
    pub by_ms: u64,
    /// How much more at most, in milliseconds.
    pub jitter_ms: u64,
    /// The share of requests, in hundredths of a percent.
    pub share: u16,
}

/// An answer that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// Its status.
    pub status: u16,
    /// The share of requests, in hundredths of a percent.
    pub share: u16,
}

/// The policy.
#[derive(Debug)]
pub struct Fault {
    settings: Settings,
}

impl Fault {
    /// The policy of these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn concerns(&self, asked: &Asked<'_>) -> bool {
        let Some((name, value)) = &self.settings.when else { return true };
        let mut named =
            asked.fields.iter().filter(|(found, _, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        named.any(|(_, found, _)| value.as_ref().is_none_or(|value| found == value.as_bytes()))
    }

    /// How long a request with this seed waits, in milliseconds.
    fn delay_ms(&self, seed: u64) -> Option<u64> {
        let delay = self.settings.delay.filter(|delay| chance::falls(seed, DELAYED, delay.share))?;
        // The widening product spreads the 64 bits over the range without a division.
        let range = u128::from(delay.jitter_ms) + 1;
        let jitter = (u128::from(chance::draw(seed, JITTER)) * range) >> 64;
        Some(delay.by_ms.saturating_add(jitter as u64))
    }

    fn abort(&self, seed: u64) -> Option<Abort> {
        self.settings.abort.filter(|abort| chance::falls(seed, ABORTED, abort.share))
    }
}

impl Policy for Fault {
    fn name(&self) -> &str {
        "fault"
    }

    /// The last: what does not come this far has failed by itself.
    fn stage(&self) -> Stage {
        Stage::Transform
    }

    fn decide(&self, asked: &Asked<'_>, _: &mut Gate, resolution: Option<Resolution>) -> Verdict {
        if !self.concerns(asked) {
            return Verdict::CONTINUE;
        }
        let seed = asked.moment.seed;
        let (delay, abort) = (self.delay_ms(seed), self.abort(seed));
        let waited = resolution.is_some_and(|resolution| resolution.is::<DelayIsOver>());
        match (delay, abort) {
            // Who only asks is told the answer, with the wait before it.
            (Some(ms), None) if !waited => wait(ms),
            (Some(ms), Some(_)) if !waited && asked.mode.serves() => wait(ms),
            (delay, Some(abort)) => Verdict::Answer(Box::new(answer(asked, abort, delay))),
            (Some(ms), None) => Verdict::Noted(None, format!("delayed by {ms} ms on purpose").into()),
            (None, None) => Verdict::CONTINUE,
        }
    }

    /// But for waits, which nobody makes again.
    fn is_repeatable(&self) -> bool {
        self.settings.delay.is_none()
    }
}

/// What comes of waiting.
struct DelayIsOver;

fn wait(ms: u64) -> Verdict {
    let wait = async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        DelayIsOver
    };
    Verdict::Wait(Wait { is_effect: true, ..Wait::new(format!("{ms} ms on purpose"), wait) })
}

fn answer(asked: &Asked<'_>, abort: Abort, delay: Option<u64>) -> Answer {
    let reason = Reason::FaultInjected;
    let note: Cow<'static, str> = match delay {
        Some(ms) => format!("status {} on purpose, after {ms} ms", abort.status).into(),
        None => format!("status {} on purpose", abort.status).into(),
    };
    let mut fields = Edits::default();
    if is_call(asked) {
        // A call's status stands in trailers, and a head alone is both ("Trailers-Only").
        fields.add("grpc-status", &grpc_status(abort.status).to_string());
        fields.add("grpc-message", reason.code());
        let content_type = Some("application/grpc".to_owned());
        return Answer {
            reason: Some(reason),
            status: 200,
            fields,
            content_type,
            body: Vec::new(),
            note: Some(note),
        };
    }
    let (code, error) = (reason.code(), reason.proxy_status_error());
    fields.add("Proxy-Status", &format!("tollgate; error={error}; details=\"{code}\""));
    if matches!(abort.status, 429 | 503) {
        fields.add("Retry-After", "1");
    }
    let (status, title, detail) = (abort.status, reason_phrase(abort.status), reason.explanation());
    let id: String =
        asked.request_id.iter().map(|b| char::from(*b)).filter(|c| !matches!(c, '"' | '\\')).collect();
    let body = format!(
        "{{\"type\":\"urn:tollgate:reason:{code}\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\"reason\":\"{code}\",\"instance\":\"{id}\"}}\n"
    );
    Answer {
        reason: Some(reason),
        status,
        fields,
        content_type: Some("application/problem+json".to_owned()),
        body: body.into_bytes(),
        note: Some(note),
    }
}

/// Whether the client speaks gRPC: as with calls that fail otherwise, by the content type and a version that has
/// trailers for all.
fn is_call(asked: &Asked<'_>) -> bool {
    let value = asked.fields.get(Known::ContentType).unwrap_or_default();
    let (start, rest) = value.split_at(value.len().min(16));
    matches!(asked.connection.version, Version::Http2 | Version::Http3)
        && start.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The status of gRPC for one of HTTP ("HTTP to gRPC Status Code Mapping" of gRPC's documents).
fn grpc_status(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
