//! Keys and descriptions of identity providers, in good times and in bad.

mod parts;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parts::{Background, url, wait};
use serde_json::json;
use tollgate_outbound::jwks::{self, KeySource, Place};
use tollgate_outbound::oidc::{self, Provider};
use tollgate_outbound::source::{Event, FetchError, Freshness, OnEvent, Refresh, Source};
use tollgate_outbound::{Error, HttpClient, Settings};
use tollgate_testkit::{Authority, OidcProvider, Origin, PATIENCE, refusing};

const HOUR: Duration = Duration::from_secs(3600);

struct Set {
    background: Background,
    authority: Authority,
    client: HttpClient,
    provider: OidcProvider,
}

fn set() -> Set {
    let (background, authority) = (Background::start(), Authority::new("Test CA"));
    let settings = Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..Settings::default() };
    let client = background.client(settings, &authority);
    Set { background, authority, client, provider: OidcProvider::start() }
}

fn patient() -> Freshness {
    Freshness { wait: PATIENCE, ..Freshness::default() }
}

/// What a source reports.
struct Events(Receiver<Event>);

impl Events {
    fn next(&self) -> Event {
        self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing happened in {PATIENCE:?}"))
    }

    fn failure(&self) -> FetchError {
        match self.next() {
            Event::Failed { error, .. } => error,
            other => panic!("{other:?} instead of a failure"),
        }
    }
}

fn events() -> (OnEvent, Events) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    (Arc::new(move |event| drop(sender.lock().unwrap().send(event.clone()))), Events(receiver))
}

/// Key ids, in order.
type Ids = Vec<String>;

fn ids(json: &[u8]) -> Result<Ids, String> {
    let set: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let keys = set["keys"].as_array().ok_or("there are no keys")?;
    Ok(keys.iter().map(|key| key["kid"].as_str().unwrap_or_default().to_owned()).collect())
}

fn keys(set: &Set, freshness: Freshness) -> (KeySource<Ids>, Events) {
    keys_at(set, Place::Url(url(set.provider.url("/jwks"))), freshness)
}

fn keys_at(set: &Set, place: Place, freshness: Freshness) -> (KeySource<Ids>, Events) {
    let (on_event, events) = events();
    (jwks::fetch(&set.client, place, freshness, ids, on_event), events)
}

fn current(source: &KeySource<Ids>) -> String {
    source.current().map_or("none".to_owned(), |keys| keys.value.join(" "))
}

fn description(set: &Set, issuer: &str) -> (Source<Provider>, Events) {
    let (on_event, events) = events();
    (oidc::fetch(&set.client, issuer.parse().unwrap(), patient(), on_event), events)
}

#[test]
fn keys_are_fetched_at_once_and_found_by_readers() {
    let set = set();
    let (source, events) = keys(&set, patient());
    let mut reader = source.reader();
    assert_eq!(wait(source.ready()), Refresh::Done);
    assert_eq!(events.next(), Event::Changed { generation: 1 });
    assert_eq!(reader.get().unwrap().value, ["rs256-1", "es256-1", "eddsa-1"]);
    assert_eq!(reader.get().unwrap().generation, 1);
    assert_eq!(&reader.get().unwrap().raw[..], set.provider.jwks().to_string().as_bytes());
    assert_eq!(set.provider.requests("/jwks"), 1);
}

