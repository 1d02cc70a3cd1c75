//! Limits that several instances share in one Redis: what passes in total, and what happens without it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tollgate_testkit::{Authority, RedisServer, Response, Tollgate, redis_cluster, redis_is_missing, run};

use crate::verbs::verb;
use crate::{PRELUDE, PROGRAM, get};

/// Long, since whether an answer comes in time is not what most of these tests are about.
const PATIENT: &str = "timeout: 10s";
/// Short enough for a dead Redis to be noticed soon, long enough for a live one on a slow machine.
const PROMPT: &str = "timeout: 500ms";

fn instance(redis: &RedisServer, settings: &str, rest: &str) -> Tollgate {
    let url = format!("url: \"redis://{}\"", redis.address());
    instance_of(&format!("{url}, {settings}"), rest)
}

fn instance_of(redis: &str, rest: &str) -> Tollgate {
    let document = format!(
        "{PRELUDE}recorder: {{ sample: 100% }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         redis: {{ counts: {{ {redis} }} }}\n{rest}"
    );
    tollgate_testkit::Launch::new(PROGRAM, &document).start()
}

/// One route, with this limit.
fn route(limit: &str) -> String {
    format!("routes: [{{ name: all, path: /, respond: 204, {limit} }}]\n")
}

/// Sends so many requests to each instance by two clients at the same time; the answers.
fn storm(instances: &[Tollgate], requests: usize) -> Vec<Response> {
    thread::scope(|scope| {
        let clients = instances.iter().flat_map(|instance| [instance, instance]);
        let clients: Vec<_> = clients
            .map(|instance| {
                scope.spawn(move || {
                    let mut client = instance.connect();
                    (0..requests / 2).map(|_| client.request(get("/"))).collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// How many passed; all others were refused for the limit.
fn passed(answers: &[Response], refusal: &str) -> usize {
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        assert_eq!((answer.status, answer.reason().as_deref()), (429, Some(refusal)));
        assert!(answer.get("retry-after").is_some());
    }
    answers.iter().filter(|answer| answer.status == 204).count()
}

#[test]
fn exactly_the_limit_passes_three_instances() {
    if redis_is_missing() {
        return;
    }
    for (limit, refusal) in [
        ("rate_limit: { rate: 50/day, by: route, store: { redis: counts }, if_store_down: closed }", "rate"),
        (
            "rate_limit: { rate: 50/day, algorithm: sliding_window, by: route, store: { redis: counts }, if_store_down: closed }",
            "rate",
        ),
        (
            "quota: { limit: 50, per: month, by: route, store: { redis: counts }, if_store_down: closed }",
            "quota",
        ),
    ] {
        let refusal = if refusal == "rate" { "rate_limited" } else { "quota_exceeded" };
        let redis = RedisServer::start();
        let instances: Vec<_> = (0..3).map(|_| instance(&redis, PATIENT, &route(limit))).collect();
        assert_eq!(passed(&storm(&instances, 40), refusal), 50, "{limit}");
        // Another process, the same count.
        let newcomer = instance(&redis, PATIENT, &route(limit));
        assert_eq!(newcomer.request(get("/")).status, 429, "{limit}");
    }
}

#[test]
fn with_leases_no_more_than_the_limit_passes_and_little_less() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let limit = route(
        "rate_limit: { rate: 200/day, by: route, store: { redis: counts }, mode: leased, if_store_down: closed }",
    );
    let instances: Vec<_> = (0..3).map(|_| instance(&redis, PATIENT, &limit)).collect();
    let passed = passed(&storm(&instances, 150), "rate_limited");
    // Each of the three may hold a tenth of the limit at the end; what lapsed before is given back, and one in seven
    // minutes comes anew.
    assert!((140..=201).contains(&passed), "{passed} of 200");
}

#[test]
fn what_was_leased_and_not_used_is_given_back_at_the_end() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let limit = "quota: { limit: 1000, per: month, by: route, store: { redis: counts }, mode: leased }";
    let mut first = instance(&redis, PATIENT, &route(limit));
    assert_eq!(first.request(get("/")).status, 204);
    first.terminate();
    assert!(first.wait().success());
    let second = instance(&redis, PATIENT, &route(&limit.replace(", mode: leased", "")));
    let answer = second.request(get("/"));
    // Two were used; of a quota nothing fades.
    assert!(answer.get("ratelimit").is_some_and(|told| told.contains(";r=998;")), "{answer:?}");
}

/// A limit of three a day for each way to go on without Redis, each on a path of that name.
fn all_ways(mode: &str) -> String {
    let route = |way: &str| {
        format!(
            "  - {{ name: {way}, path: /{way}, respond: 204, rate_limit: {{ rate: 3/day, by: route, \
             store: {{ redis: counts }}, mode: {mode}, if_store_down: {way} }} }}\n"
        )
    };
    let quota = "  - { name: quota, path: /quota, respond: 204, \
                 quota: { limit: 3, per: month, by: route, store: { redis: counts } } }\n";
    format!("routes:\n{}{}{}{quota}", route("open"), route("closed"), route("local"))
}

fn statuses(tollgate: &Tollgate, path: &str, count: usize) -> Vec<u16> {
    let mut client = tollgate.connect();
    (0..count).map(|_| client.request(get(path)).status).collect()
}

/// Sends requests to all paths while `meanwhile` runs. Each is answered as its limit says, with Redis or without.
fn under_load(tollgate: &Tollgate, meanwhile: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let paths: [(&str, &[u16]); 4] = [
        ("/open", &[204, 429]),
        ("/closed", &[204, 429, 503]),
        ("/local", &[204, 429]),
        ("/quota", &[204, 429]),
    ];
    thread::scope(|scope| {
        for (path, allowed) in paths {
            let over = &over;
            scope.spawn(move || {
                let mut client = tollgate.connect();
                while !over.load(Ordering::Relaxed) {
                    let answer = client.request(get(path));
                    assert!(allowed.contains(&answer.status), "{path}: {}", answer.status);
                    if answer.status == 503 {
                        assert_eq!(answer.reason().as_deref(), Some("limit_unavailable"));
                        assert!(answer.get("retry-after").is_some());
                    }
                }
            });
        }
        meanwhile();
        over.store(true, Ordering::Relaxed);
    });
}

/// What each way comes to while Redis is known to be down.
fn assert_goes_on(tollgate: &Tollgate) {
    assert_eq!(tollgate.metric("tollgate_limit_store_up{store=\"counts\"}"), 0.0);
    assert_eq!(statuses(tollgate, "/open", 20), [204; 20]);
    assert_eq!(statuses(tollgate, "/quota", 20), [204; 20]);
    assert_eq!(statuses(tollgate, "/closed", 20), [503; 20]);
    // What came meanwhile has used up this instance's own three.
    let local = tollgate.request(get("/local"));
    assert_eq!((local.status, local.reason().as_deref()), (429, Some("rate_limited")));
    let told = verb(tollgate, &["why", local.get("x-request-id").unwrap()]).stdout;
    assert!(told.contains("Redis counts does not decide"), "{told}");
    assert!(told.contains("this instance counted it alone"), "{told}");
    let open = tollgate.request(get("/open"));
    let id = open.get("x-request-id").unwrap_or_else(|| panic!("{open:?}")).to_owned();
    let told = verb(tollgate, &["why", &id]).stdout;
    assert!(told.contains("so it passed uncounted"), "{told}");
}

fn await_back(tollgate: &Tollgate) {
    tollgate.stderr_line("Redis counts is back");
    tollgate.await_metric("tollgate_limit_store_up{store=\"counts\"}", 1.0);
}

#[test]
fn a_redis_that_is_killed_under_load_is_gone_on_without_and_found_again() {
    if redis_is_missing() {
        return;
    }
    for mode in ["exact", "leased"] {
        let mut redis = RedisServer::start();
        let tollgate = instance(&redis, PROMPT, &all_ways(mode));
        under_load(&tollgate, || {
            redis.kill();
            tollgate.stderr_line("Redis counts is down (");
        });
        assert_goes_on(&tollgate);
        redis.restart();
        await_back(&tollgate);
        // It has forgotten everything, and counts again.
        for path in ["/open", "/closed", "/local", "/quota"] {
            let statuses = statuses(&tollgate, path, 20);
            assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 3, "{path}: {statuses:?}");
            assert!(!statuses.contains(&503), "{path}: {statuses:?}");
        }
    }
}

#[test]
fn a_redis_that_hangs_keeps_nobody_and_goes_on_counting_where_it_stopped() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let tollgate = instance(&redis, PROMPT, &all_ways("exact"));
    assert_eq!(statuses(&tollgate, "/open", 4), [204, 204, 204, 429]);
    under_load(&tollgate, || {
        redis.pause();
        tollgate.stderr_line("Redis counts is down (");
    });
    assert_goes_on(&tollgate);
    redis.resume();
    await_back(&tollgate);
    assert_eq!(statuses(&tollgate, "/open", 4), [429; 4]);
}

#[test]
fn the_connection_and_the_count_outlive_a_reload() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let limit = "rate_limit: { rate: 2/day, by: route, store: { redis: counts }, if_store_down: closed }";
    let tollgate = instance(&redis, PATIENT, &route(limit));
    assert_eq!(statuses(&tollgate, "/", 2), [204, 204]);
    let connection = || {
        let clients = redis.command(&["CLIENT", "LIST"]);
        let ours = clients.lines().find(|line| line.contains("cmd=evalsha"));
        let id = ours.and_then(|line| line.split("id=").nth(1)?.split(' ').next().map(str::to_owned));
        id.unwrap_or_else(|| panic!("{clients}"))
    };
    let before = connection();
    let text = std::fs::read_to_string(tollgate.directory().join("tollgate.yaml")).unwrap();
    let told = tollgate.reload(&text.replace("respond: 204", "respond: 201"));
    assert!(told.contains("document 2 is in force"), "{told}");
    assert_eq!(statuses(&tollgate, "/", 1), [429]);
    assert_eq!(connection(), before);
}

#[test]
fn several_limits_of_a_route_each_count() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let rest = "rate_limits:\n  few: { rate: 2/day, by: { header: X-Team }, store: { redis: counts }, if_store_down: closed }\n  \
                many: { rate: 5/day, by: route, store: { redis: counts }, if_store_down: closed }\n\
                routes: [{ name: all, path: /, respond: 204, rate_limit: [few, many] }]\n";
    let instances = [instance(&redis, PATIENT, rest), instance(&redis, PATIENT, rest)];
    let ask = |number: usize, team: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Team: {team}\r\n\r\n");
        instances[number % 2].request(request).status
    };
    let red: Vec<u16> = (0..3).map(|number| ask(number, "red")).collect();
    let blue: Vec<u16> = (0..3).map(|number| ask(number, "blue")).collect();
    let green: Vec<u16> = (0..3).map(|number| ask(number, "green")).collect();
    assert_eq!((red, blue, green), (vec![204, 204, 429], vec![204, 204, 429], vec![204, 429, 429]));
}

