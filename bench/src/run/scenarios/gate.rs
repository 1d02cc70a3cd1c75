//! Policies on HTTP/1.1: who sends a request, and how often may it be sent.

use crate::credentials::{Credentials, SUBJECT_ISSUER};
use crate::run::configuration::Place;
use crate::run::plan::{Figure, Method, Row, Shape, Subject, Target, in_turns, shown};
use crate::run::template::render;
use Subject::{Nginx, Tollgate};
use anyhow::{Context, Result};
use std::path::PathBuf;

const TOLLGATE_GATE: &str = include_str!("../../../configs/tollgate-gate.yaml.in");
const TOLLGATE_RATE: &str = include_str!("../../../configs/tollgate-rate.yaml.in");

/// What a browser sends along to another site than the page's own.
const ORIGIN: &str = "Origin: https://shop.example.com";
const KEY: &str = "X-API-Key: {credential}";
const TOKEN: &str = "Authorization: Bearer {credential}";

/// The rows with one key or token: the peers do nothing for the same requests but forward them.
const AGAINST_BARE: &[Target] =
    &[in_turns(Shape::Small, Tollgate, 1.25), in_turns(Shape::Small, Nginx, 1.00)];

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row("gate-key", "128 B, API key, rate limit, CORS, two rules, log", Shape::GateKey, AGAINST_BARE),
    row("gate-token", "128 B, known JWT, rate limit, CORS, two rules, log", Shape::GateToken, AGAINST_BARE),
    row(
        "gate-keys-10k",
        "128 B, 10,000 API keys in turn, the same",
        Shape::GateKeys,
        &[shown(Shape::GateKey, Tollgate, Method::Rounds)],
    ),
    row(
        "gate-first-token",
        "128 B, a new JWT each, the same",
        Shape::GateFirstToken,
        &[shown(Shape::GateToken, Tollgate, Method::Rounds)],
    ),
    row(
        "gate-redis",
        "128 B, API key, rate limit leased from Redis, the same",
        Shape::GateRedis,
        &[in_turns(Shape::GateKey, Tollgate, 1.10)],
    ),
];

const fn row(name: &'static str, title: &'static str, shape: Shape, targets: &'static [Target]) -> Row {
    Row { name, title, shape, subjects: &[Tollgate], figure: Figure::Cpu, targets, ceiling: None }
}

/// Header fields of the requests besides a browser's.
pub(crate) fn fields(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::GateToken | Shape::GateFirstToken => &[ORIGIN, TOKEN],
        shape if shape.gated() => &[ORIGIN, KEY],
        _ => &[],
    }
}

/// The arguments of a load with these fields.
pub(crate) fn arguments(shape: Shape, credentials: &Credentials) -> Result<Vec<PathBuf>> {
    let mut arguments: Vec<PathBuf> = Vec::new();
    for field in fields(shape) {
        arguments.extend(["--field", field].map(PathBuf::from));
    }
    if shape.gated() {
        arguments.extend([PathBuf::from("--credentials"), file(shape, credentials)?]);
    }
    if shape == Shape::GateFirstToken {
        arguments.push("--once".into());
    }
    Ok(arguments)
}

/// The lines of a first request, the same for all that show tokens.
pub(crate) fn first_lines(shape: Shape, credentials: &Credentials) -> Result<String> {
    let shape = if shape == Shape::GateFirstToken { Shape::GateToken } else { shape };
    if !shape.gated() {
        return Ok(String::new());
    }
    let text = std::fs::read_to_string(file(shape, credentials)?)?;
    let credential = text.lines().next().context("there is no credential")?;
    let lines = fields(shape).iter().map(|field| field.replace("{credential}", credential) + "\r\n");
    Ok(lines.collect())
}

fn file(shape: Shape, credentials: &Credentials) -> Result<PathBuf> {
    match shape {
        Shape::GateToken => Ok(credentials.token()),
        Shape::GateFirstToken => credentials.tokens(),
        Shape::GateKeys => Ok(credentials.keys()),
        _ => Ok(credentials.key()),
    }
}

/// The document of a row.
pub(crate) fn configuration(shape: Shape, place: &Place<'_>) -> Result<String> {
    let (stores, count) = match shape {
        Shape::GateRedis => {
            let redis = place.credentials.redis().context("there is no Redis")?;
            (
                format!("redis: {{ shared: {{ url: \"redis://{redis}\" }} }}"),
                ", store: { redis: shared }, mode: leased".to_owned(),
            )
        }
        _ => (String::new(), String::new()),
    };
    let tokens = matches!(shape, Shape::GateToken | Shape::GateFirstToken);
    render(
        TOLLGATE_GATE,
        &[
            ("listen", format!("\"127.0.0.1:{}\"", place.listen_port)),
            ("origin_port", place.origin_port.to_string()),
            ("directory", place.directory.display().to_string()),
            ("consumers", place.credentials.consumers().display().to_string()),
            ("public_key", place.credentials.public_key().display().to_string()),
            ("issuer", SUBJECT_ISSUER.to_owned()),
            ("auth", if tokens { "tokens" } else { "keys" }.to_owned()),
            ("stores", stores),
            ("count", count),
        ],
    )
}

/// The document with a limit that is reached.
pub(crate) fn with_limit(per_second: u32, place: &Place<'_>) -> Result<String> {
    render(
        TOLLGATE_RATE,
        &[
            ("listen", format!("\"127.0.0.1:{}\"", place.listen_port)),
            ("origin_port", place.origin_port.to_string()),
            ("rate", per_second.to_string()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::{fields, first_lines};
    use crate::credentials::Credentials;
    use crate::run::plan::Shape;

    #[test]
    fn a_first_request_shows_a_key_or_a_token() {
        let directory = tempfile::tempdir().expect("a folder");
        let credentials = Credentials::make(directory.path()).expect("are made");
        let lines = first_lines(Shape::GateKeys, &credentials).expect("are there");
        assert!(lines.starts_with("Origin: https://shop.example.com\r\nX-API-Key: tg_"), "{lines}");
        let lines = first_lines(Shape::GateFirstToken, &credentials).expect("are there");
        assert!(lines.contains("\r\nAuthorization: Bearer ey") && lines.ends_with("\r\n"), "{lines}");
        assert_eq!(first_lines(Shape::Small, &credentials).expect("none"), "");
        assert!(fields(Shape::Everything).is_empty());
    }
}
