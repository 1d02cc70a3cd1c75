use tollgate_decision::chance;
use tollgate_policy::{Gate, Mode, Moment, Policy, Verdict};

use super::*;
use crate::sample::Sample;

fn fault(delay: Option<Delay>, abort: Option<Abort>) -> Fault {
    Fault::new(Settings { delay, abort, when: None })
}

fn decide(fault: &Fault, sample: &Sample, seed: u64) -> Verdict {
    let asked = Asked { moment: Moment { seed, ..Moment::default() }, ..sample.asked() };
    fault.decide(&asked, &mut Gate::default(), None)
}

#[test]
fn shares_are_met_and_decided_by_the_seed() {
    let delay = Delay { by_ms: 200, jitter_ms: 50, share: 2_000 };
    let abort = Abort { status: 503, share: 1_000 };
    let (fault, sample) = (fault(Some(delay), Some(abort)), Sample::new("GET /", ""));
    let (mut waits, mut answers) = (0, 0);
    for seed in (0..20_000).map(|number| chance::draw(number, 7)) {
        match decide(&fault, &sample, seed) {
            Verdict::Wait(wait) => {
                assert!(wait.is_effect);
                let ms = fault.delay_ms(seed).unwrap();
                assert!((200..=250).contains(&ms), "seed {seed}: {ms}");
                waits += 1;
            }
            Verdict::Answer(answer) => {
                assert_eq!((answer.status, answer.reason), (503, Some(Reason::FaultInjected)), "seed {seed}");
                answers += 1;
            }
            Verdict::Continue(None) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!((3_800..4_200).contains(&waits), "{waits}");
    // Of the others a tenth fails at once.
    assert!((1_450..1_750).contains(&answers), "{answers}");
}

#[test]
fn after_the_wait_comes_the_failure_or_nothing() {
    let delay = Some(Delay { by_ms: 5, jitter_ms: 0, share: 10_000 });
    let sample = Sample::new("GET /", "");
    let over = || Some(Box::new(DelayIsOver) as Resolution);
    let aborts = fault(delay, Some(Abort { status: 500, share: 10_000 }));
    assert!(matches!(decide(&aborts, &sample, 1), Verdict::Wait(_)));
    let verdict = aborts.decide(&sample.asked(), &mut Gate::default(), over());
    assert!(
        matches!(verdict, Verdict::Answer(answer) if answer.status == 500 && answer.note.as_deref() == Some("status 500 on purpose, after 5 ms"))
    );
    let verdict = fault(delay, None).decide(&sample.asked(), &mut Gate::default(), over());
    assert!(matches!(verdict, Verdict::Noted(None, note) if note == "delayed by 5 ms on purpose"));
    // Who only asks does not wait for the answer.
    let asked = Asked { mode: Mode::Explain(None), ..sample.asked() };
    assert!(matches!(aborts.decide(&asked, &mut Gate::default(), None), Verdict::Answer(_)));
}

#[test]
fn only_requests_with_the_field_are_concerned() {
    let abort = Some(Abort { status: 503, share: 10_000 });
    let with = |value: Option<&str>| {
        let when = Some(("X-Chaos".to_owned(), value.map(str::to_owned)));
        Fault::new(Settings { delay: None, abort, when })
    };
    let concerned = |fault: &Fault, fields: &str| fault.concerns(&Sample::new("GET /", fields).asked());
    assert!(!concerned(&with(None), ""));
    assert!(concerned(&with(None), "x-chaos: no\r\n"));
    assert!(!concerned(&with(Some("yes")), "x-chaos: no\r\n"));
    assert!(concerned(&with(Some("yes")), "x-chaos: no\r\nX-Chaos: yes\r\n"));
    assert!(concerned(&fault(None, abort), ""));
}

#[test]
fn answers_are_problems_and_statuses_of_calls() {
    let fault = fault(None, Some(Abort { status: 503, share: 10_000 }));
    let sample = Sample::new("POST /shop.Orders/Create", "Content-Type: application/grpc+proto\r\n");
    let Verdict::Answer(answer) = decide(&fault, &sample, 1) else { panic!() };
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((body["status"].as_u64(), body["reason"].as_str()), (Some(503), Some("fault_injected")));
    assert!(String::from_utf8_lossy(answer.fields.lines()).contains("Retry-After: 1\r\n"));
    let mut asked = sample.asked();
    asked.connection.version = Version::Http2;
    let Verdict::Answer(answer) = fault.decide(&asked, &mut Gate::default(), None) else { panic!() };
    assert_eq!((answer.status, answer.content_type.as_deref()), (200, Some("application/grpc")));
    assert!(
        answer.body.is_empty()
            && String::from_utf8_lossy(answer.fields.lines()).contains("grpc-status: 14\r\n")
    );
}
