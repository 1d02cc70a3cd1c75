use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;
use tollgate_decision::Reason;
use tollgate_policy::Verdict;

use super::*;
use crate::sample::Sample;

fn set(blocks: &[&str]) -> Arc<AddressSet> {
    Arc::new(blocks.iter().map(|block| block.parse::<AddressBlock>().unwrap()).collect())
}

fn held(blocks: &[&str]) -> Option<Held> {
    Some(set(blocks).into())
}

fn refused(settings: &Settings, client: &str) -> Option<String> {
    let mut request = Sample::new("GET /", "");
    request.client = client.parse().unwrap();
    match request.ask(&Addresses::new(settings.clone())).0 {
        Verdict::Continue(None) => None,
        Verdict::Refuse(refused) => {
            assert_eq!(refused.reason, Reason::AddressDenied);
            Some(refused.note.unwrap().into_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn deny_wins_and_an_allow_list_refuses_everybody_else() {
    let allow = held(&["10.0.0.0/8", "2001:db8::/32"]);
    let settings = Settings { allow, deny: held(&["10.9.0.0/16"]), source: Source::Client };
    assert_eq!(refused(&settings, "10.8.255.255"), None);
    assert_eq!(refused(&settings, "2001:db8:ffff::1"), None);
    assert_eq!(refused(&settings, "10.9.0.0").unwrap(), "the address is on the deny list");
    assert_eq!(refused(&settings, "11.0.0.0").unwrap(), "the address is not on the allow list");
    assert_eq!(refused(&settings, "2001:db9::").unwrap(), "the address is not on the allow list");
    let settings = Settings { allow: None, ..settings };
    assert_eq!(refused(&settings, "11.0.0.0"), None);
    let nobody = Settings { allow: held(&[]), ..Settings::default() };
    assert!(refused(&nobody, "10.0.0.1").is_some());
    assert_eq!(refused(&Settings::default(), "10.0.0.1"), None);
}

#[test]
fn attack_ipv4_in_the_spelling_of_ipv6_is_ipv4() {
    let settings = Settings { deny: held(&["192.0.2.0/24"]), ..Settings::default() };
    assert!(refused(&settings, "::ffff:192.0.2.7").is_some());
    assert!(refused(&settings, "::ffff:c000:207").is_some());
    let settings = Settings { deny: held(&["::ffff:192.0.2.0/120"]), ..Settings::default() };
    assert!(refused(&settings, "192.0.2.7").is_some());
    assert_eq!(refused(&settings, "192.0.3.7"), None);
    let settings = Settings { allow: held(&["::/0"]), ..Settings::default() };
    assert!(refused(&settings, "::ffff:192.0.2.7").is_some(), "`::/0` is all of IPv6 only");
    assert_eq!(refused(&settings, "::1"), None);
}

#[test]
fn a_list_that_follows_files_is_replaced_while_it_is_used() {
    let cell = Arc::new(SetCell::new(set(&["192.0.2.1"])));
    let settings = Settings { deny: Some(Held::Followed(cell.clone())), ..Settings::default() };
    assert!(refused(&settings, "192.0.2.1").is_some() && refused(&settings, "192.0.2.2").is_none());
    cell.set(set(&["192.0.2.2"]));
    assert!(refused(&settings, "192.0.2.1").is_none() && refused(&settings, "192.0.2.2").is_some());
}

#[test]
fn the_peer_counts_where_that_is_said() {
    let (deny, source) = (held(&["192.0.2.1"]), Source::Peer);
    let policy = Addresses::new(Settings { deny, source, ..Settings::default() });
    let mut request = Sample::new("GET /", "");
    request.client = [198, 51, 100, 1].into();
    assert!(matches!(request.ask(&policy).0, Verdict::Refuse(_)));
    request.peer = [192, 0, 2, 2].into();
    assert!(matches!(request.ask(&policy).0, Verdict::Continue(_)));
}

#[test]
fn ranges_that_touch_are_one_up_to_the_last_address() {
    let all = set(&["0.0.0.0/1", "128.0.0.0/1", "255.255.255.255", "8.8.8.8", "::/0", "ffff::/16"]);
    assert_eq!(all.len(), 2);
    for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
        assert!(all.contains(address.parse().unwrap()), "{address}");
    }
    assert_eq!(set(&["10.0.0.0/24", "10.0.1.0/24", "10.0.3.0/24"]).len(), 2);
    assert!(AddressSet::default().is_empty());
}

#[test]
fn blocks_that_are_mistakes_are_refused() {
    let bad = |text: &str| text.parse::<AddressBlock>().unwrap_err();
    for text in ["", "10.0.0", "10.0.0.256", "010.0.0.1", "a.example", "10.0.0.0 /8", "1.2.3.4:80", "[::1]"] {
        assert_eq!(bad(text), BadBlock::Address, "{text}");
    }
    for text in ["10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0.0/8/8", "::/999"]
    {
        assert_eq!(bad(text), BadBlock::Prefix, "{text}");
    }
    let message = "bits are set behind the prefix: write `10.0.0.0/8`";
    assert_eq!(bad("10.1.0.0/8").to_string(), message);
}

#[test]
fn lists_are_read_with_their_comments_and_refused_by_line() {
    let text = "\u{feff}# ours\r\n10.0.0.0/8\r\n\n  192.0.2.1\t# one\n2001:db8::/32;SBL1\n";
    let blocks = parse_list(text).unwrap();
    assert_eq!(blocks.len(), 3);
    assert!(blocks.into_iter().collect::<AddressSet>().contains("2001:db8::1".parse().unwrap()));
    let wrong = parse_list("10.0.0.0/8\n10.0.0.1/8\n\nnobody \u{1b}[0m\n").unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "line 2: `10.0.0.1/8`: bits are set behind the prefix: write `10.0.0.0/8`\n\
         line 4: `nobody \\u{1b}[0m`: not a block of addresses: write it like `10.0.0.0/8` or `192.0.2.1`"
    );
    let BadList::Lines { told, count } = parse_list(&"x\n".repeat(1000)).unwrap_err() else { panic!() };
    assert_eq!((told.len(), count), (20, 1000));
    let long = parse_list(&"x".repeat(1 << 20)).unwrap_err().to_string();
    assert!(long.len() < 200, "{}", long.len());
}

fn block() -> impl Strategy<Value = (IpAddr, u8)> {
    // Few leading bits, so that blocks overlap, touch and nest.
    let v4 = (0u32..64, 0u8..=32, any::<bool>()).prop_map(|(bits, prefix, high)| {
        let address = if high { u32::MAX - bits } else { (bits << 26) | bits };
        (IpAddr::from(Ipv4Addr::from(address)), prefix)
    });
    let v6 = (0u128..64, 0u8..=128, any::<bool>()).prop_map(|(bits, prefix, high)| {
        let address = if high { u128::MAX - bits } else { (bits << 122) | bits };
        (IpAddr::from(Ipv6Addr::from(address)), prefix)
    });
    prop_oneof![v4, v6]
}

fn shares(address: IpAddr, (block, prefix): (IpAddr, u8)) -> bool {
    match (address, block) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix),
        _ => false,
    }
}

