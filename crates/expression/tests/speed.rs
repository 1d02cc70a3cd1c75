//! What evaluations cost. Not a test of speed: `cargo test --release -p tollgate-expression --test speed -- --ignored --nocapture`.

mod request;

use std::hint::black_box;
use std::time::Instant;

use request::Request;
use tollgate_expression::{Expression, Wanted};

const ROUNDS: u32 = 1_000_000;

#[test]
#[ignore = "prints figures, has no verdict"]
fn nanoseconds_of_an_evaluation() {
    let request = Request::default();
    for text in [
        "tls",
        "method == 'GET' || 'orders:write' in scopes",
        "method == 'POST' || 'orders:write' in scopes",
        "headers['x-tenant'] == 'a' && path.startsWith('/v1')",
        "in_network(address, '192.0.2.0/24')",
        "path.matches('^/v[0-9]+/orders/')",
        "claims.plan == 'pro' && claims.level >= 2",
        "method in ['GET', 'HEAD', 'OPTIONS']",
        "has(headers.authorization) || has(cookies.session)",
        "now.getHours() >= 9 && now < timestamp('2030-01-01T00:00:00Z')",
        "groups.exists(g, g == 'staff')",
        "headers['x-missing'] == 'a' || tls",
        "address == '192.0.2.1'",
    ] {
        let expression = Expression::compile(text, Wanted::Bool).unwrap();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(black_box(&expression).test(black_box(&request))).unwrap();
        }
        eprintln!("{:7.1} ns  {text}", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    for text in ["consumer", "address", "consumer + ':' + segments[1]"] {
        let expression = Expression::compile(text, Wanted::Key).unwrap();
        let mut out = Vec::with_capacity(256);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            out.clear();
            black_box(&expression).key(black_box(&request), &mut out).unwrap();
            black_box(&out);
        }
        eprintln!("{:7.1} ns  key {text}", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    let start = Instant::now();
    for _ in 0..10_000 {
        let text = black_box("method == 'GET' || 'orders:write' in scopes");
        black_box(Expression::compile(text, Wanted::Bool)).unwrap();
    }
    eprintln!("{:7.1} ns  to compile", start.elapsed().as_nanos() as f64 / 10_000.0);
}

/// The worst that the bound of steps lets through.
#[test]
#[ignore = "prints figures, has no verdict"]
fn microseconds_of_the_worst() {
    let mut request = Request::default();
    let items: Vec<_> = (0..1000).map(|n| format!("item-{n}").into_bytes()).collect();
    request.lists = vec![(tollgate_expression::ListVariable::Scopes, items)];
    request.texts[1].1 = [b"/".to_vec(), b"a".repeat(64 << 10)].concat();
    // No automaton remembers all that this one can hold.
    let mut random = 1u64;
    let letters = (0..8 << 10).map(|_| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        if random >> 63 == 0 { b'a' } else { b'b' }
    });
    request.texts[2].1 = letters.collect();
    for text in [
        "scopes.all(a, scopes.all(b, a != b + 'x'))",
        "scopes.map(a, scopes + scopes).size() > 0",
        "scopes.all(a, path.contains('b') || true)",
        "scopes.map(a, path + path).size() > 0",
        "scopes.all(a, !path.matches('(a+)+b'))",
        "scopes.all(a, !host.matches('(a|b)*b(a|b){50}c'))",
        "scopes.all(a, !host.matches('(a|b)*a(a|b){300}c'))",
        "host.matches('(a|b)*a(a|b){300}c')",
        "scopes.all(a, scopes.all(b, claims.missing || true))",
    ] {
        let expression = Expression::compile(text, Wanted::Bool).unwrap();
        let _ = expression.test(&request);
        let start = Instant::now();
        let result = expression.test(&request).is_ok();
        eprintln!("{:9.1} us  {result} {text}", start.elapsed().as_nanos() as f64 / 1000.0);
    }
}
