//! Quotas: counted through restarts, also through those that nobody planned.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use tollgate_decision::Reason;
use tollgate_testkit::{PATIENCE, Response, Tollgate};

use super::{get_with, guarded, refused};

/// A month ends too seldom to end in the middle of a test.
fn start(directory: &Path, limit: u64) -> Tollgate {
    let document = format!(
        "data_dir: \"{}\"\nauth: {{ keys: {{ api_key: {{ header: X-API-Key }} }} }}\n\
         routes: [{{ name: all, path: /, respond: 204, auth: keys, quota: {{ limit: {limit}, per: month }} }}]\n",
        directory.display()
    );
    guarded(&document, &[])
}

fn ask(tollgate: &Tollgate, key: &str) -> Response {
    tollgate.request(get_with("/", &format!("X-API-Key: {key}-key\r\n")))
}

/// How much is left after this response.
fn left(response: &Response) -> u64 {
    let told = response.get("ratelimit").unwrap_or_else(|| panic!("{response:?}"));
    let left = told.split(';').find_map(|part| part.strip_prefix("r=")).unwrap();
    left.parse().unwrap()
}

#[test]
fn a_quota_is_used_up_and_stays_so_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut tollgate = start(directory.path(), 3);
    for remaining in [2, 1, 0] {
        let response = ask(&tollgate, "alice");
        assert_eq!((response.status, left(&response)), (204, remaining));
    }
    let response = ask(&tollgate, "alice");
    refused(&tollgate, &response, Reason::QuotaExceeded);
    assert!(response.get("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(left(&ask(&tollgate, "bob")), 2);
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());

    let tollgate = start(directory.path(), 3);
    refused(&tollgate, &ask(&tollgate, "alice"), Reason::QuotaExceeded);
    assert_eq!(left(&ask(&tollgate, "bob")), 1);
}

/// The store writes every half second. What a write holds was counted before it began: all that was counted before
/// the end of the write before it.
#[test]
fn a_process_that_is_killed_forgets_only_what_it_could_not_write() {
    const LIMIT: u64 = 4_000_000_000;
    let directory = tempfile::tempdir().unwrap();
    let mut tollgate = start(directory.path(), LIMIT);
    let file = directory.path().join("quotas.redb");
    let written = || std::fs::metadata(&file).and_then(|found| found.modified()).ok();
    // How many were counted when each write was seen; several changes in a row are of one.
    let (mut counted, mut writes, mut last) = (0_u64, Vec::new(), written());
    let mut client = tollgate.connect();
    let began = Instant::now();
    while writes.len() < 4 {
        assert!(began.elapsed() < 3 * PATIENCE, "{writes:?} of {counted}");
        assert_eq!(client.request(get_with("/", "X-API-Key: alice-key\r\n")).status, 204);
        counted += 1;
        let now = written();
        if is_another(last, now) {
            writes.push(counted);
        }
        last = now;
    }
    tollgate.signal(Signal::KILL);
    assert!(!tollgate.wait().success());

    let tollgate = start(directory.path(), LIMIT);
    let used = LIMIT - left(&ask(&tollgate, "alice")) - 1;
    assert!((writes[1]..=counted).contains(&used), "{used} of {counted}, written at {writes:?}");
    assert_eq!(LIMIT - left(&ask(&tollgate, "alice")), used + 2);
}

fn is_another(last: Option<SystemTime>, now: Option<SystemTime>) -> bool {
    let apart = last.zip(now).and_then(|(last, now)| now.duration_since(last).ok());
    apart.is_some_and(|apart| apart > Duration::from_millis(250))
}