proptest! {
    /// The ranges hold exactly what the blocks hold, asked one by one: at their ends, beside them, anywhere.
    #[test]
    fn a_set_holds_what_its_blocks_hold(blocks in prop::collection::vec(block(), 0..40), any in block()) {
        let read: Vec<AddressBlock> = blocks.iter().map(|(address, prefix)| {
            match AddressBlock::new(*address, *prefix) {
                Err(BadBlock::Bits { first, prefix }) => AddressBlock::new(first, prefix).unwrap(),
                other => other.unwrap(),
            }
        }).collect();
        let set: AddressSet = read.iter().copied().collect();
        prop_assert!(set.len() <= blocks.len());
        let ends = read.iter().flat_map(|block| [block.first(), block.last()]);
        let beside = ends.flat_map(|end| match end {
            IpAddr::V4(a) => [-1, 0, 1].map(|by| Ipv4Addr::from(a.to_bits().wrapping_add_signed(by)).into()),
            IpAddr::V6(a) => [-1, 0, 1].map(|by| Ipv6Addr::from(a.to_bits().wrapping_add_signed(by)).into()),
        });
        for address in beside.chain([any.0]) {
            // `::/0` and the like hold no IPv4.
            if address.to_canonical() == address {
                let expected = blocks.iter().any(|block| shares(address, *block));
                prop_assert_eq!(set.contains(address), expected, "{} in {:?}", address, blocks);
            }
        }
    }

    /// Reading a list never fails otherwise than by saying so.
    #[test]
    fn any_text_can_be_read_as_a_list(text in "[0-9a-f:./# \n]{0,80}") {
        if let Err(wrong) = parse_list(&text) {
            prop_assert!(!wrong.to_string().is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The same for thousands of blocks, close together in places and far apart in others, as published lists are.
    #[test]
    fn a_large_set_holds_what_its_blocks_hold(seed in any::<u64>(), asked in prop::collection::vec(any::<u32>(), 50)) {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u32
        };
        let centres = [next(), next(), u32::MAX - 9, 0];
        let addresses: Vec<u32> = (0..3000)
            .map(|index| match index % 5 {
                4 => next(),
                centre => centres[centre].wrapping_add(next() % 4096),
            })
            .collect();
        let v4: AddressSet = addresses.iter().map(|a| IpAddr::from(Ipv4Addr::from(*a)).into()).collect();
        let wide = |address: u32| IpAddr::from(Ipv6Addr::from((0x2001_0db8 << 96) | (u128::from(address) << 64)));
        let v6: AddressSet = addresses.iter().map(|a| AddressBlock::new(wide(*a), 64).unwrap()).collect();
        let beside = addresses.iter().flat_map(|a| [a.wrapping_sub(1), *a, a.wrapping_add(1)]);
        let mut sorted = addresses.clone();
        sorted.sort_unstable();
        for address in beside.chain(asked) {
            let expected = sorted.binary_search(&address).is_ok();
            prop_assert_eq!(v4.contains(IpAddr::from(Ipv4Addr::from(address))), expected);
            prop_assert_eq!(v6.contains(wide(address)), expected);
        }
        prop_assert!(!v6.contains("2001:db7::".parse().unwrap()) && !v6.contains("2001:db9::".parse().unwrap()));
    }
}
