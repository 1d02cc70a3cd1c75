//! A route's policies on an exchange: asking them, and waiting for what they have to wait for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tollgate_decision::Reason;
use tollgate_http1::request;
use tollgate_http1::{HeadLimits, Progress};
use tollgate_message::Version;
use tollgate_policy::{
    Asked, BodyCheck, Caller, Certificate, Chain, Connection, Mode, Moment, Passed, Resolution,
};

use super::answer::{answer_policy, answer_refusal};
use super::begin::{Arrived, Understood, resume};
use super::client::Client;
use super::intake::{Intake, Paused};
use super::request_body;
use crate::buffers::HEADROOM;
use crate::decide;
use crate::decide::gate::{Asking, asked};
use crate::decide::written;
use crate::exchange::Exchange;
use crate::snapshot::{Listener, Route};
use crate::worker::{Published, Worker};

/// What came of a future, and how many microseconds that took.
pub type Resolved = (Resolution, u64);

/// Where a request is decided.
pub struct Place<'a> {
    /// The snapshot, as the worker uses it.
    pub published: &'a Published,
    /// The listener that it came to.
    pub listener: &'a Listener,
    /// Its route.
    pub route: &'a Route,
}

/// Asks the policies of a request's route.
pub fn pass(
    worker: &Worker,
    exchange: &mut Exchange,
    chain: &Chain,
    understood: &Understood<'_>,
    place: &Place<'_>,
    resolved: Option<Resolved>,
) -> Passed {
    let (version, seed) = (exchange.facts.version, exchange.record.seed);
    let Exchange { gate, record, .. } = exchange;
    with_asked(worker, (version, seed), understood, place, |asked| {
        chain.run(asked, gate.get_or_insert_default(), record, resolved)
    })
}

/// The hashes of the keys that the request's endpoint is picked by, and that its turn in a queue follows from, where its
/// upstream goes by any. Keys are made in `space`.
#[inline]
pub fn key_hashes(
    worker: &Worker,
    exchange: &Exchange,
    upstream: u32,
    understood: &Understood<'_>,
    place: &Place<'_>,
    space: &mut Vec<u8>,
) -> [Option<u64>; 2] {
    let snapshot = &place.published.snapshot;
    let sources = [decide::key::source(snapshot, upstream), decide::key::turns(snapshot, upstream)];
    if let [None, None] = sources {
        return [None; 2];
    }
    let nobody = Caller::default();
    let caller = exchange.gate.as_deref().map_or(&nobody, |gate| &gate.caller);
    let about = (exchange.facts.version, exchange.record.seed);
    with_asked(worker, about, understood, place, |asked| {
        sources.map(|source| Some(decide::key::of_request(source?, asked, caller, space)))
    })
}

