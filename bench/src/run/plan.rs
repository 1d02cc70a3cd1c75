//! What is measured and what is claimed: the rows, the loads behind them, and the targets.

use super::scenarios::rows;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// A program under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    /// Four system calls a request, nothing parsed.
    Floor,
    /// HAProxy.
    Haproxy,
    /// Nginx.
    Nginx,
    /// Caddy: beside the others in the row over HTTP/3.
    Caddy,
    /// Tollgate.
    Tollgate,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Tollgate => "Tollgate",
        })
    }
}

/// A load together with the configuration it runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// 128-byte responses, keep-alive.
    Small,
    /// The same through 1,000 routes with header edits and metrics.
    Gateway,
    /// The same with the recorder, and with the access log in a file.
    Everything,
    /// 128-byte responses, keep-alive, with the recorder.
    Record,
    /// The same with tracing that samples nothing, without the recorder.
    TracedNone,
    /// The same, 10 % sampled.
    TracedSome,
    /// The same, all sampled.
    TracedAll,
    /// The same through 10 routes, without tracing.
    FewRoutes,
    /// The same through 100,000 routes.
    ManyRoutes,
    /// The small row with an API key, a rate limit, CORS, two expressions and the access log.
    GateKey,
    /// The same with a token that is known already.
    GateToken,
    /// The same with the keys of 10,000 consumers in turn.
    GateKeys,
    /// The same with a token that was never seen before in each request.
    GateFirstToken,
    /// The same as with one API key, but what is left of the limit is leased from a Redis.
    GateRedis,
    /// 16 KiB responses, keep-alive.
    Medium,
    /// 1 MiB responses, keep-alive.
    Large,
    /// 128-byte responses, a new connection each.
    Churn,
    /// Connections that stay open after one exchange.
    Idle,
    /// 128-byte responses over TLS 1.3, keep-alive.
    Tls,
    /// The same with a new connection and a full handshake each.
    TlsFull,
    /// The same with a new connection and a resumed session each.
    TlsResumed,
    /// TLS connections that stay open after one exchange.
    TlsIdle,
    /// 128-byte responses over HTTP/2 and TLS, from an origin that speaks HTTP/1.1.
    Http2,
    /// Unary gRPC calls, HTTP/2 on both sides.
    Grpc,
    /// The load of `Small` through a TCP proxy.
    Tcp,
    /// The load of `Large` through a TCP proxy.
    TcpLarge,
    /// 512-byte datagrams, each answered with one.
    Udp,
    /// 128-byte responses over HTTP/3, from an origin that speaks HTTP/1.1.
    Http3,
}

/// What is spoken with the program under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 on TCP.
    Http1,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
    /// GRPC on HTTP/2 with prior knowledge.
    Grpc,
    /// TCP, with HTTP/1.1 on it that the program does not look at.
    Tcp,
    /// UDP.
    Udp,
    /// HTTP/3.
    Http3,
}

impl Shape {
    /// The length of each response body in bytes.
    pub(crate) fn body(self) -> u64 {
        match self {
            Self::Medium => 16 << 10,
            Self::Large | Self::TcpLarge => 1 << 20,
            _ => 128,
        }
    }

    /// How many routes the requests are spread over; none where the path is always the same.
    pub(crate) fn routes(self) -> Option<u32> {
        match self {
            Self::Gateway | Self::Everything => Some(1_000),
            Self::FewRoutes => Some(10),
            Self::ManyRoutes => Some(100_000),
            _ => None,
        }
    }

    /// The percentage of traces that are sampled; none where nothing is traced.
    pub(crate) fn sampled(self) -> Option<u32> {
        match self {
            Self::TracedNone => Some(0),
            Self::TracedSome => Some(10),
            Self::TracedAll => Some(100),
            _ => None,
        }
    }

    /// Whether policies decide on each request.
    pub(crate) fn gated(self) -> bool {
        use Shape::{GateFirstToken, GateKey, GateKeys, GateRedis, GateToken};
        matches!(self, GateKey | GateToken | GateKeys | GateFirstToken | GateRedis)
    }

    /// Whether a log of the requests is written.
    pub(crate) fn logs(self) -> bool {
        self == Self::Everything || self.gated()
    }