#[test]
fn passwords_tls_and_clusters() {
    if redis_is_missing() {
        return;
    }
    let limit =
        route("rate_limit: { rate: 2/day, by: route, store: { redis: counts }, if_store_down: closed }");
    let counts = |tollgate: &Tollgate| assert_eq!(statuses(tollgate, "/", 3), [204, 204, 429]);

    let locked = RedisServer::start_with_password("s3cret");
    counts(&instance(&locked, &format!("password: s3cret, {PATIENT}"), &limit));
    let stranger = instance(&locked, &format!("password: wrong, {PATIENT}"), &limit);
    assert_eq!(stranger.request(get("/")).status, 503);
    let told = stranger.stderr_line("Redis counts is down (");
    assert!(told.contains("not let in") && !told.contains("wrong"), "{told}");

    let authority = Authority::new("Test CA");
    let issued = authority.issue("redis", &["redis.example"]);
    let secured = RedisServer::start_with_tls(&issued.cert, &issued.key);
    let ca = authority.roots().display().to_string();
    let url = format!("url: \"rediss://{}\", {PATIENT}", secured.address());
    counts(&instance_of(&format!("{url}, tls: {{ ca: \"{ca}\", name: redis.example }}"), &limit));
    // The certificate is not one for its address.
    let suspicious = instance_of(&format!("{url}, tls: {{ ca: \"{ca}\" }}"), &limit);
    assert_eq!(suspicious.request(get("/")).status, 503);

    let nodes = redis_cluster(3);
    let some = nodes[0].address();
    counts(&instance_of(&format!("cluster: [\"{some}\"], {PATIENT}"), &limit));
}

