//! Machines that vanish from the network: no packet to them is answered, not even refused. In a network of the test's own,
//! where addresses can be taken away.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tollgate_testkit::{Origin, run};

use crate::load::{Load, Version, answering, answering_at};
use crate::{launch, origin_in_a_process, wait_until};

/// Set where the test runs in a network of its own.
const INSIDE: &str = "TOLLGATE_TEST_NETWORK";
const NEAR: &str = "10.99.0.1";
const FAR: &str = "10.99.0.2";

/// `unshare` with what gives a program a network of its own, in which it is root; all its processes end with it.
fn network() -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command
}

/// Whether no network can be made here and what needs one is to be skipped, which is then said, past the test harness,
/// which would keep it to itself.
///
/// Missing tools fail the test, since skipping would look like passing, unless `TOLLGATE_SKIP_MISSING_CLIENTS` is set.
/// That a machine does not permit it cannot be helped.
fn is_impossible() -> bool {
    const SKIP: &str = "TOLLGATE_SKIP_MISSING_CLIENTS";
    for (tool, version, package) in [("unshare", "--version", "util-linux"), ("ip", "-V", "iproute2")] {
        if Command::new(tool).arg(version).stdout(Stdio::null()).status().is_err() {
            let message = format!("`{tool}` is missing: install the Debian package {package}");
            assert!(std::env::var_os(SKIP).is_some(), "{message}, or set {SKIP}=1 to skip what needs it");
            return skipped(&message);
        }
    }
    let output = run(network().args(["sh", "-c", "ip link add near type veth peer name far"]));
    output.code != Some(0) && skipped(&format!("no network can be made here: {}", output.stderr.trim()))
}

fn skipped(why: &str) -> bool {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
    true
}

/// Runs the entry of this name in a network of its own.
fn in_a_network(entry: &str) {
    if is_impossible() {
        return;
    }
    let mut command = network();
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", entry, "--ignored", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let output = run(&mut command);
    assert!(
        output.code == Some(0) && output.stdout.contains("1 passed"),
        "{}\n{}",
        output.stdout,
        output.stderr
    );
}

fn ip(arguments: &str) {
    let output = run(Command::new("ip").args(arguments.split(' ')));
    assert_eq!(output.code, Some(0), "ip {arguments}: {}", output.stderr);
}

/// A cable whose other end nobody holds: what is sent to [`FAR`] or anything behind it is gone.
fn lay_cable() {
    ip("link set lo up");
    ip("link add near type veth peer name far");
    ip(&format!("addr add {NEAR}/24 dev near"));
    ip("link set near up");
    ip("link set far up");
    // Somebody's address, or the kernel itself would tell after a while that nobody has it.
    ip(&format!("neigh replace {FAR} lladdr 02:00:00:00:00:02 dev near nud permanent"));
}

/// A machine at [`FAR`] with an origin on it, which is plugged in and can be unplugged.
struct Machine(Origin);

impl Machine {
    fn start() -> Self {
        lay_cable();
        plug_in();
        Self(answering_at(SocketAddr::new(FAR.parse().unwrap(), 0)))
    }

    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn requests(&self) -> usize {
        self.0.requests().len()
    }

    fn pull_the_plug(&self) {
        ip(&format!("addr del {FAR}/32 dev lo"));
    }
}

impl Drop for Machine {
    /// Whoever ends the origin connects to it once more.
    fn drop(&mut self) {
        plug_in();
    }
}

/// The address is here after all.
fn plug_in() {
    ip(&format!("addr replace {FAR}/32 dev lo"));
}

#[test]
fn a_machine_that_was_never_there_costs_no_request() {
    in_a_network("network::never_there");
}

#[test]
#[ignore = "no test: what runs in a network of its own"]
fn never_there() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    lay_cable();
    for version in [Version::One, Version::Two] {
        let directory = tempfile::tempdir().unwrap();
        let executed = directory.path().join("executed");
        let origins: [_; 2] = std::array::from_fn(|_| origin_in_a_process(&executed));
        let tollgate = launch(
            "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{far}:80\"]\n    timeouts: { connect: 200ms }\n    \
             ejection: { base: 1s, max: 1s }\nroutes: [{ path: /, to: u }]\n",
            &[("a", &origins[0].address()), ("b", &origins[1].address()), ("far", &FAR)],
        );
        let load = Load { clients: 8, post_every: 4, size: |number| number * 97 % 12_000 };
        let outcomes = load.run_over(version, tollgate.address(), |outcomes| {
            outcomes.wait_for_more(100);
            tollgate.stderr_line(&format!("endpoint {FAR}:80 of u: usable -> ejected"));
            outcomes.wait_for_more(800);
        });
        outcomes.assert_no_failures();
        // Nothing was sent to anybody before its connection, so POSTs go elsewhere as well, all of them.
        assert!(outcomes.assert_posts_executed_once(&executed) * 4 >= outcomes.answered() - 8 * 4);
        assert!(tollgate.metric("tollgate_upstream_connects_failed_total{upstream=\"u\"}") >= 5.0);
    }
}

#[test]
fn a_machine_that_vanishes_costs_no_get_and_is_used_again_when_it_is_back() {
    in_a_network("network::vanishes");
}

#[test]
#[ignore = "no test: what runs in a network of its own"]
fn vanishes() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let far = Machine::start();
    let near: [_; 2] = std::array::from_fn(|_| answering());
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{far}\"]\n    timeouts: { connect: 200ms, try: 400ms }\n    \
         ejection: { base: 500ms, max: 500ms }\nroutes: [{ path: /, to: u }]\n",
        &[("a", &near[0].address()), ("b", &near[1].address()), ("far", &far.address())],
    );
    let load = Load { clients: 8, post_every: 0, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        for time in 1..=3 {
            outcomes.wait_for_more(200);
            far.pull_the_plug();
            let ejections = || tollgate.stderr().matches("usable -> ejected").count();
            // Each time: once by connections that were there, and then by those that cannot be made.
            wait_until("it is ejected", || ejections() >= 2 * time);
            outcomes.wait_for_more(400);
            let before = far.requests();
            plug_in();
            wait_until("it is used again", || far.requests() > before + 20);
        }
    });
    outcomes.assert_no_failures();
    assert!(tollgate.metric("tollgate_upstream_connects_failed_total{upstream=\"u\"}") >= 3.0);
}

#[test]
fn a_service_that_cannot_be_reached_is_waited_for_by_more_than_the_budget_lets_try() {
    in_a_network("network::unreachable");
}

#[test]
#[ignore = "no test: what runs in a network of its own"]
fn unreachable() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let far = Machine::start();
    far.pull_the_plug();
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{far}\"]\n    timeouts: { connect: 300ms }\n    hold: 15s\n    \
         retry: { budget: 0%, budget_min: 1, backoff: 1ms, max_backoff: 1ms }\n\
         routes: [{ path: /, to: u }]\n",
        &[("far", &far.address())],
    );
    // One tries at a time, and that takes a while. All others ask the budget in vain, again and again.
    let held = || tollgate.metric("tollgate_upstream_held{upstream=\"u\"}") as usize;
    let load = Load { clients: 40, post_every: 0, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        wait_until("all are held", || held() == load.clients);
        plug_in();
        outcomes.wait_for_more(100);
    });
    outcomes.assert_no_failures();
}