    /// What is spoken.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Tls | Self::TlsFull | Self::TlsResumed | Self::TlsIdle => Protocol::Tls,
            Self::Http2 => Protocol::Http2,
            Self::Grpc => Protocol::Grpc,
            Self::Tcp | Self::TcpLarge => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
            Self::Http3 => Protocol::Http3,
            _ => Protocol::Http1,
        }
    }

    /// Whether each request has a connection of its own.
    pub(crate) fn churns(self) -> bool {
        matches!(self, Self::Churn | Self::TlsFull | Self::TlsResumed)
    }

    /// Whether open and silent connections are the load.
    pub(crate) fn idles(self) -> bool {
        matches!(self, Self::Idle | Self::TlsIdle)
    }

    /// Shapes of one family run next to each other in time, so that their ratios mean most: each is its own
    /// family, but for those that are held against the small row.
    fn family(self) -> Self {
        match self {
            Self::Gateway
            | Self::Everything
            | Self::Record
            | Self::TracedNone
            | Self::TracedSome
            | Self::TracedAll
            | Self::FewRoutes
            | Self::ManyRoutes => Self::Small,
            gated if gated.gated() => Self::GateKey,
            other => other,
        }
    }
}

/// One measurement of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Cell {
    /// The load and configuration.
    pub(crate) shape: Shape,
    /// The program.
    pub(crate) subject: Subject,
}

/// The figure that a row is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Microseconds of CPU per request.
    Cpu,
    /// KiB of user memory per idle connection.
    IdleMemory,
}

impl Figure {
    /// What it is counted in.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "µs of CPU per request",
            Self::IdleMemory => "KiB of user memory each",
        }
    }
}

/// How two cells are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// One after the other in each round.
    Rounds,
    /// In each round both programs run at once and are loaded in turns of a fraction of a second.
    Turns,
}

/// A comparison, and most times a claim: the row's Tollgate cell is at most `limit` times the cell `against`, in
/// one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// What it is compared with.
    pub(crate) against: Cell,
    /// The largest ratio that still passes; none where nothing is claimed.
    pub(crate) limit: Option<f64>,
    /// How it is compared.
    pub(crate) method: Method,
}

/// A cell and the one that it is compared with in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Pair {
    /// The cell that something is claimed for.
    pub(crate) of: Cell,
    /// The other one.
    pub(crate) against: Cell,
}

/// A row of the result: a shape, who runs it, and what is claimed for Tollgate.
#[derive(Debug)]
pub(crate) struct Row {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What the table calls it.
    pub(crate) title: &'static str,
    /// The load.
    pub(crate) shape: Shape,
    /// Who runs it.
    pub(crate) subjects: &'static [Subject],
    /// What it is judged by.
    pub(crate) figure: Figure,
    /// The claims.
    pub(crate) targets: &'static [Target],
    /// Tollgate's figure itself is below this.
    pub(crate) ceiling: Option<f64>,
}

impl Row {
    /// The row's own measurements.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.subjects.iter().map(|&subject| Cell { shape: self.shape, subject })
    }
}

/// A claim that is held against cells of the same round.
pub(crate) const fn target(shape: Shape, subject: Subject, limit: f64) -> Target {
    Target { against: Cell { shape, subject }, limit: Some(limit), method: Method::Rounds }
}

/// A claim that is measured in turns.
pub(crate) const fn in_turns(shape: Shape, subject: Subject, limit: f64) -> Target {
    Target { against: Cell { shape, subject }, limit: Some(limit), method: Method::Turns }
}

/// A comparison without a claim.
pub(crate) const fn shown(shape: Shape, subject: Subject, method: Method) -> Target {
    Target { against: Cell { shape, subject }, limit: None, method }
}

/// What else a process does while documents of very many routes are put into force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pressure {
    /// Nothing.
    Idle,
    /// As much as it can: each connection sends its next request once it has the answer.
    Full,
    /// Requests fall due at this share of the rate that `Full` brings.
    Share(f64),
}

/// A row of the table of reloads, and what is claimed.
#[derive(Debug)]
pub(crate) struct Reload {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What the table calls it.
    pub(crate) title: &'static str,
    /// Routes of the document.
    pub(crate) routes: u32,
    /// The load.
    pub(crate) pressure: Pressure,
    /// p99.9 of the second that begins with the signal is at most so many times that of a quiet second.
    pub(crate) latency_limit: Option<f64>,
    /// From the signal to the new document's first answer it takes at most so many seconds.
    pub(crate) seconds_limit: Option<f64>,
}

