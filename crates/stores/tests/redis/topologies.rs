use super::*;
use std::sync::Arc;
use tollgate_testkit::{Authority, redis_cluster};

#[test]
fn tls_with_the_given_trust_and_none_other() {
    if redis_is_missing() {
        return;
    }
    let authority = Authority::new("redis's");
    let issued = authority.issue("redis", &["127.0.0.1"]);
    let (server, runtime) = (RedisServer::start_with_tls(&issued.cert, &issued.key), runtime());
    let trusting = |authority: &Authority| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let (parsed, is_tls) = RedisSettings::from_url(&format!("rediss://{}/1", server.address())).unwrap();
        assert!(is_tls);
        let settings = RedisSettings { tls: Some(Arc::new(config)), timeout: PATIENCE, ..parsed };
        RedisStore::start(settings, runtime.handle())
    };
    on_a_worker(async {
        let store = trusting(&authority);
        assert!(one(&store, take(b"x", hourly(1))).await.allowed);
        assert!(!one(&store, take(b"x", hourly(1))).await.allowed);
        let error = trusting(&Authority::new("another")).take(&[take(b"x", hourly(1))]).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    });
}

#[test]
fn a_cluster_shares_the_keys_and_takes_them_over() {
    if redis_is_missing() {
        return;
    }
    let (mut nodes, runtime) = (redis_cluster(3), runtime());
    let store = RedisStore::start(patient(Topology::Cluster(vec![address(&nodes[0])])), runtime.handle());
    on_a_worker(async {
        let keys: Vec<_> = (0..60u64).map(u64::to_le_bytes).collect();
        let request: Vec<_> = keys.iter().map(|key| take(key, hourly(1))).collect();
        assert!(store.take(&request).await.unwrap().iter().all(|decision| decision.allowed));
        assert!(store.take(&request).await.unwrap().iter().all(|decision| !decision.allowed));
        for node in &nodes {
            let keys = node.command(&["DBSIZE"]);
            assert!(keys.trim_start_matches(':').trim().parse::<u64>().unwrap() > 5, "{keys}");
        }
        // A part of the keys moves from the first to the second: the answer says where to.
        let id = nodes[1].command(&["CLUSTER", "MYID"]);
        let id = id.lines().nth(1).unwrap().to_owned();
        for node in [&nodes[1], &nodes[0], &nodes[2]] {
            node.command(&["FLUSHALL"]);
            for slot in 0..200u16 {
                let answer = node.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]);
                assert!(answer.starts_with("+OK"), "{answer}");
            }
        }
        let keys: Vec<_> = (100..400u64).map(u64::to_le_bytes).collect();
        let request: Vec<_> = keys.iter().map(|key| take(key, hourly(1))).collect();
        assert!(store.take(&request).await.unwrap().iter().all(|decision| decision.allowed));
    });
    // Without one of them a request that needs it is refused an answer, soon.
    nodes[2].kill();
    let hasty = RedisSettings {
        timeout: Duration::from_millis(200),
        ..patient(Topology::Cluster(vec![address(&nodes[2]), address(&nodes[0])]))
    };
    let store = RedisStore::start(hasty, runtime.handle());
    on_a_worker(async {
        let keys: Vec<_> = (0..60u64).map(u64::to_le_bytes).collect();
        let request: Vec<_> = keys.iter().map(|key| take(key, hourly(5))).collect();
        assert!(store.take(&request).await.is_err());
    });
}

#[test]
fn sentinels_know_the_master_and_the_next_one() {
    if redis_is_missing() {
        return;
    }
    let (mut master, runtime) = (RedisServer::start(), runtime());
    let port = master.address().port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port], None);
    master.wait_until(|master| master.command(&["INFO", "replication"]).contains("state=online"));
    let sentinel = RedisServer::start_sentinel("main", master.address());
    sentinel.wait_until(|sentinel| {
        sentinel.command(&["SENTINEL", "REPLICAS", "main"]).contains("role-reported")
            && sentinel.command(&["INFO", "sentinel"]).contains("slaves=1")
    });
    let topology = Topology::Sentinel {
        master: "main".to_owned(),
        // The first does not exist.
        nodes: vec![Address { host: "127.0.0.1".into(), port: 1 }, address(&sentinel)],
        password: None,
    };
    let settings = RedisSettings { timeout: Duration::from_millis(500), ..RedisSettings::new(topology) };
    let store = RedisStore::start(settings, runtime.handle());
    on_a_worker(async {
        let works = async || store.take(&[take(b"probe", hourly(1 << 40))]).await.is_ok();
        until(works).await;
        assert!(one(&store, take(b"x", hourly(1))).await.allowed);
        replica.wait_until(|replica| replica.command(&["DBSIZE"]).starts_with(":2"));
        master.kill();
        until(async || store.problem().is_some()).await;
        replica.wait_until(|replica| replica.command(&["ROLE"]).contains("master"));
        until(works).await;
        // What counted there had been copied.
        assert!(!one(&store, take(b"x", hourly(1))).await.allowed);
    });
}
