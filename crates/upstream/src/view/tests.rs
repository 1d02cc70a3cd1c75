use std::sync::Arc;

use super::{Exclusion, Vacancy, View};
use crate::balancers::BALANCERS;
use crate::endpoint::Endpoint;
use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
use crate::random::Random;
use crate::upstream::{Upstream, UpstreamSettings};

fn upstream(weights: &[u32], panic_threshold_percent: u32) -> Upstream {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints =
        weights.iter().enumerate().map(|(i, w)| Endpoint::new(format!("e{i}"), address, *w)).collect();
    let outliers =
        OutlierSettings { consecutive_5xx: 1, max_ejected_percent: 100, ..OutlierSettings::default() };
    let settings = UpstreamSettings { panic_threshold_percent, outliers, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard())
}

fn down(upstream: &Upstream, endpoints: &[u32]) {
    for &endpoint in endpoints {
        let failure = crate::probes::ProbeFailure::Refused;
        upstream.probed(endpoint, Err(failure), Some(ProbeHealth::Down), 0);
    }
}

#[test]
fn a_view_is_rebuilt_only_when_something_changed() {
    let upstream = upstream(&[1, 2, 0], 10);
    let mut view = View::default();
    assert!(view.refresh(&upstream, 0));
    assert!(!view.refresh(&upstream, u64::MAX - 1));
    assert_eq!((view.members(), view.schedule()), (&[0, 1][..], &[1, 0, 1][..]));
    assert_eq!(view.exclusion(2), Some(Exclusion::WeightZero));
    down(&upstream, &[0]);
    assert!(view.refresh(&upstream, 0));
    assert!(!view.refresh(&upstream, 0));
    assert_eq!((view.members(), view.exclusion(0)), (&[1][..], Some(Exclusion::ProbeDown)));
    assert_eq!((view.exclusion(1), view.exclusion(99)), (None, None));
}

#[test]
fn whoever_holds_a_shared_view_keeps_what_it_showed() {
    let upstream = upstream(&[1, 1], 10);
    let mut view = Arc::new(View::default());
    assert!(View::refresh_shared(&mut view, &upstream, 0));
    assert!(!View::refresh_shared(&mut view, &upstream, 0));
    let held = Arc::clone(&view);
    down(&upstream, &[0]);
    assert!(View::refresh_shared(&mut view, &upstream, 0));
    assert_eq!((held.members(), view.members()), (&[0, 1][..], &[1][..]));
    assert_eq!(held.exclusion(0), None);
    assert!(held.bytes() >= size_of::<View>() + 2 * 4);
}

#[test]
fn an_ejection_ends_by_the_clock_in_every_view() {
    let upstream = upstream(&[1, 1, 1], 10);
    assert!(upstream.report_failure(1, Failure::Connect, 1000, 7));
    let mut views = [View::default(), View::default()];
    for view in &mut views {
        view.refresh(&upstream, 1000);
        assert_eq!(view.members(), [0, 2]);
        assert_eq!(view.exclusion(1), Some(Exclusion::Ejected { until_ms: view.valid_until_ms() }));
    }
    let until_ms = views[0].valid_until_ms();
    assert!((11_000..=12_000).contains(&until_ms));
    assert!(!views[0].refresh(&upstream, until_ms - 1) && !views[1].refresh(&upstream, until_ms - 1));
    for view in &mut views {
        assert!(view.refresh(&upstream, until_ms));
        assert_eq!((view.members().len(), view.valid_until_ms()), (3, u64::MAX));
    }
    assert!(!views[0].refresh(&upstream, until_ms) && !views[1].refresh(&upstream, until_ms));
}

#[test]
fn a_view_of_another_upstream_is_never_taken_for_fresh() {
    let (first, second) = (upstream(&[1, 1, 1], 10), upstream(&[1], 10));
    let mut view = View::default();
    view.refresh(&first, 0);
    assert!(view.refresh(&second, 0));
    assert_eq!(view.members(), [0]);
}

