//! Mirrors of routes.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_comparison::{BodyRule, Headers, Rules};
use tollgate_config::{self as config, ComparedBody, ComparedHeaders, Destination as To, Located};
use tollgate_proxy::mirroring::comparer::Comparer;
use tollgate_proxy::mirroring::{Compare, Flights, Mirror, MirrorSeries};

use super::Compiler;

/// What goes on from one document to the next.
#[derive(Clone, Debug, Default)]
pub struct CarriedMirrors {
    /// By the names of route and upstream.
    series: HashMap<(String, String), Arc<MirrorSeries>>,
    /// By the name of the upstream.
    flights: HashMap<String, Arc<Flights>>,
    /// One a process, with all that it has found.
    comparer: Arc<Comparer>,
}

impl CarriedMirrors {
    /// What goes on even if nothing of the new document asks for it.
    pub(super) fn successor(&self) -> Self {
        Self { comparer: self.comparer.clone(), ..Self::default() }
    }

    /// What is counted of each mirror, with the names of its route and upstream.
    pub fn series(&self) -> impl Iterator<Item = (&str, &str, &MirrorSeries)> {
        self.series.iter().map(|((route, upstream), series)| (route.as_str(), upstream.as_str(), &**series))
    }

    /// Who compares answers.
    pub fn comparer(&self) -> &Arc<Comparer> {
        &self.comparer
    }
}

impl Compiler<'_> {
    /// The mirrors of a route; `None` where it has none.
    pub(super) fn mirrors(&mut self, route: &config::Route, name: &str) -> Option<Arc<[Mirror]>> {
        let mirrors: Vec<_> =
            route.forwarding.mirrors.iter().filter_map(|mirror| self.mirror(mirror, name)).collect();
        (!mirrors.is_empty()).then(|| mirrors.into())
    }

    /// `None` where there is no such upstream, which the document's check has found.
    fn mirror(&mut self, mirror: &config::Mirror, route: &str) -> Option<Mirror> {
        let upstream = match &mirror.to.value {
            To::Upstream(name) => *self.by_name.get(name.as_str())?,
            To::Inline(address) => self.inline(&Located { value: address.clone(), origin: mirror.to.origin }),
        };
        let name = self.upstreams[upstream as usize].name().to_string();
        let before = self.before.carried().mirrors();
        let carried = self.carried.mirrors_mut();
        let flights = before.flights.get(&name).cloned();
        let flights = carried.flights.entry(name.clone()).or_insert_with(|| flights.unwrap_or_default());
        let flights = flights.clone();
        let key = (route.to_owned(), name);
        let series = before.series.get(&key).cloned();
        let series = carried.series.entry(key).or_insert_with(|| series.unwrap_or_default()).clone();
        let compare =
            mirror.compare.as_ref().map(|compare| Arc::new(self::compare(compare, &carried.comparer)));
        Some(Mirror {
            upstream,
            share: mirror.share.basis_points(),
            max_body: mirror.body.bytes() as usize,
            timeout_ms: mirror.timeout.get().as_millis() as u64,
            max_in_flight: mirror.max_in_flight.get(),
            compare,
            flights,
            series,
        })
    }
}

fn compare(compare: &config::Compare, comparer: &Arc<Comparer>) -> Compare {
    let lower = |name: &Located<config::HeaderName>| name.value.as_str().to_ascii_lowercase();
    let ignored = compare.ignore.as_deref();
    Compare {
        rules: Rules {
            status: compare.status,
            headers: match &compare.headers {
                ComparedHeaders::All => Headers::All,
                ComparedHeaders::None => Headers::None,
                ComparedHeaders::Named(names) => Headers::Named(names.iter().map(lower).collect()),
            },
            body: match compare.body {
                ComparedBody::Json => BodyRule::Json,
                ComparedBody::Bytes => BodyRule::Bytes,
                ComparedBody::None => BodyRule::None,
            },
            ignored_headers: ignored.iter().flat_map(|may| may.headers.iter()).map(lower).collect(),
            ignored_paths: ignored
                .iter()
                .flat_map(|may| may.json.iter())
                .map(|path| path.value.pattern().clone())
                .collect(),
            max_differences: compare.max_differences.get() as usize,
        },
        max_body: compare.max_body.bytes() as usize,
        values: compare.values,
        comparer: comparer.clone(),
    }
}
