//! What a line costs. Not a test: run it with `cargo test --release -p tollgate-telemetry cost -- --ignored --nocapture`.

use std::hint::black_box;

use super::golden::entry;
use super::*;
use crate::log_writer::Destination;

const LINES: u32 = 1_000_000;

/// The processor time of this thread, which others on the machine do not change.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "measures"]
fn of_a_line() {
    let template = Template::compile("{client} [{time}] {method} {path} {status} {t.total}").unwrap();
    let formats = [
        Format::Json,
        Format::Common,
        Format::Combined,
        Format::Pretty { colour: true },
        Format::Template(template),
    ];
    for format in formats {
        let name = format!("{format:?}");
        let plan = LogPlan::new(vec![LogRules::new(Destination::Stdout, format)]);
        let captured = Captured::default();
        let mut out = Vec::with_capacity(64 * 1024);
        let entry = entry(&captured);
        let began = cpu_ns();
        for _ in 0..LINES {
            if out.len() > 32 * 1024 {
                out.clear();
            }
            plan.logs()[0].write(&mut out, black_box(&entry));
        }
        let each = (cpu_ns() - began) / u64::from(LINES);
        eprintln!("{each} ns a line: {}", name.split([' ', '(']).next().unwrap_or_default());
    }
}
