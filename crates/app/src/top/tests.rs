use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};
use tollgate_admin::report::Status;

use super::model::{Flow, Model, Sort};
use super::text;

/// A route that had so many exchanges, all but some of them good, all of about the same length.
fn route(name: Option<&str>, exchanges: u64, client_errors: u64, server_errors: u64, about_us: u64) -> Value {
    json!({
        "name": name,
        "exchanges": exchanges,
        "classes": {
            "none": 0, "1xx": 0, "2xx": exchanges - client_errors - server_errors, "3xx": 0,
            "4xx": client_errors, "5xx": server_errors,
        },
        "latency": {
            "count": exchanges, "sum_us": exchanges * about_us, "quantiles": null,
            "buckets": [{ "from_us": about_us, "to_us": about_us + about_us / 50, "count": exchanges }],
        },
    })
}

fn endpoint(name: &str, state: &str, weight: u32, in_flight: u32) -> Value {
    json!({
        "upstream": "shop", "endpoint": name, "address": name, "weight": weight, "document_weight": 1,
        "drained": state == "drained", "state": state, "why": null, "in_flight": in_flight,
        "attempts": 0, "failed_attempts": 0, "consecutive_failures": 0,
        "part": { "priority": 0, "zone": null, "labels": {}, "warm_percent": null },
    })
}

/// What an instance answers that has served `n` times as much as in its first second.
fn status(n: u64, uptime_ms: u64) -> Status {
    let empty = json!({ "count": 0, "sum_us": 0, "quantiles": null, "buckets": [] });
    serde_json::from_value(json!({
        "build": { "version": "1.2.3", "target": "x86_64-linux", "optimised": true },
        "process": {
            "pid": 4711, "started": "2026-01-01T00:00:00Z", "uptime_ms": uptime_ms, "workers": 2,
            "draining": false, "log_records_lost": 0,
        },
        "config": {
            "number": 1, "source": "shop.yaml", "since": "2026-01-01T00:00:00Z", "age_ms": uptime_ms,
            "last_reload": null, "needs_restart": [], "on_trial_ms": null,
        },
        "listeners": [{ "name": ":8080", "address": "0.0.0.0:8080", "open": 12, "accepted": 99 }],
        "exchanges": [
            { "reason": "forwarded", "side": "nobody", "count": 1500 * n },
            { "reason": "no_route", "side": "client", "count": 10 * n },
            { "reason": "connect_failed", "side": "upstream", "count": 2 * n },
        ],
        "routes": {
            "in_document": 3, "left_out": 0,
            "list": [
                route(Some("checkout"), 300 * n, 0, 2 * n, 20_000),
                route(Some("products"), 1200 * n, 30 * n, 0, 800),
                route(None, 10 * n, 10 * n, 0, 50),
            ],
        },
        "upstreams": [{
            "name": "shop", "panicking": false, "vacancy": null, "retries": 0, "retries_refused": 0,
            "connections_opened": 3, "connects_failed": 2 * n, "connections_reused": 0, "first_byte": empty,
            "endpoints": [
                endpoint("10.0.0.1:80", "usable", 1, 5),
                endpoint("10.0.0.2:80", "drained", 1, 0),
                endpoint("10.0.0.3:80", "down", 3, 1),
            ],
        }],
        "certificates": [],
    }))
    .unwrap()
}

fn press(model: &mut Model, keys: &str) -> Flow {
    let mut flow = Flow::Continue;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            other => KeyCode::Char(other),
        };
        flow = model.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    flow
}

/// After a wanted change: `TOLLGATE_GOLDEN=write cargo test -p tollgate --bin tollgate`, and review the diff.
#[test]
fn the_picture_is_the_golden_one() {
    let mut model = Model::new(status(1, 1_000));
    let mut shown = format!("after one look\n{}", text(&model, 100, 24).unwrap());
    for n in 2..=8 {
        model.see(status(n * (n + 1) / 2, n * 1_000));
    }
    shown += &format!("after eight looks, wide\n{}", text(&model, 120, 24).unwrap());
    press(&mut model, "/prod\n");
    model.trouble = Some("cannot reach the running instance".to_owned());
    shown += &format!("filtered, narrow, not answering\n{}", text(&model, 60, 20).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/top.txt");
    if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, shown).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap();
    assert!(shown == expected, "{path} differs:\n{shown}");
}

#[test]
fn rates_are_of_the_interval_and_not_of_another_process() {
    let mut model = Model::new(status(1, 1_000));
    assert_eq!(model.changes().exchanges_per_second, None);
    model.see(status(3, 1_500));
    let changes = model.changes();
    assert_eq!((changes.seconds, changes.exchanges_per_second), (Some(0.5), Some(6048.0)));
    assert_eq!(changes.failures_per_second, Some(8.0));
    assert_eq!((changes.latency.count, changes.routes[0].latency.count), (3020, 600));
    assert_eq!(changes.reasons[0].reason, "no_route");
    // Started anew.
    model.see(status(1, 100));
    let changes = model.changes();
    assert_eq!((changes.seconds, changes.exchanges_per_second), (None, None));
    assert_eq!(changes.latency.count, 1510);
}

#[test]
fn keys_sort_filter_and_end() {
    let mut model = Model::new(status(1, 1_000));
    model.see(status(2, 2_000));
    let names = |model: &Model| {
        let routes = model.routes(&model.changes());
        routes.into_iter().map(|route| route.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&model), ["products", "checkout", "(no route)"]);
    for (sort, order) in [
        (Sort::Slowest, ["checkout", "products", "(no route)"]),
        (Sort::Errors, ["checkout", "(no route)", "products"]),
        (Sort::Name, ["(no route)", "checkout", "products"]),
        (Sort::Rate, ["products", "checkout", "(no route)"]),
    ] {
        assert_eq!(press(&mut model, "s"), Flow::Continue);
        assert_eq!((model.sort, names(&model).as_slice()), (sort, &order.map(str::to_owned)[..]));
    }
    assert_eq!(press(&mut model, "/CHEX\x08"), Flow::Continue);
    assert_eq!(names(&model), ["checkout"]);
    assert_eq!(press(&mut model, "q"), Flow::Continue, "it belongs to the filter");
    assert_eq!((names(&model).len(), press(&mut model, "\x1b"), names(&model).len()), (0, Flow::Continue, 3));
    assert_eq!(press(&mut model, "\x1b"), Flow::End);
    assert_eq!(press(&mut model, "q"), Flow::End);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.key(interrupt), Flow::End);
}

#[test]
fn no_size_of_a_terminal_is_too_small() {
    let mut model = Model::new(status(1, 1_000));
    model.see(status(2, 2_000));
    for (width, height) in [(1, 1), (2, 50), (200, 2), (10, 10), (500, 200)] {
        text(&model, width, height).unwrap();
    }
}
