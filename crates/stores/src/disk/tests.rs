use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tollgate_runtime::Random;

use super::quotas::wall_us;
use super::{QuotaError, QuotaEvent, QuotaSettings, Quotas};
use crate::{Key, Period};

/// So rarely that only what a test orders is written.
fn by_order() -> QuotaSettings {
    QuotaSettings { max_keys: 1_000, flush_every: Duration::from_secs(3600) }
}

fn open(path: &Path) -> Quotas {
    Quotas::open(path, by_order(), |_| {}).unwrap()
}

fn used(quotas: &Quotas, key: Key) -> u64 {
    1_000_000 - quotas.peek(key, Period::Month, 1_000_000, 0, wall_us()).remaining
}

fn take(quotas: &Quotas, key: Key, cost: u64) -> bool {
    quotas.take(key, Period::Month, 1_000_000, cost, wall_us()).allowed
}

#[test]
fn counts_outlive_the_process_that_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.redb");
    let first = open(&path);
    let plan = first.number("plan");
    for n in 0..200u64 {
        assert!(take(&first, first.key(plan, &n.to_le_bytes()), n + 1));
    }
    drop(first);
    let second = open(&path);
    assert_eq!(second.number("plan"), plan);
    for n in 0..200u64 {
        assert_eq!(used(&second, second.key(plan, &n.to_le_bytes())), n + 1);
    }
    let other = second.key(second.number("other"), &7u64.to_le_bytes());
    assert_eq!(used(&second, other), 0);
}

#[test]
fn a_file_in_use_is_taken_over_when_it_is_released_and_its_counts_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.redb");
    let (old, events) = (open(&path), Arc::new(Mutex::new(Vec::new())));
    let key = old.key(1, b"a");
    assert!(take(&old, key, 5));
    let heard = Arc::clone(&events);
    let new = Quotas::open(&path, by_order(), move |event| heard.lock().unwrap().push(event)).unwrap();
    assert_eq!(new.key(1, b"a"), key);
    assert!(take(&new, key, 2));
    assert_eq!(new.flush(), Err(QuotaError::InUse));
    old.release().unwrap();
    assert_eq!(old.flush(), Err(QuotaError::InUse));
    new.flush().unwrap();
    assert_eq!(used(&new, key), 7);
    drop(new);
    assert_eq!(used(&open(&path), key), 7);
    let expected = [QuotaEvent::Failing(QuotaError::InUse), QuotaEvent::Written];
    assert_eq!(*events.lock().unwrap(), expected);
}

#[test]
fn keys_are_bounded_in_memory_and_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.redb");
    let quotas = open(&path);
    let hot = quotas.key(1, b"hot");
    for n in 0..20_000u64 {
        assert!(take(&quotas, quotas.key(2, &n.to_le_bytes()), 1));
        assert!(take(&quotas, hot, 1));
        if n % 5_000 == 0 {
            quotas.flush().unwrap();
        }
    }
    let usage = quotas.usage();
    assert!(usage.keys <= usage.places && usage.places < 2_300 && usage.evicted_live > 10_000, "{usage:?}");
    drop(quotas);
    let again = open(&path);
    assert_eq!(used(&again, hot), 20_000);
    assert!(again.usage().keys <= usage.places);
}

