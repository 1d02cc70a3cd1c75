//! Lines for people who watch a terminal.

use super::Entry;
use super::clf::{query, status};
use super::plan::{Format, LogRules};
use super::text::{address, decimal, escaped};
use crate::log_writer::Destination;

const RESET: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";
const RED: &[u8] = b"\x1b[31m";
const GREEN: &[u8] = b"\x1b[32m";
const YELLOW: &[u8] = b"\x1b[33m";
const CYAN: &[u8] = b"\x1b[36m";

/// A line: time of day, status, method, host and path, how long it took, bytes, where it went, and what
/// went wrong. What a client sent is escaped, so that it cannot control the terminal.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules, colour: bool) {
    let paint = |out: &mut Vec<u8>, code: &[u8]| {
        if colour {
            out.extend_from_slice(code);
        }
    };
    let request = &entry.request;
    paint(out, DIM);
    entry.time.write_time_of_day(out);
    paint(out, RESET);
    out.push(b' ');
    paint(out, status_colour(entry));
    status(out, entry.status);
    paint(out, RESET);
    out.push(b' ');
    if !request.carried.is_empty() {
        out.extend_from_slice(request.carried.as_bytes());
        if !request.host.is_empty() {
            out.push(b' ');
            escaped(out, request.host);
        }
    } else if request.method.is_empty() {
        out.push(b'-');
    } else {
        escaped(out, request.method);
        out.push(b' ');
        escaped(out, request.host);
        escaped(out, request.path);
        query(out, entry, rules.query);
    }
    out.push(b' ');
    duration(out, entry.timings.total_us);
    out.push(b' ');
    size(out, entry.bytes.sent);
    paint(out, DIM);
    out.extend_from_slice(b" from ");
    address(out, entry.client);
    for (word, name) in [(" route ", entry.route), (" to ", entry.upstream), (" at ", entry.endpoint)] {
        if !name.is_empty() {
            out.extend_from_slice(word.as_bytes());
            escaped(out, name.as_bytes());
        }
    }
    paint(out, RESET);
    if entry.attempts > 1 {
        out.push(b' ');
        paint(out, YELLOW);
        decimal(out, u64::from(entry.attempts));
        out.extend_from_slice(b" attempts");
        paint(out, RESET);
    }
    if entry.reason.is_failure() {
        out.push(b' ');
        paint(out, RED);
        out.extend_from_slice(entry.reason.code().as_bytes());
        out.extend_from_slice(b" (");
        out.extend_from_slice(entry.reason.side().label().as_bytes());
        out.push(b')');
        paint(out, RESET);
    }
    headers(out, entry, rules);
    out.push(b'\n');
}

fn headers(out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules) {
    for header in rules.headers() {
        let before = out.len();
        out.push(b' ');
        out.extend_from_slice(header.name().as_bytes());
        out.extend_from_slice(b"=\"");
        if header.show(entry.request.captured, rules.query, |part| escaped(out, part)) {
            out.push(b'"');
        } else {
            out.truncate(before);
        }
    }
}

/// Appends the entry as a line for people, without query and headers.
pub fn write_pretty(out: &mut Vec<u8>, entry: &Entry<'_>, colour: bool) {
    write(out, entry, &LogRules::new(Destination::Stdout, Format::Json), colour);
}

fn status_colour(entry: &Entry<'_>) -> &'static [u8] {
    match entry.status {
        0 if !entry.reason.is_failure() => GREEN,
        0 | 500.. => RED,
        400..500 => YELLOW,
        300..400 => CYAN,
        _ => GREEN,
    }
}

/// With three digits that matter: `850us`, `12.3ms`, `4.56s`.
fn duration(out: &mut Vec<u8>, us: u64) {
    match us {
        0..1_000 => decimal(out, us),
        1_000..1_000_000 => scaled(out, us, 1_000),
        _ => scaled(out, us, 1_000_000),
    }
    out.extend_from_slice(match us {
        0..1_000 => &b"us"[..],
        1_000..1_000_000 => b"ms",
        _ => b"s",
    });
}

fn size(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [(u64, &[u8]); 3] = [(1 << 30, b"GiB"), (1 << 20, b"MiB"), (1 << 10, b"KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    match unit {
        None => {
            decimal(out, bytes);
            out.push(b'B');
        }
        Some((unit, word)) => {
            scaled(out, bytes, *unit);
            out.extend_from_slice(word);
        }
    }
}

/// A number in units, with one decimal below 100.
fn scaled(out: &mut Vec<u8>, number: u64, unit: u64) {
    decimal(out, number / unit);
    if number / unit < 100 {
        out.push(b'.');
        decimal(out, number % unit * 10 / unit);
    }
}
