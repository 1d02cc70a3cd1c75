//! What routes do to save requests.

use std::sync::Arc;

use tollgate_config::{self as config, FailureSet, ResponseTest, RetryPlan, Switch};
use tollgate_message::Method;
use tollgate_proxy::snapshot::{Failures, Fallback, FallbackTo, Hedge, Hold, Rescue, Responses};
use tollgate_upstream::HoldLimits;

use super::Compiler;
use super::routes::fixed;

impl Compiler<'_> {
    /// What a route does besides trying again; `None` for nothing.
    pub(super) fn rescue(
        &self,
        route: &config::Route,
        upstream: Option<&config::Upstream>,
        plan: Option<&RetryPlan>,
    ) -> Option<Arc<Rescue>> {
        let hold = match (route.hold.as_deref(), upstream.and_then(|upstream| upstream.hold.as_ref())) {
            (Some(own), _) => own.on(),
            (None, inherited) => inherited.and_then(Switch::on),
        };
        let rescue = Rescue {
            retried: plan.map(|plan| responses(&plan.on)).unwrap_or_default(),
            methods: plan.map(|plan| methods(&plan.methods)).unwrap_or_default(),
            retry_after_ms: plan.map_or(0, |plan| plan.retry_after.as_millis() as u64),
            hold: hold.map(self::hold),
            fallback: route.fallback.as_ref().and_then(|fallback| self.fallback(fallback)),
            hedge: route.hedge.as_deref().and_then(Switch::on).map(hedge),
        };
        let nothing = Rescue { retry_after_ms: rescue.retry_after_ms, ..Rescue::default() };
        (rescue != nothing).then(|| Arc::new(rescue))
    }

    fn fallback(&self, fallback: &config::Fallback) -> Option<Fallback> {
        let to = match &fallback.instead {
            config::FallbackTo::To(name) => FallbackTo::Upstream(self.by_name.get(name.as_str()).copied()?),
            config::FallbackTo::Respond(respond) => FallbackTo::Respond(fixed(respond)),
        };
        let after = match fallback.after {
            FailureSet::All => Failures::All,
            FailureSet::Unavailable => Failures::Unavailable,
            FailureSet::None => Failures::None,
        };
        Some(Fallback { to, after, responses: responses(&fallback.on) })
    }
}

fn hold(hold: &config::Hold) -> Hold {
    let limits = HoldLimits { requests: hold.requests.get(), bytes: hold.bytes.bytes() };
    Hold { for_ms: hold.time.get().as_millis() as u64, limits }
}

fn hedge(hedge: &config::Hedge) -> Hedge {
    let quantile = hedge.quantile.map_or(0, |quantile| u32::from(quantile.basis_points()) / 10);
    Hedge { after_ms: hedge.after.get().as_millis() as u64, quantile }
}

fn responses(tests: &[ResponseTest]) -> Responses {
    let mut responses = Responses::default();
    for test in tests {
        match test {
            ResponseTest::Status(range) => responses.statuses.push((range.first(), range.last())),
            ResponseTest::Call(number) => responses.calls |= 1 << number,
        }
    }
    responses
}

/// Extension methods are not told apart on the fast path: one of them stands for all.
fn methods(names: &[config::MethodName]) -> Vec<Method> {
    names.iter().map(|name| Method::from_bytes(name.as_str().as_bytes())).collect()
}