/// Does something with a request as policies see it.
fn with_asked<T>(
    worker: &Worker,
    (version, seed): (Version, u64),
    understood: &Understood<'_>,
    place: &Place<'_>,
    work: impl FnOnce(&Asked<'_>) -> T,
) -> T {
    let Understood { head, identity, body, origins, .. } = understood;
    let secured = origins.secured;
    let connection = Connection {
        listener: &place.listener.name,
        client: origins.client(&place.listener.trusted, &head.fields),
        peer: origins.peer,
        version,
        tls: secured.is_some(),
        server_name: secured.and_then(|secured| secured.server_name.as_deref()),
        certificate: secured.and_then(|s| s.certificate.as_deref()).map(|der| Certificate { der }),
    };
    let consumers = place.published.consumers();
    let asking = Asking {
        connection,
        route: &place.route.name,
        request_id: origins.request_id.as_bytes(),
        moment: Moment {
            now_us: worker.clock.now_us(),
            wall_us: worker.clock.wall().as_micros() as u64,
            seed,
        },
        consumers: &consumers,
        mode: Mode::Serve,
    };
    work(&asked(head, identity, *body, asking))
}

/// Puts the answer to a request that does not pass in the place of a response.
pub fn answer(worker: &Worker, exchange: &mut Exchange, stopped: Passed) {
    match stopped {
        Passed::Refused(refused) => {
            if let Some(gate) = &mut exchange.gate {
                written::say_when_again(&refused, gate);
            }
            answer_refusal(worker, exchange, refused.reason.into());
        }
        Passed::Answered(answer) => answer_policy(worker, exchange, *answer),
        // Whoever asks has seen to those.
        Passed::On | Passed::Waits(_) => {}
    }
}

/// Waits as often as policies want to.
pub async fn wait_through(client: &mut Client, paused: Box<Paused>) -> Intake {
    let mut intake = Intake::Waits(paused);
    while let Intake::Waits(paused) = intake {
        intake = wait(client, paused).await;
    }
    intake
}

/// Waits for what a policy wants to wait for, and goes on with the request; at most as long as the route gives an
/// exchange.
async fn wait(client: &mut Client, paused: Box<Paused>) -> Intake {
    let Paused { mut exchange, wait } = *paused;
    let worker = client.worker().clone();
    let total_ms = exchange.route().map_or(0, |route| route.settings.timeouts.total_ms);
    let began_us = worker.clock.now_us();
    let deadline = (exchange.times.started_us / 1000).saturating_add(total_ms);
    worker.wheel.borrow_mut().set(client.timer, deadline);
    let mut future = pin!(wait.future);
    let resolution = poll_fn(|cx| {
        worker.clock.refresh();
        if let Poll::Ready(resolution) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(resolution));
        }
        let mut wheel = worker.wheel.borrow_mut();
        wheel.register(client.timer, cx.waker());
        if wheel.is_due(client.timer, worker.clock.now_ms()) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    let Some(resolution) = resolution else {
        client.leftover = Vec::new();
        exchange.facts.persists = false;
        answer_refusal(&worker, &mut exchange, Reason::TotalTimeout.into());
        return Intake::Answered(exchange);
    };
    let waited_us = worker.clock.now_us().saturating_sub(began_us);
    let mut buffers = worker.buffers.borrow_mut();
    let end = buffers.load(&std::mem::take(&mut client.leftover));
    let buffers = &mut *buffers;
    match request::parse(&buffers.scratch[HEADROOM..end], &limits(&exchange), &mut buffers.fields) {
        Ok(Progress::Complete(line)) => {
            let arrived = &mut Arrived { buffers, line, end };
            resume(&worker, client, exchange, arrived, (resolution, waited_us))
        }
        // It was complete when it came.
        _ => Intake::Closed,
    }
}

/// Holds a request until all of its body has come and was found right, where a policy wants to look at it. What is
/// held is bounded by the policy.
pub async fn hold(client: &mut Client, exchange: &mut Exchange) -> Result<(), Reason> {
    let worker = client.worker().clone();
    if exchange.awaits_continue() {
        // Nobody else will ask for the body.
        let mut rest: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        while !rest.is_empty() {
            let sent = poll_fn(|cx| client.link.poll_send(cx, rest)).await;
            rest = &rest[sent.map_err(|_| Reason::ClientClosed)?..];
        }
    }
    let body_ms = exchange.published.as_ref().map_or(0, |p| p.snapshot.http.client.body_ms);
    let mut received = u64::MAX;
    poll_fn(|cx| {
        worker.clock.refresh();
        let mut buffers = worker.buffers.borrow_mut();
        if let Poll::Ready(held) = request_body::poll_hold(cx, client, exchange, &mut buffers) {
            return Poll::Ready(held.map_err(|failure| failure.reason));
        }
        client.link.flush(cx);
        let (now, mut wheel) = (worker.clock.now_ms(), worker.wheel.borrow_mut());
        wheel.register(client.timer, cx.waker());
        if std::mem::replace(&mut received, exchange.bytes.received) != exchange.bytes.received {
            wheel.set(client.timer, now + body_ms);
        } else if wheel.is_due(client.timer, now) {
            return Poll::Ready(Err(Reason::BodyTimeout));
        }
        Poll::Pending
    })
    .await?;
    let Some(gate) = exchange.gate.as_deref_mut() else { return Ok(()) };
    match gate.body.take().map(BodyCheck::end) {
        Some(Err(refused)) => {
            exchange.record.stopped_late(gate.body_policy, refused.reason, refused.note);
            Err(refused.reason)
        }
        _ => Ok(()),
    }
}

fn limits(exchange: &Exchange) -> HeadLimits {
    exchange.published.as_ref().map_or_else(HeadLimits::default, |p| p.snapshot.http.request_head)
}
