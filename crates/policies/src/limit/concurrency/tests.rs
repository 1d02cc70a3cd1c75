use tollgate_policy::Mode;

use super::*;
use crate::sample::Sample;

#[test]
fn a_place_is_free_again_when_its_exchange_ends() {
    let settings =
        Settings { name: String::new(), by: KeySource::Route, max: Amounts::new(2, Vec::new(), |max| *max) };
    let policy =
        ConcurrencyLimit::new(settings, Concurrency::new(100), Arc::new(KeyHash::from_secret([1, 2])));
    let sample = Sample::new("GET /", "");
    let mut gates = [(); 3].map(|()| Gate::default());
    let [one, two, three] = &mut gates;
    assert!(matches!(policy.decide(&sample.asked(), one, None), Verdict::Continue(_)));
    assert!(matches!(policy.decide(&sample.asked(), two, None), Verdict::Continue(_)));
    let Verdict::Refuse(refused) = policy.decide(&sample.asked(), three, None) else { panic!() };
    assert_eq!((refused.reason, refused.retry_after_s), (Reason::ConcurrencyLimited, Some(1)));
    one.reset();
    let mut asked = sample.asked();
    asked.mode = Mode::Explain(None);
    assert!(matches!(policy.decide(&asked, three, None), Verdict::Continue(Some(0))));
    assert!(matches!(policy.decide(&sample.asked(), three, None), Verdict::Continue(_)));
}