/// All reloads in the order of the table.
pub(crate) const RELOADS: &[Reload] = &[
    Reload {
        name: "reload",
        title: "reload of 10,000 routes, full load",
        routes: 10_000,
        pressure: Pressure::Full,
        latency_limit: Some(1.5),
        seconds_limit: None,
    },
    Reload {
        name: "reload",
        title: "reload of 10,000 routes, 70 % of it",
        routes: 10_000,
        pressure: Pressure::Share(0.7),
        latency_limit: None,
        seconds_limit: None,
    },
    Reload {
        name: "reload-large",
        title: "reload of 100,000 routes, idle",
        routes: 100_000,
        pressure: Pressure::Idle,
        latency_limit: None,
        seconds_limit: Some(2.0),
    },
    Reload {
        name: "reload-large",
        title: "reload of 100,000 routes, full load",
        routes: 100_000,
        pressure: Pressure::Full,
        latency_limit: None,
        seconds_limit: Some(2.0),
    },
];

/// What `--only` calls the check of what a limit admits.
pub(crate) const RATE: &str = "gate-rate";

/// The rows of these names, or all when none is named.
pub(crate) fn select(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    for name in names {
        let known: Vec<&str> =
            rows().map(|row| row.name).chain(RELOADS.iter().map(|r| r.name)).chain([RATE]).collect();
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "no scenario `{name}`; there are {}",
            known.join(", ")
        );
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    Ok(rows().filter(wanted).collect())
}

/// The reloads of these names, or all when none is named.
pub(crate) fn select_reloads(names: &[String]) -> Vec<&'static Reload> {
    let wanted = |reload: &&Reload| names.is_empty() || names.iter().any(|name| name == reload.name);
    RELOADS.iter().filter(wanted).collect()
}

/// What is compared in turns.
pub(crate) fn pairs(rows: &[&Row]) -> Vec<Pair> {
    let of_row = |row: &&Row| {
        let of = Cell { shape: row.shape, subject: Subject::Tollgate };
        let targets = row.targets.iter().filter(|target| target.method == Method::Turns);
        targets.map(move |target| Pair { of, against: target.against }).collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_row).collect()
}

/// The measurements of round number `round` (from 0): those of the rows and those they are compared with,
/// each once, families together, the order inside a family rotated by one each round.
pub(crate) fn order(rows: &[&Row], round: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = rows
        .iter()
        .flat_map(|row| {
            let targets = row.targets.iter().filter(|target| target.method == Method::Rounds);
            row.cells().chain(targets.map(|target| target.against))
        })
        .collect();
    cells.sort_unstable();
    cells.dedup();
    let mut ordered = Vec::new();
    let families: BTreeSet<Shape> = cells.iter().map(|cell| cell.shape.family()).collect();
    for family in families {
        let mut members: Vec<Cell> =
            cells.iter().copied().filter(|cell| cell.shape.family() == family).collect();
        let by = round % members.len();
        members.rotate_left(by);
        ordered.extend(members);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::{Cell, Pair, Shape, Subject, order, pairs, rows, select};
    use std::collections::BTreeSet;

    #[test]
    fn a_row_brings_what_it_is_compared_with() {
        let rows = select(&["gateway".to_owned()]).expect("known");
        let cells: BTreeSet<Cell> = order(&rows, 0).into_iter().collect();
        let cell = |shape, subject| Cell { shape, subject };
        let wanted = [
            cell(Shape::Small, Subject::Haproxy),
            cell(Shape::Small, Subject::Nginx),
            cell(Shape::Small, Subject::Tollgate),
            cell(Shape::Gateway, Subject::Tollgate),
        ];
        assert_eq!(cells, wanted.into_iter().collect());
        assert!(select(&["nothing".to_owned()]).is_err());
        assert!(select(&["reload".to_owned()]).expect("known").is_empty());
    }

    #[test]
    fn small_differences_are_measured_in_turns() {
        let rows = select(&["record".to_owned()]).expect("known");
        let cell = |shape| Cell { shape, subject: Subject::Tollgate };
        assert_eq!(order(&rows, 0), vec![cell(Shape::Record)]);
        assert_eq!(pairs(&rows), vec![Pair { of: cell(Shape::Record), against: cell(Shape::Small) }]);
    }

    #[test]
    fn each_round_has_each_cell_once_and_begins_elsewhere() {
        let rows: Vec<_> = rows().collect();
        let (first, second) = (order(&rows, 0), order(&rows, 1));
        assert_ne!(first[0], second[0]);
        let set = |cells: &[Cell]| cells.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(set(&first).len(), first.len());
        assert_eq!(set(&first), set(&second));
    }
}
