//! `tollgate why`: why a past exchange of the running instance ended as it did.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tollgate_admin::resources::exchanges::{ExchangeStatus, Exchanges};

use crate::client::{self, Client, Reach, path_with_query};
use crate::exit;
use crate::terminal::figures::latency;
use crate::terminal::table::{Side, Table};
use crate::terminal::{self, Tone};

/// Where recorded exchanges are.
const EXCHANGES: &str = "/api/v1/exchanges";
/// A path longer than this is cut in a table.
const PATH_MAX: usize = 60;

/// Which exchanges.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("which").required(true).multiple(true)),
    override_usage = "tollgate why [OPTIONS] REQUEST-ID\n       tollgate why [OPTIONS] --last [NUMBER] [CONDITIONS]"
)]
pub struct Arguments {
    /// The X-Request-ID of the response; also `instance` in the body of an error
    #[arg(value_name = "REQUEST-ID", group = "which", conflicts_with_all = ["last", "reason", "route", "upstream", "status", "slow", "since"])]
    request_id: Option<String>,
    /// The newest that meets the conditions; with a number, a table of so many
    #[arg(long, group = "which", value_name = "NUMBER", num_args = 0..=1, default_missing_value = "1")]
    last: Option<usize>,
    /// Only those that ended for this reason
    #[arg(long, group = "which", value_name = "REASON")]
    reason: Option<String>,
    /// Only those of this route
    #[arg(long, group = "which", value_name = "NAME")]
    route: Option<String>,
    /// Only those of this upstream
    #[arg(long, group = "which", value_name = "NAME")]
    upstream: Option<String>,
    /// Only those with this status, such as 404, 5xx, 400-499
    #[arg(long, group = "which", value_name = "STATUS")]
    status: Option<String>,
    /// Only slow ones: as the document's recorder says, or those that took so long or longer, such as 250ms
    #[arg(long, group = "which", value_name = "DURATION", num_args = 0..=1, default_missing_value = "")]
    slow: Option<String>,
    /// Only those that began in the time before now, such as 10m
    #[arg(long, group = "which", value_name = "DURATION")]
    since: Option<String>,
    /// Show the values of queries too, which may be secret
    #[arg(long)]
    query: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Tells it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let query = if arguments.query { "show" } else { "hide" };
    if let Some(request_id) = &arguments.request_id {
        let path = client::path(&["api", "v1", "exchanges", request_id]);
        return explain(&client.get(&path_with_query(&path, [("query", query)]))?, arguments.json);
    }
    let count = arguments.last.unwrap_or(1);
    let found: Exchanges = if count == 1 {
        list(&client, arguments, [("last", "1"), ("explain", "true"), ("query", query)])?
    } else {
        list(&client, arguments, [("last", count.to_string().as_str())])?
    };
    match (found.exchanges.as_slice(), count) {
        ([], 1..) if !arguments.json => {
            eprintln!("tollgate: nothing that is recorded is like that; {}", found.recorder);
            Ok(exit::FAILED.into())
        }
        (_, 1) => explain(&found, arguments.json),
        _ if arguments.json => super::print(&format!("{:#}\n", serde_json::to_value(&found)?)),
        (exchanges, _) => super::print(&table(exchanges).text(terminal::colours())),
    }
}

fn list<'p>(
    client: &Client,
    arguments: &'p Arguments,
    more: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Result<Exchanges> {
    let conditions = [
        ("reason", &arguments.reason),
        ("route", &arguments.route),
        ("upstream", &arguments.upstream),
        ("status", &arguments.status),
        ("slow", &arguments.slow),
        ("since", &arguments.since),
    ];
    let conditions = conditions.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    client.get(&path_with_query(EXCHANGES, conditions.chain(more)))
}

/// All that was found, one after the other. The exit code says whether there was any.
fn explain(found: &Exchanges, json: bool) -> Result<ExitCode> {
    let explained = || found.exchanges.iter().filter_map(|exchange| exchange.explained.as_ref());
    if json {
        let whys: Vec<Value> = explained().map(|explained| Value::Object(explained.why.clone())).collect();
        let recorder = serde_json::to_value(&found.recorder).context("cannot write the answer")?;
        let code = if whys.is_empty() { exit::FAILED.into() } else { ExitCode::SUCCESS };
        super::print(&format!("{:#}\n", json!({ "exchanges": whys, "recorder": recorder })))?;
        return Ok(code);
    }
    let texts: Vec<&str> = explained().map(|explained| explained.text.as_str()).collect();
    super::print(&texts.join("\n"))
}

fn table(exchanges: &[ExchangeStatus]) -> Table {
    let columns = [
        "TIME",
        "REQUEST ID",
        "STATUS",
        "REASON",
        "TOOK",
        "ATTEMPTS",
        "ROUTE",
        "ENDPOINT",
        "REQUEST",
        "KEPT AS",
    ];
    let right = ["STATUS", "TOOK", "ATTEMPTS"];
    let columns = columns.map(|name| (name, if right.contains(&name) { Side::Right } else { Side::Left }));
    let mut table = Table::new(&columns);
    for exchange in exchanges {
        let tone = match (exchange.side.as_str(), exchange.kept_as.as_str()) {
            ("upstream" | "proxy", _) => Tone::Bad,
            ("client", _) | (_, "slow") => Tone::Doubtful,
            _ => Tone::Plain,
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let went = &exchange.went;
        let endpoint = match (&went.upstream, &went.endpoint) {
            (Some(upstream), Some(endpoint)) => format!("{upstream} {endpoint}"),
            (upstream, _) => or_dash(upstream),
        };
        table.row([
            (exchange.time.clone(), Tone::Quiet),
            (exchange.request_id.clone(), Tone::Plain),
            (exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string()), tone),
            (exchange.reason.clone(), tone),
            (latency(exchange.total_us as f64), Tone::Plain),
            (went.attempts.to_string(), Tone::Plain),
            (or_dash(&went.route), Tone::Plain),
            (endpoint, Tone::Plain),
            (cut(&format!("{} {}", exchange.method, exchange.path)), Tone::Plain),
            (exchange.kept_as.clone(), Tone::Quiet),
        ]);
    }
    table
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PATH_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.trim().to_owned(),
    }
}
