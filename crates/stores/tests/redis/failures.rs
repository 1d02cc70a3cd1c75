use super::*;
use tollgate_stores::redis::UnavailableKind;

/// Hasty, for tests of what happens when there is no answer.
fn hasty(server: &RedisServer) -> RedisSettings {
    RedisSettings { timeout: Duration::from_millis(30), ..settings(server) }
}

async fn works(store: &RedisStore) -> bool {
    store.take(&[take(b"probe", hourly(1 << 40))]).await.is_ok()
}

#[test]
fn a_dead_redis_costs_nothing_and_one_that_is_back_is_used() {
    if redis_is_missing() {
        return;
    }
    let (mut server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(hasty(&server), runtime.handle());
    on_a_worker(async {
        until(|| works(&store)).await;
        server.kill();
        until(async || store.problem().is_some()).await;
        let begun = Instant::now();
        for _ in 0..10_000 {
            let error = store.take(&[take(b"x", hourly(1))]).await.unwrap_err();
            assert!(
                matches!(error.kind, UnavailableKind::Unreachable | UnavailableKind::TimedOut),
                "{error}"
            );
        }
        // With a time-out each it would be five minutes.
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        server.restart();
        // The script is not there any more, nor is any count.
        until(|| works(&store)).await;
        assert!(store.problem().is_none());
    });
}

#[test]
fn a_paused_redis_is_given_up_after_a_few_time_outs_and_found_again() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(hasty(&server), runtime.handle());
    on_a_worker(async {
        until(|| works(&store)).await;
        server.pause();
        let mut kinds = Vec::new();
        while store.problem().is_none() {
            let begun = Instant::now();
            kinds.push(store.take(&[take(b"x", hourly(1))]).await.unwrap_err().kind);
            assert!(begun.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        // Who still waited when the connection was given up lost it.
        let expected = |kind: &_| matches!(kind, UnavailableKind::TimedOut | UnavailableKind::Lost);
        assert!(kinds.len() >= 3 && kinds.iter().all(expected), "{kinds:?}");
        let begun = Instant::now();
        for _ in 0..10_000 {
            assert!(store.take(&[take(b"x", hourly(1))]).await.is_err());
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        server.resume();
        until(|| works(&store)).await;
    });
}

#[test]
fn nobody_waits_longer_than_the_time_out_for_a_first_connection() {
    if redis_is_missing() {
        return;
    }
    // Listens, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Address { host: "127.0.0.1".into(), port: silent.local_addr().unwrap().port() };
    let runtime = runtime();
    let settings = RedisSettings::new(Topology::Single(at));
    let store = RedisStore::start(settings, runtime.handle());
    on_a_worker(async {
        for _ in 0..1_000 {
            let error = store.take(&[take(b"x", hourly(1))]).await.unwrap_err();
            assert_eq!(error.kind, UnavailableKind::TimedOut, "{error}");
        }
    });
}

#[test]
fn a_flushed_script_is_sent_again() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    on_a_worker(async {
        assert!(one(&store, take(b"x", hourly(2))).await.allowed);
        assert!(server.command(&["SCRIPT", "FLUSH", "SYNC"]).starts_with("+OK"));
        assert!(one(&store, take(b"x", hourly(2))).await.allowed);
        assert!(!one(&store, take(b"x", hourly(2))).await.allowed);
    });
}

#[test]
fn passwords_are_used_and_wrong_ones_are_said_to_be() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start_with_password("right"), runtime());
    let with = |password: Option<&str>| {
        let settings = RedisSettings { password: password.map(str::to_owned), ..settings(&server) };
        RedisStore::start(settings, runtime.handle())
    };
    on_a_worker(async {
        assert!(one(&with(Some("right")), take(b"x", hourly(1))).await.allowed);
        for password in [Some("wrong"), None] {
            let error = with(password).take(&[take(b"x", hourly(1))]).await.unwrap_err();
            assert_eq!(error.kind, UnavailableKind::Authentication, "{error}");
            assert!(!error.to_string().contains("wrong\""), "{error}");
        }
        let answer = server.command(&["ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all"]);
        assert!(answer.starts_with("+OK"), "{answer}");
        let alice = RedisSettings {
            username: Some("alice".into()),
            password: Some("pw".into()),
            ..settings(&server)
        };
        assert!(one(&RedisStore::start(alice, runtime.handle()), take(b"y", hourly(1))).await.allowed);
    });
}

#[test]
fn a_full_redis_is_an_error_and_not_a_refusal() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start_with(&["--maxmemory", "1"], None), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    on_a_worker(async {
        let error = store.take(&[take(b"x", hourly(1))]).await.unwrap_err();
        assert_eq!(error.kind, UnavailableKind::Refused, "{error}");
    });
}