#[test]
fn keys_that_are_unknown_are_asked_for_once_however_many_ask() {
    let set = set();
    let (source, events) = keys(&set, patient());
    wait(source.ready());
    assert_eq!(events.next(), Event::Changed { generation: 1 });
    set.provider.rotate_keys();
    // A flood within the interval is not passed on.
    let asking: Vec<_> = (0..200)
        .map(|_| {
            let source = source.clone();
            set.background.handle.spawn(async move { source.refresh_if_older_than(HOUR).await })
        })
        .collect();
    asking.into_iter().for_each(|asked| assert_eq!(wait(asked).unwrap(), Refresh::TooSoon));
    assert_eq!((set.provider.requests("/jwks"), current(&source)), (1, "rs256-1 es256-1 eddsa-1".to_owned()));

    // While one is under way, all wait for it, from whichever runtime.
    set.provider.stall();
    let first = {
        let source = source.clone();
        set.background.handle.spawn(async move { source.refresh_if_older_than(Duration::ZERO).await })
    };
    set.provider.wait_for_requests("/jwks", 2);
    let mut asking: Vec<_> = (0..200).map(|_| Box::pin(source.refresh_if_older_than(HOUR))).collect();
    wait(async {
        for asked in &mut asking {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        set.provider.behave();
        for asked in asking {
            assert_eq!(asked.await, Refresh::Done);
        }
    });
    assert_eq!(wait(first).unwrap(), Refresh::Done);
    assert_eq!((set.provider.requests("/jwks"), current(&source)), (2, "rs256-2 es256-2 eddsa-2".to_owned()));
    assert_eq!(events.next(), Event::Changed { generation: 2 });
    // The same again is nothing new.
    assert_eq!(wait(source.refresh_if_older_than(Duration::ZERO)), Refresh::Done);
    assert_eq!((events.next(), source.generation()), (Event::Unchanged, 2));
}

#[test]
fn nobody_waits_longer_than_is_set() {
    let set = set();
    set.provider.stall();
    let (source, _events) = keys(&set, Freshness { wait: Duration::from_millis(20), ..patient() });
    assert_eq!(wait(source.ready()), Refresh::Late);
    assert_eq!(wait(source.refresh_if_older_than(HOUR)), Refresh::Late);
    assert_eq!(current(&source), "none");
    set.provider.behave();
}

#[test]
fn the_last_good_keys_are_used_while_there_are_no_others() {
    let set = set();
    let (source, events) = keys(&set, patient());
    wait(source.ready());
    events.next();
    set.provider.fail(1, 503);
    wait(source.refresh_if_older_than(Duration::ZERO));
    let failed = Event::Failed { error: FetchError::Status(503), failures: 1, has_value: true };
    assert_eq!((events.next(), source.generation()), (failed, 1));
    // It is tried again by itself.
    assert_eq!(events.next(), Event::Unchanged);
    assert_eq!(current(&source), "rs256-1 es256-1 eddsa-1");
}

#[test]
fn keys_that_are_too_old_are_given_up() {
    let set = set();
    let brief = Duration::from_millis(10);
    let freshness = Freshness { default: brief, bounds: (brief, brief), keep: brief, ..patient() };
    let served = Mutex::new(0);
    let origin = Origin::answering(move |_| {
        let mut served = served.lock().unwrap();
        *served += 1;
        match *served {
            1 => b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"keys\":[{\"kid\":\"one\"}]}".to_vec(),
            _ => b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let (source, events) = keys_at(&set, Place::Url(url(format!("http://{}/", origin.address()))), freshness);
    assert_eq!(events.next(), Event::Changed { generation: 1 });
    while events.next() != Event::Expired {}
    assert_eq!((current(&source), source.generation()), ("none".to_owned(), 2));
    assert!(source.reader().get().is_none());
}

#[test]
fn keys_are_fetched_again_when_their_publisher_says() {
    let set = set();
    let freshness = Freshness { bounds: (Duration::ZERO, HOUR), ..patient() };
    set.provider.set_max_age(Some(0));
    let (source, events) = keys(&set, freshness);
    assert_eq!(events.next(), Event::Changed { generation: 1 });
    assert_eq!(events.next(), Event::Unchanged);
    set.provider.rotate_keys();
    while events.next() != (Event::Changed { generation: 2 }) {}
    assert_eq!(current(&source), "rs256-2 es256-2 eddsa-2");
    // With the last copy the fetching ends.
    drop(source);
    while events.0.recv().is_ok() {}
}

#[test]
fn answers_that_are_no_keys_are_told_apart() {
    let set = set();
    let (address, _guard) = refusing();
    let (source, events) = keys_at(&set, Place::Url(url(format!("http://{address}/"))), patient());
    wait(source.ready());
    assert!(matches!(events.failure(), FetchError::Call(Error::Connect { .. })));
    for (body, is_content) in [("<html>", true), ("{}", true), (&*"x".repeat(300_000), false)] {
        let origin = Origin::saying(body);
        let (source, events) =
            keys_at(&set, Place::Url(url(format!("http://{}/", origin.address()))), patient());
        wait(source.ready());
        match events.failure() {
            FetchError::Content(_) => assert!(is_content),
            FetchError::Call(Error::TooLarge { .. }) => assert!(!is_content),
            other => panic!("{other}"),
        }
        assert_eq!(current(&source), "none");
    }
}

#[test]
fn keys_are_found_by_the_issuers_description() {
    let set = set();
    let place = Place::Issuer(set.provider.issuer().parse().unwrap());
    let (source, events) = keys_at(&set, place, patient());
    wait(source.ready());
    assert_eq!(
        (events.next(), current(&source)),
        (Event::Changed { generation: 1 }, "rs256-1 es256-1 eddsa-1".to_owned())
    );
    wait(source.refresh_if_older_than(Duration::ZERO));
    let description = "/.well-known/openid-configuration";
    assert_eq!((set.provider.requests(description), set.provider.requests("/jwks")), (1, 2));
    // After a failure it may have moved.
    events.next();
    set.provider.fail(1, 404);
    wait(source.refresh_if_older_than(Duration::ZERO));
    assert_eq!(events.failure(), FetchError::Status(404));
    assert_eq!(events.next(), Event::Unchanged);
    assert_eq!(set.provider.requests(description), 2);
}

#[test]
fn a_provider_is_described_by_itself() {
    let set = set();
    let (source, _) = description(&set, set.provider.issuer());
    wait(source.ready());
    let found = source.current().unwrap();
    let at = |path: &str| Some(url(set.provider.url(path)));
    assert_eq!(Some(found.value.jwks.clone()), at("/jwks"));
    assert_eq!(
        (found.value.token.clone(), found.value.authorization.clone()),
        (at("/token"), at("/authorize"))
    );
    assert_eq!(
        (found.value.introspection.clone(), found.value.end_session.clone()),
        (at("/introspect"), at("/logout"))
    );
    assert!(found.value.names_itself);
    assert_eq!(found.value.token_auth_methods, ["client_secret_basic", "client_secret_post"]);

    let secured = OidcProvider::start_secured(&set.authority);
    let (source, _) = description(&set, secured.issuer());
    wait(source.ready());
    assert_eq!(source.current().unwrap().value.jwks, url(secured.url("/jwks")));
}

#[test]
fn a_provider_that_speaks_for_another_is_not_believed() {
    let set = set();
    for otherwise in [
        json!({ "issuer": "https://id.example" }),
        json!({ "jwks_uri": "http://id.example/jwks" }),
        json!({ "token_endpoint": "http://id.example/token" }),
        json!({ "jwks_uri": null }),
    ] {
        set.provider.describe(otherwise.clone());
        let (source, events) = description(&set, set.provider.issuer());
        wait(source.ready());
        assert!(matches!(events.failure(), FetchError::Content(_)), "{otherwise}");
        assert!(source.current().is_none());
    }
}
