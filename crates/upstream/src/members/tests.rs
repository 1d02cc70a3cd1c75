use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Listed, Lists, Member, OperatorMembers, Removal};
use crate::random::Random;

fn address(number: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8000 + number as u16))
}

fn member(random: &mut Random) -> Member {
    // Some names have two addresses, and some addresses two names.
    let (name, number) = (random.below(6), random.below(6));
    Member::new(format!("e{name}"), address(number), random.below(4) as u32)
}

fn list(random: &mut Random, most: u64) -> Vec<Member> {
    (0..random.below(most + 1)).map(|_| member(random)).collect()
}

fn lists(random: &mut Random) -> Lists {
    let mut operator = OperatorMembers { added: list(random, 4), removed: Vec::new() };
    for Member { name, address, weight, .. } in list(random, 4) {
        let removal = Removal { name, address, listed: Some(weight) };
        let is_added = |m: &Member| m.name == removal.name && m.address == removal.address;
        if !operator.added.iter().any(is_added) {
            operator.removed.push(removal);
        }
    }
    let found = (0..random.below(4)).map(|_| list(random, 8)).collect();
    Lists { document: list(random, 6), found, operator }
}

/// By the rules as they are told, one endpoint at a time.
fn expected(lists: &Lists) -> BTreeMap<(String, SocketAddr), (Listed, u32)> {
    let mut expected = BTreeMap::new();
    for name in 0..6 {
        for number in 0..6 {
            let (name, address) = (format!("e{name}"), address(number));
            let of = |list: &[Member]| {
                list.iter().find(|m| *m.name == *name && m.address == address).map(|m| m.weight)
            };
            let is_removed = lists.operator.removed.iter().any(|r| *r.name == *name && r.address == address);
            let added = of(&lists.operator.added).map(|weight| (Listed::Operator, weight));
            let document = of(&lists.document).map(|weight| (Listed::Document, weight));
            let found = (0..).zip(&lists.found);
            let found = || found.clone().find_map(|(i, list)| Some((Listed::Found(i), of(list)?)));
            let listed = document.or_else(found).filter(|_| !is_removed);
            if let Some(entry) = added.or(listed) {
                expected.insert((name, address), entry);
            }
        }
    }
    expected
}

#[test]
fn the_set_is_what_the_rules_say_and_each_endpoint_is_in_it_once() {
    for seed in 0..5000 {
        let lists = lists(&mut Random::new(seed));
        let merged = lists.merged();
        let found: BTreeMap<_, _> = merged
            .iter()
            .map(|(listed, member)| ((member.name.to_string(), member.address), (*listed, member.weight)))
            .collect();
        assert_eq!(found.len(), merged.len(), "seed {seed}: one is there twice");
        assert_eq!(found, expected(&lists), "seed {seed}");
        let origins = lists.origins();
        for (listed, member) in merged {
            assert_eq!(origins.get(&super::key(member)), Some(&listed), "seed {seed}");
        }
    }
}

fn named(name: &str, number: u64, weight: u32) -> Member {
    Member::new(name, address(number), weight)
}

fn removal(name: &str, number: u64, listed: Option<u32>) -> Removal {
    Removal { name: name.into(), address: address(number), listed }
}

#[test]
fn a_document_takes_over_what_it_lists_and_what_concerns_it_ends_a_removal() {
    let operator = OperatorMembers {
        added: vec![named("a", 1, 5), named("b", 2, 5)],
        removed: vec![
            removal("same", 3, Some(1)),
            removal("heavier", 4, Some(1)),
            removal("gone", 5, Some(1)),
            removal("found", 6, None),
            removal("found, and then written", 7, None),
        ],
    };
    let document = [
        named("another name", 1, 1),
        named("same", 3, 1),
        named("heavier", 4, 2),
        named("found, and then written", 7, 1),
    ];
    let under = operator.under(&document);
    assert_eq!(under.added, [named("b", 2, 5)]);
    assert_eq!(under.removed, [removal("same", 3, Some(1)), removal("found", 6, None)]);
    assert_eq!(under.under(&document), under, "once is as good as twice");
}
