//! Probes and ejection: what contradicts itself, or could never do what it says.

use crate::check::edits;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{BodyMatch, Ejection, Health, HttpProbe, Probe, Protocol, SuccessRateRule, Upstream};
use crate::setting::{Switch, Toggle};
use crate::source::Located;
use crate::units::Duration;

/// The longest interval: counts of longer ones say little, and need more room.
const LONGEST_INTERVAL: Duration<100> = Duration::seconds(3600);

/// Checks an upstream's probes.
pub(super) fn probes(upstream: &Located<Upstream>, found: &mut Diagnostics) {
    let Some(health) = &upstream.health else { return };
    times(health, found);
    match &health.probe {
        Probe::Grpc(_) if !upstream.is_http2() => {
            let message = "gRPC is spoken over HTTP/2, and this upstream speaks HTTP/1.1";
            found.push(Diagnostic::error(health.origin, message).mend("write `protocol: grpc`"));
        }
        Probe::Tcp(tcp) if tcp.tls && upstream.encryption().is_none() => {
            let message = "this probe is for a handshake of TLS, and this upstream is spoken to without";
            found.push(
                Diagnostic::error(health.origin, message)
                    .mend("write `tcp: {}`, or `tls: true` for the upstream"),
            );
        }
        Probe::Http(probe) => {
            if matches!(upstream.protocol.value, Protocol::H2c | Protocol::Grpc) {
                let message = "this probe speaks HTTP/1.1, so endpoints that speak HTTP/2 only fail it";
                let finding = Diagnostic::warning(health.origin, message);
                found.push(finding.mend("write `grpc: {}` or `tcp: {}`"));
            }
            http(probe, found);
        }
        Probe::Grpc(_) | Probe::Tcp(_) => {}
    }
}

fn times(health: &Located<Health>, found: &mut Diagnostics) {
    if health.timeout > health.every {
        let message = format!(
            "a probe may take longer ({}) than the time to the next one ({})",
            health.timeout, health.every
        );
        found.push(Diagnostic::warning(health.origin, message).mend("make `timeout` shorter than `every`"));
    }
    if let Some(fast) = health.fast.filter(|fast| *fast > health.every) {
        let message = format!("`fast` ({fast}) is slower than `every` ({})", health.every);
        found.push(Diagnostic::warning(health.origin, message));
    }
    if let Some(slow) = health.slow.filter(|slow| *slow < health.every) {
        let message = format!("`slow` ({slow}) is faster than `every` ({})", health.every);
        found.push(Diagnostic::warning(health.origin, message));
    }
}

fn http(probe: &HttpProbe, found: &mut Diagnostics) {
    for (name, _) in probe.headers.iter() {
        edits::refuse_reserved(name, edits::Whose::Probe, found);
    }
    edits::refuse_repeated(probe.headers.iter().map(|(name, _)| name), found);
    let Some(body) = &probe.expect.body else { return };
    if probe.method.as_str() == "HEAD" {
        let finding =
            Diagnostic::error(body.origin, "the answer to HEAD has no body, so the probe could never pass");
        found.push(finding.mend("leave out `method: HEAD`"));
    }
    if matches!(&body.value, BodyMatch::Text(text) if text.is_empty()) {
        found.push(Diagnostic::error(body.origin, "an empty text is in every body").mend("leave out `body`"));
    }
}

/// Checks how an upstream's endpoints are ejected.
pub(super) fn ejection(upstream: &Located<Upstream>, found: &mut Diagnostics) {
    let Switch::On(ejection) = &upstream.ejection.value else { return };
    let origin = upstream.ejection.origin;
    if ejection.base > ejection.max {
        let message = format!("ejection: `base` ({}) is longer than `max` ({})", ejection.base, ejection.max);
        found.push(Diagnostic::error(origin, message));
    }
    if ejection.interval > LONGEST_INTERVAL {
        let message =
            format!("ejection: `interval` ({}) is longer than {LONGEST_INTERVAL}", ejection.interval);
        found.push(Diagnostic::error(origin, message));
    }
    if has_no_rule(ejection) {
        let finding = Diagnostic::warning(origin, "ejection: no rule is on, so nothing is ever ejected");
        found.push(finding.mend("write `ejection: none` if that is meant"));
    }
    if let Toggle::On(rule) = &ejection.success_rate {
        success_rate(upstream, rule, found);
    }
}

/// What a comparison of so few endpoints can never find. Names may have several addresses, so that nothing is known
/// where there are any.
fn success_rate(upstream: &Located<Upstream>, rule: &SuccessRateRule, found: &mut Diagnostics) {
    if !upstream
        .endpoints
        .iter()
        .all(|endpoint| endpoint.address().is_some_and(|address| address.socket().is_some()))
    {
        return;
    }
    let (origin, endpoints) = (upstream.ejection.origin, upstream.endpoints.len());
    if rule.min_endpoints.get() as usize > endpoints {
        let message = format!(
            "ejection: `success_rate` compares {} endpoints or more, and there are {endpoints}",
            rule.min_endpoints.get(),
        );
        found.push(
            Diagnostic::warning(origin, message)
                .mend("lower its `min_endpoints`, or use `failure_percentage`"),
        );
        return;
    }
    // One value of n is never more than √(n−1) standard deviations away from their mean.
    let most = (endpoints.saturating_sub(1) as f64).sqrt();
    if f64::from(rule.stdev.as_thousandths()) >= most * 1000.0 {
        let message = format!(
            "ejection: none of {endpoints} endpoints can be {} standard deviations below their mean",
            rule.stdev
        );
        let mend = format!("write a `stdev` below {most:.2}, or use `failure_percentage`");
        found.push(Diagnostic::warning(origin, message).mend(mend));
    }
}

fn has_no_rule(ejection: &Ejection) -> bool {
    let rows = [
        ejection.consecutive_5xx,
        ejection.consecutive_gateway_failures,
        ejection.consecutive_local_failures,
    ];
    rows.iter().all(|row| row.get() == 0)
        && ejection.success_rate.on().is_none()
        && ejection.failure_percentage.on().is_none()
}
