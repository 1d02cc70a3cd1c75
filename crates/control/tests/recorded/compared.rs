//! Recorded requests decided on other documents.

use std::collections::BTreeMap;

use tollgate_control::traffic::{Difference, Report, compare};
use tollgate_control::{Filter, Recorded};
use tollgate_decision::Class;
use tollgate_proxy::Snapshot;
use tollgate_runtime::Random;

use crate::plaza::{Plaza, compiled};
use crate::replay::{below, head, spoilt};

const REQUESTS: usize = 600;
const DOCUMENTS: u64 = 40;

/// A document that nobody listens behind: what matters is what is decided.
fn document(random: &mut Random) -> String {
    let mut text =
        "version: 1\nlisten: \"127.0.0.1:0\"\nrecorder: { memory: 256MiB, slow: 1h, sample: 100% }\n\
        defaults: { retry: none }\nupstreams: { u0: [\"127.0.0.1:1\"], u1: [\"127.0.0.1:1\"] }\nroutes:\n"
            .to_owned();
    for path in ["/turns", "/least", "/two", "/any", "/split", "/fixed", "/small", "/"] {
        let action = match below(random, 7) {
            0 => continue,
            1 => "to: u0".to_owned(),
            2 => "to: u1".to_owned(),
            3 => format!("split: {{ u0: {}, u1: 3 }}", 1 + below(random, 3)),
            4 => "respond: 204".to_owned(),
            5 => "respond: 204, methods: [GET]".to_owned(),
            _ => "to: u0, body: { max_size: 4B }".to_owned(),
        };
        let name = below(random, 2);
        text += &format!("  - {{ name: \"r{name}{}\", path: {path}, {action} }}\n", path.replace('/', "-"));
    }
    let target = ["", "limits: { fields: 2 }\n"][below(random, 2) as usize];
    text + "  - { name: always, path: { exact: /always }, respond: 204 }\n" + target
}

fn recorded(seed: u64) -> Vec<Recorded> {
    let mut random = Random::from_seed(seed);
    let plaza = Plaza::start(&document(&mut random), 1);
    for _ in 0..REQUESTS {
        let mut client = plaza.connect();
        let head = if below(&mut random, 8) == 0 { spoilt(&mut random) } else { head(&mut random) };
        // The answer may come before the last byte is sent.
        let _ = client.try_send(head);
        client.finish_sending();
        let _ = client.ending();
    }
    let (recorders, _) = plaza.end();
    recorders.last(usize::MAX, &Filter::default())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// The groups: fates, how they differ, how many requests and which share.
fn groups(report: &Report, swapped: bool) -> BTreeMap<(String, String), (Difference, usize, u64)> {
    let group = |group: &tollgate_control::traffic::Group| {
        let (before, after) = (group.before.to_string(), group.after.to_string());
        let key = if swapped { (after, before) } else { (before, after) };
        let difference = match group.difference {
            Difference::Refused if swapped => Difference::LetThrough,
            Difference::LetThrough if swapped => Difference::Refused,
            difference => difference,
        };
        (key, (difference, group.recorded, (group.share * 1e9).round() as u64))
    };
    report.groups.iter().map(group).collect()
}

fn assert_consistent(report: &Report, context: &str) {
    assert_eq!(report.left_out, 0, "{context}");
    let listed: f64 = report.groups.iter().map(|group| group.share).sum();
    assert!(close(listed, report.shares.iter().sum()), "{context}: {listed} {:?}", report.shares);
    assert!(
        close(report.changed() + report.share(Difference::OtherRoute), listed) && listed < 1.0 + 1e-9,
        "{context}"
    );
    assert!(report.groups.iter().map(|group| group.recorded).sum::<usize>() <= report.recorded, "{context}");
    for group in &report.groups {
        assert_ne!(group.before, group.after, "{context}");
        assert_eq!(group.examples.len(), group.recorded.min(3), "{context}");
        assert!(group.examples.iter().all(|example| !example.why.is_empty()), "{context}: {group:#?}");
    }
}

#[test]
fn shares_are_of_all_that_is_known_whatever_the_documents() {
    let seed = Random::from_machine().next_u64();
    let recorded = recorded(seed);
    assert!(recorded.len() > REQUESTS / 2, "seed {seed}: {}", recorded.len());
    let mut random = Random::from_seed(!seed);
    let mut before = compiled(&document(&mut random)).1;
    let mut seen = [false; Difference::ALL.len()];
    for number in 0..DOCUMENTS {
        let context = format!("seed {seed}, document {number}");
        let after = compiled(&document(&mut random)).1;
        let report = compare(&recorded, &before, &after, &|_| 1.0);
        assert_consistent(&report, &context);
        assert!(close(report.represented, report.recorded as f64), "{context}");
        report.groups.iter().for_each(|group| seen[group.difference as usize] = true);

        let back = compare(&recorded, &after, &before, &|_| 1.0);
        assert_eq!(groups(&report, false), groups(&back, true), "{context}: the way back is another");
        let same = compare(&recorded, &after, &after, &|_| 1.0);
        assert!(same.groups.is_empty() && close(same.changed(), 0.0), "{context}: {same:#?}");
        assert_weights(&recorded, &before, &after, &context);
        before = after;
    }
    assert_eq!(seen, [true; Difference::ALL.len()], "seed {seed}: {:?}", Difference::ALL);
}

/// One of a sample of a quarter stands for four.
fn assert_weights(recorded: &[Recorded], before: &Snapshot, after: &Snapshot, context: &str) {
    let of = |class: fn(&Class) -> bool| {
        let some: Vec<_> = recorded.iter().filter(|one| class(&one.class)).cloned().collect();
        compare(&some, before, after, &|_| 1.0)
    };
    let (sample, others) = (of(|class| *class == Class::Sample), of(|class| *class != Class::Sample));
    let all = compare(recorded, before, after, &|_| 0.25);
    assert_consistent(&all, context);
    assert!(close(all.represented, sample.represented * 4.0 + others.represented), "{context}");
    for difference in Difference::ALL {
        let count = |report: &Report| report.share(difference) * report.represented;
        assert!(
            (count(&all) - count(&sample) * 4.0 - count(&others)).abs() < 1e-6,
            "{context}: {difference:?}"
        );
    }
}
