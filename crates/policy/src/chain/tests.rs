use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use tollgate_decision::{Passing, Reason, Record};
use tollgate_message::{BodyLength, FieldList, Fields, Method, Version};

use super::*;
use crate::{Connection, Consumers, Mode, Moment};

/// Does what a test says, and notes that it was asked.
#[derive(Debug)]
struct Scripted {
    stage: Stage,
    asked: Mutex<u32>,
    does: fn(&mut Gate, Option<Resolution>) -> Verdict,
}

impl Policy for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }
    fn stage(&self) -> Stage {
        self.stage
    }
    fn decide(&self, _: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Verdict {
        *self.asked.lock().unwrap() += 1;
        (self.does)(gate, resolution)
    }
}

fn entry(stage: Stage, shadow: bool, does: fn(&mut Gate, Option<Resolution>) -> Verdict) -> Entry {
    let policy = Arc::new(Scripted { stage, asked: Mutex::default(), does });
    Entry { policy, shadow, series: Arc::default() }
}

fn run(chain: &Chain, gate: &mut Gate, record: &mut Record, mode: Mode<'_>, r: Option<Resolution>) -> Passed {
    let (list, consumers) = (FieldList::default(), Consumers::default());
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let asked = Asked {
        method: Method::Get,
        method_bytes: b"GET",
        fields: Fields::new(b"", &list),
        host: b"a.example",
        authority: b"a.example",
        path: b"/",
        query: None,
        body: BodyLength::None,
        connection: Connection {
            listener: "l",
            client: address,
            peer: address,
            version: Version::Http11,
            tls: false,
            server_name: None,
            certificate: None,
        },
        route: "r",
        request_id: b"id",
        moment: Moment::default(),
        consumers: &consumers,
        mode,
    };
    chain.run(&asked, gate, record, r.map(|r| (r, 7)))
}

fn refuse(gate: &mut Gate, _: Option<Resolution>) -> Verdict {
    gate.response.add("x-limit", "1");
    gate.hold(1);
    Verdict::Refuse(Refused::because(Reason::RateLimited, "too many"))
}

fn wait(_: &mut Gate, resolution: Option<Resolution>) -> Verdict {
    match resolution {
        None => Verdict::Wait(Wait::new("a number", async { 5i64 })),
        Some(number) => Verdict::Continue(number.downcast_ref().copied()),
    }
}

#[test]
fn policies_run_by_stage_and_stop_at_the_first_that_refuses() {
    let last = entry(Stage::Limit, false, |_, _| Verdict::CONTINUE);
    let chain = Chain::new(vec![
        last.clone(),
        entry(Stage::Authorise, false, refuse),
        entry(Stage::Admit, false, |_, _| Verdict::Continue(Some(3))),
    ])
    .unwrap();
    let (mut gate, mut record) = (Gate::default(), Record::default());
    let Passed::Refused(refused) = run(&chain, &mut gate, &mut record, Mode::Serve, None) else { panic!() };
    assert_eq!((refused.reason, refused.note.as_deref()), (Reason::RateLimited, Some("too many")));
    let noted: Vec<_> = record.verdicts().iter().map(|v| (v.policy, v.outcome, v.value)).collect();
    assert_eq!(noted, [(0, Passing::Passed, Some(3)), (1, Passing::Stopped, None)]);
    assert_eq!(last.series.get(Outcome::Passed), 0);
    assert_eq!(chain.entries()[1].series.get(Outcome::Stopped), 1);
}

#[test]
fn in_shadow_a_refusal_is_told_and_counted_but_leaves_nothing_behind() {
    let chain = Chain::new(vec![entry(Stage::Limit, true, refuse)]).unwrap();
    let (mut gate, mut record) = (Gate::default(), Record::default());
    assert!(matches!(run(&chain, &mut gate, &mut record, Mode::Serve, None), Passed::On));
    assert!(gate.response.is_empty() && gate.held.is_empty());
    assert_eq!(record.verdicts()[0].outcome, Passing::WouldStop);
    assert_eq!(record.verdicts()[0].reason, Some(Reason::RateLimited));
    assert_eq!(chain.entries()[0].series.get(Outcome::WouldStop), 1);
}

#[test]
fn after_a_wait_the_chain_goes_on_from_the_policy_that_waited() {
    let first = entry(Stage::Admit, false, |_, _| Verdict::CONTINUE);
    let chain = Chain::new(vec![first.clone(), entry(Stage::Identify, false, wait)]).unwrap();
    let (mut gate, mut record) = (Gate::default(), Record::default());
    let Passed::Waits(_) = run(&chain, &mut gate, &mut record, Mode::Serve, None) else { panic!() };
    let passed = run(&chain, &mut gate, &mut record, Mode::Serve, Some(Box::new(5i64)));
    assert!(matches!(passed, Passed::On));
    assert_eq!(first.series.get(Outcome::Passed), 1);
    let waited = &record.verdicts()[1];
    assert_eq!((waited.value, waited.waited_us), (Some(5), 7));
}

#[test]
fn an_explanation_waits_for_nothing_and_counts_nothing() {
    let chain = Chain::new(vec![entry(Stage::Identify, false, wait)]).unwrap();
    let (mut gate, mut record) = (Gate::default(), Record::default());
    assert!(matches!(run(&chain, &mut gate, &mut record, Mode::Explain(None), None), Passed::On));
    assert_eq!(record.verdicts()[0].outcome, Passing::Unknown);
    assert_eq!(record.verdicts()[0].note.as_deref(), Some("would wait for a number"));
    assert!(Outcome::ALL.iter().all(|o| chain.entries()[0].series.get(*o) == 0));
}
