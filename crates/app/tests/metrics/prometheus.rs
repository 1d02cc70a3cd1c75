//! Prometheus itself reads it: `promtool` checks the text, the rules and their tests, a server scrapes it.
//!
//! Both come with Debian's package `prometheus`. Where they are missing these tests fail, since skipping
//! them would look like passing; `TOLLGATE_TEST_PROMETHEUS=skip` skips them knowingly.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Client, PATIENCE, Response, run};

use crate::{Busy, repository};

/// Whether the tests are to run.
fn wanted() -> bool {
    if std::env::var_os("TOLLGATE_TEST_PROMETHEUS").is_some_and(|value| value == "skip") {
        return false;
    }
    for program in ["prometheus", "promtool"] {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(
            found.is_ok(),
            "{program} is not there: install Debian's package `prometheus`, or skip these tests with \
             TOLLGATE_TEST_PROMETHEUS=skip"
        );
    }
    true
}

fn promtool(arguments: &[&str]) {
    let output = run(Command::new("promtool").args(arguments).current_dir(repository("ops/prometheus")));
    assert_eq!(output.code, Some(0), "promtool {arguments:?}: {output:?}");
}

#[test]
fn promtool_has_nothing_to_say_about_the_text() {
    if !wanted() {
        return;
    }
    let text = Busy::start().metrics();
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn the_alerts_fire_on_what_they_are_for() {
    if wanted() {
        promtool(&["check", "rules", "alerts.yaml"]);
        promtool(&["test", "rules", "alerts.test.yaml"]);
    }
}

/// A Prometheus server that scrapes one target. Killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one on a port of the kernel's choice.
    fn start(target: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("prometheus.yml");
        let rules = repository("ops/prometheus/alerts.yaml").canonicalize().unwrap();
        let text = format!(
            "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}\nrule_files: [\"{}\"]\n\
             scrape_configs:\n  - job_name: tollgate\n    static_configs: [{{ targets: [\"{target}\"] }}]\n",
            rules.display()
        );
        std::fs::write(&configuration, text).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut prometheus = Self { child, address: unknown, _directory: directory };
        prometheus.address = prometheus.await_address();
        let began = Instant::now();
        while prometheus.get("/-/ready").status != 200 {
            assert!(began.elapsed() < PATIENCE, "prometheus does not get ready");
        }
        prometheus
    }

    /// The address that it says it listens on; the rest of what it says is read and dropped, so that it
    /// never waits for a reader.
    fn await_address(&mut self) -> SocketAddr {
        let (found, address) = std::sync::mpsc::channel();
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["msg"] == "Listening on" {
                    // Nobody may be waiting any more.
                    let _ = found.send(Ok(event["address"].as_str().unwrap_or_default().to_owned()));
                }
                said.push_str(&line);
                said.push('\n');
            }
            let _ = found.send(Err(said));
        });
        let address = address.recv_timeout(PATIENCE).expect("prometheus says nothing");
        address.unwrap_or_else(|said| panic!("prometheus ended: {said}")).parse().unwrap()
    }

    fn get(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n");
        Client::connect(self.address).request(request)
    }

    /// The result of an instant query, or of another part of its API.
    fn ask(&self, path: &str) -> Value {
        let response = self.get(&format!("/api/v1/{path}"));
        let answer: Value = serde_json::from_str(&response.text()).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The value of the one series that a query finds; `None` if it finds none.
    fn value(&self, query: &str) -> Option<f64> {
        let data = self.ask(&format!("query?query={}", encoded(query)));
        let found = data["result"].as_array().unwrap();
        assert!(found.len() < 2, "{query}: {data}");
        found.first().map(|series| series["value"][1].as_str().unwrap().parse().unwrap())
    }

    fn await_value(&self, query: &str, value: f64) {
        let began = Instant::now();
        loop {
            let found = self.value(query);
            if found == Some(value) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{query} is {found:?}, not {value}");
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn prometheus_scrapes_what_is_exposed() {
    if !wanted() {
        return;
    }
    let busy = Busy::start();
    let prometheus = Prometheus::start(&busy.tollgate.admin_address().to_string());
    prometheus.await_value("up{job=\"tollgate\"}", 1.0);
    let found = "http_server_request_duration_seconds_count{http_route=\"shop\",http_request_method=\"GET\"";
    prometheus.await_value(&format!("{found},http_response_status_code=\"200\"}}"), 2.0);
    for (query, value) in [
        (format!("{found},http_response_status_code=\"404\",error_type=\"\"}}"), 1.0),
        (
            "http_server_request_duration_seconds_count{http_route=\"gone\",error_type=\"connect_failed\"}"
                .into(),
            1.0,
        ),
        ("sum(http_server_request_duration_seconds_bucket{le=\"+Inf\"})".into(), 6.0),
        ("sum(tollgate_exchanges_total{side=\"nobody\"})".into(), 4.0),
        ("http_server_request_body_size_bytes_sum{http_route=\"shop\"}".into(), 5.0),
        ("count(tollgate_route_duration_seconds{http_route=\"shop\"})".into(), 4.0),
        ("sum(tollgate_endpoint_attempts_total{upstream=\"gone\",reason=\"connect_failed\"})".into(), 1.0),
        ("count(tollgate_worker_silent_seconds < 5)".into(), 2.0),
        ("tollgate_config_last_reload_success".into(), 1.0),
    ] {
        assert_eq!(prometheus.value(&query), Some(value), "{query}");
    }
    let median = prometheus.value("tollgate_route_duration_seconds{http_route=\"shop\",quantile=\"0.5\"}");
    assert!(median.is_some_and(|median| median > 0.0 && median < 60.0), "{median:?}");

    let rules = prometheus.ask("rules");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10 && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");
    // What is documented about each family is what arrived.
    let metadata = prometheus.ask("metadata");
    let families = busy.metrics();
    for line in families.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(metadata[name][0]["type"], kind, "{name}");
    }
}