#[test]
fn explaining_and_checking_ask_no_redis() {
    if redis_is_missing() {
        return;
    }
    let redis = RedisServer::start();
    let limit = "rate_limit: { rate: 1/day, by: route, store: { redis: counts }, if_store_down: closed }";
    let tollgate = instance(&redis, PATIENT, &route(limit));
    let document = tollgate.directory().join("tollgate.yaml");
    for _ in 0..3 {
        let output =
            verb(&tollgate, &["explain", "-c", document.to_str().unwrap(), "GET", "http://a.example/"]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.contains("would wait for Redis counts"), "{output:?}");
    }
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    assert_eq!(statuses(&tollgate, "/", 2), [204, 429]);
}

#[test]
fn a_document_that_is_only_looked_at_connects_to_nobody() {
    if redis_is_missing() {
        return;
    }
    let (redis, other) = (RedisServer::start(), RedisServer::start());
    let limit = "rate_limit: { rate: 1/day, by: route, store: { redis: counts }, if_store_down: closed }";
    let tollgate = instance(&redis, PATIENT, &route(limit));
    let document = tollgate.directory().join("tollgate.yaml");
    let text = std::fs::read_to_string(&document).unwrap();
    let text = text.replace(&redis.address().to_string(), &other.address().to_string());
    let aside = tollgate.directory().join("other.yaml");
    std::fs::write(&aside, &text).unwrap();
    let output = verb(&tollgate, &["diff", aside.to_str().unwrap()]);
    assert!(output.stdout.contains("redis"), "{output:?}");
    assert_eq!(run(std::process::Command::new(PROGRAM).arg("check").arg(&aside)).code, Some(0));
    let ours = || other.command(&["INFO", "commandstats"]).contains("cmdstat_client|setinfo");
    assert!(!ours(), "somebody has connected");
    // Taken, it does.
    assert_eq!(statuses(&tollgate, "/", 2), [204, 429]);
    let told = tollgate.reload(&text);
    assert!(told.contains("document 2 is in force"), "{told}");
    assert_eq!(statuses(&tollgate, "/", 2), [204, 429]);
    assert!(!tollgate.stderr().contains("is down"), "{}", tollgate.stderr());
}

#[test]
fn a_turn_cannot_be_told_from_a_lease() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    let limit = "rate_limit: { rate: 1/s, delay: 1s, by: route, store: { redis: counts }, mode: leased }";
    let document = format!("{PRELUDE}redis: {{ counts: {{ url: \"redis://cache\" }} }}\n{}", route(limit));
    std::fs::write(&path, document).unwrap();
    let output = run(std::process::Command::new(PROGRAM).arg("check").arg(&path));
    assert_ne!(output.code, Some(0));
    let told = format!("{}{}", output.stdout, output.stderr);
    for part in ["`delay` needs to know each request's turn", "it is set here", "write `mode: exact`"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}