#[test]
fn a_damaged_file_is_an_error_that_says_so() {
    for seed in 0..60 {
        let mut random = Random::from_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quotas.redb");
        let quotas = open(&path);
        (0..500u64).for_each(|n| assert!(take(&quotas, quotas.key(1, &n.to_le_bytes()), 3)));
        drop(quotas);
        let mut bytes = std::fs::read(&path).unwrap();
        let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
        match seed % 4 {
            0 => bytes.truncate(1 + below(bytes.len() - 1)),
            1 => bytes = (0..below(10_000) + 1).map(|n| (n * 31) as u8).collect(),
            2 => (0..20).for_each(|_| bytes[below(20_000)] ^= 1 << below(8)),
            _ => {
                let from = below(bytes.len() - 5_000);
                bytes[from..from + 5_000].fill(0xa5);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        match Quotas::open(&path, by_order(), |_| {}) {
            // Damage to pages that hold nothing any more harms nothing; what is read is then what was written.
            Ok(quotas) => {
                (0..500u64).for_each(|n| assert!(used(&quotas, quotas.key(1, &n.to_le_bytes())) <= 3));
            }
            Err(QuotaError::Damaged(what)) => assert!(!what.is_empty(), "seed {seed}"),
            Err(QuotaError::Io(_)) if seed % 4 == 0 => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
}

#[test]
fn a_key_that_is_cut_short_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("quotas.key"), b"short").unwrap();
    let refused = Quotas::open(&folder.path().join("quotas.redb"), by_order(), |_| {});
    assert!(matches!(refused, Err(QuotaError::Damaged(_))), "{refused:?}");
}

/// What runs where no file may grow or change: a full disk, as far as a process can have its own.
#[test]
#[ignore = "run by a_full_disk_costs_no_count, which sees to the signal"]
fn counts_on_a_full_disk() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let limit = getrlimit(Resource::Fsize);
    let full = |full: bool| {
        let current = if full { Some(0) } else { limit.current };
        setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let path = Path::new(&path);
    let quotas = Quotas::open(path, by_order(), move |event| heard.lock().unwrap().push(event)).unwrap();
    let key = quotas.key(1, b"a");
    assert!(take(&quotas, key, 3));
    quotas.flush().unwrap();
    full(true);
    for _ in 0..3 {
        assert!(take(&quotas, key, 1));
        let flushed = quotas.flush();
        assert!(matches!(flushed, Err(QuotaError::Io(_))), "{flushed:?}");
    }
    full(false);
    quotas.flush().unwrap();
    assert_eq!((used(&quotas, key), quotas.flushes()), (6, (2, 3)));
    let events = events.lock().unwrap();
    assert!(
        matches!(&events[..], [QuotaEvent::Failing(QuotaError::Io(_)), QuotaEvent::Written]),
        "{events:?}"
    );
    drop(quotas);
    assert_eq!(used(&open(path), key), 6);
}

#[test]
fn a_full_disk_costs_no_count() {
    let folder = tempfile::tempdir().unwrap();
    // The signal that comes with the error is ignored, and stays so in what the shell becomes.
    let output = Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "disk::tests::counts_on_a_full_disk", "--ignored", "--nocapture"])
        .env(PATH, folder.path().join("quotas.redb"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("quotas.redb").exists());
}

const PATH: &str = "TOLLGATE_QUOTAS_PATH";

/// What the killed process runs: takes, and says what it took, and what of that must be on the disk.
#[test]
#[ignore = "run by the test that kills it"]
fn takes_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let quotas =
        Quotas::open(Path::new(&path), QuotaSettings::default(), |event| panic!("{event:?}")).unwrap();
    let key = quotas.key(1, b"a");
    let (mut seen, mut before, mut earlier) = ((0, 0), 0, 0);
    for n in 1u64.. {
        assert!(take(&quotas, key, 1));
        let flushes = quotas.flushes();
        if flushes != seen {
            // The flush that has ended began after the one before it was seen to end, or the one before that.
            std::io::stdout().write_all(format!("\nkept {earlier} {n}\n").as_bytes()).unwrap();
            (seen, before, earlier) = (flushes, n, before);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A process that does not outlive the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_process_that_is_killed_loses_only_what_was_not_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.redb");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "disk::tests::takes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(PATH, &path)
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Killed(child.unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let kept = lines.filter_map(|line| Some(line.strip_prefix("kept ")?.to_owned())).nth(4).unwrap();
    drop(child);
    let (kept, taken) = kept.split_once(' ').unwrap();
    let (kept, taken): (u64, u64) = (kept.parse().unwrap(), taken.parse().unwrap());
    let quotas = open(&path);
    let found = used(&quotas, quotas.key(1, b"a"));
    assert!(kept > 0 && found >= kept, "{found} of {taken}, of which {kept} were to be kept");
    assert!(QuotaSettings::default().flush_every <= Duration::from_millis(500));
}

#[test]
fn ended_periods_are_removed_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.redb");
    let quotas = open(&path);
    let day_us = 86_400_000_000;
    // Two days ago, and now.
    quotas.take(quotas.key(1, b"old"), Period::Day, 10, 1, wall_us() - 2 * day_us);
    assert!(take(&quotas, quotas.key(1, b"new"), 1));
    quotas.flush().unwrap();
    assert_eq!(quotas.counts.all(0).count(), 2);
    drop(quotas);
    assert_eq!(open(&path).counts.all(0).count(), 1);
}