#[test]
fn too_few_usable_ones_are_a_panic_and_all_with_weight_are_used() {
    let members = |threshold, downs: &[u32]| {
        let upstream = upstream(&[1, 0, 1, 1, 1], threshold);
        down(&upstream, downs);
        let mut view = View::default();
        view.refresh(&upstream, 0);
        (view.members().to_vec(), view.is_panicking())
    };
    assert_eq!(members(50, &[0, 2]), (vec![3, 4], false));
    assert_eq!(members(50, &[0, 2, 3]), (vec![0, 2, 3, 4], true));
    assert_eq!(members(10, &[0, 2, 3]), (vec![4], false));
    assert_eq!(members(10, &[0, 2, 3, 4]), (vec![0, 2, 3, 4], true));
    assert_eq!(members(0, &[0, 2, 3, 4]), (vec![], false));
    assert_eq!(members(u32::MAX, &[]), (vec![0, 2, 3, 4], false));
}

#[test]
fn vacancies_say_why() {
    let vacancy = |weights: &[u32], downs: &[u32]| {
        let upstream = upstream(weights, 0);
        down(&upstream, downs);
        let mut view = View::default();
        view.refresh(&upstream, 0);
        assert!(view.members().is_empty());
        view.vacancy()
    };
    assert_eq!(vacancy(&[], &[]), Vacancy::NoEndpoints);
    assert_eq!(vacancy(&[0, 0], &[1]), Vacancy::NoWeight);
    assert_eq!(vacancy(&[0, 1], &[1]), Vacancy::NoneUsable);
}

#[test]
fn the_operators_word_holds_even_in_a_panic_and_views_follow_it() {
    let upstream = upstream(&[1, 1, 1, 0], 50);
    let mut view = View::default();
    view.refresh(&upstream, 0);
    assert_eq!(upstream.set_drained(1, true), Some(true));
    assert!(view.refresh(&upstream, 0));
    assert_eq!((view.members(), view.exclusion(1)), (&[0, 2][..], Some(Exclusion::Drained)));
    assert_eq!(upstream.set_drained(1, true), Some(false));
    assert!(!view.refresh(&upstream, 0), "nothing changed");
    down(&upstream, &[0, 2]);
    view.refresh(&upstream, 0);
    assert_eq!((view.members(), view.is_panicking()), (&[0, 2][..], true));

    assert_eq!(upstream.set_weight(3, Some(5)), Some(true));
    assert_eq!(upstream.set_weight(0, Some(0)), Some(true));
    view.refresh(&upstream, 0);
    assert_eq!((view.members(), view.exclusion(0)), (&[3][..], Some(Exclusion::WeightZero)));
    for (endpoint, drained) in [(2, true), (3, true), (1, false)] {
        assert_eq!(upstream.set_drained(endpoint, drained), Some(true));
    }
    view.refresh(&upstream, 0);
    assert_eq!(view.members(), [1]);
    upstream.set_drained(1, true);
    view.refresh(&upstream, 0);
    assert_eq!((view.members().len(), view.vacancy()), (0, Vacancy::Drained));
    assert_eq!((upstream.set_drained(4, true), upstream.set_weight(4, None)), (None, None));
}

#[test]
fn a_drained_endpoint_is_not_counted_among_those_that_may_be_ejected() {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints = (0..2).map(|i| Endpoint::new(format!("e{i}"), address, 1)).collect();
    let outliers = OutlierSettings { consecutive_5xx: 1, ..OutlierSettings::default() };
    let settings = UpstreamSettings { panic_threshold_percent: 0, outliers, ..UpstreamSettings::default() };
    let upstream =
        Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
    upstream.set_drained(0, true);
    assert!(!upstream.report_failure(1, Failure::Connect, 0, 7), "the last one must stay");
    upstream.set_drained(0, false);
    assert!(upstream.report_failure(1, Failure::Connect, 0, 7));
}

#[test]
fn draws_follow_the_weights_and_avoid_what_they_shall() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let upstream = upstream(&[5, 0, 3, 2], 10);
        let mut view = View::default();
        view.refresh(&upstream, 0);
        let mut counts = [0u32; 4];
        for _ in 0..10_000 {
            counts[view.draw(&mut random).unwrap() as usize] += 1;
        }
        let near = |count: u32, ideal: u32| count.abs_diff(ideal) < 300;
        let fair = counts[1] == 0 && near(counts[0], 5000) && near(counts[2], 3000) && near(counts[3], 2000);
        assert!(fair, "seed {seed}: {counts:?}");
        assert_eq!(view.draw_avoiding(&mut random, |e| e != 3), Some(3), "seed {seed}");
        assert_eq!(view.draw_avoiding(&mut random, |_| true), None, "seed {seed}");
    }
}
