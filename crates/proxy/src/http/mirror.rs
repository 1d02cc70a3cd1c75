//! Mirroring an exchange: as soon as its request is complete, copies of it go to the mirrors that its seed has chosen.
//!
//! A copy is an exchange of its own, served by the same steps (`attempt`, `forward`), whose client takes everything
//! and says nothing. Nothing of it reaches the exchange that it is a copy of, which costs a route without mirrors a
//! branch.

mod capture;
mod carry;
mod copy;
mod pair;
mod sink;

use std::rc::Rc;

use tollgate_message::{Method, Version};

use super::client::Client;
use crate::exchange::Exchange;
use crate::mirroring::{Mirror, Mirrored};
use crate::worker::Worker;

use capture::Capture;
use pair::Pair;

/// What mirrors want of an exchange.
#[derive(Debug, Default)]
pub struct Mirroring(Option<Box<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    /// The mirrors that get a copy; empty once they have it.
    chosen: Vec<Chosen>,
    /// The response, where it is compared.
    capture: Option<Capture>,
    /// What it is compared with.
    pairs: Vec<Rc<Pair>>,
}

/// A mirror that gets a copy.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    /// Its place among the route's.
    place: usize,
    /// The hash of the key that its balancer picks by, where that goes by one.
    key_hash: Option<u64>,
}

impl Mirroring {
    /// A copy's answer, of whose body so many bytes are kept.
    fn keeping(max_body: usize) -> Self {
        Self(Some(Box::new(Wanted { capture: Some(Capture::new(max_body)), ..Wanted::default() })))
    }

    /// Where the response is kept to be compared.
    #[inline]
    pub fn capture(&mut self) -> Option<&mut Capture> {
        self.0.as_deref_mut()?.capture.as_mut()
    }

    fn take_capture(&mut self) -> Option<Capture> {
        self.0.as_deref_mut()?.capture.take()
    }

    fn take_pairs(&mut self) -> Vec<Rc<Pair>> {
        self.0.as_deref_mut().map(|wanted| std::mem::take(&mut wanted.pairs)).unwrap_or_default()
    }

    /// Whether the rest of a body, of so many bytes, is kept to be compared.
    #[inline]
    pub fn keeps(&mut self, remaining: u64) -> bool {
        self.capture().is_some_and(|capture| capture.keeps(remaining))
    }
}

/// The request is about to be forwarded: notes which mirrors get a copy. `key_hash` gives the hash of its key at an
/// upstream.
#[inline]
pub fn choose(exchange: &mut Exchange, key_hash: impl FnMut(&Exchange, u32) -> Option<u64>) {
    if exchange.route().is_some_and(|route| route.settings.mirrors.is_some()) {
        choose_among(exchange, key_hash);
    }
}

#[cold]
fn choose_among(exchange: &mut Exchange, mut key_hash: impl FnMut(&Exchange, u32) -> Option<u64>) {
    // What becomes of those is no response that could be thrown away.
    if exchange.facts.upgrade || exchange.facts.method == Method::Connect {
        return;
    }
    let mirrors = mirrors(exchange);
    let seed = exchange.record.seed;
    let chosen = |(place, mirror): &(usize, &Mirror)| mirror.takes(*place, seed);
    let chosen: Vec<_> = mirrors.iter().enumerate().filter(chosen).collect();
    if chosen.is_empty() {
        return;
    }
    let most = chosen.iter().filter_map(|(_, mirror)| Some(mirror.compare.as_ref()?.max_body)).max();
    let wanted = Wanted {
        chosen: chosen
            .iter()
            .map(|(place, mirror)| Chosen { place: *place, key_hash: key_hash(exchange, mirror.upstream) })
            .collect(),
        capture: most.map(Capture::new),
        pairs: Vec::new(),
    };
    exchange.response.mirroring = Mirroring(Some(Box::new(wanted)));
}

fn mirrors(exchange: &Exchange) -> std::sync::Arc<[Mirror]> {
    exchange.route().and_then(|route| route.settings.mirrors.clone()).unwrap_or_default()
}

/// Sends the copies once the request is complete.
#[inline]
pub fn look(worker: &Rc<Worker>, client: &Client, exchange: &mut Exchange) {
    let waits = exchange.response.mirroring.0.as_deref().is_some_and(|wanted| !wanted.chosen.is_empty());
    if waits && exchange.body.is_done() {
        send(worker, client, exchange);
    }
}

#[cold]
fn send(worker: &Rc<Worker>, client: &Client, exchange: &mut Exchange) {
    let mirrors = mirrors(exchange);
    let wanted = exchange.response.mirroring.0.as_deref_mut();
    let chosen = wanted.map(|wanted| std::mem::take(&mut wanted.chosen)).unwrap_or_default();
    let parts = exchange.request.replayable.then(|| copy::Parts::of(&exchange.request)).flatten();
    for (chosen, mirror) in chosen.into_iter().filter_map(|chosen| Some((chosen, mirrors.get(chosen.place)?)))
    {
        let Some(parts) = parts.as_ref().filter(|parts| parts.body.len() <= mirror.max_body) else {
            mirror.series.mirrored(Mirrored::BodyTooLarge);
            continue;
        };
        let Some(flight) = mirror.flights.begin(mirror.max_in_flight, parts.bytes()) else {
            mirror.series.mirrored(Mirrored::Busy);
            continue;
        };
        let pair =
            mirror.compare.as_ref().map(|compare| Rc::new(Pair::new(worker, exchange, mirror, compare)));
        if let (Some(pair), Some(wanted)) = (&pair, exchange.response.mirroring.0.as_deref_mut()) {
            wanted.pairs.push(pair.clone());
        }
        let copied = carry::exchange(worker, exchange, parts, mirror, chosen);
        let mut sink = client.stream(Box::new(sink::Sink::default()), Version::Http2);
        if copied.transport().is_some_and(|transport| transport.proxy_header.is_some()) {
            // Asking the kernel costs a call, and only a PROXY header tells it.
            sink.port = client.local_port();
        }
        tokio::task::spawn_local(carry::carry(sink, copied, mirror.series.clone(), flight, pair));
    }
}

/// The exchange has ended: what its client got may be compared, if it got it whole.
#[inline]
pub fn ended(client: &Client, exchange: &mut Exchange) {
    if exchange.response.mirroring.0.is_some() {
        pair::origin_ended(client, exchange);
    }
}
