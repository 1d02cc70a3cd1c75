//! How the endpoints of upstreams are picked, and what requests go by that should meet the same one.

use tollgate_config::{
    self as config, Balance, BalanceKey, BalanceKeyWord, BalanceWith, Diagnostic, Located,
};
use tollgate_policy::KeySource;
use tollgate_policy::key::USUAL_V6_PREFIX;
use tollgate_proxy::snapshot::Keys;
use tollgate_upstream::balancers::balancer;
use tollgate_upstream::{Balancer, BalancerSettings, BoundedLoad, Decay};

use super::Compiler;

/// The balancer that a document asks for.
pub(super) fn made(balance: &Balance) -> Box<dyn Balancer> {
    let row = balancer(balance.word()).unwrap_or(&tollgate_upstream::BALANCERS[0]);
    (row.make)(&settings(balance))
}

fn settings(balance: &Balance) -> BalancerSettings {
    let bound =
        |bound: Option<config::LoadBound>| bound.map(|bound| BoundedLoad::from_percent(bound.percent()));
    let standard = BalancerSettings::default();
    match balance {
        Balance::Of(_) => standard,
        Balance::With(BalanceWith::PeakEwma(ewma)) => {
            BalancerSettings { decay: Decay::from_us(ewma.decay.get().as_micros() as u64), ..standard }
        }
        Balance::With(BalanceWith::RingHash(ring)) => BalancerSettings {
            bounded_load: bound(ring.bounded_load),
            ring_size: (ring.min_size.get(), ring.max_size.get()),
            ..standard
        },
        Balance::With(BalanceWith::Maglev(maglev)) => BalancerSettings {
            bounded_load: bound(maglev.bounded_load),
            maglev_size: maglev.table.get(),
            ..standard
        },
    }
}

impl Compiler<'_> {
    /// What an upstream goes by.
    pub(super) fn keys(&mut self, upstream: &config::Upstream) -> Keys {
        let balance = self.balancing_key(&upstream.balance);
        let turns = upstream.overload.queue.as_ref().and_then(|queue| match &queue.by.value {
            config::LimitKey::Of(config::KeyWord::Route) => None,
            by => self.limit_key(by, queue.by.origin),
        });
        let sticky = upstream.shares.sticky.as_ref().and_then(|sticky| self.sticky(sticky));
        Keys { balance, turns, sticky }
    }

    /// What requests of an upstream go by; `None` where its balancer goes by nothing, or after a report.
    fn balancing_key(&mut self, balance: &Located<Balance>) -> Option<KeySource> {
        let parts: Option<Vec<KeySource>> =
            balance.by()?.iter().map(|part| self.balancing_part(part)).collect();
        let mut parts = parts?;
        let source = if parts.len() == 1 { parts.swap_remove(0) } else { KeySource::Several(parts) };
        match source.check() {
            Ok(()) => Some(source),
            Err(problem) => {
                self.diagnostics.push(Diagnostic::error(balance.origin, format!("by: {problem}")));
                None
            }
        }
    }

    fn balancing_part(&mut self, part: &BalanceKey) -> Option<KeySource> {
        match part {
            BalanceKey::Of(BalanceKeyWord::Consumer) => Some(KeySource::Consumer),
            BalanceKey::Of(BalanceKeyWord::Address) => {
                Some(KeySource::Address { v6_prefix: USUAL_V6_PREFIX })
            }
            BalanceKey::Of(BalanceKeyWord::Path) => Some(KeySource::Path),
            BalanceKey::Part(part) => self.key_part(part),
        }
    }
}
